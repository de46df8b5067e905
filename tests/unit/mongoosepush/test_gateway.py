"""The requests that MongoosePush gets, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from webhook_sink import Reply, Sink

from event_pusher.abc import Attempt, Delivery, Notification, Registration
from event_pusher.errors import DestinationGone, NothingSent, PermanentPublishError, TemporaryPublishError
from event_pusher.testing import attempt, make_gateway_tools
from event_pusher.testing.factories import BOB
from event_pusher_mongoosepush.gateway import MongoosePushGateway, MongoosePushSettings

FULL = Notification(
    (("message-count", "3"), ("last-message-sender", "alice@example.org"), ("last-message-body", "hello"))
)
DEVICE = (("device_id", "token/1"), ("service", "apns"))


@pytest.fixture
def sink() -> Iterator[Sink]:
    """MongoosePush's place."""
    with Sink() as one:
        yield one


@pytest.fixture
def gateway(sink: Sink) -> Iterator[MongoosePushGateway]:
    made = MongoosePushGateway(MongoosePushSettings(url=sink.url), make_gateway_tools())
    yield made
    made.close(0.1)


def one_attempt(seconds: float = 30.0) -> Attempt:
    made = attempt(Delivery(BOB, "push.example.org", b""))
    made.deadline = seconds
    return made


def publish(gateway: MongoosePushGateway, notification: Notification = FULL, **options: str) -> None:
    """Publish for a device with these further options."""
    registration = Registration(1, BOB, "push.example.org", "node", (*DEVICE, *options.items()))
    gateway.publish(one_attempt(), registration, notification)


def sent(sink: Sink) -> Any:
    """The body of the last request."""
    return json.loads(sink.requests[-1].body)


def test_an_alert_is_sent_to_the_device_whose_name_is_escaped(gateway: MongoosePushGateway, sink: Sink) -> None:
    publish(gateway)
    got = sink.requests[-1]
    assert (got.method, got.path) == ("POST", "/v3/notification/token%2F1")
    assert got.headers["content-type"] == "application/json"
    assert json.loads(got.body) == {
        "service": "apns",
        "priority": "high",
        "alert": {"title": "alice@example.org", "tag": "alice@example.org", "body": "hello", "badge": 3},
    }


def test_a_silent_one_is_data_whose_count_is_a_number(gateway: MongoosePushGateway, sink: Sink) -> None:
    publish(gateway, silent="true")
    assert "alert" not in sent(sink)
    assert sent(sink)["data"] == {
        "message-count": 3,
        "last-message-sender": "alice@example.org",
        "last-message-body": "hello",
    }


def test_what_the_client_chose_is_handed_on_in_the_types_of_the_api(gateway: MongoosePushGateway, sink: Sink) -> None:
    publish(gateway, mode="dev", priority="normal", topic="app", mutable_content="true", time_to_live="60", sound="a")
    told = sent(sink)
    assert {name: told[name] for name in ("mode", "priority", "topic", "mutable_content", "time_to_live")} == {
        "mode": "dev",
        "priority": "normal",
        "topic": "app",
        "mutable_content": True,
        "time_to_live": 60,
    }
    assert told["alert"]["sound"] == "a"


def test_what_the_api_would_refuse_is_left_out(gateway: MongoosePushGateway, sink: Sink) -> None:
    publish(gateway, mode="test", priority="some_priority", mutable_content="maybe", time_to_live="-1", tags="pool")
    assert sent(sink).keys() == {"service", "priority", "alert"}
    assert sent(sink)["priority"] == "high"


def test_where_content_hides_everything_the_alert_has_a_title_all_the_same(
    gateway: MongoosePushGateway, sink: Sink
) -> None:
    publish(gateway, Notification())
    assert sent(sink)["alert"] == {"title": "New message", "tag": "New message", "body": "New message"}


@pytest.mark.parametrize(
    "options",
    [(), (("device_id", "d"),), (("device_id", "d"), ("service", "wns")), (("device_id", ".."), ("service", "fcm"))],
)
def test_options_that_name_no_device_are_refused_for_good(
    gateway: MongoosePushGateway, sink: Sink, options: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(PermanentPublishError, match="device_id"):
        gateway.publish(one_attempt(), Registration(1, BOB, "s", "n", options), FULL)
    assert sink.requests == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (410, DestinationGone),
        *((status, PermanentPublishError) for status in (400, 404, 413, 422)),
        *((status, TemporaryPublishError) for status in (429, 500, 503, 520)),
    ],
)
def test_what_an_answer_means(gateway: MongoosePushGateway, sink: Sink, status: int, error: type[Exception]) -> None:
    sink.answer = lambda _got: Reply(status)
    with pytest.raises(error, match=str(status)):
        publish(gateway)


def test_it_asks_no_sooner_again_than_it_is_told(gateway: MongoosePushGateway, sink: Sink) -> None:
    sink.answer = lambda _got: Reply(429, {"retry-after": "7"})
    with pytest.raises(TemporaryPublishError) as caught:
        publish(gateway)
    assert caught.value.retry_after == 7


def test_without_time_for_an_answer_nothing_is_sent(gateway: MongoosePushGateway, sink: Sink) -> None:
    registration = Registration(1, BOB, "s", "n", DEVICE)
    with pytest.raises(NothingSent):
        gateway.publish(one_attempt(0.5), registration, FULL)
    assert sink.requests == []


def test_connections_are_kept(gateway: MongoosePushGateway, sink: Sink) -> None:
    for _ in range(5):
        publish(gateway)
    assert sink.connections == 1


@pytest.mark.parametrize("url", ["push", "ftp://x", "https://h/path", "https://u:p@h", "https://"])
def test_a_url_that_is_none_says_what_one_looks_like(url: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        MongoosePushSettings(url=url)

"""The plugins that come with the HTTP backend, and what strangers' may rely on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from webhook_sink import Reply, Sink
from webhooks import make_backend, one_attempt, publish, running

from event_pusher.abc import DELIVERED, Acc, Delivery, Event, Jid, NoSettings, Retry, Stanza
from event_pusher.errors import SettingsError
from event_pusher.events import Direction, to_json
from event_pusher.testing import ManualClock, acc, chat_event, one_of_each, unacked_message_event, user_status_event
from event_pusher_http.plugin import HandlerSettings, HttpPlugin
from event_pusher_http.settings import HttpSettings
from event_pusher_http.wire import Letter

FIRST = "whsec_Zmlyc3QtZmlyc3QtZmlyc3QtZmlyc3Qt"
SECOND = "whsec_c2Vjb25kLXNlY29uZC1zZWNvbmQtc2Vj"
ALL = ["chat", "user_status", "unacked_message"]


def decide(handler: dict[str, Any], *events: Event, **given: Any) -> list[Delivery]:
    """What a backend with one handler makes of events."""
    backend = make_backend(HttpSettings.model_validate({"handlers": [{"url": "http://h/", **handler}]}), **given)
    return [one for event in events for one in backend.push_event(acc(), event)]


def bodies(deliveries: Iterable[Delivery]) -> list[Any]:
    return [json.loads(Letter.unpack(one.payload).body) for one in deliveries]


def test_defaults_take_chat_messages_with_a_text_on_their_way_in() -> None:
    made = decide({"events": ALL}, *one_of_each())

    assert len(made) == 1


def test_json_is_the_documented_one() -> None:
    # Given an event with metadata
    event, carrier = chat_event("hej", direction="in"), acc()
    carrier.metadata["tenant"] = "t1"
    backend = make_backend(HttpSettings.model_validate({"handlers": [{"url": "http://h/", "callback_module": "json"}]}))
    # Then its body is what to_json writes, and says that it is JSON
    (delivery,) = backend.push_event(carrier, event)
    letter = Letter.unpack(delivery.payload)
    assert letter.body == to_json(carrier, event)
    assert letter.headers == {"content-type": "application/json"}
    said = json.loads(letter.body)
    assert (said["from"], said["to"], said["tenant"]) == ("alice@example.org/phone", "bob@example.org", "t1")


@pytest.mark.parametrize(
    ("events", "kinds"), [(["chat"], {"chat"}), (["user_status"], {"user_status"}), (ALL, set(ALL)), ([], set())]
)
def test_a_handler_gets_the_kinds_of_event_that_it_names(events: list[str], kinds: set[str]) -> None:
    made = decide({"callback_module": "json", "events": events}, *one_of_each())

    assert {body["kind"] for body in bodies(made)} == kinds


def test_json_takes_messages_of_every_type_in_both_directions() -> None:
    made = decide({"callback_module": "json"}, *one_of_each())

    said = bodies(made)
    assert {body["type"] for body in said} == {"chat", "groupchat", "headline", "normal"}
    assert {body["direction"] for body in said} == {"in", "out"}


def test_json_leaves_texts_out_when_told_to() -> None:
    made = decide({"callback_module": "json"}, chat_event("hej"), sections={"json": {"bodies": False}})

    assert "body" not in bodies(made)[0]


def test_an_event_is_of_the_user_whose_it_is() -> None:
    events: list[Event] = [
        chat_event(direction="in"),
        chat_event(direction="out"),
        user_status_event(),
        unacked_message_event(),
    ]

    made = decide({"callback_module": "json", "events": ALL}, *events)

    assert [one.recipient for one in made] == ["alice@example.org", *["bob@example.org"] * 3]


class NoBots(HttpPlugin[NoSettings]):
    def should_make_req(
        self, acc: Acc, direction: Direction, packet: Stanza, sender: Jid, recipient: Jid, opts: HandlerSettings
    ) -> bool:
        if sender.domain == "bots.example.org":
            return False
        return super().should_make_req(acc, direction, packet, sender, recipient, opts)


class Labelled(HttpPlugin[NoSettings]):
    def prepare_headers(
        self,
        acc: Acc,
        direction: Direction,
        host: str,
        message: str,
        sender: str,
        receiver: str,
        opts: HandlerSettings,
    ) -> Mapping[str, str]:
        rest = super().prepare_headers(acc, direction, host, message, sender, receiver, opts)
        return {**rest, "X-Way": f"{sender}@{host} to {receiver}"}


@pytest.mark.parametrize("behind", ["defaults", "json", "standard_webhooks"])
def test_a_plugin_may_stand_before_those_that_are_shipped(behind: str) -> None:
    # Given two of a stranger's plugins before one of ours
    handler = {"callback_module": ["no_bots", "labelled", behind], "secrets": [FIRST]}
    events = [chat_event(direction="in"), chat_event(direction="in", sender="hal@bots.example.org")]
    # When a person and a bot write
    made = decide(handler, *events, classes={"no_bots": NoBots, "labelled": Labelled})
    # Then the person's message is sent, labelled
    (letter,) = [Letter.unpack(one.payload) for one in made]
    assert letter.headers["x-way"] == "alice@example.org to bob"
    assert "content-type" in letter.headers


class Broken(HttpPlugin[NoSettings]):
    def prepare_headers(self, *arguments: object) -> Mapping[str, str]:
        return {"X-Bad": "a\r\nX-Smuggled: b"}


def test_a_plugin_that_fails_takes_nothing_from_other_handlers(caplog: pytest.LogCaptureFixture) -> None:
    # Given a handler whose plugin smuggles a header, and another one
    handlers = [{"url": "http://a/", "callback_module": "broken"}, {"url": "http://b/"}]
    backend = make_backend(HttpSettings.model_validate({"handlers": handlers}), {"broken": Broken})
    # When a message comes
    made = list(backend.push_event(acc(), chat_event(direction="in")))
    # Then the other one has it, and the fault is logged
    assert [one.target for one in made] == ["http://b/"]
    assert "handler POST http://a/ broken: ValueError in a plugin" in caplog.text


def test_a_plugin_that_fails_alone_is_the_backends_failure() -> None:
    with pytest.raises(ValueError, match="X-Bad"):
        decide({"callback_module": "broken"}, chat_event(direction="in"), classes={"broken": Broken})


# --- Standard Webhooks ------------------------------------------------------------------------------------------------


def signed(sink: Sink, secrets: list[Any], clock: ManualClock | None = None) -> list[Any]:
    """Publish one message twice, a minute apart."""
    clock = clock or ManualClock(time.time() - 60)
    handler = {"url": sink.url, "callback_module": "standard_webhooks", "secrets": secrets}
    with running(handler, clock=clock) as backend:
        one = one_attempt(backend)
        sink.answer = lambda got: Reply(503 if len(sink.requests) == 1 else 200)
        assert isinstance(publish(backend, one), Retry)
        clock.advance(60)
        assert publish(backend, replace(one, number=2)) == DELIVERED
    return list(sink.requests)


def test_every_attempt_is_signed_for_itself_and_has_the_same_id(sink: Sink) -> None:
    # When an attempt fails, and a minute later one goes well
    first, second = signed(sink, [FIRST])
    # Then both verify, with one id and body, and timestamps and signatures of their own
    for got in (first, second):
        assert Webhook(FIRST).verify(got.body, got.headers)["type"] == "chat"
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 60
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_the_id_is_the_deliverys_key(sink: Sink) -> None:
    with running({"url": sink.url, "callback_module": "standard_webhooks", "secrets": [FIRST]}) as backend:
        one = one_attempt(backend)
        publish(backend, one)

    assert sink.requests[0].headers["webhook-id"] == one.key


def test_the_body_is_the_standards_envelope_around_the_event(sink: Sink) -> None:
    got, _ = signed(sink, [FIRST])

    body = json.loads(got.body)
    assert list(body) == ["type", "timestamp", "data"]
    assert (body["type"], body["timestamp"], body["data"]["user"]) == (
        "chat",
        "2023-11-14T22:13:20.000Z",
        "alice@example.org",
    )


def test_while_secrets_are_changed_both_verify(sink: Sink) -> None:
    got, _ = signed(sink, [FIRST, SECOND])

    for secret in (FIRST, SECOND):
        assert Webhook(secret).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(got.body, got.headers)


def test_a_secret_that_changes_counts_from_the_next_attempt_on(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", FIRST)
    clock = ManualClock(time.time())
    handler = {"url": sink.url, "callback_module": "standard_webhooks", "secrets": [{"env": "HOOK_SECRET"}]}
    with running(handler, clock=clock) as backend:
        one = one_attempt(backend)
        monkeypatch.setenv("HOOK_SECRET", SECOND)
        publish(backend, one)

    assert Webhook(SECOND).verify(sink.requests[0].body, sink.requests[0].headers)


def test_a_secret_that_was_spoilt_meanwhile_is_no_reason_to_lose_anything(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", FIRST)
    handler = {"url": sink.url, "callback_module": "standard_webhooks", "secrets": [{"env": "HOOK_SECRET"}]}
    with running(handler) as backend:
        monkeypatch.setenv("HOOK_SECRET", "whsec_%%%")

        assert publish(backend) == Retry("a signing secret is whsec_ and base64")

    assert sink.requests == []


def test_secrets_may_stand_in_the_plugins_section(sink: Sink) -> None:
    sections = {"standard_webhooks": {"secrets": [SECOND]}}
    handler = {"url": sink.url, "callback_module": "standard_webhooks"}
    with running(handler, sections=sections, clock=ManualClock(time.time())) as backend:
        publish(backend)

    assert Webhook(SECOND).verify(sink.requests[0].body, sink.requests[0].headers)


@pytest.mark.parametrize(
    ("secrets", "fault"),
    [
        ([], 'standard_webhooks needs secrets = ["whsec_…"] to sign with'),
        (["whsec_%%%"], "a signing secret is whsec_ and base64"),
        (["whsec_c2hvcnQ="], "a signing secret holds 24 to 64 bytes, as base64"),
    ],
)
def test_a_handler_that_cannot_sign_does_not_start(secrets: list[str], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        decide({"callback_module": "standard_webhooks", "secrets": secrets})

    assert caught.value.faults == (f"backends.http.handlers[0]: {fault}",)

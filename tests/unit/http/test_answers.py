"""What an answer means."""

from __future__ import annotations

import logging
from email.utils import formatdate

import pytest
from webhook_sink import Reply, Sink
from webhooks import one_attempt, publish, running

from event_pusher.abc import DELIVERED, Dead, Event, Gone, Retry
from event_pusher.testing import ManualClock, acc, attempt, chat_event, user_status_event
from event_pusher.testing.factories import NOW
from event_pusher_http.gone import Stopped
from event_pusher_http.wire import seconds_of


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_only_a_success_is_a_delivery(sink: Sink, status: int) -> None:
    sink.answer = lambda got: Reply(status)

    with running({"url": sink.url}) as backend:
        assert publish(backend) == DELIVERED


@pytest.mark.parametrize(
    "status", [401, 403, 404, 405, 407, 408, 409, 421, 425, 426, 429, 500, 502, 503, 504, 507, 599]
)
def test_what_time_or_an_operator_may_cure_is_tried_again(sink: Sink, status: int) -> None:
    sink.answer = lambda got: Reply(status)

    with running({"url": sink.url}) as backend:
        outcome = publish(backend)

    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith(f"HTTP {status}")
    assert outcome.after is None


@pytest.mark.parametrize("status", [400, 406, 411, 413, 414, 415, 417, 422, 431])
def test_what_is_wrong_with_the_request_itself_is_a_dead_letter(sink: Sink, status: int) -> None:
    sink.answer = lambda got: Reply(status, body=b"a text that may quote what we sent")

    with running({"url": sink.url}) as backend:
        outcome = publish(backend)

    assert isinstance(outcome, Dead)
    assert outcome.reason.startswith(f"HTTP {status}")
    assert "quote" not in outcome.reason


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_redirects_are_refused(sink: Sink, status: int) -> None:
    # Given a receiver that sends everybody elsewhere
    with Sink() as elsewhere:
        sink.answer = lambda got: Reply(status, {"Location": f"{elsewhere.url}/there"})
        # When a request goes out
        with running({"url": sink.url}) as backend:
            outcome = publish(backend)
        # Then it went nowhere else, and is not delivered
        assert isinstance(outcome, Retry)
        assert "redirects are refused" in outcome.reason
        assert (len(sink.requests), elsewhere.requests) == (1, [])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("said", "after"), [("120", 120.0), (formatdate(NOW + 90, usegmt=True), 90.0), ("soon", None)])
def test_retry_after_is_honoured(sink: Sink, status: int, said: str, after: float | None) -> None:
    sink.answer = lambda got: Reply(status, {"Retry-After": said})

    with running({"url": sink.url}) as backend:
        outcome = publish(backend)

    assert isinstance(outcome, Retry)
    assert outcome.after == after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 400, 999_999_999.0),
        (formatdate(NOW - 3600, usegmt=True), 0.0),
        ("Wed, 99 Nov 2023 99:99:99 GMT", None),
    ],
)
def test_retry_after_that_is_odd_does_no_harm(text: str | None, seconds: float | None) -> None:
    assert seconds_of(text, NOW) == seconds


def test_gone_stops_that_kind_of_event_for_that_recipient(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    # Given a receiver that answers 410, and one beside it that does not
    sink.answer = lambda got: Reply(410 if got.path == "/gone" else 200)
    gone = {"url": f"{sink.url}/gone", "callback_module": "json", "events": ["chat", "user_status"]}
    with running(gone, {"url": f"{sink.url}/stays", "callback_module": "json"}) as backend:
        # When a message of Alice's is sent there
        caplog.set_level(logging.WARNING)
        assert publish(backend) == Gone("HTTP 410 Gone")
        # Then it is told once, whose and what
        (line,) = [record.getMessage() for record in caplog.records]
        assert "/gone answered 410 Gone: chat events of alice@example.org are not sent there any more" in line
        # And nothing of this kind is made for her any more there, and everything elsewhere
        later = acc()
        made = list(backend.push_event(later, chat_event(direction="in", state=None)))
        assert [one.target for one in made] == [f"{sink.url}/stays"]
        # And other people's messages and her other events go on
        others: list[Event] = [chat_event(direction="out"), user_status_event("alice@example.org/phone")]
        targets = [{one.target for one in backend.push_event(acc(), event)} for event in others]
        assert all(f"{sink.url}/gone" in some for some in targets)


def test_what_waits_when_a_receiver_is_gone_is_not_sent(sink: Sink) -> None:
    sink.answer = lambda got: Reply(410)
    with running({"url": sink.url}) as backend:
        first, second = one_attempt(backend), one_attempt(backend)
        publish(backend, first)

        outcome = publish(backend, second)

    assert isinstance(outcome, Gone)
    assert len(sink.requests) == 1


def test_gone_is_not_for_ever(sink: Sink) -> None:
    # Given a stop of a minute
    sink.answer = lambda got: Reply(410)
    with running({"url": sink.url, "gone_for": "1min"}) as backend:
        waiting = one_attempt(backend)
        publish(backend)
        said = acc()
        assert list(backend.push_event(said, chat_event(direction="in"))) == []
        assert said.skipped == "gone"
        # When it is over
        backend.tools.clock.advance(61)  # type: ignore[attr-defined]  # a ManualClock
        # Then it is tried again
        sink.answer = lambda got: Reply(200)
        assert publish(backend, attempt(waiting.delivery)) == DELIVERED


def test_of_too_many_stops_the_oldest_go_on() -> None:
    stopped = Stopped(ManualClock(), most=2)
    for user in "abc":
        stopped.add(("h", user, "chat"), 60)

    assert [("h", user, "chat") in stopped for user in "abc"] == [False, True, True]


def test_a_huge_answer_is_cut_off(sink: Sink) -> None:
    # Given a receiver that says yes, and goes on for longer than anybody reads
    def flood(got: object) -> Reply:
        return Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 2_000_000, close=False)

    sink.answer = flood
    with running({"url": sink.url, "max_response": 1000}) as backend:
        # Then its yes counts, and the next request has a connection of its own
        assert publish(backend) == DELIVERED
        sink.answer = lambda got: Reply()
        assert publish(backend) == DELIVERED
    assert [got.connection for got in sink.requests] == [1, 2]


def test_a_chunked_answer_is_read_to_its_end(sink: Sink) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    sink.answer = lambda got: Reply(raw=chunked)

    with running({"url": sink.url}) as backend:
        assert [publish(backend), publish(backend)] == [DELIVERED, DELIVERED]

    assert [got.connection for got in sink.requests] == [1, 1]

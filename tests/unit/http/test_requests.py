"""What a request is made of when it leaves."""

from __future__ import annotations

import pytest
from webhook_sink import Reply, Sink
from webhooks import make_backend, one_attempt, publish, running

from event_pusher.abc import DELIVERED, Retry
from event_pusher.testing import acc, attempt, chat_event
from event_pusher_http.settings import HttpSettings


def test_a_request_whose_handler_is_configured_no_more_waits(sink: Sink) -> None:
    # Given a request that was written for a handler
    with running({"url": sink.url, "name": "old"}) as before:
        one = one_attempt(before)
    # When another configuration has none of that name
    after = make_backend(HttpSettings.model_validate({"handlers": [{"url": sink.url, "name": "new"}]}))
    # Then it is not lost, and says what is missing
    assert publish(after, one) == Retry("no handler is called old any more; discard it, or add one")


def test_a_request_is_sent_as_it_was_stored(sink: Sink) -> None:
    with running({"url": f"{sink.url}/a%20b?c=d", "method": "PUT"}) as backend:
        one = one_attempt(backend)
        publish(backend, one)

    (got,) = sink.requests
    assert (got.method, got.path) == ("PUT", "/a%20b?c=d")
    assert one.delivery.payload.endswith(b"\n" + got.body)


def test_the_operators_headers_are_those_of_the_attempt(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a handler with a credential in the environment
    monkeypatch.setenv("HOOK_TOKEN", "first")
    headers = {"X-Token": {"env": "HOOK_TOKEN"}, "Content-Type": "text/plain"}
    with running({"url": sink.url.replace("//", "//user:p%40ss@"), "headers": headers}) as backend:
        one = one_attempt(backend)
        # When it changes after the request was written
        monkeypatch.setenv("HOOK_TOKEN", "second")
        publish(backend, one)
        # And then cannot be read at all
        monkeypatch.delenv("HOOK_TOKEN")
        outcome = publish(backend, one)
    # Then the request has the new one, and the URL's login, and is tried again when there is none
    (got,) = sink.requests
    assert {name: got.headers[name] for name in ("x-token", "content-type", "authorization", "user-agent")} == {
        "x-token": "second",
        "content-type": "text/plain",
        "authorization": "Basic dXNlcjpwQHNz",
        "user-agent": "event-pusher",
    }
    assert outcome == Retry("the environment has no variable HOOK_TOKEN")


def test_a_request_in_vain_says_nothing_of_the_urls_secrets(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sink.answer = lambda got: Reply(raw=b"HTTP/1.1 500 s3cret\r\nbroken header\r\n\r\n", close=True)
    with running({"url": f"{sink.url}/?token=s3cret"}) as backend:
        outcomes = [publish(backend)]
        sink.go_away()
        outcomes.append(publish(backend))

    assert "s3cret" not in repr(outcomes) + caplog.text


def test_a_host_that_says_otherwise_has_its_own_handlers(sink: Sink) -> None:
    # Given a host with a handler of its own, of the same name
    everywhere = {"url": f"{sink.url}/all", "name": "hook"}
    own = HttpSettings.model_validate({"handlers": [{"url": f"{sink.url}/own", "name": "hook"}]})
    with running(everywhere, host_settings={"own.example": own}) as backend:
        # When users of both hosts write
        for host in ("example.org", "own.example"):
            (delivery,) = backend.push_event(acc(host=host), chat_event(direction="in"))
            assert publish(backend, attempt(delivery)) == DELIVERED
    # Then each goes to its host's
    assert [got.path for got in sink.requests] == ["/all", "/own"]


def test_handlers_do_not_hold_up_each_other(sink: Sink) -> None:
    with running({"url": sink.url, "name": "a"}, {"url": sink.url, "name": "b"}) as backend:
        made = list(backend.push_event(acc(), chat_event(direction="in")))

    assert len({one.lane for one in made}) == 2
    assert {one.recipient for one in made} == {"alice@example.org"}

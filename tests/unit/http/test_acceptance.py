"""MongooseIM's push_http_SUITE (``reference`` 78 to 80), over real connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from webhook_sink import Sink
from webhooks import publish, running

from event_pusher.abc import DELIVERED, Acc, ChatEvent, Jid, NoSettings, Stanza
from event_pusher.events import Direction
from event_pusher.testing import acc, attempt, chat_event
from event_pusher_http.backend import HttpBackend
from event_pusher_http.plugin import HandlerSettings, HttpPlugin


class Custom(HttpPlugin[NoSettings]):
    """Every message stanza, said as "direction-text"."""

    prefix = ""
    directions: tuple[Direction, ...] = ("in", "out")

    def should_make_req(
        self, acc: Acc, direction: Direction, packet: Stanza, sender: Jid, recipient: Jid, opts: HandlerSettings
    ) -> bool:
        return direction in self.directions

    def prepare_body(
        self,
        acc: Acc,
        direction: Direction,
        host: str,
        message: str,
        sender: str,
        receiver: str,
        opts: HandlerSettings,
    ) -> bytes:
        return f"{self.prefix}{direction}-{message}".encode()

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
        return {"content-type": "text/plain"}


class Custom2(Custom):
    prefix = "2-"
    directions = ("out",)


def both_ways(body: str) -> list[ChatEvent]:
    """What a message makes on its way through one server."""
    arguments: dict[str, Any] = {"sender": "Alice@localhost/res1", "recipient": "Bob@localhost"}
    return [chat_event(body, direction=way, state=None, **arguments) for way in ("in", "out")]


def push(backend: HttpBackend, *events: ChatEvent) -> None:
    """Push events, and publish what they make."""
    for event in events:
        for delivery in backend.push_event(acc(), event):
            assert publish(backend, attempt(delivery)) == DELIVERED


def test_78_simple_push(sink: Sink) -> None:
    # Given the defaults
    with running({"url": f"{sink.url}/push"}) as backend:
        # When Alice sends "hej", and then a message without text
        push(backend, *both_ways("hej"), *both_ways(""))
    # Then there is one POST, with the model's form
    (got,) = sink.requests
    assert (got.method, got.path) == ("POST", "/push")
    assert got.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(got.body.decode(), strict_parsing=True)) == {
        "author": "alice",
        "server": "localhost",
        "receiver": "bob",
        "message": "hej",
    }


def test_79_custom_push(sink: Sink) -> None:
    with running({"url": f"{sink.url}/push", "callback_module": "custom"}, classes={"custom": Custom}) as backend:
        push(backend, *both_ways("hej"), *both_ways(""))

    assert sorted(got.body for got in sink.requests) == [b"in-", b"in-hej", b"out-", b"out-hej"]


def test_80_push_to_many(sink: Sink) -> None:
    # Given two handlers with a plugin each
    handlers = [
        {"url": f"{sink.url}/push", "callback_module": "custom"},
        {"url": f"{sink.url}/push2", "callback_module": "custom2"},
    ]
    with running(*handlers, classes={"custom": Custom, "custom2": Custom2}) as backend:
        push(backend, *both_ways("hej"), *both_ways(""))
    # Then each gets its own
    bodies = {path: sorted(got.body for got in sink.requests if got.path == path) for path in ("/push", "/push2")}
    assert bodies == {"/push": [b"in-", b"in-hej", b"out-", b"out-hej"], "/push2": [b"2-out-", b"2-out-hej"]}

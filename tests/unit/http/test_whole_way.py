"""From a message on an XMPP server to a webhook, through the real application: SQLite, and sockets on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from webhook_sink import PATIENCE, Got, Reply, Sink

from event_pusher import migrate
from event_pusher.app import App
from event_pusher.loopback import LoopbackServer
from event_pusher.registry import Registry
from event_pusher.settings import Settings, load

SECRET = "whsec_Zmlyc3QtZmlyc3QtZmlyc3QtZmlyc3Qt"
ALICE, BOB = "alice@example.org", "bob@example.org"
CONFIG = """
[database]
url = "sqlite:///event-pusher.db"
[sources.component]
domain = "push.example.org"
server = "{server}"
secret = "secret"
hosts = ["example.org"]
[backends.http]
retry = {{ schedule = ["20ms"] }}
[[backends.http.handlers]]
url = "{hook}/hook"
callback_module = "standard_webhooks"
secrets = ["{secret}"]
[admin]
listen = ""
"""


@contextmanager
def running(settings: Settings) -> Iterator[App]:
    app = App(settings)
    assert app.start()
    try:
        yield app
    finally:
        app.stop()
        app.close()


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(sent=True) as one:
        yield one


@pytest.fixture
def settings(tmp_path: Path, server: LoopbackServer, sink: Sink) -> Settings:
    path = tmp_path / "event-pusher.toml"
    path.write_text(CONFIG.format(server=server.address, hook=sink.url, secret=SECRET), encoding="utf-8")
    read = load(path, Registry())
    migrate.upgrade(read.database.url, read.folder)
    return read


def taken(sink: Sink, refused: list[Got]) -> list[dict[str, str]]:
    """The events that were answered 200, in the order in which they came."""
    return [json.loads(got.body)["data"] for got in sink.requests if got not in refused]


def test_every_message_comes_once_and_in_order_though_the_receiver_refuses_at_first(
    settings: Settings, server: LoopbackServer, sink: Sink
) -> None:
    # Given a receiver that refuses every request the first time
    refused: list[Got] = []

    def answer(got: Got) -> Reply:
        if all(one.headers["webhook-id"] != got.headers["webhook-id"] for one in refused):
            refused.append(got)
            return Reply(503, {"Retry-After": "0"})
        return Reply()

    sink.answer = answer
    with running(settings):
        assert server.wait_connected(PATIENCE)
        # When Alice writes to Bob, who is offline
        texts = [f"text {number}" for number in range(5)]
        for text in texts:
            server.message(f"{ALICE}/phone", BOB, text)
        sink.wait_for(2 * 2 * len(texts))
    # Then both sides of each message came once, in order
    events = taken(sink, refused)
    for user, direction in ((ALICE, "in"), (BOB, "out")):
        assert [one["body"] for one in events if (one["user"], one["direction"]) == (user, direction)] == texts
    assert len(events) == 2 * len(texts)
    # And each attempt is signed
    for got in sink.requests:
        Webhook(SECRET).verify(got.body, got.headers)


def test_what_waits_at_a_restart_is_sent_after_it(settings: Settings, server: LoopbackServer, sink: Sink) -> None:
    # Given a receiver that is away while Alice writes
    sink.go_away()
    with running(settings) as app:
        assert server.wait_connected(PATIENCE)
        server.message(f"{ALICE}/phone", BOB, "hej")
        assert server.wait_for(lambda: server.acked >= server.ring.next - 1, PATIENCE)
        assert app.assembly is not None
        assert app.assembly.core.rows == 2
    # When it is back, and so is the application
    sink.come_back()
    with running(settings):
        got = sink.wait_for(2)
    # Then it has both sides of the message
    assert {json.loads(one.body)["data"]["direction"] for one in got} == {"in", "out"}

"""
Nothing that was accepted is lost: the whole pusher between an XMPP server and a real RabbitMQ that goes away.

Each message must come at least once, and those of one user in the order in which they were sent.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from amqp_broker import eventually
from rabbitmq import PASSWORD, USER, RabbitMq, rabbitmq

from event_pusher import migrate
from event_pusher.app import App
from event_pusher.loopback import LoopbackServer
from event_pusher.registry import Registry
from event_pusher.settings import load

__all__ = ["rabbitmq"]  # a fixture, found by its name

pytestmark = pytest.mark.servers

USERS = 10
PATIENCE = 60.0
#: When all is there, so long is waited for what comes twice.
_PAUSE = 0.2
_CONFIG = """\
[database]
url = "sqlite:///event-pusher.db"

[sources.component]
domain = "push.example.org"
server = {server}
secret = "secret"
hosts = ["example.org"]

[backends.rabbit]
host = "127.0.0.1"
port = {port}
username = {user}
password = {{ file = "rabbit-password" }}
virtual_host = {vhost}
publish_timeout = "5s"
retry = {{ schedule = ["100ms", "500ms"] }}
chat_msg_exchange = {{ durable = true }}

[admin]
listen = ""
"""


class Line:
    """The way from the XMPP server to a queue."""

    def __init__(self, rabbitmq: RabbitMq, vhost: str, folder: Path, server: LoopbackServer) -> None:
        self.rabbitmq, self.vhost = rabbitmq, vhost
        self._server = server
        self._sent: dict[str, list[int]] = {}
        self._got: dict[str, list[int]] = {}
        self._folder = folder
        quoted = {"server": server.address, "user": USER, "vhost": vhost}
        config = _CONFIG.format(port=rabbitmq.port, **{name: json.dumps(text) for name, text in quoted.items()})
        (folder / "event-pusher.toml").write_text(config)
        (folder / "rabbit-password").write_text(PASSWORD)
        settings = load(folder / "event-pusher.toml", Registry())
        migrate.upgrade(settings.database.url, folder)
        self.start()

    def start(self) -> None:
        """Start the pusher."""
        self.app = App(load(self._folder / "event-pusher.toml", Registry()))
        assert self.app.start()
        assert self._server.wait_connected(PATIENCE)

    def ready(self) -> bool:
        """Whether the backend takes messages."""
        assert self.app.assembly is not None
        return self.app.assembly.backends["rabbit"].ready()

    def health(self) -> str:
        """What the operator is told."""
        return self.app.health().get("backend rabbit", "")

    def bind(self) -> None:
        """Have a durable queue for everything."""
        assert eventually(self.ready, PATIENCE), self.health()
        self.rabbitmq.bind(self.vhost, "q", ("chat_msg", "#"))

    def write(self, number: int) -> None:
        """Write `number` messages, to the users in turn, and have them accepted."""
        for index in range(number):
            user = f"user{index % USERS}@example.org"
            texts = self._sent.setdefault(user, [])
            texts.append(len(texts))
            self._server.message("romeo@example.org/garden", user, str(texts[-1]))
        assert self._server.wait_for(lambda: self._server.acked >= self._server.ring.next - 1, PATIENCE)

    def read(self) -> None:
        """Read what comes until all is there; see that each user's came in order."""
        silent = 0.0
        with self.rabbitmq.channel(self.vhost) as channel:
            for method, _, body in channel.consume("q", auto_ack=True, inactivity_timeout=_PAUSE):
                if method is not None and method.routing_key and body is not None:
                    user = method.routing_key.removesuffix(".chat_msg_recv")
                    self._got.setdefault(user, []).append(int(json.loads(body)["message"]))
                    silent = 0.0
                elif self._missing() == 0 or silent > PATIENCE:
                    break
                else:
                    silent += _PAUSE
            channel.cancel()
        assert self._missing() == 0, f"{self._missing()} messages are missing; {self.health()}"
        assert {user: list(dict.fromkeys(got)) for user, got in self._got.items()} == self._sent

    def _missing(self) -> int:
        return sum(len(set(sent) - set(self._got.get(user, ()))) for user, sent in self._sent.items())


@pytest.fixture
def line(rabbitmq: RabbitMq, tmp_path: Path) -> Iterator[Line]:
    with LoopbackServer() as server, rabbitmq.vhost() as vhost:
        made = Line(rabbitmq, vhost, tmp_path, server)
        yield made
        made.app.close(1.0)


@contextmanager
def stopped(rabbitmq: RabbitMq, how: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """Without the broker inside, with it again afterwards, whatever happens."""
    rabbitmq.stop(how)
    try:
        yield
    finally:
        rabbitmq.start()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_lost_while_the_broker_is_away(line: Line, how: signal.Signals) -> None:
    # Given messages under way
    line.bind()
    line.write(200)
    # When the broker is stopped, or killed, and messages go on; then it is back
    with stopped(line.rabbitmq, how):
        line.write(200)
        assert eventually(lambda: "no connection to RabbitMQ" in line.health()), line.health()
    line.write(100)
    # Then all are there, in order, and all is well
    line.read()
    assert eventually(lambda: line.health() == ""), line.health()


def test_a_broker_that_comes_back_empty_gets_its_exchanges_again(line: Line) -> None:
    # Given a consumer that has read everything
    line.bind()
    line.write(50)
    line.read()
    # When the broker loses all it had, while messages go on
    with stopped(line.rabbitmq):
        line.rabbitmq.empty()
        line.write(100)
    line.rabbitmq.make_vhost(line.vhost)
    # Then the exchange is declared again, and once the consumer has its queue all messages come
    line.bind()
    line.read()


def test_an_alarm_of_the_broker_holds_messages_back(line: Line) -> None:
    # Given a broker that is short of memory
    line.bind()
    line.rabbitmq.control("set_vm_memory_high_watermark", "0.0000001")
    try:
        # When messages are written
        line.write(300)
        # Then the backend takes no more, and says why
        assert eventually(lambda: "RabbitMQ takes no messages now: low on memory" in line.health()), line.health()
        assert not line.ready()
        line.write(100)
    finally:
        line.rabbitmq.control("set_vm_memory_high_watermark", "absolute", "2GB")
    # And when the alarm is over, all of them come
    line.read()


def test_nothing_is_lost_when_connections_are_killed(line: Line) -> None:
    # Given messages under way
    line.bind()
    # When an administrator closes all connections, again and again
    for _ in range(5):
        line.write(200)
        line.rabbitmq.control("close_all_connections", "for a test")
    line.write(200)
    # Then all are there, in order
    line.read()


def test_nothing_is_lost_when_the_pusher_stops_while_the_broker_is_away(line: Line) -> None:
    # Given a pusher that was stopped with messages that it could not send
    line.bind()
    with stopped(line.rabbitmq):
        line.write(100)
        line.app.close(1.0)
    # When it starts again
    line.start()
    # Then they come
    line.read()


def test_a_flood_arrives_whole_and_in_order(line: Line) -> None:
    # Given a consumer
    line.bind()
    # When many messages are written at once
    line.write(5000)
    # Then each comes, exactly once
    line.read()
    assert line._got == line._sent

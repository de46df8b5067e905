"""
The rabbit backend's publishes with confirms, and pika alone doing the same: what `backends.py` measures.

A real RabbitMQ on loopback (Debian's), one durable queue that nobody reads, persistent and mandatory messages, at most
`outstanding` without a confirm. "pika alone" is a SelectConnection that publishes in its own loop, with no thread but
its own. "the backend" gets batches of 500 from another thread, as the core's workers hand them over, unpacks each
payload and reports each outcome. CPU is this process's, without the broker's.
"""

# ruff: noqa: E402 - the folders of the broker come before the imports from them

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pika
from pika.adapters.select_connection import IOLoop

sys.path[:0] = [str(Path(__file__).parents[1] / "integration"), str(Path(__file__).parents[1] / "suites")]

from amqp_broker import eventually
from rabbitmq import PASSWORD, USER, RabbitMq

from event_pusher.abc import DELIVERED, Attempt, Outcome
from event_pusher.clock import SystemClock
from event_pusher.testing import acc, attempt, chat_event, make_tools
from event_pusher_rabbit.backend import RabbitBackend
from event_pusher_rabbit.settings import RabbitSettings
from event_pusher_rabbit.wire import unpack

BATCH = 500
VHOST = "/"
ALONE, OURS = "pika alone", "the backend"


class Figures(NamedTuple):
    """What one run took."""

    per_second: float
    cpu_microseconds: float


def measure(messages: int, work: Callable[[], None]) -> Figures:
    """Time `work`, which publishes `messages` and waits for their confirms."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    took, used = time.perf_counter() - began, time.process_time() - cpu
    return Figures(messages / took, used / messages * 1e6)


class PikaAlone:
    """A publisher as pika's own example has it: one thread, which is the loop's."""

    def __init__(self, parameters: pika.ConnectionParameters, attempts: Sequence[Attempt], outstanding: int) -> None:
        # Unpacked beforehand: only pika is measured.
        self._messages = [(unpack(one.delivery.payload), one.key) for one in attempts]
        self._outstanding = outstanding
        self._sent = self._confirmed = 0
        self._loop = IOLoop()
        self._connection = pika.SelectConnection(parameters, self._opened, custom_ioloop=self._loop)
        self._channel: Any = None
        self._loop.start()

    def work(self) -> None:
        """Publish everything; the connection is open."""
        self._publish()
        self._loop.start()

    def close(self) -> None:
        """End the connection."""
        self._connection.add_on_close_callback(lambda *_: self._loop.stop())
        self._connection.close()
        self._loop.start()
        self._loop.close()

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        channel.confirm_delivery(self._on_confirm, lambda _frame: self._loop.stop())

    def _publish(self) -> None:
        last = min(len(self._messages), self._confirmed + self._outstanding)
        for message, key in self._messages[self._sent : last]:
            properties = pika.BasicProperties("application/json", delivery_mode=2, message_id=key)
            self._channel.basic_publish(message.exchange, message.routing_key, message.body, properties, True)
        self._sent = max(self._sent, last)

    def _on_confirm(self, frame: Any) -> None:
        # A broker confirms in order here: one queue, one channel.
        self._confirmed = max(self._confirmed, frame.method.delivery_tag)
        if self._confirmed >= len(self._messages):
            self._loop.stop()
        elif self._sent - self._confirmed <= self._outstanding - BATCH:
            self._publish()


class TheBackend:
    """The backend as the core uses it: batches from another thread, outcomes on the connection's."""

    def __init__(self, options: dict[str, Any], attempts: Sequence[Attempt], outstanding: int) -> None:
        tools = make_tools(name="rabbit", clock=SystemClock())
        self._backend = RabbitBackend(RabbitSettings.model_validate(options), tools)
        self._attempts = attempts
        self._outstanding = outstanding
        self._changed = threading.Condition()
        self._reported = self._failed = 0
        self._backend.start()
        assert eventually(self._backend.ready), self._backend.health()

    def work(self) -> None:
        """Hand everything over, and wait for the outcomes."""
        for start in range(0, len(self._attempts), BATCH):
            with self._changed:
                room = start + BATCH - self._outstanding
                self._changed.wait_for(lambda room=room: self._reported >= room)  # type: ignore[misc]  # a bound value
            self._backend.publish_many(self._attempts[start : start + BATCH], self._report)
        with self._changed:
            self._changed.wait_for(lambda: self._reported >= len(self._attempts))
        assert not self._failed, f"{self._failed} messages were not delivered"

    def close(self) -> None:
        """End the connection."""
        self._backend.close(5.0)

    def _report(self, outcomes: Sequence[tuple[Attempt, Outcome]]) -> None:
        with self._changed:
            self._reported += len(outcomes)
            self._failed += sum(outcome is not DELIVERED for _, outcome in outcomes)
            self._changed.notify_all()


def alternating(rabbitmq: RabbitMq, messages: int, outstanding: int) -> dict[str, Figures]:
    """Measure both in turn, behind a round that warms the broker up."""
    credentials = pika.PlainCredentials(USER, PASSWORD)
    parameters = pika.ConnectionParameters("127.0.0.1", rabbitmq.port, VHOST, credentials, heartbeat=0)
    exchange = {"chat_msg_exchange": {"durable": True}}
    options = {"host": "127.0.0.1", "port": rabbitmq.port, "username": USER, "password": PASSWORD, **exchange}
    TheBackend(options, (), outstanding).close()  # declares the exchange
    rabbitmq.bind(VHOST, "q", ("chat_msg", "#"))
    (delivery,) = RabbitBackend(RabbitSettings.model_validate(exchange), make_tools()).push_event(acc(), chat_event())
    taken: dict[str, Figures] = {}
    for count in (messages // 4, messages):
        attempts = [attempt(delivery) for _ in range(count)]
        for name in (ALONE, OURS):
            one = (
                PikaAlone(parameters, attempts, outstanding)
                if name == ALONE
                else TheBackend(options, attempts, outstanding)
            )
            taken[name] = measure(count, one.work)
            one.close()
            with rabbitmq.channel(VHOST) as channel:
                channel.queue_purge("q")
    return taken


@contextmanager
def broker() -> Iterator[RabbitMq]:
    """A RabbitMQ of its own on loopback."""
    folder = Path(tempfile.mkdtemp(prefix="event-pusher-rabbitmq-"))
    rabbitmq = RabbitMq(folder)
    try:
        rabbitmq.prepare()
        rabbitmq.start()
        yield rabbitmq
    finally:
        rabbitmq.close()
        shutil.rmtree(folder, ignore_errors=True)

"""
The benchmark of the rabbit backend: publishes/s with confirms, against pika alone doing the same in the same run.

    python tests/benchmarks/rabbit.py [--messages 40000] [--runs 3] [--outstanding 2000]

A real RabbitMQ on loopback (Debian's), one durable queue that nobody reads, persistent and mandatory messages, at most
`outstanding` without a confirm. "pika alone" is a SelectConnection that publishes in its own loop, with no thread but
its own. "the backend" gets batches of 500 from another thread, as the core's workers hand them over, unpacks each
payload and reports each outcome. CPU is this process's, without the broker's. Medians of the runs, which alternate.
"""

# ruff: noqa: E402 - the folders of the broker come before the imports from them

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
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


def run(rabbitmq: RabbitMq, messages: int, runs: int, outstanding: int) -> None:
    """Measure both in turn, and print the table."""
    credentials = pika.PlainCredentials(USER, PASSWORD)
    parameters = pika.ConnectionParameters("127.0.0.1", rabbitmq.port, VHOST, credentials, heartbeat=0)
    exchange = {"chat_msg_exchange": {"durable": True}}
    options = {"host": "127.0.0.1", "port": rabbitmq.port, "username": USER, "password": PASSWORD, **exchange}
    figures: dict[str, list[Figures]] = {"pika alone": [], "the backend": []}
    warm_up = TheBackend(options, (), outstanding)
    warm_up.close()
    rabbitmq.bind(VHOST, "q", ("chat_msg", "#"))
    for number in range(runs + 1):
        (delivery,) = RabbitBackend(RabbitSettings.model_validate(exchange), make_tools()).push_event(
            acc(), chat_event()
        )
        attempts = [attempt(delivery) for _ in range(messages)]
        for name, taken in figures.items():
            one: PikaAlone | TheBackend = (
                PikaAlone(parameters, attempts, outstanding)
                if name == "pika alone"
                else TheBackend(options, attempts, outstanding)
            )
            figure = measure(messages, one.work)
            one.close()
            if number:  # the first run warms the broker up
                taken.append(figure)
            with rabbitmq.channel(VHOST) as channel:
                channel.queue_purge("q")
    print(f"{messages} messages, {outstanding} outstanding, median of {runs}")
    print(f"{'':12} {'publishes/s':>12} {'CPU-µs each':>12}")
    for name, all_of_it in figures.items():
        rate, cpu = (statistics.median(values) for values in zip(*all_of_it, strict=True))
        print(f"{name:12} {rate:12,.0f} {cpu:12.1f}")


def main() -> None:
    """Read the command line, and have a broker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--outstanding", type=int, default=2000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="event-pusher-rabbitmq-"))
    rabbitmq = RabbitMq(folder)
    try:
        rabbitmq.prepare()
        rabbitmq.start()
        run(rabbitmq, given.messages, given.runs, given.outstanding)
    finally:
        rabbitmq.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

"""A backend, and the double of a broker that it is connected to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amqp_broker import AmqpBroker, Received, Verdict, eventually

from event_pusher.abc import Attempt, Outcome
from event_pusher.testing import ManualClock, Reports, acc, attempt, chat_event, make_tools
from event_pusher_rabbit.backend import RabbitBackend
from event_pusher_rabbit.settings import RabbitSettings


class Rig:
    """A backend and its broker."""

    def __init__(self, broker: AmqpBroker, **options: Any) -> None:
        self.broker = broker
        self.clock = ManualClock()
        given = {"host": "127.0.0.1", "port": broker.port, "chat_msg_exchange": {}, **options}
        self.backend = RabbitBackend(RabbitSettings.model_validate(given), make_tools(name="rabbit", clock=self.clock))
        self.reports = Reports()

    def start(self) -> Rig:
        self.backend.start()
        assert eventually(self.backend.ready), self.backend.health()
        return self

    def attempts(self, number: int) -> list[Attempt]:
        """Make messages, each with a text of its own."""
        made = []
        for index in range(number):
            (delivery,) = self.backend.push_event(acc(), chat_event(f"text {index}"))
            made.append(attempt(delivery))
        return made

    def publish(self, number: int = 1) -> list[Attempt]:
        """Hand over messages, and see them arrive."""
        made, before = self.attempts(number), len(self.broker.messages)
        self.backend.publish_many(made, self.reports)
        assert self.broker.wait_for(lambda: len(self.broker.messages) == before + number)
        return made

    def outcomes(self, attempts: list[Attempt]) -> list[Outcome]:
        """Wait for the outcome of each."""
        assert self.reports.wait(attempts, 10.0), "an attempt was never reported"
        assert all(len(self.reports.of(one)) == 1 for one in attempts)
        return [self.reports.of(one)[0] for one in attempts]


Make = Callable[..., Rig]


def hold(_message: Received) -> Verdict:
    """Let the broker say nothing."""
    return "hold"

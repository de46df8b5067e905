"""A rabbit backend over a real broker, for the tests that look at one thing that it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from amqp_broker import eventually
from rabbitmq import PASSWORD, USER, RabbitMq

from event_pusher.abc import Acc, Attempt, Event, Outcome
from event_pusher.clock import SystemClock
from event_pusher.testing import Reports, acc, attempt, make_tools
from event_pusher_rabbit.backend import RabbitBackend
from event_pusher_rabbit.settings import RabbitSettings


class Pusher:
    """A backend over the broker, and what was reported."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.backend = RabbitBackend(
            RabbitSettings.model_validate(options), make_tools(name="rabbit", clock=SystemClock())
        )
        self.reports = Reports()
        self.backend.start()

    def publish(self, event: Event, accumulator: Acc | None = None) -> list[Attempt]:
        """Decide and publish one event."""
        accumulator = accumulator or acc(received_at=SystemClock().now())
        attempts = [attempt(one) for one in self.backend.push_event(accumulator, event)]
        if attempts:
            self.backend.publish_many(attempts, self.reports)
        return attempts

    def outcome(self, event: Event, accumulator: Acc | None = None) -> Outcome:
        """Publish one event and wait for its only outcome."""
        attempts = self.publish(event, accumulator)
        assert self.reports.wait(attempts, 30.0)
        ((outcome,),) = [self.reports.of(one) for one in attempts]
        return outcome


Make = Callable[..., Pusher]


@pytest.fixture(name="options")
def rabbit_options(rabbitmq: RabbitMq, vhost: str) -> dict[str, Any]:
    where = {"host": "127.0.0.1", "port": rabbitmq.port, "virtual_host": vhost}
    return where | {"username": USER, "password": PASSWORD}


@pytest.fixture(name="make")
def make_pusher(options: dict[str, Any]) -> Iterator[Make]:
    """Make backends; they are connected."""
    made: list[Pusher] = []

    def build(*, wait: bool = True, **given: object) -> Pusher:
        made.append(Pusher(options | given))
        assert not wait or eventually(made[-1].backend.ready), made[-1].backend.health()
        return made[-1]

    yield build
    for one in made:
        one.backend.close(5.0)


#: Every exchange, as it is by default.
ALL: dict[str, Any] = {"presence_exchange": {}, "chat_msg_exchange": {}, "groupchat_msg_exchange": {}}

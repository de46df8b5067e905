"""What the tests of `event_pusher.testing.BackendContract` share: its hooks, and the way of a delivery through it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from event_pusher.abc import DELIVERED, Attempt, Backend, BackendSettings, Delivery, Event, Outcome, Unknown
from event_pusher.settings.sections import secrets_in
from event_pusher.testing import factories
from event_pusher.testing.doubles import Reports
from event_pusher.testing.guards import Contract
from event_pusher.testing.worlds import World

#: Deliveries of one test.
MANY = 40
#: Between two tries of the same delivery.
PAUSE = 0.05


class BackendRig(Contract):
    """The hooks and knobs that a backend's test overrides, and helpers for further tests of its own."""

    backend_class: ClassVar[type[Backend[Any]]]
    patience: ClassVar[float] = 10.0
    quiet: ClassVar[float] = 0.2
    deadline: ClassVar[float] = 2.0
    endurance: ClassVar[int] = 100_000
    endurance_seconds: ClassVar[float] = 2.0

    # --- hooks ----------------------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        """What stands in the backend's section, as TOML gives it."""
        return {}

    def make_world(self) -> World:
        """Make what stands around one backend."""
        return World()

    def events(self) -> list[Event]:
        """Events to push; some of them make deliveries."""
        return factories.one_of_each()

    def older(self) -> list[Delivery]:
        """Deliveries as older releases wrote them, one at least for each number in `formats` that none writes now."""
        return []

    def secrets(self, backend: Backend[Any]) -> list[str]:
        """What nothing may show nor keep: the secrets of its settings."""
        return [secret.reveal() for _, secret in secrets_in(backend.settings)]

    def hidden(self, backend: Backend[Any]) -> list[str]:
        """What nothing may show."""
        return [factories.BODY, *self.secrets(backend)]

    # --- what the tests use ---------------------------------------------------------------------------------------

    def make_settings(self) -> BackendSettings:
        """Read the section."""
        return self.backend_class.Settings.model_validate(self.options())

    def make_backend(self, world: World) -> Backend[Any]:
        """Make a backend that is not started."""
        return self.backend_class(self.make_settings(), world.tools)

    def decide(self, backend: Backend[Any], event: Event, id: str = "acc-1") -> list[Delivery]:  # noqa: A002 - as in Acc
        """Ask the backend what an event makes."""
        return list(backend.push_event(factories.acc(id), event))

    def deliveries(self, backend: Backend[Any]) -> list[Delivery]:
        """Make everything that all events make."""
        return [
            one for number, event in enumerate(self.events()) for one in self.decide(backend, event, f"acc-{number}")
        ]

    def attempts(self, backend: Backend[Any], count: int = MANY) -> list[Attempt]:
        """Make `count` attempts, each of a lane of its own."""
        some = self.deliveries(backend)
        assert some, "none of `events` makes a delivery: override the hook"
        made = [factories.attempt(some[number % len(some)]) for number in range(count)]
        for one in made:
            one.delivery = replace(one.delivery, lane=f"lane-{one.id}")
        return made

    def publish(self, backend: Backend[Any], attempts: list[Attempt]) -> Reports:
        """Publish in batches as the publisher does, one after the other, and wait for the reports."""
        reports = Reports()
        for start in range(0, len(attempts), backend.max_batch):
            backend.publish_many(attempts[start : start + backend.max_batch], reports)
        reports.wait(attempts, self.patience)
        return reports

    def deliver(self, backend: Backend[Any], one: Attempt) -> int:
        """Try `one` again and again, as the core does, until it is delivered; how many tries may have arrived."""
        pause, until, arrived = threading.Event(), time.monotonic() + self.patience, 0
        for number in range(1, 1_000_000):
            again = factories.attempt(one.delivery, number, id=one.id)
            outcomes = self.publish(backend, [again]).of(again)
            arrived += any(isinstance(outcome, Unknown) or outcome == DELIVERED for outcome in outcomes)
            if DELIVERED in outcomes:
                break
            assert time.monotonic() < until, f"it is not delivered: {outcomes}"
            pause.wait(PAUSE)
        return arrived

    def wait_quietly(self) -> None:
        """Wait for what must not happen."""
        threading.Event().wait(self.quiet)

    @pytest.fixture
    def world(self) -> Iterator[World]:
        world = self.make_world()
        yield world
        world.close()

    @pytest.fixture
    def backend(self, world: World) -> Iterator[Backend[Any]]:
        backend = self.make_backend(world)
        yield backend
        backend.close(0.1)

    @pytest.fixture
    def started(self, backend: Backend[Any]) -> Backend[Any]:
        backend.start()
        return backend


def outcomes_of(reports: Reports, attempts: list[Attempt]) -> list[Outcome]:
    """Everything that was reported of `attempts`."""
    return [outcome for one in attempts for outcome in reports.of(one)]


def need(able: object, what: str) -> None:
    """Skip the test of what a world cannot do."""
    if able is False or able is None:
        pytest.skip(f"this world cannot {what}")

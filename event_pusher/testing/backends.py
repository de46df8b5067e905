"""What every backend owes the framework; each test is one duty of the table in `event_pusher.abc`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar, cast

import pytest

from event_pusher.abc import DELIVERED, Attempt, Backend, BackendSettings, Delivery, Event, Outcome
from event_pusher.registry import BACKENDS
from event_pusher.settings.sections import secrets_in
from event_pusher.testing import factories
from event_pusher.testing.doubles import Reports, StubRegistry
from event_pusher.testing.guards import Contract, no_waiting
from event_pusher.testing.worlds import World

THREADS = 8
#: Deliveries of one test.
MANY = 40
#: A close may take its timeout and this much more.
SLACK = 2.0


class BackendContract(Contract):
    """
    Inherit it in a test class and set `backend_class`.

    Hooks: `options` (what stands in the section), `make_world` (what stands around it), `events` (what is pushed).
    Knobs: `patience`, seconds until a report must have come.
    """

    _is_contract: ClassVar[bool] = True

    backend_class: ClassVar[type[Backend[Any]]]
    patience: ClassVar[float] = 10.0

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
            one.delivery = _in_lane(one.delivery, f"lane-{one.id}")
        return made

    def publish(self, backend: Backend[Any], attempts: list[Attempt]) -> Reports:
        """Publish in batches as the publisher does, one after the other, and wait for the reports."""
        reports = Reports()
        for start in range(0, len(attempts), backend.max_batch):
            backend.publish_many(attempts[start : start + backend.max_batch], reports)
        reports.wait(attempts, self.patience)
        return reports

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

    # --- the class ------------------------------------------------------------------------------------------------

    def test_the_registry_takes_the_class(self) -> None:
        registry = StubRegistry({BACKENDS: {"contract": self.backend_class}})

        assert registry.backend("contract") is self.backend_class

    def test_settings_are_frozen(self) -> None:
        settings = self.make_settings()

        with pytest.raises(ValueError, match="frozen"):
            settings.in_flight = 1

    # --- push_event decides ---------------------------------------------------------------------------------------

    def test_every_kind_of_event_is_accepted(self, backend: Backend[Any]) -> None:
        for event in [*factories.one_of_each(), *self.events()]:
            assert all(isinstance(one, Delivery) for one in self.decide(backend, event))

    def test_an_event_of_an_unknown_kind_is_ignored(self, backend: Backend[Any]) -> None:
        assert self.decide(backend, cast("Event", factories.UnknownEvent())) == []

    def test_deciding_waits_for_nothing(self, started: Backend[Any]) -> None:
        with no_waiting():
            made = self.deliveries(started)

        assert made, "none of `events` makes a delivery: override the hook"

    def test_the_same_event_makes_the_same_deliveries(self, backend: Backend[Any]) -> None:
        assert self.deliveries(backend) == self.deliveries(backend)

    def test_a_batch_makes_what_its_events_make(self, backend: Backend[Any]) -> None:
        batch = [(factories.acc(f"acc-{number}"), event) for number, event in enumerate(self.events())]

        answers = backend.push_events(batch)

        one_by_one = [self.decide(backend, event, f"acc-{number}") for number, event in enumerate(self.events())]
        assert [answer if isinstance(answer, Exception) else list(answer) for answer in answers] == one_by_one

    def test_a_delivery_says_whose_it_is_and_where_it_goes(self, backend: Backend[Any]) -> None:
        for one in self.deliveries(backend):
            assert one.recipient
            assert one.target
            assert isinstance(one.payload, bytes)

    def test_the_formats_that_it_writes_are_listed(self, backend: Backend[Any]) -> None:
        assert {one.format for one in self.deliveries(backend)} <= backend.formats

    # --- publish does ---------------------------------------------------------------------------------------------

    def test_every_attempt_is_reported_exactly_once(self, started: Backend[Any]) -> None:
        attempts = self.attempts(started)

        reports = self.publish(started, attempts)

        assert [reports.of(one) for one in attempts] == [[DELIVERED]] * len(attempts)

    def test_a_second_attempt_is_reported_too(self, started: Backend[Any]) -> None:
        first = self.attempts(started, 1)
        again = [factories.attempt(one.delivery, number=2, id=one.id) for one in first]
        self.publish(started, first)

        reports = self.publish(started, again)

        assert [reports.of(one) for one in again] == [[DELIVERED]]

    def test_batches_arrive_in_the_order_in_which_they_were_handed_over(
        self, started: Backend[Any], world: World
    ) -> None:
        if world.received() is None:
            pytest.skip("this world cannot tell what it received")
        attempts = self.attempts(started)

        self.publish(started, attempts)

        arrived = world.received() or ()
        assert len(arrived) == len(attempts)
        assert list(arrived) == [one.delivery.payload for one in attempts]

    def test_many_threads_may_publish_at_once(self, started: Backend[Any]) -> None:
        shares = [self.attempts(started) for _ in range(THREADS)]
        start = threading.Barrier(THREADS)

        def work(share: list[Attempt]) -> Reports:
            start.wait(self.patience)
            return self.publish(started, share)

        with ThreadPoolExecutor(THREADS) as pool:
            all_reports = list(pool.map(work, shares))

        for share, reports in zip(shares, all_reports, strict=True):
            assert [reports.of(one) for one in share] == [[DELIVERED]] * len(share)

    def test_publishing_ends_when_the_destination_is_away(self, started: Backend[Any], world: World) -> None:
        if not world.leave():
            pytest.skip("this world's destination cannot leave")
        attempts = self.attempts(started, 3)

        reports = self.publish(started, attempts)

        outcomes = [outcome for one in attempts for outcome in reports.of(one)]
        assert len(outcomes) == len(attempts)
        assert DELIVERED not in outcomes

    # --- its life -------------------------------------------------------------------------------------------------

    def test_it_starts_without_its_destination(self, backend: Backend[Any], world: World) -> None:
        world.leave()

        backend.start()

        assert isinstance(backend.health(), str | None)

    def test_closing_twice_is_fine(self, started: Backend[Any]) -> None:
        started.close(1.0)
        started.close(1.0)

    def test_closing_before_the_start_is_fine(self, backend: Backend[Any]) -> None:
        backend.close(1.0)

    def test_closing_waits_no_longer_than_it_may_for_what_is_in_flight(
        self, started: Backend[Any], world: World
    ) -> None:
        world.hold()
        attempts, reports = self.attempts(started, min(3, started.max_batch)), Reports()
        worker = threading.Thread(target=started.publish_many, args=(attempts, reports), daemon=True)
        worker.start()
        before = time.monotonic()

        started.close(0.2)

        assert time.monotonic() - before < 0.2 + SLACK
        world.close()
        worker.join(self.patience)
        assert not worker.is_alive(), "publish_many never came back"
        assert all(len(reports.of(one)) <= 1 for one in attempts)

    # --- what nobody may read -------------------------------------------------------------------------------------

    def test_secrets_and_bodies_are_never_shown(
        self, started: Backend[Any], world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        attempts = self.attempts(started)
        outcomes = _outcomes(self.publish(started, attempts), attempts)
        if world.leave():
            outcomes += _outcomes(self.publish(started, attempts), attempts)

        shown = {
            "repr of the backend": repr(started),
            "repr of its settings": repr(started.settings),
            "repr of attempts": repr(attempts),
            "outcomes": repr(outcomes),
            "health": str(started.health()),
            "log": caplog.text,
        }

        for hidden in (factories.BODY, *_texts(started)):
            assert [where for where, text in shown.items() if hidden in text] == []

    def test_secrets_are_not_kept_in_deliveries(self, backend: Backend[Any]) -> None:
        made = self.deliveries(backend)

        for secret in _texts(backend):
            assert [one for one in made if secret.encode() in one.payload or secret in repr(one)] == []


def _in_lane(delivery: Delivery, lane: str) -> Delivery:
    return replace(delivery, lane=lane)


def _outcomes(reports: Reports, attempts: list[Attempt]) -> list[Outcome]:
    return [outcome for one in attempts for outcome in reports.of(one)]


def _texts(backend: Backend[Any]) -> list[str]:
    return [secret.reveal() for _, secret in secrets_in(backend.settings)]

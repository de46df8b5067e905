"""What every backend owes the framework; each test is one duty of the table in `event_pusher.abc`."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, cast

import pytest

from event_pusher.abc import DELIVERED, Attempt, Backend, Delivery, Event
from event_pusher.registry import BACKENDS
from event_pusher.testing import factories
from event_pusher.testing.backend_rig import need, outcomes_of
from event_pusher.testing.doubles import Reports, StubRegistry
from event_pusher.testing.guards import no_waiting
from event_pusher.testing.outages import OutageDuties
from event_pusher.testing.worlds import World

THREADS = 8


class BackendContract(OutageDuties):
    """
    Inherit it in a test class and set `backend_class`.

    Hooks: `options` (what stands in the section), `make_world` (what stands around it), `events` (what is pushed),
    `older` (deliveries that older releases wrote). Knobs: `patience`, seconds until a report must have come; `quiet`,
    seconds in which nothing may come; `deadline`, seconds that an attempt may take; `endurance` and
    `endurance_seconds`, how often and how long the test of memory publishes. A test that cannot hold stands in
    `dropped`, with the reason.
    """

    _is_contract: ClassVar[bool] = True

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

    def test_a_payload_of_an_older_format_is_still_published(self, started: Backend[Any]) -> None:
        written = {one.format for one in self.deliveries(started)}
        samples = [factories.attempt(one) for one in self.older()]
        assert {one.delivery.format for one in samples} >= started.formats - written, (
            "`formats` lists numbers that nothing writes: give a sample of each in `older`"
        )

        reports = self.publish(started, samples)

        assert [reports.of(one) for one in samples] == [[DELIVERED]] * len(samples)

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
        need(world.received(), "tell what it received")
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

    # --- its life -------------------------------------------------------------------------------------------------

    def test_it_starts_without_its_destination(self, backend: Backend[Any], world: World) -> None:
        world.go_away()

        backend.start()

        assert isinstance(backend.health(), str | None)

    def test_closing_twice_is_fine(self, started: Backend[Any]) -> None:
        started.close(1.0)
        started.close(1.0)

    def test_closing_before_the_start_is_fine(self, backend: Backend[Any]) -> None:
        backend.close(1.0)

    # --- what nobody may read -------------------------------------------------------------------------------------

    def test_secrets_and_bodies_are_never_shown(
        self, started: Backend[Any], world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        attempts = self.attempts(started)
        outcomes = outcomes_of(self.publish(started, attempts), attempts)
        for trouble in (world.refuse, world.go_away):
            if trouble():
                outcomes += outcomes_of(self.publish(started, attempts[:3]), attempts[:3])

        shown = {
            "repr of the backend": repr(started),
            "repr of its settings": repr(started.settings),
            "repr of attempts": repr(attempts),
            "outcomes": repr(outcomes),
            "health": str(started.health()),
            "log": caplog.text,
        }

        for hidden in self.hidden(started):
            assert [where for where, text in shown.items() if hidden in text] == []

    def test_secrets_are_not_kept_in_deliveries(self, backend: Backend[Any]) -> None:
        made = self.deliveries(backend)

        for secret in self.secrets(backend):
            assert [one for one in made if secret.encode() in one.payload or secret in repr(one)] == []

"""What a backend owes while its destination is away, stands still or says no, and over a long time."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from event_pusher.abc import DELIVERED, Attempt, Backend, Delivery, Outcome
from event_pusher.testing import factories
from event_pusher.testing.backend_rig import BackendRig, need, outcomes_of
from event_pusher.testing.doubles import Reports
from event_pusher.testing.worlds import World

#: A call that may take a time takes this much more at most.
SLACK = 2.0
#: Attempts without a report in the test of memory.
OUTSTANDING = 1000
#: Blocks that the interpreter and its libraries may keep for themselves.
SPARE_BLOCKS = 500


class OutageDuties(BackendRig):
    """A part of `BackendContract`."""

    _is_contract: ClassVar[bool] = True

    def test_publishing_ends_when_the_destination_is_away(self, started: Backend[Any], world: World) -> None:
        need(world.go_away(), "go away")
        attempts = self.attempts(started, 3)

        outcomes = outcomes_of(self.publish(started, attempts), attempts)

        assert len(outcomes) == len(attempts)
        assert DELIVERED not in outcomes

    def test_what_is_refused_is_not_reported_as_delivered(self, started: Backend[Any], world: World) -> None:
        need(world.refuse(), "refuse")
        attempts = self.attempts(started, 3)

        outcomes = outcomes_of(self.publish(started, attempts), attempts)

        assert len(outcomes) == len(attempts)
        assert DELIVERED not in outcomes

    def test_it_recovers_when_the_destination_comes_back(self, started: Backend[Any], world: World) -> None:
        for _ in range(2):
            need(world.go_away(), "go away")
            attempts = self.attempts(started, 3)
            self.publish(started, attempts)

            need(world.come_back(), "come back")

            for one in attempts:
                assert self.deliver(started, one)

    def test_what_was_reported_as_failed_is_not_sent_later(self, started: Backend[Any], world: World) -> None:
        need(world.received(), "tell what it received")
        need(world.go_away(), "go away")
        self.publish(started, self.attempts(started, 3))
        before = len(world.received() or ())

        need(world.come_back(), "come back")
        expected = self.deliver(started, self.attempts(started, 1)[0])

        self.wait_quietly()
        assert len(world.received() or ()) - before <= expected, "a queue of its own sent what was reported as failed"

    def test_an_answer_after_the_deadline_is_not_taken_for_another(self, started: Backend[Any], world: World) -> None:
        need(world.stall(), "stall")
        late, refused = self.attempts(started, 2)
        late.deadline = started.tools.clock.monotonic() + self.deadline
        reports = Reports()
        worker = threading.Thread(target=started.publish_many, args=([late], reports), daemon=True)
        worker.start()
        worker.join(self.deadline + SLACK)
        assert not worker.is_alive(), "publish_many holds its worker beyond the deadline"

        need(world.come_back(), "come back")
        need(world.refuse(), "refuse")
        outcomes = outcomes_of(self.publish(started, [refused]), [refused])

        self.wait_quietly()
        assert DELIVERED not in outcomes
        assert len(reports.of(late)) <= 1

    def test_nothing_is_sent_after_the_close(self, started: Backend[Any], world: World) -> None:
        need(world.received(), "tell what it received")
        need(world.go_away(), "go away")
        attempts, reports = self.attempts(started, min(3, started.max_batch)), Reports()
        worker = threading.Thread(target=started.publish_many, args=(attempts, reports), daemon=True)
        worker.start()
        worker.join(self.quiet)
        before = len(world.received() or ())

        started.close(0.2)
        need(world.come_back(), "come back")

        self.wait_quietly()
        worker.join(self.patience)
        assert len(world.received() or ()) == before

    def test_closing_waits_no_longer_than_it_may_for_what_is_in_flight(
        self, started: Backend[Any], world: World
    ) -> None:
        world.stall()
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

    def test_memory_stays_flat(self, started: Backend[Any], world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(started.tools.log, "propagate", False)  # pytest keeps all that is logged
        some = self.deliveries(started)
        self._publish_long(started, some, self.endurance // 10, self.endurance_seconds / 5)
        before = _blocks(world)

        done = self._publish_long(started, some, self.endurance, self.endurance_seconds)

        grown = _blocks(world) - before
        assert grown < done / 2 + SPARE_BLOCKS, f"{grown} blocks of memory more after {done} publishes"

    def _publish_long(self, backend: Backend[Any], some: Sequence[Delivery], count: int, seconds: float) -> int:
        """Publish `count` attempts, or as many as there is time for; how many."""
        ledger, until, done = _Ledger(), time.monotonic() + seconds, 0
        for one in some:
            one.lane = ""
        while done < count and time.monotonic() < until:
            size = min(backend.max_batch, count - done)
            batch = [factories.attempt(some[number % len(some)]) for number in range(done, done + size)]
            done += size
            ledger.add(size)
            backend.publish_many(batch, ledger)
            assert ledger.wait(OUTSTANDING, self.patience), "attempts are not reported"
        assert ledger.wait(0, self.patience), "attempts are not reported"
        return done


class _Ledger:
    """A `Report` that only counts."""

    def __init__(self) -> None:
        self._open = 0
        self._changed = threading.Condition()

    def add(self, count: int) -> None:
        with self._changed:
            self._open += count

    def __call__(self, outcomes: Sequence[tuple[Attempt, Outcome]]) -> None:
        with self._changed:
            self._open -= len(outcomes)
            self._changed.notify_all()

    def wait(self, most: int, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._open <= most, timeout)


def _blocks(world: World) -> int:
    world.discard()
    gc.collect()
    return sys.getallocatedblocks()

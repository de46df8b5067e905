"""Getting attempts to the workers and their outcomes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from event_pusher import publisher as module
from event_pusher.abc import DELIVERED, Attempt, BackendSettings, Outcome, Retry, Unknown, Unsent
from event_pusher.lane import Window
from event_pusher.lanes import Lanes
from event_pusher.outbox.row import Row
from event_pusher.publisher import Publisher
from event_pusher.testing import make_tools
from event_pusher.testing.factories import NOW
from tests.unit.support import InlinePool, Post, row


class Bench:
    """One publisher, its backend and its pool."""

    def __init__(self, **given: Any) -> None:
        options = BackendSettings.model_validate(given)
        self.backend = Post(options, make_tools())
        self.backend.answer = None
        self.pool = InlinePool()
        self.lanes = Lanes("post", Window(), lambda *_: [])
        self.publisher = Publisher("post", self.backend, options, self.lanes, self.pool)  # type: ignore[arg-type]  # a double
        self.reported: list[tuple[Attempt, Outcome]] = []
        self.publisher.report = self._take

    def _take(self, outcomes: Sequence[tuple[Attempt, Outcome]]) -> None:
        self.reported += outcomes

    def add(self, *rows: Row) -> None:
        for one in rows:
            self.lanes.add(one, NOW)

    def admit(self, monotonic: float = 0.0) -> list[int]:
        """Hand out; gives the ids that expired."""
        return [one.id for _, one in self.publisher.admit(NOW, monotonic)]


def unordered(number: int) -> list[Row]:
    """Rows that may all go at once."""
    return [row(id_, "") for id_ in range(1, number + 1)]


def test_attempts_are_numbered_and_named_after_their_row() -> None:
    bench = Bench()
    bench.add(row(7, attempts=2))
    bench.admit()
    (attempt,) = bench.backend.attempts
    assert (attempt.id, attempt.number, attempt.key) == (7, 3, "trace-7-7")


def test_a_batch_is_no_larger_than_the_backend_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Post, "max_batch", 3)
    bench = Bench()
    bench.add(*unordered(7))
    bench.admit()
    assert [len(batch) for batch in bench.backend.batches] == [3, 3, 1]


def test_a_batch_never_holds_one_lane_twice() -> None:
    bench = Bench()
    bench.add(row(1, "a"), row(2, "a"), row(3, "b"))
    bench.admit()
    assert [[one.id for one in batch] for batch in bench.backend.batches] == [[1, 3]]


def test_no_more_are_in_flight_than_allowed() -> None:
    # Given two allowed of three
    bench = Bench(in_flight=2)
    bench.add(*unordered(3))
    bench.admit()
    assert bench.publisher.in_flight == 2
    # When one lands, Then the third goes
    bench.lanes.done(bench.publisher.land(bench.backend.attempts[0]).lane, NOW)  # type: ignore[union-attr]  # it flies
    bench.admit()
    assert [one.id for one in bench.backend.attempts] == [1, 2, 3]


def test_no_more_bytes_are_in_flight_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given payloads of seven bytes and twenty allowed, in one batch
    monkeypatch.setattr(module, "FLIGHT_BYTES", 20)
    bench = Bench()
    bench.add(*unordered(9))
    bench.admit()
    # Then the cap ends the batch
    assert len(bench.backend.attempts) == 3


def test_nothing_is_handed_out_while_the_backend_is_not_ready_or_its_queue_is_full() -> None:
    bench = Bench()
    bench.add(row(1))
    bench.backend.up = False
    bench.admit()
    bench.backend.up, bench.pool.is_full = True, True
    bench.admit()
    assert bench.backend.attempts == []
    bench.pool.is_full = False
    bench.admit()
    assert len(bench.backend.attempts) == 1


def test_what_expired_comes_back_and_is_not_tried() -> None:
    bench = Bench()
    bench.add(row(1, "", expires_at=NOW), row(2, "", expires_at=NOW + 1))
    assert bench.admit() == [1]
    assert [one.id for one in bench.backend.attempts] == [2]


def test_without_an_outcome_in_time_nobody_knows() -> None:
    # Given an attempt that had ten seconds
    bench = Bench(publish_timeout=10)
    bench.add(row(1))
    bench.admit()
    # Then it is overdue after ten, not before, and once
    assert bench.publisher.overdue(9.9) == []
    ((attempt, outcome),) = bench.publisher.overdue(10)
    assert attempt is bench.backend.attempts[0]
    assert outcome == Unknown("no outcome within 10 s")
    assert bench.publisher.overdue(11) == []


def test_what_landed_is_not_overdue() -> None:
    bench = Bench(publish_timeout=10)
    bench.add(row(1))
    bench.admit()
    bench.publisher.land(bench.backend.attempts[0])
    assert bench.publisher.overdue(99) == []


def test_one_that_hangs_does_not_keep_in_memory_what_landed_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given one attempt without an outcome and a hundred that landed after it
    monkeypatch.setattr(module, "LANDED_KEPT", 10)
    bench = Bench()
    bench.add(*unordered(101))
    bench.admit()
    for attempt in bench.backend.attempts[1:]:
        bench.publisher.land(attempt)
    # When deadlines are looked at
    bench.publisher.overdue(1)
    # Then only the one is waited for, and still is
    assert len(bench.publisher._deadlines) == 1
    assert len(bench.publisher.overdue(99)) == 1


def test_a_late_or_second_outcome_lands_nothing() -> None:
    # Given an attempt that was given up and tried again
    bench = Bench()
    bench.add(row(1))
    bench.admit()
    first = bench.backend.attempts[0]
    flight = bench.publisher.land(first)
    assert flight is not None
    bench.lanes.give_back(flight.lane, NOW)
    bench.admit()
    # When the first one's outcome comes, Then the second is let be
    assert bench.publisher.land(first) is None
    assert bench.publisher.late == 1
    assert bench.publisher.in_flight == 1


def test_a_forged_attempt_lands_nothing() -> None:
    bench = Bench()
    bench.add(row(1))
    bench.admit()
    real = bench.backend.attempts[0]
    forged = Attempt(real.id, real.number, real.key, real.delivery, real.deadline)
    assert bench.publisher.land(forged) is None
    assert bench.publisher.land(real) is not None


def test_a_batch_that_no_worker_takes_in_time_was_not_sent() -> None:
    # Given workers that are all busy
    bench = Bench(wpool={"call_timeout": 2000})
    bench.pool.held = True
    bench.add(row(1))
    bench.admit()
    # When two seconds have passed
    assert bench.publisher.overdue(1.9) == []
    outcomes = bench.publisher.overdue(2)
    assert [outcome for _, outcome in outcomes] == [Unsent("no worker was free in time")]
    # Then the worker that comes after all leaves it alone
    bench.pool.run()
    assert bench.backend.attempts == []


def test_a_batch_that_a_worker_has_is_not_called_unsent() -> None:
    bench = Bench(wpool={"call_timeout": 2000})
    bench.add(row(1))
    bench.admit()
    assert bench.publisher.overdue(3) == []


def test_batches_that_workers_have_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(wpool={"call_timeout": 3_600_000})
    for id_ in range(1, 6):
        bench.add(row(id_, ""))
        bench.admit()
    bench.publisher.overdue(1)
    assert len(bench.publisher._jobs) == 0


def test_a_backend_that_raises_in_publish_many_is_an_outcome_for_what_it_did_not_report(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a backend that reports the first of two and then raises
    bench = Bench()

    def publish_many(attempts: Sequence[Attempt], report: Any) -> None:
        report([(attempts[0], DELIVERED)])
        raise RuntimeError("secret")

    monkeypatch.setattr(bench.backend, "publish_many", publish_many)
    bench.add(*unordered(2))
    bench.admit()
    # Then the first report of each is what counts, and the error's words are kept out
    first: dict[int, Outcome] = {}
    for attempt, outcome in bench.reported:
        first.setdefault(attempt.id, outcome)
    assert first == {1: DELIVERED, 2: Retry("RuntimeError in publish")}
    assert "secret" not in caplog.text


def test_what_is_dropped_while_it_flies_is_marked() -> None:
    bench = Bench()
    bench.add(row(1, "a", registration=7), row(2, "b", registration=8), row(3, "a", registration=7))
    bench.admit()
    bench.publisher.drop(frozenset({7}))
    flights = [bench.publisher.land(attempt) for attempt in bench.backend.attempts]
    assert [flight.dropped for flight in flights if flight] == [True, False]
    assert [one.id for one in bench.lanes.rows()] == [1, 2]


def test_closing_lets_backend_and_workers_go(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    closed: list[object] = []
    monkeypatch.setattr(bench.pool, "close", lambda: closed.append("pool"))
    monkeypatch.setattr(bench.backend, "close", closed.append)
    bench.publisher.close(3.0)
    assert closed == ["pool", 3.0]

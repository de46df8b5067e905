"""The workers: five strategies, by the names that MongooseIM gives them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from event_pusher.options import Wpool
from event_pusher.pool import WorkerPool

SECONDS = 10.0


class Jobs:
    """A pool whose jobs stay until they are let go; each notes the worker that has it."""

    def __init__(self, **options: Any) -> None:
        self.pool = WorkerPool("pool", Wpool.model_validate(options))
        self._changed = threading.Condition()
        self._gates: list[threading.Event] = []
        self.workers: dict[int, str] = {}

    def submit(self) -> int:
        """Submit a job; gives its number."""
        number, gate = len(self._gates), threading.Event()
        self._gates.append(gate)

        def job() -> None:
            with self._changed:
                self.workers[number] = threading.current_thread().name.rsplit("_", 1)[0]
                self._changed.notify_all()
            gate.wait(SECONDS)

        self.pool.submit(job)
        return number

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait until the jobs have got so far."""
        with self._changed:
            assert self._changed.wait_for(until, SECONDS)

    def end(self, number: int) -> None:
        """Let a job end, and wait until its worker is free."""
        load = self.pool.load()
        self._gates[number].set()
        while self.pool.load() >= load:
            os.sched_yield()

    def close(self) -> None:
        for gate in self._gates:
            gate.set()
        self.pool.close()


@pytest.fixture
def jobs() -> Iterator[Callable[..., Jobs]]:
    made: list[Jobs] = []

    def make(**options: Any) -> Jobs:
        made.append(Jobs(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def loads(one: Jobs) -> list[int]:
    """Jobs at each worker."""
    return [worker.load for worker in one.pool._workers]


def test_an_available_worker_takes_the_next_job_of_one_queue(jobs: Callable[..., Jobs]) -> None:
    # Given two workers and three jobs
    pool = jobs(workers=2)
    for _ in range(3):
        pool.submit()
    pool.wait(lambda: len(pool.workers) == 2)
    # When either is done, Then the third begins
    pool.end(1)
    pool.wait(lambda: len(pool.workers) == 3)


def test_the_best_worker_has_the_shortest_queue(jobs: Callable[..., Jobs]) -> None:
    pool = jobs(workers=2, strategy="best_worker")
    for _ in range(4):
        pool.submit()
    assert loads(pool) == [2, 2]
    pool.wait(lambda: len(pool.workers) == 2)
    # When one is done, Then its worker gets the next
    pool.end(1)
    before = loads(pool)
    pool.submit()
    assert before == [2, 1]
    assert loads(pool) == [2, 2]


def test_the_next_worker_is_the_next_in_turn_however_busy(jobs: Callable[..., Jobs]) -> None:
    pool = jobs(workers=3, strategy="next_worker")
    for _ in range(4):
        pool.submit()
    assert loads(pool) == [2, 1, 1]


def test_the_next_available_worker_is_the_next_idle_one_in_turn(jobs: Callable[..., Jobs]) -> None:
    # Given three workers of which the first had a job and is idle again
    pool = jobs(workers=3, strategy="next_available_worker")
    pool.submit()
    pool.wait(lambda: len(pool.workers) == 1)
    pool.end(0)
    # Then the turn goes on behind it
    for _ in range(2):
        pool.submit()
    assert loads(pool) == [0, 1, 1]
    # And one that is busy is passed over, until all are: then the shortest queue counts
    pool.submit()
    assert loads(pool) == [1, 1, 1]
    pool.submit()
    assert sum(loads(pool)) == 4
    assert max(loads(pool)) == 2


def test_a_random_worker_is_drawn(jobs: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("event_pusher.pool.random.choice", lambda workers: workers[2])
    pool = jobs(workers=3, strategy="random_worker")
    pool.submit()
    pool.submit()
    assert loads(pool) == [0, 0, 2]


def test_workers_have_threads_of_their_own(jobs: Callable[..., Jobs]) -> None:
    pool = jobs(workers=2, strategy="next_worker")
    pool.submit()
    pool.submit()
    pool.wait(lambda: len(pool.workers) == 2)
    assert pool.workers == {0: "pool-0", 1: "pool-1"}


@pytest.mark.parametrize(
    ("strategy", "workers"), [("available_worker", 2), ("best_worker", 2), ("next_worker", 2), ("random_worker", 2)]
)
def test_it_is_full_when_every_worker_has_its_limit_waiting(
    jobs: Callable[..., Jobs], strategy: str, workers: int
) -> None:
    # Given one job may wait at each worker
    pool = jobs(workers=workers, strategy=strategy, max_worker_queue_len=1)
    # Then two run and two wait, whatever the strategy would have chosen
    for _ in range(4):
        assert not pool.pool.full()
        pool.submit()
    assert pool.pool.full()
    pool.wait(lambda: len(pool.workers) == 2)
    # And one more is taken when one is done
    pool.end(next(iter(pool.workers)))
    assert not pool.pool.full()


def test_without_a_limit_it_is_never_full(jobs: Callable[..., Jobs]) -> None:
    pool = jobs(workers=1)
    for _ in range(100):
        pool.submit()
    assert not pool.pool.full()


def test_a_job_that_raises_frees_its_worker(jobs: Callable[..., Jobs]) -> None:
    pool = jobs(workers=1)
    pool.pool.submit(lambda: 1 / 0)  # type: ignore[arg-type]  # it never returns
    number = pool.submit()
    pool.wait(lambda: number in pool.workers)
    assert pool.pool.load() == 1


def test_what_waits_is_not_begun_after_the_close(jobs: Callable[..., Jobs]) -> None:
    pool = jobs(workers=1)
    pool.submit()
    pool.submit()
    pool.wait(lambda: len(pool.workers) == 1)
    pool.close()
    assert list(pool.workers) == [0]

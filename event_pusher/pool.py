"""The workers that publish: one pool per backend, with MongooseIM's five ways for a job to find its worker."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from event_pusher.options import Wpool

Job = Callable[[], None]


class _Worker:
    """One queue and the threads behind it."""

    def __init__(self, name: str, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self.load = 0

    def submit(self, job: Job) -> None:
        with self._lock:
            self.load += 1
        self._executor.submit(self._run, job)

    def _run(self, job: Job) -> None:
        try:
            job()
        finally:
            with self._lock:
                self.load -= 1

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class WorkerPool:
    """
    `settings.workers` threads, started on demand; `submit` never blocks.

    ``available_worker`` is one queue for all. The other strategies give each worker its own queue: the shortest
    (``best_worker``), the next in turn (``next_worker``), the next idle one in turn, else the shortest
    (``next_available_worker``), or any (``random_worker``).
    """

    def __init__(self, name: str, settings: Wpool) -> None:
        self._settings = settings
        shared = settings.strategy == "available_worker"
        self._threads = settings.workers if shared else 1
        self._workers = [_Worker(f"{name}-{n}", self._threads) for n in range(1 if shared else settings.workers)]
        self._turn = itertools.cycle(self._workers)
        self._choose: Callable[[], _Worker] = {
            "available_worker": lambda: self._workers[0],
            "best_worker": self._best,
            "next_worker": lambda: next(self._turn),
            "next_available_worker": self._next_available,
            "random_worker": lambda: random.choice(self._workers),  # noqa: S311 - spreads load, hides nothing
        }[settings.strategy]

    def full(self) -> bool:
        """Whether every worker has ``max_worker_queue_len`` jobs waiting."""
        limit = self._settings.max_worker_queue_len
        if limit is None:
            return False
        return all(worker.load >= (limit + 1) * self._threads for worker in self._workers)

    def submit(self, job: Job) -> None:
        """Give `job` to the worker that the strategy names; one whose queue is full is passed over."""
        worker = self._choose()
        limit = self._settings.max_worker_queue_len
        if limit is not None and worker.load >= (limit + 1) * self._threads:
            worker = self._best()
        worker.submit(job)

    def load(self) -> int:
        """Jobs that are running or waiting."""
        return sum(worker.load for worker in self._workers)

    def close(self) -> None:
        """Take no more jobs; what runs is left to end by itself."""
        for worker in self._workers:
            worker.close()

    def _best(self) -> _Worker:
        return min(self._workers, key=lambda worker: worker.load)

    def _next_available(self) -> _Worker:
        for _ in self._workers:
            worker = next(self._turn)
            if worker.load == 0:
                return worker
        return self._best()

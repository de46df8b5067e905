"""Where workers leave batches for the I/O thread; while nobody takes them, they hear so at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from event_pusher.abc import Attempt, Outcome, Report, Unsent


class Batch(NamedTuple):
    """What one call of `publish_many` brought."""

    attempts: Sequence[Attempt]
    report: Report


class Desk:
    """Open while a channel takes messages. Any thread may put; the I/O thread opens, takes and shuts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: list[Batch] = []
        self._wake: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a batch would be taken now."""
        return self._wake is not None

    def put(self, batch: Batch) -> bool:
        """Leave `batch`; False = it is not taken, and nothing of it will be sent."""
        with self._lock:
            if self._wake is None:
                return False
            self._batches.append(batch)
            if len(self._batches) == 1:
                # Inside the lock: once `shut` has returned, nobody touches a loop that is about to be closed.
                self._wake()
            return True

    def open(self, wake: Callable[[], None]) -> None:
        """Take batches from now on; `wake` is called, from any thread, when the first one lies there."""
        with self._lock:
            self._wake = wake

    def take(self) -> list[Batch]:
        """Pick up all that lies there."""
        with self._lock:
            batches, self._batches = self._batches, []
        return batches

    def shut(self, reason: str) -> None:
        """Take no more; what still lies there goes back unsent."""
        with self._lock:
            self._wake = None
            batches, self._batches = self._batches, []
        for batch in batches:
            batch.report(outcomes(batch.attempts, Unsent(reason)))


def outcomes(attempts: Sequence[Attempt], outcome: Outcome) -> list[tuple[Attempt, Outcome]]:
    """The same `outcome` for each of `attempts`."""
    return [(attempt, outcome) for attempt in attempts]

"""
The core's commits: decide, write what came in and what was settled in ONE transaction, hand over what is on disk.

A commit that fails is kept as it is and made again, later and later; meanwhile intake pauses. Owned by the core.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from event_pusher.abc import Clock
from event_pusher.acceptance import Acceptance, Batch
from event_pusher.counters import Counters
from event_pusher.errors import LeaseLost, StorageError
from event_pusher.positions import Positions
from event_pusher.publisher import Publisher
from event_pusher.refill import Refill
from event_pusher.settlement import Settlement
from event_pusher.storage_errors import RowRefused
from event_pusher.writer import Writer

log = logging.getLogger(__name__)

#: A commit of new rows begins at the earliest so long after the one before: batches grow with the load.
COMMIT_SECONDS = 0.002
#: After a failed commit the next try waits so long at first, twice as long each time, and so long at most.
STALL_SECONDS, STALL_MOST = 0.1, 5.0


class Commits:
    """
    `rows` wait or are in flight, as committed. `trouble` is what the database said last, None while it is well.

    `batch` is what could not be written yet; before `stalled_until` (monotonic seconds) the database is left in peace.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        acceptance: Acceptance,
        settlement: Settlement,
        positions: Positions,
        refill: Refill,
        publishers: Iterable[Publisher],
        counters: Counters,
        clock: Clock,
        max_rows: int,
    ) -> None:
        self.rows = 0
        self.trouble: str | None = None
        self.batch: Batch | None = None
        self.stalled_until = 0.0
        self._writer = writer
        self._acceptance = acceptance
        self._settlement = settlement
        self._positions = positions
        self._refill = refill
        self._publishers = tuple(publishers)
        self._counters = counters
        self._clock = clock
        self._max_rows = max_rows
        self._stall = STALL_SECONDS
        self._last = 0.0

    def is_full(self) -> bool:
        """Whether the outbox holds all that it may: nothing more is accepted."""
        return self.rows >= self._max_rows

    def due_at(self) -> float | None:
        """When the next commit is due (monotonic seconds); None without one."""
        due = [self.stalled_until] if self.batch is not None else []
        if self.batch is None and self._acceptance.waiting and not self.is_full():
            due.append(self._last + COMMIT_SECONDS)
        if (settled := self._settlement.due_at()) is not None:
            due.append(settled)
        return max(min(due), self.stalled_until) if due else None

    def accept(self, monotonic: float) -> None:
        """Commit what came in, and with it what was settled, when it is time."""
        if monotonic < self.stalled_until:
            return
        if self.batch is None and not self.is_full() and monotonic >= self._last + COMMIT_SECONDS:
            self.batch = self._acceptance.take() or None
        due = self._settlement.due_at()
        settle = due is not None and due <= monotonic
        if not (self.batch or settle or self.trouble or self._positions.commit_due(monotonic)):
            return
        batch = self.batch or Batch()
        cut = bool(batch.writes)
        if self.commit(batch, settle=settle) and cut:
            # What the cut left behind waits for nobody.
            self._last = 0.0

    def settle(self) -> None:
        """Commit everything that is settled now."""
        if self._settlement.pending or self.batch:
            self.commit(self.batch or Batch())

    def commit(self, batch: Batch, *, settle: bool = True) -> bool:
        """
        Decide and write `batch`, and with it what is settled; False when the database did not take it.

        Without `settle`, what is settled is no reason to write if `batch` comes to nothing. Raises `LeaseLost`.
        """
        try:
            self._acceptance.decide(batch)
            if gone := self._settlement.gone:
                # Decided before it was known that the registration is to be disabled.
                batch.rows = [row for row in batch.rows if row.delivery.registration not in gone]
            if batch or self.trouble or (settle and self._settlement.pending):
                self._write(batch)
        except LeaseLost:
            raise
        except StorageError as error:
            if isinstance(error, RowRefused) and batch.rows and not batch.suspect:
                batch.suspect = True
                return self.commit(batch, settle=settle)
            self.pause(error)
            self._acceptance.refuse_writes(batch)
            self.batch = batch or None
            return False
        self.batch = None
        self._recovered()
        return True

    def pause(self, error: StorageError) -> None:
        """The database is in trouble: leave it in peace for a while."""
        if self.trouble is None:
            log.error("the database is in trouble, intake pauses: %s", error)
        self.trouble = str(error)
        self._counters.add("commits_failed")
        self.stalled_until = self._clock.monotonic() + self._stall
        self._stall = min(self._stall * 2, STALL_MOST)

    def _write(self, batch: Batch) -> None:
        began, now = self._clock.monotonic(), self._clock.now()
        with self._writer.transaction():
            self._settlement.write(now)
            discarded = self._acceptance.write(batch, now)
        self._last = began
        self.rows += len(batch.rows) - self._settlement.written() - discarded
        self._counters["commits", ""] += 1
        self._counters.add("discarded", "", discarded)
        self._acceptance.written(batch)
        rows = batch.rows
        if batch.gone:
            gone = frozenset(batch.gone)
            for publisher in self._publishers:
                publisher.drop(gone)
            rows = [row for row in rows if row.delivery.registration not in gone]
        self._refill.offer(rows, self._clock.now())

    def _recovered(self) -> None:
        if self.trouble is not None:
            log.warning("the database is well again")
        self.trouble, self._stall, self.stalled_until = None, STALL_SECONDS, 0.0

"""
The one owner: its thread alone touches outbox, lanes, positions, sessions, flights, and the writing connection.

One turn: take the inbox · settle outcomes · accept what came in (decide, ONE commit) · hand over · acknowledge. Nobody
holds a lock; everybody else puts lists into the inbox. Rows are handed over after their commit, never before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from event_pusher.abc import Clock, Delivery
from event_pusher.acceptance import Acceptance, Batch
from event_pusher.commits import Commits
from event_pusher.counters import Counters
from event_pusher.errors import LeaseLost, StorageError
from event_pusher.inbox import Inbox
from event_pusher.outbox.lease import Lease
from event_pusher.outbox.row import new_row
from event_pusher.outbox.store import OutboxStore
from event_pusher.positions import Acknowledge, Positions
from event_pusher.publisher import Publisher
from event_pusher.refill import Refill
from event_pusher.settlement import Settlement
from event_pusher.writer import Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

#: The longest sleep.
TICK_SECONDS = 0.25
#: The lease is renewed so often.
LEASE_RENEW_SECONDS = 5.0
#: Expired dedupe keys are dropped so often.
SWEEP_SECONDS = 600.0


@dataclass(slots=True)
class CoreParts:
    """What the core owns; put together by `event_pusher.app`."""

    writer: Writer
    lease: Lease
    store: OutboxStore
    refill: Refill
    positions: Positions
    acceptance: Acceptance
    settlement: Settlement
    publishers: dict[str, Publisher]
    acknowledge: Acknowledge
    counters: Counters
    clock: Clock
    max_rows: int
    dead_retention: float


class Core:
    """The loop."""

    def __init__(self, parts: CoreParts, inbox: Inbox) -> None:
        self._parts = parts
        self.inbox = inbox
        self.commits = Commits(
            writer=parts.writer,
            acceptance=parts.acceptance,
            settlement=parts.settlement,
            positions=parts.positions,
            refill=parts.refill,
            publishers=parts.publishers.values(),
            counters=parts.counters,
            clock=parts.clock,
            max_rows=parts.max_rows,
        )
        self.rows_at_start = 0
        self.fatal: BaseException | None = None
        self._renewed = self._swept = 0.0
        self._ack_due: float | None = None
        self._draining, self._drained = threading.Event(), threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="core", daemon=True)

    def start(self) -> None:
        """Read what the outbox holds, and begin. Raises `StorageError`."""
        parts = self._parts
        self.rows_at_start = self.commits.rows = parts.refill.begin(parts.store.counts())
        self._renewed = self._swept = parts.clock.monotonic()
        self._thread.start()

    @property
    def rows(self) -> int:
        """Rows that wait or are in flight, as committed."""
        return self.commits.rows

    @property
    def trouble(self) -> str | None:
        """What the database said last, None while it is well."""
        return self.commits.trouble

    def is_full(self) -> bool:
        """Whether the outbox holds all that it may: nothing more is accepted."""
        return self.commits.is_full()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run `function` on the core's thread, between two turns (any thread)."""
        future: Future[T] = Future()

        def make() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001 - it belongs to who asked
                future.set_exception(error)

        self.inbox.put_call(make)
        return future

    def write(self, function: Callable[[], T]) -> Future[T]:
        """Run `function` on the core's thread in a transaction of its own (any thread)."""

        def inside() -> T:
            with self._parts.writer.transaction():
                return function()

        return self.call(inside)

    # --- what an operator orders: on the core's thread, through `call` -----------------------------------------

    def flush(self) -> None:
        """Commit what is settled, so that the database says what memory knows."""
        self.commits.settle()

    def enqueue(self, backend: str, delivery: Delivery, trace: str) -> int:
        """Write one delivery that no event made, and hand it over; gives its id. Raises `StorageError`."""
        if self.commits.batch is not None:
            raise StorageError(self.trouble or "the database is in trouble; look at `event-pusher status`")
        age = self._parts.publishers[backend].settings.max_age
        row = new_row(backend, delivery, trace, self._parts.clock.now(), age)
        if not self.commits.commit(Batch(rows=[row])):
            raise StorageError(self.trouble or "the database did not take it")
        return row.id

    def readmit(self, ids: Sequence[int]) -> None:
        """The dead letters `ids` wait again (committed)."""
        self.commits.rows += len(ids)
        self._parts.counters.add("readmitted", "", len(ids))
        self._parts.refill.readmit(ids)

    def withdraw(self, ids: Sequence[int], waiting: int) -> None:
        """The rows `ids`, of which `waiting` were no dead letters, are gone from disk."""
        self.commits.rows -= waiting
        self._parts.counters.add("discarded", "", waiting)
        gone = frozenset(ids)
        for publisher in self._parts.publishers.values():
            publisher.drop_ids(gone)

    def unaccounted(self) -> int:
        """
        Accepted less what became of it; 0 between two commits, on the core's thread.

        accepted = waiting and in flight + delivered + dead + expired + replaced + discarded.
        """
        total = self._parts.counters.total
        came = self.rows_at_start + total("accepted") + total("readmitted")
        return came - self.rows - sum(map(total, ("delivered", "dead", "expired", "replaced", "discarded")))

    @property
    def in_flight(self) -> int:
        """Attempts without an outcome, all backends together."""
        return sum(publisher.in_flight for publisher in self._parts.publishers.values())

    def drain(self, timeout: float) -> bool:
        """Hand nothing more out; wait up to `timeout` seconds until all that is under way is written (any thread)."""
        self._draining.set()
        if not self._thread.is_alive():
            return False
        self.inbox.put_call(lambda: None)
        return self._drained.wait(timeout) and self.fatal is None

    def stop(self, timeout: float) -> None:
        """Commit what is settled, give the lease back, end (any thread)."""
        self._stopping.set()
        self.inbox.put_call(lambda: None)
        if self._thread.ident is not None:
            self._thread.join(timeout)
        else:
            self._run()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the loop's end; False when it still runs."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._turn()
            self.commits.settle()
            self._parts.lease.release()
        except LeaseLost as error:
            self.fatal = error
            log.error("%s", error)  # noqa: TRY400 - the line says it all
        except StorageError as error:
            self.fatal = error
            log.error("stopped without giving the lease back: %s", error)  # noqa: TRY400 - as above
        except BaseException as error:
            self.fatal = error
            log.exception("the core failed; nothing that was acknowledged is lost")
        finally:
            self._drained.set()

    def _turn(self) -> None:
        parts = self._parts
        mail = self.inbox.take(self._patience())
        now, monotonic = parts.clock.now(), parts.clock.monotonic()
        for publisher, outcomes in mail.outcomes:
            parts.settlement.settle(publisher, outcomes, now, monotonic)
        for publisher in parts.publishers.values():
            parts.settlement.settle(publisher, publisher.overdue(monotonic), now, monotonic)
        for items in mail.items:
            parts.acceptance.extend(items)
        for call in mail.calls:
            call()
        self.commits.accept(monotonic)
        self._refill()
        self._admit(now, monotonic)
        if not parts.settlement.pending:
            for publisher in parts.publishers.values():
                publisher.lanes.fall_asleep()
        self._ack_due = parts.positions.acknowledge(parts.clock.monotonic(), parts.acknowledge)
        self._housekeeping(now, monotonic)
        if self._draining.is_set() and not (
            self.in_flight or parts.acceptance.waiting or self.commits.batch or parts.settlement.pending
        ):
            self._drained.set()

    def _patience(self) -> float:
        """How long nothing needs to be done unless somebody writes."""
        parts = self._parts
        monotonic, now = parts.clock.monotonic(), parts.clock.now()
        waits = [TICK_SECONDS]
        if parts.refill.eager(now, monotonic):
            waits.append(self.commits.stalled_until - monotonic)
        if (commit_due := self.commits.due_at()) is not None:
            waits.append(commit_due - monotonic)
        if self._ack_due is not None:
            waits.append(self._ack_due - monotonic)
        if not self._draining.is_set():
            waits += [due - now for one in parts.publishers.values() if (due := one.next_due()) is not None]
            waits += [due - monotonic for one in parts.publishers.values() if (due := one.next_probe()) is not None]
        return max(0.0, min(waits))

    def _refill(self) -> None:
        if self._parts.clock.monotonic() < self.commits.stalled_until:
            return
        try:
            self._parts.refill.read_on(self._parts.clock.now(), self._parts.clock.monotonic())
        except StorageError as error:
            self.commits.pause(error)

    def _admit(self, now: float, monotonic: float) -> None:
        if self._draining.is_set() or not self._still_owner():
            return
        for publisher in self._parts.publishers.values():
            for lane, row in publisher.admit(now, monotonic):
                self._parts.settlement.expire(publisher, lane, row, now, monotonic)
            replaced, publisher.lanes.replaced = publisher.lanes.replaced, []
            for row in replaced:
                self._parts.settlement.replaced(publisher.name, row, monotonic)

    def _still_owner(self) -> bool:
        """Whether nothing can have been taken over: a process that was paused asks before it publishes."""
        if self._parts.lease.remaining() > 0:
            return True
        return self._parts.clock.monotonic() >= self.commits.stalled_until and self._renew()

    def _renew(self) -> bool:
        """Hold on to the lease; False when the database does not answer. Raises `LeaseLost`."""
        self._renewed = self._parts.clock.monotonic()
        try:
            self._parts.lease.renew()
        except LeaseLost:
            raise
        except StorageError as error:
            self.commits.pause(error)
            return False
        return True

    def _housekeeping(self, now: float, monotonic: float) -> None:
        if monotonic - self._renewed >= LEASE_RENEW_SECONDS and monotonic >= self.commits.stalled_until:
            self._renew()
        if monotonic - self._swept >= SWEEP_SECONDS:
            self._swept = monotonic
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        parts = self._parts
        try:
            with parts.writer.transaction():
                parts.acceptance.forget_expired(now)
                parts.store.forget_dead(now - parts.dead_retention)
        except LeaseLost:
            raise
        except StorageError as error:
            log.warning("old dedupe keys and dead letters could not be dropped: %s", error)

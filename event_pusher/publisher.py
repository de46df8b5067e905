"""
Getting attempts to a backend's workers, and their outcomes back.

One `Publisher` per backend, owned by the core. It takes heads from the backend's lanes, numbers the attempts, gives
them to the workers a batch at a time, and knows what is in flight and until when. An outcome that belongs to no flight
(late, twice, from before a restart) is counted and ignored.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from event_pusher.abc import Attempt, Backend, BackendSettings, Outcome, Report, Retry, Unknown, Unsent, outcome_of
from event_pusher.breaker import Breaker
from event_pusher.lane import Lane
from event_pusher.lanes import Lanes
from event_pusher.outbox.row import Row
from event_pusher.pool import WorkerPool

log = logging.getLogger(__name__)

#: Most payload bytes in flight per backend.
FLIGHT_BYTES = 8 * 1024 * 1024
#: Flights that landed and still stand in the queue of deadlines, at most (and as many as are under way).
LANDED_KEPT = 1000

Outcomes = Sequence[tuple[Attempt, Outcome]]


@dataclass(slots=True)
class Flight:
    """One attempt under way. `dropped`: its row was discarded meanwhile."""

    attempt: Attempt
    row: Row
    lane: Lane
    landed: bool = False
    dropped: bool = False


@dataclass(slots=True)
class _Job:
    """One batch on its way to a worker; whoever gets `taken` first, the worker or the core, has it."""

    attempts: list[Attempt]
    give_up_at: float
    taken: threading.Lock = field(default_factory=threading.Lock)


class Publisher:
    """The way of one backend's deliveries from its lanes to its workers and back."""

    def __init__(
        self,
        name: str,
        backend: Backend[Any],
        settings: BackendSettings,
        lanes: Lanes,
        pool: WorkerPool,
    ) -> None:
        self.name = name
        self.backend = backend
        self.settings = settings
        self.lanes = lanes
        self._pool = pool
        #: Where outcomes go; the core's inbox.
        self.report: Report = lambda _outcomes: None
        #: One for each target that failed lately.
        self.breakers: dict[str, Breaker] = {}
        self._draw = random.Random()  # noqa: S311 - jitter hides nothing
        self._flights: dict[int, Flight] = {}
        self._deadlines: deque[Flight] = deque()
        self._jobs: deque[_Job] = deque()
        self._bytes = 0
        self._ready_failed = False
        self.late = 0

    @property
    def in_flight(self) -> int:
        """Attempts without an outcome."""
        return len(self._flights)

    def under_way(self, ids: Iterable[int]) -> frozenset[int]:
        """Those of the deliveries `ids` that have an attempt without an outcome."""
        return frozenset(id_ for id_ in ids if id_ in self._flights)

    def admit(self, now: float, monotonic: float) -> list[tuple[Lane, Row]]:
        """Hand out what may go (`now` in UTC seconds); returns the heads whose time is over, for the core to settle."""
        expired: list[tuple[Lane, Row]] = []
        for target in self.lanes.held:
            breaker = self.breakers.get(target)
            room = len(self.lanes) if breaker is None else breaker.room(monotonic)
            self.lanes.release(target, room, now)
        while self._has_room():
            limit = min(self.backend.max_batch, self.settings.in_flight - len(self._flights))
            taken = 0
            attempts: list[Attempt] = []
            for lane, row in self.lanes.take(limit, now):
                taken += 1
                if row.expires_at is not None and row.expires_at <= now:
                    expired.append((lane, row))
                elif self.breakers and not self._lets_through(row, monotonic):
                    self.lanes.hold(lane, row.delivery.target)
                else:
                    attempts.append(self._depart(lane, row, monotonic))
                    if self._bytes >= FLIGHT_BYTES:
                        break
            if attempts:
                self._submit(attempts, monotonic)
            if not taken:
                break
        return expired

    def _lets_through(self, row: Row, monotonic: float) -> bool:
        breaker = self.breakers.get(row.delivery.target)
        if breaker is None:
            return True
        if breaker.room(monotonic) <= 0:
            return False
        breaker.depart()
        return True

    def judge(self, flight: Flight, outcome: Outcome, monotonic: float) -> None:
        """Let the breaker of the flight's target know how it ended."""
        target = flight.row.delivery.target
        breaker = self.breakers.get(target)
        failed = isinstance(outcome, (Retry, Unknown))
        if breaker is None:
            if not failed:
                return
            breaker = self.breakers[target] = Breaker()
        if failed:
            if breaker.fail(flight.lane.name, monotonic, self._draw):
                wait = (breaker.open_until or monotonic) - monotonic
                log.warning("%s: %s fails for everybody; next try in %.0f s", self.name, target, wait)
        elif isinstance(outcome, Unsent):
            breaker.back()
        else:
            breaker.succeed()
            if breaker.closed:
                del self.breakers[target]

    def next_probe(self) -> float | None:
        """When a target with an open breaker is tried again (monotonic seconds); None without any that matters."""
        waiting = (*self.lanes.held, *self.lanes.asleep.targets)
        waits = [b.open_until for t in waiting if (b := self.breakers.get(t)) is not None and b.open_until]
        return min(waits) if waits and self._has_room() else None

    def taking(self, monotonic: float) -> list[str]:
        """The targets that take more, and for which lanes sleep; "" = some lane may sleep in vain: look at all."""
        held, breakers = self.lanes.held, self.breakers
        return [
            target
            for target in self.lanes.asleep.targets
            if target not in held and ((one := breakers.get(target)) is None or one.room(monotonic) > 0)
        ]

    def next_due(self) -> float | None:
        """When a parked lane is due (UTC seconds); None without any, and while nothing may be handed out."""
        due = self.lanes.next_due()
        return due if due is not None and self._has_room() else None

    def land(self, attempt: Attempt) -> Flight | None:
        """The flight that `attempt` ends; None when it has ended before."""
        flight = self._flights.get(attempt.id)
        if flight is None or flight.attempt is not attempt:
            self.late += 1
            return None
        del self._flights[attempt.id]
        flight.landed = True
        self._bytes -= len(attempt.delivery.payload)
        return flight

    def overdue(self, monotonic: float) -> list[tuple[Attempt, Outcome]]:
        """What had no outcome in time, and what no worker took in time."""
        outcomes: list[tuple[Attempt, Outcome]] = []
        while self._jobs and (self._jobs[0].give_up_at <= monotonic or self._jobs[0].taken.locked()):
            job = self._jobs.popleft()
            if job.taken.acquire(blocking=False):
                outcomes += [(attempt, Unsent("no worker was free in time")) for attempt in job.attempts]
        deadlines = self._deadlines
        while deadlines and (deadlines[0].landed or deadlines[0].attempt.deadline <= monotonic):
            flight = deadlines.popleft()
            if not flight.landed:
                outcomes.append((flight.attempt, Unknown(f"no outcome within {self.settings.publish_timeout:g} s")))
        if len(deadlines) > 2 * len(self._flights) + LANDED_KEPT:
            # One that hangs at the head must not keep in memory all that landed behind it.
            self._deadlines = deque(flight for flight in deadlines if not flight.landed)
        return outcomes

    def drop(self, registrations: frozenset[int]) -> None:
        """The rows of `registrations` are discarded: forget them; what is in flight ends without a trace."""
        self.lanes.drop(registrations)
        for flight in self._flights.values():
            if flight.row.delivery.registration in registrations:
                flight.dropped = True

    def drop_ids(self, ids: frozenset[int]) -> None:
        """The rows `ids` are discarded: forget them; what is in flight ends without a trace."""
        self.lanes.drop_ids(ids)
        for id_ in ids & self._flights.keys():
            self._flights[id_].dropped = True

    def close(self, timeout: float) -> None:
        """Let the workers and the backend go."""
        self._pool.close()
        self.backend.close(timeout)

    def _has_room(self) -> bool:
        return (
            self.lanes_may_go()
            and len(self._flights) < self.settings.in_flight
            and self._bytes < FLIGHT_BYTES
            and not self._pool.full()
        )

    def lanes_may_go(self) -> bool:
        """Whether the backend itself is ready for more; one that cannot say is not."""
        try:
            ready = bool(self.backend.ready())
        except Exception as error:  # noqa: BLE001 - a stranger's mistake stops its own deliveries, not the core
            if not self._ready_failed:
                log.error("backend %s: %s in ready; its deliveries wait", self.name, type(error).__name__)  # noqa: TRY400 - its text may be private
            ready, self._ready_failed = False, True
        else:
            self._ready_failed = False
        return ready

    def _depart(self, lane: Lane, row: Row, monotonic: float) -> Attempt:
        deadline = monotonic + self.settings.publish_timeout
        attempt = Attempt(row.id, row.attempts + 1, f"{row.trace}-{row.id}", row.delivery, deadline)
        flight = Flight(attempt, row, lane)
        self._flights[row.id] = flight
        self._deadlines.append(flight)
        self._bytes += len(row.delivery.payload)
        return attempt

    def _submit(self, attempts: list[Attempt], monotonic: float) -> None:
        job = _Job(attempts, monotonic + self.settings.wpool.call_timeout / 1000)
        self._jobs.append(job)
        self._pool.submit(lambda: self._work(job))

    def _work(self, job: _Job) -> None:
        """On a worker."""
        if not job.taken.acquire(blocking=False):
            return
        try:
            self.backend.publish_many(job.attempts, self.report)
        except Exception as error:  # noqa: BLE001 - a backend may raise anything; it is an outcome, not a crash
            log.warning("backend %s: %s in publish_many", self.name, type(error).__name__)
            self.report([(attempt, outcome_of(error)) for attempt in job.attempts])

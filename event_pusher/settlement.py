"""
What becomes of an attempt: the one place where a delivery changes its state after it was handed out.

::

                      ┌── Retry, Unknown (later, with back-off) ──┐
                      ▼                                           │
    accepted ──▶ waiting ──▶ in flight ──┬────────────────────────┘
                      ▲                  ├── Unsent ──▶ waiting (soon, nothing counted)
                      └── retried by ────┤
                          an operator    ├── Delivered ──▶ delivered (the row goes)
                                         ├── Dead ───────▶ dead (kept with its reason)
                                         ├── Gone ───────▶ discarded, with all that waits for the registration
                                         ├── too old ────▶ expired (kept as dead, with its reason)
    waiting ──▶ replaced └── (by a newer one of its collapse key: the row goes)

Memory follows at once, the database with the next commit: a crash in between costs a repetition, never a loss.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from event_pusher.abc import DELIVERED, Dead, Delivered, Gone, Outcome, Retry, Unknown, Unsent
from event_pusher.counters import Counters
from event_pusher.journal import Journal, Settled
from event_pusher.lane import Lane
from event_pusher.outbox.history import Tried
from event_pusher.outbox.row import Row
from event_pusher.outbox.schedule import retry_delay
from event_pusher.outbox.store import OutboxStore
from event_pusher.publisher import Flight, Outcomes, Publisher
from event_pusher.registrations import RegistrationStore

log = logging.getLogger(__name__)

#: The closed list of what an attempt, or a delivery without one, can come to; ``trace`` and ``tail`` use these words.
OUTCOMES: Mapping[str, str] = {
    "delivered": "the destination took it",
    "retry": "it failed, and is tried again",
    "unknown": "no answer came; it may have arrived, and is tried again with the same key",
    "unsent": "nothing left; it goes at the next chance, and no attempt is counted",
    "dead": "it can never succeed: a dead letter",
    "gone": "the destination is gone: the registration is disabled, what waits for it is discarded",
    "expired": "it was not delivered in time: a dead letter",
    "replaced": "a newer one of the same collapse key took its place",
}
#: Settled rows are committed when there are so many …
SETTLE_ROWS = 512
#: … or after this many seconds; sooner when an insert is committed anyway.
SETTLE_SECONDS = 0.02
#: Characters of a reason that are kept.
REASON_LENGTH = 500
#: How long a lane rests after an attempt of which nothing left.
UNSENT_SECONDS = 0.5


class Settlement:
    """Takes outcomes, and writes what they change in the next commit. Owned by the core."""

    def __init__(
        self,
        store: OutboxStore,
        registrations: RegistrationStore,
        publishers: Sequence[Publisher],
        counters: Counters,
        draw: random.Random | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._store = store
        self._registrations = registrations
        self._publishers = tuple(publishers)
        self._counters = counters
        self._draw = draw or random.Random()  # noqa: S311 - jitter hides nothing
        self._journal = journal or Journal()
        self._tried: defaultdict[int, list[Tried]] = defaultdict(list)
        self._removed: list[int] = []
        self._replaced: list[tuple[str, Row]] = []
        self._written_at = 0.0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._rescheduled: dict[int, tuple[Row, str]] = {}
        self._buried: list[tuple[Row, str]] = []
        self._gone: dict[int, str] = {}
        self._discarded = 0
        self._since: float | None = None

    @property
    def gone(self) -> frozenset[int]:
        """Registrations that the next commit disables."""
        return frozenset(self._gone)

    @property
    def pending(self) -> int:
        """Changes that are not committed yet."""
        return len(self._removed) + len(self._rescheduled) + len(self._buried) + len(self._gone)

    def due_at(self) -> float | None:
        """When the next commit is due (monotonic seconds); None without a change."""
        if self._since is None or not self.pending:
            return None
        return self._since if self._gone or self.pending >= SETTLE_ROWS else self._since + SETTLE_SECONDS

    def settle(self, publisher: Publisher, outcomes: Outcomes, now: float, monotonic: float) -> None:
        """Take the `outcomes` of attempts (`now` in UTC seconds); those of no flight are counted and ignored."""
        name, lanes, delivered = publisher.name, publisher.lanes, []
        for attempt, outcome in outcomes:
            flight = publisher.land(attempt)
            if flight is None:
                self._counters.add("outcomes_late", name)
                continue
            # Nearly all go well at a target that did not fail lately.
            if outcome is not DELIVERED or publisher.breakers:
                publisher.judge(flight, outcome, monotonic)
            if flight.dropped:
                lanes.done(flight.lane, now)
            elif isinstance(outcome, Delivered):
                delivered.append(flight.row)
                lanes.done(flight.lane, now)
            else:
                self._changed(monotonic)
                self._failed(publisher, flight, outcome, now)
        if delivered:
            self._changed(monotonic)
            self._removed += [row.id for row in delivered]
            self._counts["delivered", name] += len(delivered)
            self._journal.settled([_entry(name, row, "delivered", "", now) for row in delivered])

    def _changed(self, monotonic: float) -> None:
        """There is something to commit."""
        if self._since is None or not self.pending:
            self._since = monotonic

    def _failed(self, publisher: Publisher, flight: Flight, outcome: Outcome, now: float) -> None:
        match outcome:
            case Unsent():
                self._counters.add("unsent", publisher.name)
                self._note(publisher.name, flight.row, "unsent", _clean(outcome.reason), now)
                self._rest(publisher, flight, now)
            case Retry() | Unknown():
                self._try_again(publisher, flight, outcome, now)
            case Dead():
                self._bury(publisher, flight.lane, flight.row, _clean(outcome.reason), now, "dead")
            case Gone():
                self._destination_gone(publisher, flight, _clean(outcome.reason), now)
            case _:
                # A stranger's mistake: without an answer its lane would stand still for good.
                self._try_again(publisher, flight, Unknown("the backend reported no outcome"), now)

    def expire(self, publisher: Publisher, lane: Lane, row: Row, now: float, monotonic: float) -> None:
        """The head of `lane` was not delivered in time."""
        self._changed(monotonic)
        self._bury(publisher, lane, row, "expired: it was not delivered in time", now, "expired")

    def replaced(self, backend: str, row: Row, monotonic: float) -> None:
        """A newer delivery of the same ``collapse_key`` took the place of `row`."""
        self._changed(monotonic)
        self._removed.append(row.id)
        self._rescheduled.pop(row.id, None)
        self._replaced.append((backend, row))
        self._counts["replaced", backend] += 1

    def write(self, now: float) -> None:
        """Write all changes, inside the core's transaction. See `written`."""
        self._written_at = now
        self._store.remove(self._removed)
        rows = list(self._rescheduled.values())
        self._store.reschedule([row for row, _ in rows], [reason for _, reason in rows], self._tried)
        self._store.bury([row for row, _ in self._buried], [reason for _, reason in self._buried], now, self._tried)
        for reason in set(self._gone.values()):
            self._registrations.mark_disabled([id_ for id_, why in self._gone.items() if why == reason], reason, now)
        self._discarded = len(self._store.discard_for_registrations(list(self._gone)))

    def written(self) -> int:
        """The transaction was committed: count it; returns how many waiting rows went."""
        self._counts["discarded", ""] += self._discarded
        went = sum(self._counts.values())
        for (state, backend), number in self._counts.items():
            self._counters.add(state, backend, number)
        for backend, row in self._replaced:
            self._note(backend, row, "replaced", "", self._written_at, number=row.attempts)
        self._replaced.clear()
        self._counts.clear()
        self._discarded = 0
        self._removed.clear()
        self._rescheduled.clear()
        self._buried.clear()
        self._tried.clear()
        self._gone.clear()
        self._since = None
        return went

    def _rest(self, publisher: Publisher, flight: Flight, now: float) -> None:
        # Not on disk: after a restart it may go at once.
        flight.row.due_at = now + UNSENT_SECONDS
        publisher.lanes.give_back(flight.lane, now)

    def _try_again(self, publisher: Publisher, flight: Flight, outcome: Retry | Unknown, now: float) -> None:
        row, lane, settings = flight.row, flight.lane, publisher.settings
        after = _seconds(outcome.after) if isinstance(outcome, Retry) else None
        row.attempts += 1
        kind, reason = "retry" if isinstance(outcome, Retry) else "unknown", _clean(outcome.reason)
        self._tried[row.id].append(Tried(now, row.attempts, kind, reason))
        self._note(publisher.name, row, kind, reason, now, number=row.attempts)
        row.due_at = now + retry_delay(settings.retry.schedule, row.attempts, after, self._draw)
        self._rescheduled[row.id] = (row, reason)
        self._counters.add("retried" if isinstance(outcome, Retry) else "unknown", publisher.name)
        lane.held_since = lane.held_since or now
        if settings.order_hold is not None and not row.overtaken and row.due_at - lane.held_since > settings.order_hold:
            publisher.lanes.step_aside(lane, now)
        else:
            publisher.lanes.park(lane, row.due_at)

    def _bury(self, publisher: Publisher, lane: Lane, row: Row, reason: str, now: float, state: str) -> None:
        row.attempts += state == "dead"
        self._rescheduled.pop(row.id, None)
        self._buried.append((row, reason))
        self._tried[row.id].append(Tried(now, row.attempts, state, reason))
        self._note(publisher.name, row, state, reason, now, number=row.attempts)
        self._counts[state, publisher.name] += 1
        log.warning("delivery %d of %s to %s is dead: %s", row.id, publisher.name, row.delivery.target, reason)
        try:
            publisher.backend.forget(row.delivery)
        except Exception as error:  # noqa: BLE001 - a stranger's mistake costs nothing but a line
            log.error("backend %s: %s in forget", publisher.name, type(error).__name__)  # noqa: TRY400 - its text may be private
        publisher.lanes.done(lane, now)

    def _destination_gone(self, publisher: Publisher, flight: Flight, reason: str, now: float) -> None:
        registration = flight.row.delivery.registration
        if registration is None:
            self._bury(publisher, flight.lane, flight.row, reason, now, "dead")
            return
        self._gone.setdefault(registration, reason)
        self._note(publisher.name, flight.row, "gone", reason, now)
        self._counters.add("registrations_disabled", publisher.name)
        log.warning(
            "registration %d of %s at %s is disabled: %s",
            registration, flight.row.delivery.recipient, flight.row.delivery.target, reason,
        )  # fmt: skip
        publisher.lanes.done(flight.lane, now)
        for one in self._publishers:
            one.drop(frozenset({registration}))

    def _note(self, backend: str, row: Row, outcome: str, reason: str, now: float, number: int = 0) -> None:
        entry = _entry(backend, row, outcome, reason, now, number)
        # What does not leave comes back twice a second: it must not push everything else out of memory.
        self._journal.settled((entry,), keep=outcome != "unsent")


def _entry(backend: str, row: Row, outcome: str, reason: str, now: float, number: int = 0) -> Settled:
    to, number = row.delivery, number or row.attempts + 1
    return Settled(now, to.recipient, backend, to.target, row.id, number, outcome, reason, row.trace)


def _clean(reason: object) -> str:
    """Make what a backend gave as its reason fit for every database and for one line."""
    text = str(reason).encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else " " for char in text[:REASON_LENGTH])


def _seconds(after: object) -> float | None:
    """What a backend gave as the time to wait, None when it is not one."""
    return float(after) if isinstance(after, (int, float)) and not math.isnan(after) else None

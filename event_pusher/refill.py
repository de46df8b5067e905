"""
Between the outbox and the lanes: what is committed goes to its lane as far as the window reaches, the rest is read back
as room appears. Owned by the core.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice

from event_pusher.counters import Counters
from event_pusher.lane import Window
from event_pusher.outbox.orphans import orphans_cure, told_of_orphans
from event_pusher.outbox.row import Row
from event_pusher.outbox.store import CHUNK, OutboxStore
from event_pusher.publisher import Publisher

log = logging.getLogger(__name__)

#: Rows read back from the outbox at a time.
REFILL_ROWS = 2000
#: Rows that are read for lanes which wake up, in one turn, and ids that are looked through for them.
ROUSE_ROWS, ROUSE_IDS = 200, 20_000


class Refill:
    """Moves rows into lanes; reads raise `StorageError`, and are made again by the next turn."""

    def __init__(
        self, store: OutboxStore, window: Window, publishers: Mapping[str, Publisher], counters: Counters
    ) -> None:
        self._store = store
        self.window = window
        self._publishers = publishers
        self._counters = counters
        self._readmitted: deque[int] = deque()
        self._orphans: set[str] = set()
        #: Where the reading of what is due has come to, by backend: (due time, id).
        self._due: dict[str, tuple[float, int]] = {}

    def begin(self, counts: Mapping[tuple[str, str], int]) -> int:
        """At the start: so many rows of each (backend, state) are on disk, none in memory; how many wait."""
        waiting = {name: number for (name, state), number in counts.items() if state == "waiting"}
        for name, number in waiting.items():
            if name not in self._publishers:
                log.error("backends.%s: %s; %s", name, told_of_orphans(name, number), orphans_cure(name))
        self.window.spilled = bool(waiting)
        return sum(waiting.values())

    def offer(self, rows: Sequence[Row], now: float) -> None:
        """Offer rows that were just committed, with ids above all others, to their lanes."""
        window, publishers = self.window, self._publishers
        for row in rows:
            if window.spilled or not window.has_room():
                window.spilled = True
                return
            window.cursor = row.id
            publishers[row.backend].lanes.add(row, now)

    def readmit(self, ids: Sequence[int]) -> None:
        """The dead letters `ids` wait again (committed): they lie where the window does not read any more."""
        window = self.window
        if window.spilled:
            # What lies beyond the cursor comes with the window's own reading.
            ids = [id_ for id_ in ids if id_ <= window.cursor]
        else:
            window.cursor = max(window.cursor, *ids, 0)
        self._readmitted.extend(ids)

    def eager(self, now: float, monotonic: float) -> bool:
        """Whether there is something to read, and room for it."""
        if not self.window.has_room():
            return False
        return bool(self._readmitted) or any(
            one.lanes.asleep and (name in self._due or one.lanes.asleep.due <= now or one.taking(monotonic))
            for name, one in self._publishers.items()
        )

    def read_on(self, now: float, monotonic: float) -> None:
        """Read what an operator let wait again, what may wake up, and where the window ends. Raises `StorageError`."""
        for name, publisher in self._publishers.items():
            if publisher.lanes.asleep and self.window.has_room():
                self._rouse_due(name, publisher, now)
                for target in publisher.taking(monotonic):
                    self._rouse_target(name, publisher, target, now)
        self._read(now)

    def _rouse_due(self, name: str, publisher: Publisher, now: float) -> None:
        """Wake lanes whose time has come."""
        asleep, cursor = publisher.lanes.asleep, self.window.cursor
        after = self._due.get(name)
        if after is None and asleep.due > now:
            return
        rows = self._store.load_due(name, now, after or (0.0, 0), cursor, ROUSE_ROWS)
        if after is None:
            asleep.due = math.inf  # from here on it says what falls asleep behind this reading
        for row in rows:
            self._due[name] = (row.due_at, row.id)
            publisher.lanes.rouse(row, now)
            if not self.window.has_room():
                return
        if len(rows) < ROUSE_ROWS:
            following = self._store.next_due(name, now, cursor)
            asleep.due = min(asleep.due, math.inf if following is None else following)
            self._due.pop(name, None)

    def _rouse_target(self, name: str, publisher: Publisher, target: str, now: float) -> None:
        """Wake lanes whose target takes more."""
        asleep, cursor = publisher.lanes.asleep, self.window.cursor
        start = asleep.targets[target]
        end = min(cursor, start + ROUSE_IDS)
        rows = self._store.load_target(name, target, (start, end), now, ROUSE_ROWS)
        for row in rows:
            asleep.targets[target] = row.id
            publisher.lanes.rouse(row, now)
            if not self.window.has_room():
                return
        if len(rows) < ROUSE_ROWS:
            asleep.targets[target] = end
            if end >= cursor:
                del asleep.targets[target]

    def _read(self, now: float) -> None:
        if self._readmitted and self.window.has_room():
            self._let_wait_again(now)
        if self.window.wants_rows():
            rows = self._store.load_after(self.window.cursor, REFILL_ROWS)
            for row in rows:
                self.window.cursor = row.id
                self._add((row,), now)
            self.window.spilled = len(rows) == REFILL_ROWS

    def _let_wait_again(self, now: float) -> None:
        ids = list(islice(self._readmitted, CHUNK))
        rows = self._store.load_ids(ids)
        for _ in ids:
            self._readmitted.popleft()
        self._add(rows, now)

    def _add(self, rows: Sequence[Row], now: float) -> None:
        for row in rows:
            publisher = self._publishers.get(row.backend)
            if publisher is None:
                self._orphan(row, f"backend {row.backend!r} is not enabled")
            elif row.delivery.format not in publisher.backend.formats:
                self._orphan(row, f"backend {row.backend!r} does not read format {row.delivery.format}")
            else:
                publisher.lanes.add(row, now)

    def _orphan(self, row: Row, why: str) -> None:
        self._counters.add("orphaned", row.backend)
        if why not in self._orphans:
            self._orphans.add(why)
            log.error("deliveries are left lying: %s; enable it, or `event-pusher deliveries discard`", why)

"""
Order: within a lane, deliveries go one after the other, in order of acceptance.

What memory holds of a lane is a prefix of what the outbox holds of it. The whole is bounded by `Window`: beyond it,
rows stay on disk and are read back as room appears. A lane that alone holds `LANE_ROWS`, or whose head failed, is
`partial`: it reads its own rest when its rows are gone. A failing head parks its lane; once it held it too long, it
steps aside and retries alone. Of parked lanes only so many stay in memory; the others fall asleep (`asleep`).
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from event_pusher.asleep import Asleep
from event_pusher.errors import StorageError
from event_pusher.lane import Lane, Window, name_of
from event_pusher.outbox.row import Row

log = logging.getLogger(__name__)

#: Most rows of one lane in memory: one silent device must not fill the window.
LANE_ROWS = 200
#: A lane whose rest could not be read is read again after so long.
REREAD_SECONDS = 1.0

#: Read the waiting rows of (backend, lane) with ids above the given one, at most so many.
LoadLane = Callable[[str, str, int, int], list[Row]]


class Lanes:
    """The lanes of one backend; owned by the core."""

    def __init__(self, backend: str, window: Window, load: LoadLane, longest: float = math.inf) -> None:
        self._backend = backend
        self._longest = longest  # seconds: no retry waits longer
        self._window = window
        self._load = load
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._parked: list[tuple[float, int, Lane]] = []
        self._held: dict[str, deque[Lane]] = {}
        #: Parked lanes that found no room: they fall asleep when nothing of them is left to commit; target "" = due.
        self._dozing: list[tuple[Lane, str]] = []
        self.asleep = Asleep()
        self._order = itertools.count()
        #: Rows whose place a newer one of the same collapse key took; the core takes them away.
        self.replaced: list[Row] = []

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, row: Row, now: float) -> None:
        """Offer `row`, whose id is above all that were offered before: its lane holds it or leaves it on disk."""
        if self.asleep.number and name_of(row) in self.asleep:
            return
        lane = self._lane_of(row)
        if row.delivery.collapse_key is not None and lane.parked and not lane.partial and self._takes_place(lane, row):
            return
        if lane.parked or len(lane.rows) >= LANE_ROWS:
            lane.partial = True
        if lane.partial:
            return
        self._append(lane, row)
        if not lane.busy and not lane.queued:
            self._enqueue(lane, now)

    def take(self, limit: int, now: float) -> Iterator[tuple[Lane, Row]]:
        """Up to `limit` heads whose time (UTC seconds) has come, one per lane; a lane is busy until it is let go."""
        self._unpark(now)
        while limit > 0 and self._ready:
            lane = self._ready.popleft()
            lane.queued = False
            if lane.busy:
                continue
            if not lane.rows:
                self._let_go(lane, now)
                continue
            lane.busy = True
            limit -= 1
            yield lane, lane.rows[0]

    def next_due(self) -> float | None:
        """When the next parked lane is due (UTC seconds); None without any."""
        due = min(self._parked[0][0] if self._parked else math.inf, self.asleep.due)
        return None if due == math.inf else due

    def has_ready(self) -> bool:
        """Whether a head could go now."""
        return bool(self._ready)

    def done(self, lane: Lane, now: float) -> None:
        """The head is settled for good: the next one may go."""
        lane.rows.popleft()
        self._window.rows -= 1
        self._let_go(lane, now)

    def give_back(self, lane: Lane, now: float) -> None:
        """The head was not tried: it goes again at its `due_at`, which is not on disk."""
        self._keep_head(lane)
        self._park(lane, max(lane.rows[0].due_at, now))

    def park(self, lane: Lane, due_at: float) -> None:
        """Nothing of the lane goes before `due_at` (UTC seconds); the head stays the head, the rest stays on disk."""
        self._keep_head(lane)
        if self._window.parked < self._window.beds:
            self._park(lane, due_at)
        else:
            self._doze(lane, "")

    def hold(self, lane: Lane, target: str) -> None:
        """Nothing of the lane goes until `release`: its head's target has a breaker that is open."""
        self._keep_head(lane)
        if self._window.parked < self._window.beds:
            lane.queued = lane.parked = True
            self._window.parked += 1
            self._held.setdefault(target, deque()).append(lane)
        else:
            self._doze(lane, target)

    def _doze(self, lane: Lane, target: str) -> None:
        lane.queued = lane.parked = True
        self._dozing.append((lane, target))

    def fall_asleep(self) -> None:
        """All that was settled is committed: what is on disk of the parked lanes without room is all there is."""
        dozing, self._dozing = self._dozing, []
        for lane, target in dozing:
            if self._lanes.get(lane.name) is not lane or not lane.rows:
                continue  # dropped meanwhile
            del self._lanes[lane.name]
            head = lane.rows[0]
            if target:
                self.asleep.until_taken(lane.name, target, head.id)
            else:
                self.asleep.until(lane.name, head.due_at)

    def rouse(self, row: Row, now: float) -> None:
        """`row`, read from disk, may go: its lane wakes up, if it slept."""
        name = name_of(row)
        if name in self._lanes or not self.asleep.wake(name):
            return
        lane = self._lanes[name] = Lane(name)
        if name.startswith("\0"):
            self._append(lane, row)
        else:
            lane.partial = True  # reads all of it, from its beginning
        self._let_go(lane, now)
        if lane.rows and lane.rows[0].attempts:
            # When it failed first is not known any more: not sooner than it was accepted.
            lane.held_since = lane.rows[0].accepted_at

    def release(self, target: str, number: int, now: float) -> None:
        """Let up to `number` lanes go that were held for `target`."""
        held = self._held[target]
        while held and number > 0:
            self._wake(held.popleft(), now)
            number -= 1
        if not held:
            del self._held[target]

    @property
    def held(self) -> tuple[str, ...]:
        """The targets that lanes are held for."""
        return tuple(self._held)

    def _keep_head(self, lane: Lane) -> None:
        lane.busy = False
        head = lane.rows[0]
        if len(lane.rows) > 1:
            lane.partial, lane.last_id = True, head.id
        self._window.rows -= len(lane.rows)
        lane.rows = deque((head,))

    def step_aside(self, lane: Lane, now: float) -> None:
        """The head held its lane for too long: it retries alone from its `due_at` on, the next one goes."""
        row = lane.rows[0]
        row.overtaken = True
        alone = self._lane_of(row)
        if alone is lane:
            # It was alone already.
            self.park(lane, row.due_at)
            return
        lane.rows.popleft()
        self._window.rows -= 1
        self._append(alone, row)
        self._enqueue(alone, now)
        self._let_go(lane, now)

    def drop(self, registrations: frozenset[int]) -> None:
        """Forget the rows of `registrations`, which are gone from disk; what is in flight is let be."""
        for registration in registrations if self.asleep else ():
            self.asleep.wake(str(registration))  # as the push backend names its lanes
        self._drop(lambda row: row.delivery.registration in registrations)

    def drop_ids(self, ids: frozenset[int]) -> None:
        """Forget the rows `ids`, which are gone from disk; what is in flight is let be."""
        if self.asleep:
            self.asleep.targets[""] = 0  # a lane may have lost the head that it sleeps for
        self._drop(lambda row: row.id in ids)

    def _drop(self, gone: Callable[[Row], bool]) -> None:
        for lane in list(self._lanes.values()):
            keep = [row for index, row in enumerate(lane.rows) if (lane.busy and index == 0) or not gone(row)]
            if len(keep) == len(lane.rows):
                continue
            if not lane.parked:
                self._window.rows -= len(lane.rows) - len(keep)
            lane.rows = deque(keep)
            if lane.parked and not keep:
                self._renew(lane)

    def _renew(self, lane: Lane) -> None:
        """The parked head is gone, so nothing holds the rest back; the old lane stays in the heap and is nobody's."""
        del self._lanes[lane.name]
        if lane.partial:
            fresh = self._lanes[lane.name] = Lane(lane.name)
            fresh.partial, fresh.last_id, fresh.queued = True, lane.last_id, True
            lane.partial = False
            self._ready.append(fresh)

    def rows(self) -> Iterable[Row]:
        """Every row in memory."""
        return itertools.chain.from_iterable(lane.rows for lane in self._lanes.values())

    def _lane_of(self, row: Row) -> Lane:
        name = name_of(row)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name)
        return lane

    def _append(self, lane: Lane, row: Row) -> None:
        if row.delivery.collapse_key is not None:
            self._collapse(lane, row)
        lane.rows.append(row)
        lane.last_id = row.id
        self._window.rows += 1

    def _enqueue(self, lane: Lane, now: float) -> None:
        due_at = lane.rows[0].due_at
        if due_at > now:
            # A clock that was set back while nobody ran must not make anything wait longer than it ever would.
            self.park(lane, min(due_at, now + self._longest))
        else:
            lane.queued = True
            self._ready.append(lane)

    def _park(self, lane: Lane, due_at: float) -> None:
        lane.queued = lane.parked = True
        self._window.parked += 1
        heapq.heappush(self._parked, (due_at, next(self._order), lane))

    def _unpark(self, now: float) -> None:
        while self._parked and self._parked[0][0] <= now:
            self._wake(heapq.heappop(self._parked)[2], now)

    def _wake(self, lane: Lane, now: float) -> None:
        lane.parked = lane.queued = False
        self._window.parked -= 1
        self._window.rows += len(lane.rows)
        if lane.rows:
            lane.queued = True
            self._ready.append(lane)
        else:
            self._let_go(lane, now)

    def _takes_place(self, lane: Lane, row: Row) -> bool:
        """Whether `row` took the place of the parked head, which waits for its next try."""
        head = lane.rows[0] if lane.rows else None
        if head is None or head.delivery.collapse_key != row.delivery.collapse_key:
            return False
        row.due_at = head.due_at
        lane.rows[0], lane.last_id = row, row.id
        self.replaced.append(head)
        return True

    def _collapse(self, lane: Lane, row: Row) -> None:
        """Take out of memory what waits in `lane` under the key of `row`; what is in flight is let be."""
        key = row.delivery.collapse_key
        first = 1 if lane.busy else 0
        old = [one for one in itertools.islice(lane.rows, first, None) if one.delivery.collapse_key == key]
        for one in old:
            lane.rows.remove(one)
        self._window.rows -= len(old)
        self.replaced += old

    def _let_go(self, lane: Lane, now: float) -> None:
        lane.busy = False
        lane.held_since = 0.0
        if not lane.rows and lane.partial:
            try:
                self._refill(lane)
            except StorageError as error:
                log.warning("a lane of %s could not be read, it is tried again: %s", self._backend, error)
                self._park(lane, now + REREAD_SECONDS)
                return
        if lane.rows:
            self._enqueue(lane, now)
        elif self._lanes.get(lane.name) is lane:
            del self._lanes[lane.name]

    def _refill(self, lane: Lane) -> None:
        while lane.partial and not lane.rows:
            rows = self._load(self._backend, lane.name, lane.last_id, LANE_ROWS)
            # What lies beyond the cursor comes with the window's own reading.
            known = [row for row in rows if row.id <= self._window.cursor]
            lane.partial = len(known) == LANE_ROWS
            for row in known:
                lane.last_id = row.id
                if not row.overtaken:
                    self._append(lane, row)

"""
Order: within a lane, deliveries go one after the other, in order of acceptance.

What memory holds of a lane is a prefix of what the outbox holds of it. The whole is bounded by `Window`: beyond it,
rows stay on disk and are read back as room appears. A lane that alone holds `LANE_ROWS`, or whose head failed, is
`partial`: it reads its own rest when its rows are gone. A failing head parks its lane; once it held it too long, it
steps aside and retries alone.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from event_pusher.errors import StorageError
from event_pusher.outbox.row import Row

log = logging.getLogger(__name__)

#: Most rows in memory, all lanes together: a million waiting rows must not be objects.
WINDOW_ROWS = 10_000
#: Most rows of one lane in memory: one silent device must not fill the window.
LANE_ROWS = 200
#: A lane whose rest could not be read is read again after so long.
REREAD_SECONDS = 1.0

#: Read the waiting rows of (backend, lane) with ids above the given one, at most so many.
LoadLane = Callable[[str, str, int, int], list[Row]]


class Window:
    """How many rows are in memory, and up to which id the outbox was read. Shared by all backends."""

    def __init__(self, limit: int = WINDOW_ROWS) -> None:
        self.limit = limit
        self.rows = 0
        #: The highest id that was offered to a lane.
        self.cursor = 0
        #: Rows beyond `cursor` are on disk only.
        self.spilled = False

    def has_room(self) -> bool:
        """Whether one more row may be held."""
        return self.rows < self.limit

    def wants_rows(self) -> bool:
        """Whether it is time to read more from the outbox."""
        return self.spilled and 2 * self.rows < self.limit


class Lane:
    """
    One lane. `rows` is what memory holds, the head included while it is in flight (`busy`).

    `queued`: it waits among the ready or the parked. `partial`: the outbox may hold more, above `last_id`.
    `held_since`: when its head failed first (UTC seconds), 0 = it did not.
    """

    __slots__ = ("busy", "held_since", "last_id", "name", "parked", "partial", "queued", "rows")

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: deque[Row] = deque()
        self.busy = False
        self.queued = False
        self.parked = False
        self.partial = False
        self.last_id = 0
        self.held_since = 0.0


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
        self._order = itertools.count()
        #: Rows whose place a newer one of the same collapse key took; the core takes them away.
        self.replaced: list[Row] = []

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, row: Row, now: float) -> None:
        """Offer `row`, whose id is above all that were offered before: its lane holds it or leaves it on disk."""
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
        return self._parked[0][0] if self._parked else None

    def has_ready(self) -> bool:
        """Whether a head could go now."""
        return bool(self._ready)

    def done(self, lane: Lane, now: float) -> None:
        """The head is settled for good: the next one may go."""
        lane.rows.popleft()
        self._window.rows -= 1
        self._let_go(lane, now)

    def give_back(self, lane: Lane, now: float) -> None:
        """The head was not tried: it goes again as soon as it can."""
        lane.busy = False
        self._enqueue(lane, now)

    def park(self, lane: Lane, due_at: float) -> None:
        """Nothing of the lane goes before `due_at` (UTC seconds); the head stays the head, the rest stays on disk."""
        self._keep_head(lane)
        self._park(lane, due_at)

    def hold(self, lane: Lane, target: str) -> None:
        """Nothing of the lane goes until `release`: its head's target has a breaker that is open."""
        self._keep_head(lane)
        lane.queued = lane.parked = True
        self._held.setdefault(target, deque()).append(lane)

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
        self._drop(lambda row: row.delivery.registration in registrations)

    def drop_ids(self, ids: frozenset[int]) -> None:
        """Forget the rows `ids`, which are gone from disk; what is in flight is let be."""
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
        # One that stepped aside, or that needs no order, has a lane of its own.
        name = row.lane if row.lane and not row.overtaken else f"\0{row.id}"
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
        # A clock that was set back while nobody ran must not make anything wait longer than it ever would.
        due_at = min(lane.rows[0].due_at, now + self._longest)
        if due_at > now:
            self.park(lane, due_at)
        else:
            lane.queued = True
            self._ready.append(lane)

    def _park(self, lane: Lane, due_at: float) -> None:
        lane.queued = lane.parked = True
        heapq.heappush(self._parked, (due_at, next(self._order), lane))

    def _unpark(self, now: float) -> None:
        while self._parked and self._parked[0][0] <= now:
            self._wake(heapq.heappop(self._parked)[2], now)

    def _wake(self, lane: Lane, now: float) -> None:
        lane.parked = lane.queued = False
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

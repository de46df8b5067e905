"""One lane, and the bounds of what memory holds of all of them."""

from __future__ import annotations

from collections import deque

from event_pusher.outbox.row import Row

#: Most rows in memory, all lanes together: a million waiting rows must not be objects.
WINDOW_ROWS = 5_000


class Window:
    """
    How many rows are in memory, and up to which id the outbox was read. Shared by all backends.

    `rows` are those that may go, at most `limit`; `parked` the heads that wait for their time or their target, at most
    `beds` (default: as many).
    """

    def __init__(self, limit: int = WINDOW_ROWS, beds: int | None = None) -> None:
        self.limit = limit
        self.beds = limit if beds is None else beds
        self.rows = 0
        self.parked = 0
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


def name_of(row: Row) -> str:
    """The lane's name; one that stepped aside, or that needs no order, has a lane of its own."""
    return row.lane if row.lane and not row.overtaken else f"\0{row.id}"

"""
Circuit breakers: one per (backend, target), in memory. Owned by the core.

::

    closed ──FAILURES in a row, of LANES lanes──▶ open ──after a wait──▶ half open ──LIMIT successes──▶ closed
                                                   ▲                        │
                                                   └────any failure─────────┘

A target that answers nobody is asked by nobody while its breaker is open: its lanes are held, no row is rewritten, no
attempt is counted. Then one probe goes; each success lets twice as many go at once (1, 2, 4, 8 …); one failure closes
the door again, for twice as long. A single dead device opens nothing: only failures of several lanes do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

#: So many failures without a success between them …
FAILURES = 8
#: … in so many lanes at least.
LANES = 3
#: The first wait in seconds, and the longest.
WAIT, WAIT_MOST = 1.0, 60.0
#: So many at once, and it is closed again.
LIMIT = 64


@dataclass(slots=True)
class Breaker:
    """
    The state for one target.

    `open_until`: monotonic seconds, None = closed or half open. `quota`: attempts at once when half open, else None.
    """

    open_until: float | None = None
    quota: int | None = None
    flying: int = 0
    _failures: int = 0
    _lanes: set[str] = field(default_factory=set)
    _wait: float = WAIT

    @property
    def closed(self) -> bool:
        """Whether everybody may go."""
        return self.open_until is None and self.quota is None

    def room(self, monotonic: float) -> int:
        """How many more may go now; an open one turns half open when its wait is over."""
        if self.open_until is not None:
            if monotonic < self.open_until:
                return 0
            self.open_until, self.quota, self.flying = None, 1, 0
        return 1 << 30 if self.quota is None else self.quota - self.flying

    def depart(self) -> None:
        """One attempt goes out."""
        self.flying += 1

    def back(self) -> None:
        """One attempt ended without a verdict on the target."""
        self.flying = max(0, self.flying - 1)

    def succeed(self) -> None:
        """The target answered as it should."""
        self.back()
        self._failures = 0
        self._lanes.clear()
        if self.quota is not None:
            self.quota *= 2
            if self.quota > LIMIT:
                self.quota, self._wait = None, WAIT

    def fail(self, lane: str, monotonic: float, draw: random.Random) -> bool:
        """The target failed for `lane`; True when this opens the breaker."""
        self.back()
        if self.open_until is not None:
            return False
        self._failures += 1
        self._lanes.add(lane)
        if self.quota is None and (self._failures < FAILURES or len(self._lanes) < LANES):
            return False
        self.open_until = monotonic + self._wait * draw.uniform(0.5, 1.0)
        self._wait = min(self._wait * 2, WAIT_MOST)
        self.quota, self._failures = None, 0
        self._lanes.clear()
        return True

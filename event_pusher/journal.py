"""
What was decided and what became of it, as far back as memory reaches: for ``explain``, ``trace`` and ``tail``.

The core writes; whoever asks reads from another thread. A follower that does not keep up loses entries, is told how
many, and holds nobody up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

#: Decisions and outcomes that are kept.
KEPT = 5_000
#: Entries that wait for one follower.
QUEUED = 2000
#: Followers at a time.
FOLLOWERS = 8
#: A follower that asked for nothing for so long is gone.
IDLE_SECONDS = 60.0


class Decision(NamedTuple):
    """What one backend decided about one event; `reason` is "accepted" or why not (`dispatcher.REASONS`)."""

    at: float
    user: str
    kind: str
    backend: str
    reason: str
    trace: str


class Settled(NamedTuple):
    """How one attempt ended, or a delivery without one: `outcome` is a word of `settlement.OUTCOMES`."""

    at: float
    user: str
    backend: str
    target: str
    delivery: int
    number: int
    outcome: str
    reason: str
    trace: str


Entry = Decision | Settled


class Follower:
    """A queue of entries, filled by the core; `user` "" = everybody's."""

    def __init__(self, user: str = "") -> None:
        self.user = user
        self.dropped = 0
        self.asked_at = time.monotonic()
        self._entries: deque[Entry] = deque()
        self._came = threading.Event()

    def offer(self, entry: Entry) -> None:
        """Queue `entry` if there is room, else count it (the core's thread)."""
        if self.user and entry.user != self.user:
            return
        if len(self._entries) >= QUEUED:
            self.dropped += 1
            return
        self._entries.append(entry)
        self._came.set()

    def take(self, timeout: float) -> list[Entry]:
        """Wait up to `timeout` seconds for the first entry; all that are there."""
        self.asked_at = time.monotonic()
        self._came.wait(timeout)
        self._came.clear()
        self.asked_at = time.monotonic()
        taken = []
        while self._entries:
            taken.append(self._entries.popleft())
        return taken


class Journal:
    """The last entries of each kind, and those who follow."""

    def __init__(self) -> None:
        self.decisions: deque[Decision] = deque(maxlen=KEPT)
        self.outcomes: deque[Settled] = deque(maxlen=KEPT)
        self._followers: dict[str, Follower] = {}
        self._lock = threading.Lock()

    def decided(self, entries: Sequence[Decision]) -> None:
        """Remember decisions (the core's thread)."""
        self.decisions.extend(entries)
        if self._followers:
            self._tell(entries)

    def settled(self, entries: Sequence[Settled], *, keep: bool = True) -> None:
        """Remember outcomes, or only tell those who follow (the core's thread)."""
        if keep:
            self.outcomes.extend(entries)
        if self._followers:
            self._tell(entries)

    def follower(self, name: str, user: str) -> Follower | None:
        """The follower called `name`, a new one if need be (any thread); None when there are `FOLLOWERS` already."""
        with self._lock:
            now = time.monotonic()
            alive = {key: one for key, one in self._followers.items() if now - one.asked_at < IDLE_SECONDS}
            if name not in alive and len(alive) < FOLLOWERS:
                alive[name] = Follower(user)
            self._followers = alive
            return alive.get(name)

    def leave(self, name: str) -> None:
        """The follower called `name` has heard enough (any thread)."""
        with self._lock:
            self._followers = {key: one for key, one in self._followers.items() if key != name}

    def _tell(self, entries: Sequence[Entry]) -> None:
        # The dict is replaced, never changed: no lock is needed here.
        for one in self._followers.values():
            for entry in entries:
                one.offer(entry)

"""
Where each feed stands: what was taken in, what is committed, what was acknowledged. Owned by the core.

Entries at or below the taken position are dropped when a feed replays them: accepted exactly once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from event_pusher.intake import FeedLost, FeedStarted, Position

log = logging.getLogger(__name__)

#: An acknowledgement is sent after this many entries …
ACK_ENTRIES = 256
#: … or this many seconds, whichever comes first.
ACK_SECONDS = 0.05
#: Entries that made no delivery are committed, for their position alone, after this many seconds.
IDLE_SECONDS = 1.0

Acknowledge = Callable[[str, str, Position], None]


@dataclass(slots=True)
class _Feed:
    source: str
    host: str
    name: str
    epoch: str
    taken: int
    committed: int
    acked: int
    acked_at: float = 0.0
    uncommitted_since: float = 0.0


class Positions:
    """The positions of all feeds, keyed by (source, host, feed)."""

    def __init__(self, loaded: Iterable[tuple[str, str, Position]] = ()) -> None:
        self._feeds: dict[tuple[str, str, str], _Feed] = {}
        self.lost = 0
        self.gaps = 0
        for source, host, position in loaded:
            n = position.n
            self._feeds[source, host, position.feed] = _Feed(source, host, position.feed, position.epoch, n, n, n)

    def take(self, source: str, host: str, position: Position, now: float) -> bool:
        """Take in one entry; False when it was taken before (a replay)."""
        key = (source, host, position.feed)
        feed = self._feeds.get(key)
        if feed is None or feed.epoch != position.epoch:
            n = position.n - 1
            feed = self._feeds[key] = _Feed(source, host, position.feed, position.epoch, n, n, n)
        elif position.n <= feed.taken:
            return False
        if feed.taken == feed.committed:
            feed.uncommitted_since = now
        feed.taken = position.n
        return True

    def dirty(self) -> list[tuple[str, str, Position]]:
        """What the next commit must write."""
        return [
            (feed.source, feed.host, Position(feed.name, feed.epoch, feed.taken))
            for feed in self._feeds.values()
            if feed.taken != feed.committed
        ]

    def committed(self, written: Iterable[tuple[str, str, Position]]) -> None:
        """`written` is on disk now."""
        for source, host, position in written:
            feed = self._feeds[source, host, position.feed]
            if feed.epoch == position.epoch:
                feed.committed = position.n

    def commit_due(self, now: float) -> bool:
        """Whether positions alone are reason enough to commit."""
        return any(
            feed.taken - feed.committed >= ACK_ENTRIES
            or (feed.taken != feed.committed and now - feed.uncommitted_since >= IDLE_SECONDS)
            for feed in self._feeds.values()
        )

    def acknowledge(self, now: float, tell: Acknowledge) -> float | None:
        """Tell every source what is due to be acknowledged; returns when the next one is due, None if none waits."""
        next_due: float | None = None
        for feed in self._feeds.values():
            if feed.committed == feed.acked:
                continue
            due = feed.acked_at + ACK_SECONDS
            if feed.committed - feed.acked >= ACK_ENTRIES or now >= due:
                feed.acked, feed.acked_at = feed.committed, now
                tell(feed.source, feed.host, Position(feed.name, feed.epoch, feed.committed))
            else:
                next_due = due if next_due is None else min(due, next_due)
        return next_due

    def started(self, start: FeedStarted) -> None:
        """
        Hold the feed's own word against what is stored: an epoch that is not ours is a gap of unknown size.

        What is gone of our own epoch is told once more in its place (`told_lost`), and counted there.
        """
        key = (start.source, start.host, start.feed)
        feed = self._feeds.get(key)
        if feed is None:
            return
        if feed.epoch != start.epoch:
            self.gaps += 1
            log.warning(
                "feed %s of %s: the server started anew (epoch %s, was %s); what it had not delivered by then is lost",
                start.feed, start.host, start.epoch, feed.epoch,
            )  # fmt: skip

    def told_lost(self, lost: FeedLost) -> None:
        """Count what the feed says that it had to drop."""
        number = lost.end - lost.start + 1
        self.lost += number
        log.error("feed %s of %s: %d events are lost: the server's ring was full", lost.feed, lost.host, number)

    def all(self) -> list[tuple[str, str, Position]]:
        """Every feed's committed position."""
        return [(f.source, f.host, Position(f.name, f.epoch, f.committed)) for f in self._feeds.values()]

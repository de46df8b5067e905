"""
The core against a model: whatever fails, in whatever order, its promises hold.

Real are the core, the outbox and SQLite; the clock, the feed, the workers and the backend do as they are told. The
database fails at any statement, before it or after it; the process dies at any statement, while it publishes, or while
it acknowledges; another process takes over. The model knows what was told, acknowledged and answered.
"""

from __future__ import annotations

import gc
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event

from event_pusher.abc import DELIVERED, Acc, Attempt, Dead, Delivered, Delivery, Event, Gone, Outcome, Report
from event_pusher.errors import LeaseLost
from event_pusher.intake import Disable, Enable, Occurrence, Position, Refusal
from event_pusher.testing import ManualClock, chat_event
from event_pusher.testing.factories import HOST
from tests.unit.support import DATABASE, EPOCH, FEED, SERVICE, Post, Rig, body_of, post

#: Who gets every message, in a lane of their own …
FIXED = ("ann", "ben", "cat")
#: … and who gets it on the phones that they enabled.
ENABLING = ("dan", "eve")


class Died(BaseException):
    """The process is gone, in the middle of whatever it did."""


class Scripted(Post):
    """Tells the world of each attempt before anything is answered."""

    world: World

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        for attempt in attempts:
            self.world.started(attempt)
        super().publish_many(attempts, report)


class World:
    """Feed, push service and disk, which outlive the process; `rig` is the process."""

    def __init__(self, empty: Path, folder: Path) -> None:
        shutil.copy(empty, folder / DATABASE)
        self.folder = folder
        self.clock = ManualClock()
        self.ring: list[tuple[str, int]] = []
        self.told = self.acked = 0
        self.ended: set[int] = set()
        self.live: dict[int, Attempt] = {}
        self.old: list[Attempt] = []
        self.gone: set[int] = set()
        self.answer: Outcome | None = None
        self.fault: tuple[int, Callable[[], BaseException], bool] | None = None
        self.dies: str | None = None
        self.taken_over = False
        self.broken: list[str] = []
        self.disk = sqlite3.connect(folder / DATABASE, isolation_level=None, timeout=5)
        self.rig: Rig
        self.open()

    # --- the process ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """A new process."""
        self.fault, self.dies, self.taken_over = None, None, False
        self.disk.execute("UPDATE event_pusher_owner SET fence = fence + 1, holder = NULL, expires_at = 0")
        backend = post(cls=Scripted, order_hold=None, retry={"schedule": [1, 5]}, publish_timeout=30)
        self.rig = Rig(self.folder, backend, clock=self.clock)
        self.rig.parts.refill.window.limit, self.rig.parts.refill.window.beds = 8, 1
        event.listen(self.rig.engine, "before_cursor_execute", lambda *_: self._statement(after=False))
        event.listen(self.rig.engine, "after_cursor_execute", lambda *_: self._statement(after=True))
        self.rig._writer.run = partial(self._run, self.rig._writer.run)  # type: ignore[method-assign]  # watched
        scripted = self.rig.post
        assert isinstance(scripted, Scripted)
        scripted.world, scripted.make, scripted.answer = self, self.make, self.answer
        self.rig.feed.acknowledge = self.acknowledged  # type: ignore[method-assign, assignment]  # the feed's ear
        self.told = max((position.n for _, _, position in self.rig.built.positions.all()), default=0)
        assert self.acked <= self.told, "acknowledged, and not committed"
        self.acked = self.told  # where it resumes, the feed forgets

    def die(self) -> None:
        """Gone, and another one starts."""
        self.fault, self.dies = None, None
        self.old += self.live.values()
        self.live.clear()
        self.rig._writer.fence = None  # a dead process gives nothing back
        with suppress(Exception):
            self.rig.crash()
        self.open()

    def turn(self, times: int = 1, seconds: float = 0.01) -> None:
        """Let the process work; it may end."""
        with suppress(Died):
            try:
                self.rig.turn(times, seconds)
            except LeaseLost:
                assert self.taken_over, "another process took over, it says"
            else:
                return
        # Not sooner: the way here keeps what the process had open, and so its locks.
        gc.collect()
        self.die()

    def _run(self, run: Callable[..., Any], statement: str, values: Sequence[Any] = ()) -> Any:
        """What goes past SQLAlchemy may fail too."""
        self._statement(after=False)
        found = run(statement, values)
        self._statement(after=True)
        return found

    def _statement(self, *, after: bool) -> None:
        if self.fault is None or self.fault[2] is not after:
            return
        left, error, _ = self.fault
        self.fault = (left - 1, error, after) if left else None
        if not left:
            raise error()

    # --- feed -------------------------------------------------------------------------------------------------

    def tell(self, start: int, end: int) -> None:
        """Tell the entries from `start` to before `end` (from 1)."""
        self.rig.core.inbox.put_items([self._entry(n) for n in range(start, min(end, len(self.ring) + 1))])

    def _entry(self, n: int) -> Occurrence:
        user, _ = self.ring[n - 1]
        said = chat_event(str(n), recipient=f"{user}@{HOST}", id=f"m{n}")
        return Occurrence("feed", HOST, Position(FEED, EPOCH, n), Acc(f"t{n}", HOST, self.clock.now()), said)

    def acknowledged(self, _host: str, position: Position) -> None:
        """What is acknowledged is on disk, or has ended."""
        committed = self.disk.execute("SELECT n FROM event_pusher_feeds").fetchone()
        self._must(committed is not None and committed[0] >= position.n > self.acked, "acknowledged out of turn")
        missing = set(range(1, position.n + 1)) - self.on_disk() - self.ended - self.optional()
        self._must(not missing, f"acknowledged and lost: {missing}")
        self.acked = position.n
        if self.dies == "acknowledging":
            raise Died

    def optional(self) -> set[int]:
        """Entries that make a delivery only for who has enabled it."""
        return {n for n, (user, _) in enumerate(self.ring, 1) if user in ENABLING}

    def on_disk(self) -> set[int]:
        """Entries of which a delivery waits or is dead."""
        return {int(payload) for (payload,) in self.disk.execute("SELECT payload FROM event_pusher_deliveries")}

    # --- registrations ----------------------------------------------------------------------------------------

    def enable(self, user: str) -> None:
        """`user` enables a phone."""
        self.rig.core.inbox.put_items([Enable(f"{user}@{HOST}", SERVICE, "node", (), lambda _: None)])

    def disable(self, user: str) -> None:
        """`user` disables it; once that is answered, no attempt of it starts."""
        jid = f"{user}@{HOST}"

        def answered(refusal: Refusal | None) -> None:
            if refusal is None:
                self.gone |= before

        found = self.disk.execute("SELECT id FROM event_pusher_registrations WHERE user_jid = ?", (jid,))
        before = {id_ for (id_,) in found}
        self.rig.core.inbox.put_items([Disable(jid, SERVICE, None, answered)])

    # --- the backend ------------------------------------------------------------------------------------------

    def make(self, _acc: Acc, event_: Event) -> list[Delivery]:
        """One delivery for the fixed users, one for each registration of the others."""
        user, payload = str(event_.user), body_of(event_).encode()
        if user.partition("@")[0] in FIXED:
            return [Delivery(user, "target", payload, lane=user)]
        found = self.rig.post.tools.registrations.for_users([user]).get(user, ())
        return [Delivery(user, "target", payload, lane=str(one.id), registration=one.id) for one in found]

    def started(self, attempt: Attempt) -> None:
        """An attempt begins: its row is on disk, its lane is free, nothing before it waits."""
        if self.dies == "publishing":
            raise Died
        row = self.disk.execute("SELECT state FROM event_pusher_deliveries WHERE id = ?", (attempt.id,)).fetchone()
        self._must(row == ("waiting",), f"published, and on disk it is {row}")
        self._must(not self.taken_over, "published after another process took over")
        lane, n = attempt.delivery.lane, int(attempt.delivery.payload)
        self._expire()
        self._must(all(one.delivery.lane != lane for one in self.live.values()), "two in flight in one lane")
        self._must(attempt.delivery.registration not in self.gone, "published after it was disabled")
        user = self.ring[n - 1][0]
        if user in FIXED:
            before = {k for k in range(1, n) if self.ring[k - 1][0] == user} - self.ended
            self._must(not before, f"{n} before {before}")
        self.live[attempt.id] = attempt
        if self.answer is not None:
            self._settled(attempt, self.answer)

    def _expire(self) -> None:
        for id_, one in list(self.live.items()):
            if one.deadline <= self.clock.monotonic():
                self.old.append(self.live.pop(id_))

    def report(self, attempt: Attempt, outcome: Outcome) -> None:
        """The backend says what became of an attempt, be it under way or long over."""
        self._expire()
        if self.live.get(attempt.id) is attempt:
            self._settled(attempt, outcome)
        self.rig.post._report([(attempt, outcome)])

    def _settled(self, attempt: Attempt, outcome: Outcome) -> None:
        self.old.append(self.live.pop(attempt.id))
        if isinstance(outcome, (Delivered, Dead, Gone)):
            self.ended.add(int(attempt.delivery.payload))

    def _must(self, holds: bool, what: str) -> None:
        """Note it: where this is called from, whatever is raised is caught."""
        if not holds:
            self.broken.append(what)

    # --- what always holds ------------------------------------------------------------------------------------

    def check(self) -> None:
        """Nothing committed is lost; memory is bounded."""
        assert not self.broken, self.broken
        committed = self.disk.execute("SELECT coalesce(max(n), 0) FROM event_pusher_feeds").fetchone()[0]
        missing = set(range(1, committed + 1)) - self.on_disk() - self.ended - self.optional()
        assert not missing, f"committed and lost: {missing}"
        ids = [n for (n,) in self.disk.execute("SELECT CAST(payload AS TEXT) FROM event_pusher_deliveries")]
        assert len(ids) == len(set(ids)), "accepted twice"
        window = self.rig.parts.refill.window
        assert 0 <= window.rows <= window.limit + 2 * len(FIXED + ENABLING)

    def heal(self) -> None:
        """From wherever this is: with healthy parts for a while, the outbox is empty and nothing is missing."""
        self.fault = self.dies = None
        self.turn()
        if self.taken_over:
            self.turn(3, seconds=16)
        self.answer = self.rig.post.answer = DELIVERED
        self.rig.post.up = True
        self.tell(self.told + 1, len(self.ring) + 1)
        for _ in range(60):
            self.turn(seconds=6)
        assert self.acked == len(self.ring) or not self.ring
        waiting = self.disk.execute("SELECT id, payload FROM event_pusher_deliveries WHERE state = 'waiting'")
        assert waiting.fetchall() == []
        self.check()
        assert self.rig.core.rows == 0
        assert self.rig.core.in_flight == 0
        assert self.rig.parts.refill.window.rows == 0

    def close(self) -> None:
        """The end."""
        with suppress(Exception):
            self.rig.crash()
        self.disk.close()

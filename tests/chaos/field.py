"""The ground of the proofs: a server end in this process, users with two phones each, a push service with moods."""

from __future__ import annotations

import heapq
import random
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from event_pusher import migrate
from event_pusher.database import open_engine
from event_pusher.loopback import HOLD, LoopbackServer, Publish, Verdict
from event_pusher.registrations import RdbmsRegistrations
from event_pusher.writer import Writer
from tests.chaos.book import Book, Sent, Wanted
from tests.chaos.processes import Launcher, Process

DATABASE = "event-pusher.db"
SERVICE, HOST, ALICE = "app.example.org", "example.org", "alice@example.org/r"
USERS, PHONES = 20, 2
PATIENCE = 3.0
#: The feed is silent while so many deliveries wait.
BACKLOG = 4000
_CONFIG = """\
[database]
url = "{url}"
[sources.component]
domain = "push.example.org"
server = "{server}"
secret = "secret"
hosts = ["example.org"]
[backends.push]
publish_timeout = {patience}
order_hold = "1h"
retry = {{ schedule = ["100ms", "300ms"] }}
[admin]
listen = "{admin}"
{more}
"""
_NODE = re.compile(rb"<publish node='([^']+)'")
_BODY = re.compile(rb"<field var='last-message-body'><value>(\d+)</value>")


class Moods:
    """What the push service does: takes it, refuses it for now, answers late, or never. `well`: it takes everything."""

    def __init__(self, draw: random.Random) -> None:
        self.well = False
        self._draw = draw

    def choose(self) -> str:
        """The next answer."""
        if self.well:
            return "result"
        return self._draw.choices(["result", "error", "late", "never"], [88, 6, 5, 1])[0]


class Field:
    """`server` and `book` outlive the pusher, which `start` starts again and again over one folder."""

    def __init__(
        self, folder: Path, launcher: Launcher, draw: random.Random, *, url: str = "", address: str = "", **given: str
    ) -> None:
        self.folder = folder
        self.launcher = launcher
        self.draw = draw
        self.moods = Moods(draw)
        self.book = Book(PATIENCE)
        self.life = 0
        self.started_at = self.first_at = 0.0
        self.process: Process | None = None
        self.server = LoopbackServer()
        self._late: list[tuple[float, int, Publish, Sent]] = []
        self._ended = threading.Event()
        self._feeding = threading.Event()
        self._events = 0
        self._url = url or f"sqlite:///{DATABASE}"
        self.configure(address, **given)
        self._prepare()

    def __enter__(self) -> Self:
        self.server.start()
        self.server.push_service(SERVICE, self._answer)
        threading.Thread(target=self._answer_late, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
        self.server.close()

    def configure(self, address: str = "", admin: str = "", more: str = "") -> None:
        """Write the configuration; `address`: the XMPP server's, if it is not ours."""
        self.config = self.folder / "event-pusher.toml"
        server = address or self.server.address
        told = {"url": self._url, "server": server, "patience": PATIENCE, "admin": admin, "more": more}
        self.config.write_text(_CONFIG.format(**told))

    def _prepare(self) -> None:
        migrate.upgrade(self._url, self.folder)
        engine = open_engine(self._url, self.folder)
        writer = Writer(engine)
        registrations = RdbmsRegistrations(writer)
        with writer.transaction():
            for user in range(USERS):
                for phone in range(PHONES):
                    registrations.enable(user_name(user), SERVICE, f"{user}-{phone}", (), time.time(), PHONES)
        writer.close()
        engine.dispose()

    # --- the pusher -------------------------------------------------------------------------------------------

    def start(self, launcher: Launcher | None = None) -> Process:
        """Start the pusher; the one before must have ended."""
        self.life += 1
        self.started_at, self.first_at = time.monotonic(), 0.0
        self.process = (launcher or self.launcher).start(self.config, self.folder / "log")
        return self.process

    def wait_connected(self) -> None:
        """Wait until it is connected."""
        assert self.server.wait_for(lambda: self.server.connected, 30.0), self.said()

    def kill(self) -> None:
        """Kill the pusher, and read what it had still written to its stream."""
        assert self.process is not None
        self.process.kill()
        assert self.server.wait_for(lambda: not self.server.connected, 30.0)

    def said(self) -> str:
        """The end of the pusher's log."""
        assert self.process is not None
        return self.process.said()[-3000:]

    # --- events -----------------------------------------------------------------------------------------------

    def write(self, number: int = 1, user: int | None = None) -> None:
        """Let `number` messages come for offline users, one and the same or any."""
        for _ in range(number):
            to = self.draw.randrange(USERS) if user is None else user
            self._events += 1
            with self.server._changed:
                wanted = [Wanted(self._events, f"{to}-{phone}") for phone in range(PHONES)]
                self.book.made(self.server.ring.next, wanted)
                self.server.message(ALICE, user_name(to), str(self._events))

    @property
    def events(self) -> int:
        """How many events were made."""
        return self._events

    @contextmanager
    def feeding(self, rate: float) -> Iterator[None]:
        """Let `rate` messages a second come, as long as the block lasts."""
        done = threading.Event()

        def feed() -> None:
            while not done.wait(0.02):
                if len(self.book.unsent) < BACKLOG:
                    self.write(max(1, round(rate * 0.02)))

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def drain(self, timeout: float = 60.0) -> None:
        """Let the push service be well until everything is published and the outbox is empty."""
        self.moods.well = True

        def drained() -> bool:
            return not self.book.unsent and self.server.acked >= self.server.ring.next - 1

        assert self.server.wait_for(drained, timeout), f"{len(self.book.unsent)} open; the log:\n{self.said()}"
        self.until(lambda: not self.rows(), timeout)

    def until(self, true: object, timeout: float = 30.0) -> None:
        """Ask until it is true: for what tells nobody that it happened."""
        assert callable(true)
        end = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < end, f"it did not happen in time; the log:\n{self.said()}"
            self._ended.wait(0.02)

    # --- the database, as another process sees it -------------------------------------------------------------

    def rows(self) -> dict[str, Wanted]:
        """The deliveries by item id, waiting and dead."""
        with closing(sqlite3.connect(self.folder / DATABASE)) as connection:
            return read_rows(connection)

    @property
    def told(self) -> int:
        """The last entry of the feed of which the pusher spoke: acknowledged, or published of."""
        published = max((self.book.entries[one.wanted] for one in self.book.sent), default=0)
        return max(self.server.acked, published)

    def audit(self) -> None:
        """Hold what a kill left behind against the books; the files stay as they are."""
        copy = self.folder / "audit"
        copy.mkdir(exist_ok=True)
        for name in (DATABASE, f"{DATABASE}-wal"):
            (copy / name).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                shutil.copy(self.folder / name, copy / name)
        with closing(sqlite3.connect(copy / DATABASE)) as connection:
            self.book.audit(self.server.acked, read_position(connection), read_rows(connection))

    # --- the push service -------------------------------------------------------------------------------------

    def _answer(self, publish: Publish) -> Verdict:
        now = time.monotonic()
        self.first_at = self.first_at or now
        wanted = Wanted(int(publish.summary["last-message-body"]), publish.node)
        sent = Sent(wanted, publish.item_id, self.life, now)
        self.book.published(sent)
        mood = self.moods.choose()
        if mood in ("result", "error"):
            self.book.answered(sent, mood)
            return None if mood == "result" else ("wait", "internal-server-error")
        if mood == "late":
            heapq.heappush(self._late, (now + self.draw.uniform(0.05, 0.5), len(self.book.sent), publish, sent))
        return HOLD

    def _answer_late(self) -> None:
        while not self._ended.wait(0.02):
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, publish, sent = heapq.heappop(self._late)
                self.book.answered(sent, "result")
                self.server.answer(publish)


def user_name(number: int) -> str:
    """The user of this number."""
    return f"user{number}@{HOST}"


def read_rows(connection: sqlite3.Connection) -> dict[str, Wanted]:
    """The deliveries of a database by the item id that they are published with."""
    found = connection.execute("SELECT id, trace, payload FROM event_pusher_deliveries")
    return {f"{trace}-{id_}": wanted_of(payload) for id_, trace, payload in found}


def read_position(connection: sqlite3.Connection) -> int:
    """How far the feed is committed."""
    return int(connection.execute("SELECT coalesce(max(n), 0) FROM event_pusher_feeds").fetchone()[0])


def wanted_of(payload: bytes) -> Wanted:
    """Which delivery a payload is."""
    node, body = _NODE.search(payload), _BODY.search(payload)
    assert node is not None
    assert body is not None
    return Wanted(int(body[1]), node[1].decode())

"""The test stand: a prepared database, `server_end`, and ``event-pusher run`` as it is installed, over loopback."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from end_wire import COMPONENT, HOST, SERVICE, user
from kit import HERE, BenchmarkError, Child, Figures, cpu_seconds, rss_mb, running

from event_pusher import migrate
from event_pusher.abc import Delivery, Notification
from event_pusher.admin.client import Remote
from event_pusher.database import open_engine
from event_pusher.outbox.row import Row
from event_pusher.outbox.store import OutboxStore
from event_pusher.registration import Registration
from event_pusher.registrations import RdbmsRegistrations, Record
from event_pusher.writer import Writer
from event_pusher_push.wire import render

#: What is written in one transaction beforehand.
BULK = 10_000
OPTIONS = (("secret", "s"),)
WARM = 2000
_CONFIG = """\
[database]
url = "{url}"
[sources.component]
domain = "{component}"
server = "127.0.0.1:{port}"
secret = "bench"
hosts = ["{host}"]
[admin]
listen = "unix:admin.sock"
[log]
level = "warning"
"""
PUSH = """\
[backends.push]
backend = "rdbms"
content = "full"
"""
_LOG = """\
[backends.log{number}]
type = "log"
"""


HTTP = """\
[[backends.http.handlers]]
url = "{url}"
callback_module = "json"
[backends.http.wpool]
workers = 10
"""


def several(backends: int) -> str:
    """
    The sections of so many backends, each of which makes a delivery of each message.

    Push is the first. The others are log backends, whose line is below the level that is written.
    """
    return PUSH + "".join(_LOG.format(number=number) for number in range(2, backends + 1))


def configuration(url: str, port: int, sections: str = PUSH) -> str:
    """The daemon's, with these sections of backends."""
    return _CONFIG.format(url=url, component=COMPONENT, port=port, host=HOST) + sections


def register(url: str, folder: Path, users: int, services: int = 1) -> None:
    """Make the database, with so many registrations for each of the users."""
    migrate.upgrade(url, folder)
    writer = Writer(open_engine(url, folder))
    store, now, total = RdbmsRegistrations(writer), time.time(), users * services
    try:
        for start in range(0, total, BULK):
            numbers = range(start, min(total, start + BULK))
            made = [Registration(0, user(n // services), SERVICE, f"node-{n}", OPTIONS) for n in numbers]
            with writer.transaction():
                store.put([Record(one, now, now) for one in made])
    finally:
        writer.close()
        writer.engine.dispose()


def wait_on_disk(url: str, folder: Path, users: int, count: int) -> None:
    """Write deliveries that wait, as the push backend makes them, in the lanes of the registrations."""
    writer = Writer(open_engine(url, folder))
    store, now = OutboxStore(writer), time.time()
    try:
        for start in range(0, count, BULK):
            numbers = range(start, min(count, start + BULK))
            with writer.transaction():
                first = store.reserve_ids(len(numbers))
                store.insert([_row(first + n - start, n, users, now) for n in numbers])
    finally:
        writer.close()
        writer.engine.dispose()


def _row(id_: int, number: int, users: int, now: float) -> Row:
    whose = number % users
    registration = Registration(whose + 1, user(whose), SERVICE, f"node-{whose}", OPTIONS)
    fields = (
        ("message-count", "1"),
        ("last-message-sender", f"alice@{HOST}/phone"),
        ("last-message-body", f"m:{number:09d}"),
    )
    payload = render(registration, Notification(fields))
    lane = str(registration.id)
    delivery = Delivery(registration.user, SERVICE, payload, lane=lane, registration=registration.id)
    return Row(id_, "push", lane, delivery, f"bench-{number}", now, now + 86_400)


@dataclass
class Stand:
    """Both ends. `server` has the push service in it."""

    server: Child
    pusher: Child
    folder: Path

    def phase(self, events: int, rate: float = 0, *, copies: int = 1, enables: float = 0) -> Figures:
        """Send events, wait until all their notifications have come, and say what they cost."""
        before = cpu_seconds(self.pusher.pid)
        told = self.server.ask(events=events, rate=rate, copies=copies, enables=enables)
        cpu = cpu_seconds(self.pusher.pid) - before
        count = events * copies
        took = told.pop("enables_ms")
        if enables and not took:
            raise BenchmarkError("no enable was answered; let there be more events")
        at = {f"enable_p{share}_ms": took[min(len(took) - 1, len(took) * share // 100)] for share in (50, 99, 100)
              if took}  # fmt: skip
        return (
            told
            | at
            | {
                "enables": len(took),
                "notifications": count,
                "notifications_per_s": count / told["seconds"],
                "cpu_us_each": cpu / count * 1e6,
                "driver_us_each": told["driver_cpu_s"] / count * 1e6,
                "rss_mb": rss_mb(self.pusher.pid),
                "peak_rss_mb": rss_mb(self.pusher.pid, peak=True),
            }
        )

    def settled(self) -> None:
        """Wait until no delivery waits, whatever the backend."""
        remote = Remote(f"unix:{self.folder / 'admin.sock'}")
        while remote.call("status")["outbox"]["waiting"]:
            time.sleep(0.02)

    def check(self, seconds: float = 0.3) -> Figures:
        """Wait for what should not come; nothing may have come twice. Whatever was measured before holds then."""
        time.sleep(seconds)
        totals: Figures = self.server.ask(totals=True)
        if totals["again"]:
            raise BenchmarkError(f"{totals['again']:.0f} notifications came twice")
        return totals


@contextmanager
def server_end(users: int) -> Iterator[tuple[Child, int]]:
    """The other end, and its port."""
    with running(sys.executable, HERE / "server_end.py", str(users)) as server:
        yield server, server.hear()["port"]


@contextmanager
def prepared(users: int, *, url: str | None = None, services: int = 1, waiting: int = 0) -> Iterator[tuple[Path, str]]:
    """A folder that goes with the block, and a database with registrations and deliveries that wait."""
    with tempfile.TemporaryDirectory(prefix="event-pusher-bench-") as name:
        folder = Path(name)
        database = url or f"sqlite:///{folder}/bench.db"
        register(database, folder, users, services)
        wait_on_disk(database, folder, users, waiting)
        yield folder, database


@contextmanager
def started(folder: Path, url: str, server: Child, port: int, *, sections: str = PUSH) -> Iterator[Child]:
    """The daemon; returns at once."""
    config = folder / "event-pusher.toml"
    config.write_text(configuration(url, port, sections))
    with running(sys.executable, "-m", "event_pusher", "run", "-c", config, cwd=folder) as pusher:
        yield pusher


@contextmanager
def stand(
    users: int = 100, *, url: str | None = None, services: int = 1, backends: int = 1, warm: int = WARM
) -> Iterator[Stand]:
    """Everything fresh, connected and warm."""
    with (
        prepared(users, url=url, services=services) as (folder, database),
        server_end(users) as (server, port),
        started(folder, database, server, port, sections=several(backends)) as pusher,
    ):
        server.hear()
        made = Stand(server, pusher, folder)
        if warm:
            made.phase(max(1, warm // (services * backends)), copies=services)
        yield made

"""What the suites of the database share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from event_pusher import migrate
from event_pusher.abc import Delivery
from event_pusher.database import open_engine
from event_pusher.outbox.row import Row
from event_pusher.outbox.store import OutboxStore
from event_pusher.writer import Writer

NOW = 1_700_000_000.0


@dataclass
class FakeClock:
    """A clock that goes when it is told to."""

    utc: float = NOW
    ticks: float = 100.0

    def now(self) -> float:
        return self.utc

    def monotonic(self) -> float:
        return self.ticks


@contextmanager
def sqlite_engine(folder: Path, *, busy_timeout: float = 0.2) -> Iterator[Engine]:
    """A migrated SQLite database in `folder`."""
    url = "sqlite:///event-pusher.db"
    migrate.upgrade(url, folder)
    engine = open_engine(url, folder, busy_timeout=busy_timeout)
    yield engine
    engine.dispose()


@contextmanager
def writing(engine: Engine) -> Iterator[Writer]:
    """A writer, closed at the end."""
    writer = Writer(engine)
    try:
        yield writer
    finally:
        writer.close()


def make_row(id_: int, *, lane: str = "7", backend: str = "push", registration: int | None = 7) -> Row:
    """A waiting delivery with every field set."""
    delivery = Delivery(
        "bob@example.org", "p2.example.net", b"<x\x00/>", 1, lane, registration, None, "collapse", 3600.0
    )
    return Row(id_, backend, lane, delivery, "trace-1", NOW, NOW + 3600.0)


def insert(writer: Writer, count: int, **fields: object) -> list[Row]:
    """Reserve ids and commit `count` rows."""
    store = OutboxStore(writer)
    first = store.reserve_ids(count)
    rows = [make_row(first + n, **fields) for n in range(count)]  # type: ignore[arg-type]  # the fields of make_row
    with writer.transaction():
        store.insert(rows)
    return rows

"""The engine: which database, how its connections are set up, and connections that only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from event_pusher.errors import StorageError
from event_pusher.storage_errors import STORAGE_ERRORS, storage_error

#: Seconds that a statement waits for another writer.
BUSY_TIMEOUT = 5.0
#: KiB of pages that a SQLite connection keeps: what waits is mostly read and deleted while it is still there.
CACHE_KIB = 4096
#: Pages of 4 KiB in SQLite's log from which on a commit copies it itself: four times what `checkpoints` lets it reach.
LOG_PAGES = 16_000
#: Bytes that the log's file keeps when it begins anew.
LOG_KEPT = 16 * 1024 * 1024
_CURE = "run `event-pusher db upgrade`"
_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def open_engine(url: str, folder: Path, *, busy_timeout: float = BUSY_TIMEOUT, create: bool = False) -> Engine:
    """
    Make the engine for `url`; a relative SQLite path starts at `folder`.

    `busy_timeout`: seconds that a statement waits for another writer. Only with `create` may a SQLite file come into
    being (mode 0600). Raises `StorageError` with the cure: unknown or missing driver, no such file.
    """
    parsed = read_url(url, folder)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, busy_timeout, create=create)
    return _postgresql(parsed, busy_timeout)


def read_url(url: str, folder: Path) -> URL:
    """Check `url` and complete it: driver named, path absolute. Raises `StorageError`."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError("[database] url is not a database URL; write sqlite:///FILE or postgresql://…") from None
    if parsed.drivername not in _DRIVERS:
        raise StorageError(
            f"[database] url: {parsed.drivername} is not supported; use sqlite:///FILE or postgresql+psycopg://…"
        )
    parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
    if parsed.get_backend_name() != "sqlite":
        return parsed
    name = parsed.database or ""
    if name in {"", ":memory:"} or name.startswith("file:"):
        raise StorageError("[database] url: nothing accepted may be lost, so name a plain file: sqlite:///FILE")
    return parsed.set(database=str(folder / name))


def _sqlite(url: URL, busy_timeout: float, *, create: bool) -> Engine:
    path = Path(str(url.database))
    try:
        if create and not path.exists():
            path.touch(mode=0o600)
        found = path.is_file()
    except OSError as error:
        doing = "create" if create else "open"
        raise StorageError(f"cannot {doing} the database {path}: {error.strerror}") from None
    if not found:
        raise StorageError(f"there is no database {path}; {_CURE}")
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", hide_parameters=True, connect_args={"timeout": busy_timeout}
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        # FULL: what was acknowledged survives a power cut; measured 4 % slower than NORMAL.
        # A statement that takes many rows keeps what it changed until it is through: in memory, not in a file.
        settings = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY")
        log = (f"wal_autocheckpoint = {LOG_PAGES}", f"journal_size_limit = {LOG_KEPT}")
        for pragma in (*settings, f"cache_size = -{CACHE_KIB}", *log):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgresql(url: URL, busy_timeout: float) -> Engine:
    arguments = {
        "application_name": "event-pusher",
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "tcp_user_timeout": 30_000,
        "options": f"-c lock_timeout={int(busy_timeout * 1000)}",
    }
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    try:
        return create_engine(
            url, isolation_level="AUTOCOMMIT", hide_parameters=True, pool_pre_ping=True, connect_args=arguments
        )
    except ImportError:
        raise StorageError(
            "PostgreSQL needs the psycopg driver; run `pip install 'event-pusher[postgresql]'`"
        ) from None


@contextmanager
def reader(engine: Engine) -> Iterator[Connection]:
    """Lend a connection for reading, to a thread of its own; holds no snapshot between statements."""
    try:
        with engine.connect() as connection:
            yield connection
    except STORAGE_ERRORS as error:
        raise storage_error(error) from None

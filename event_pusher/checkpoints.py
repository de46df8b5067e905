"""
SQLite's log is copied into the file beside the core: a thread of its own, so that no commit waits for it.

A commit that copies the log itself takes 50 ms and more, and everything behind it waits. A passive checkpoint holds
nobody up, but under load it never finds the moment in which the log may begin anew; so behind it, once the log is long,
comes one that keeps the writer out for the little that is left. A reader that stays can still make the log grow without
bound: that is told.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from sqlalchemy import Connection, Engine

from event_pusher.database import BUSY_TIMEOUT, LOG_KEPT, reader
from event_pusher.errors import StorageError

log = logging.getLogger(__name__)

#: Bytes of the log from which on it is to begin anew; its file keeps them, for one that grows is slower to sync …
RESTART_BYTES = LOG_KEPT
#: … and from which on somebody must be told.
LONG_BYTES = 256 * 1024 * 1024
#: The log is copied so often: a page that changes again meanwhile, as most of a short queue do, is copied once.
LOOK_SECONDS = 0.5
#: The one that keeps the writer out waits no longer for anybody: it is tried again.
BUSY_MILLISECONDS = 50
PAGE_BYTES = 4096


class Checkpoints:
    """Copies the log of the SQLite database behind `engine`, from `start` to `close`; any other one has none."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        self._log = Path(f"{file}-wal") if file else None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen = 0
        #: Why the log is long, None while it is not.
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin."""
        if self._log is not None:
            self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End; twice is fine."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except StorageError as error:
                log.debug("no checkpoint: %s", error)  # the writer meets the same, and tells it

    def look(self) -> None:
        """Copy what there is to copy. Raises `StorageError`."""
        size, changed = self._look()
        if changed != self._seen:
            with reader(self._engine) as connection:
                self._copy(connection)
            self._seen = changed
        self._tell(size)

    def _copy(self, connection: Connection) -> None:
        [(_, pages, _)] = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if pages * PAGE_BYTES >= RESTART_BYTES:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(RESTART)").fetchall()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")

    def _look(self) -> tuple[int, int]:
        """Bytes of the log's file, and when it changed last (nanoseconds); nothing without one."""
        try:
            found = self._log.stat() if self._log is not None else None
        except OSError:
            found = None
        return (found.st_size, found.st_mtime_ns) if found is not None else (0, 0)

    def _tell(self, size: int) -> None:
        if size < LONG_BYTES:
            self.trouble = None
        elif self.trouble is None:
            self.trouble = f"SQLite's log has {size >> 20} MB: some other program keeps a transaction open on the file"
            log.warning("%s; end it, and the log begins anew by itself", self.trouble)

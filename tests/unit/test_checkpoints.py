"""SQLite's log is copied beside the writer, begins anew, and says so when it cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from event_pusher import checkpoints as module
from event_pusher.checkpoints import Checkpoints
from event_pusher.database import LOG_KEPT, open_engine
from event_pusher.writer import Writer
from tests.unit.support import DATABASE

MB = 1 << 20


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{DATABASE}", folder)
    yield made
    made.dispose()


@pytest.fixture
def writer(engine: Engine) -> Iterator[Writer]:
    """A writer with a table to fill."""
    made = Writer(engine)
    made.run("CREATE TABLE filling (content BLOB)")
    yield made
    made.close()


def fill(writer: Writer, megabytes: int) -> None:
    """Write so much, in commits of 1 MB."""
    for _ in range(megabytes):
        with writer.transaction():
            for _ in range(256):
                writer.run("INSERT INTO filling VALUES (randomblob(3900))")


def size(folder: Path) -> int:
    """Bytes of the log."""
    return (folder / f"{DATABASE}-wal").stat().st_size


def frames(writer: Writer) -> int:
    """Pages in the log."""
    [(_, pages, _)] = writer.run("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return int(pages)


def test_what_was_written_is_copied_and_nothing_is_done_when_nothing_was(
    engine: Engine, writer: Writer, folder: Path
) -> None:
    # Given a log
    fill(writer, 4)
    before = (folder / DATABASE).stat().st_size
    watch = Checkpoints(engine)
    # When it is looked at
    watch.look()
    # Then all of it is in the file
    assert (folder / DATABASE).stat().st_size >= before + 4 * MB
    # And the second look touches nothing
    copied = (folder / DATABASE).stat().st_mtime_ns
    watch.look()
    assert (folder / DATABASE).stat().st_mtime_ns == copied


def test_a_long_one_begins_anew_with_the_next_commit_and_its_file_stays(
    engine: Engine, writer: Writer, folder: Path
) -> None:
    # Given a log beyond the bound
    fill(writer, 20)
    assert size(folder) > module.RESTART_BYTES
    # When it is looked at, and something is written
    Checkpoints(engine).look()
    fill(writer, 1)
    # Then the log begins anew, in a file that keeps its size
    assert frames(writer) < 600
    assert size(folder) == LOG_KEPT


def test_a_reader_that_stays_keeps_the_log_and_nobody_waits_for_it(
    engine: Engine, writer: Writer, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a reader in the middle of a transaction
    monkeypatch.setattr(module, "LONG_BYTES", 24 * MB)
    other = sqlite3.connect(folder / DATABASE, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM filling").fetchall()
    # When the log grows and is looked at
    watch = Checkpoints(engine)
    fill(writer, 25)
    watch.look()
    # Then it is told, and the writer goes on
    assert watch.trouble is not None
    assert "keeps a transaction open" in caplog.text
    fill(writer, 1)
    # And when the reader is gone, so is the trouble
    other.close()
    watch.look()
    fill(writer, 1)
    watch.look()
    assert watch.trouble is None
    assert size(folder) == LOG_KEPT


def test_a_thread_looks_until_it_is_closed(
    engine: Engine, writer: Writer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    watch = Checkpoints(engine)
    watch.start()
    fill(writer, 20)
    for _ in range(200):
        fill(writer, 1)
        if size(folder) == LOG_KEPT:
            break
    watch.close()
    watch.close()
    assert size(folder) == LOG_KEPT

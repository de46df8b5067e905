"""The engine and the writer under SQLite: paths, full disk, locked file."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from storage import insert, make_row, sqlite_engine, writing
from writer_suite import WriterSuite

from event_pusher import migrate
from event_pusher.database import open_engine, read_url
from event_pusher.errors import StorageError
from event_pusher.intake import Position
from event_pusher.outbox.store import OutboxStore

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
input()
"""


class TestWriterUnderSqlite(WriterSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        with sqlite_engine(tmp_path) as engine:
            yield engine

    def test_a_full_disk_loses_nothing_and_the_next_commit_works_after_the_cure(self, engine: Engine) -> None:
        with writing(engine) as writer:
            store = OutboxStore(writer)
            first = store.reserve_ids(1000)
            rows = [make_row(first + n) for n in range(1000)]
            # Given a database that may not grow
            pages = writer.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            writer.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            # When more is committed than fits
            with pytest.raises(StorageError, match="disk is full"), writer.transaction():  # noqa: PT012 - the whole transaction is what raises
                store.save_positions([("c", "example.org", Position("a", "e", 1))])
                store.insert(rows)
            # Then nothing is half-written
            assert (store.counts(), store.load_positions()) == ({}, [])
            # And with room again the same commit works
            writer.connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
            with writer.transaction():
                store.insert(rows)
            assert store.counts() == {("push", "waiting"): 1000}

    def test_a_savepoint_that_took_its_transaction_along_lets_nothing_else_through(self, engine: Engine) -> None:
        with writing(engine) as writer:
            store = OutboxStore(writer)
            store.reserve_ids(10)
            # Given a failure that ended the whole transaction, as a full disk may
            with pytest.raises(StorageError), writer.transaction() as connection:  # noqa: PT012 - the whole transaction is what raises
                store.insert([make_row(1)])
                with pytest.raises(StorageError), writer.savepoint():  # noqa: PT012 - and the savepoint
                    connection.exec_driver_sql("ROLLBACK")
                    connection.exec_driver_sql("SELECT 1 FROM nowhere")
                # When the rest goes on
                store.insert([make_row(2)])
            # Then neither part is there, and the next transaction works
            assert store.counts() == {}
            insert(writer, 1)

    def test_a_database_that_another_process_locks_fails_after_the_timeout_and_works_after_it(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        # Given another process that writes
        arguments = [sys.executable, "-c", LOCK, str(tmp_path / "event-pusher.db")]
        with (
            subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
            writing(engine) as writer,
        ):
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            # Then a commit says so, reads go on
            with pytest.raises(StorageError, match="database is locked"), writer.transaction():
                pytest.fail("the lock is not there")
            assert OutboxStore(writer).counts() == {}
            # And works when the other is done
            process.communicate("\n")
            assert insert(writer, 1)

    def test_every_connection_is_durable_and_waits(self, engine: Engine) -> None:
        with writing(engine) as writer:
            names = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
            found = [writer.connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
        assert found == ["wal", 2, 200, 1]

    def test_a_writer_holds_the_lock_from_the_beginning(self, engine: Engine) -> None:
        with writing(engine) as writer, writing(engine) as other, writer.transaction():
            refused = pytest.raises(StorageError, match="locked")
            with refused, other.transaction():
                pytest.fail("two writers at once")


class TestUrls:
    def test_a_relative_sqlite_path_starts_at_the_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "etc"
        folder.mkdir()
        migrate.upgrade("sqlite:///data.db", folder)
        assert (folder / "data.db").exists()
        assert read_url("sqlite:///data.db", folder).database == str(folder / "data.db")
        assert read_url("sqlite:////srv/data.db", folder).database == "/srv/data.db"

    def test_only_the_upgrade_creates_the_file_and_for_its_owner_only(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="run `event-pusher db upgrade`"):
            open_engine("sqlite:///data.db", tmp_path)
        assert list(tmp_path.iterdir()) == []
        migrate.upgrade("sqlite:///data.db", tmp_path)
        assert (tmp_path / "data.db").stat().st_mode & 0o777 == 0o600

    def test_a_file_that_cannot_be_created_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"cannot create the database .*missing/data\.db: No such file"):
            migrate.upgrade("sqlite:///missing/data.db", tmp_path)

    def test_a_folder_that_we_may_not_enter_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_path: Path) -> bool:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "is_file", refuse)
        with pytest.raises(StorageError, match=r"cannot open the database .*data\.db: Permission denied"):
            open_engine("sqlite:///data.db", tmp_path)

    def test_a_file_that_is_no_database_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "data.db").write_text("certainly not a database\n" * 100)
        engine = open_engine("sqlite:///data.db", tmp_path)
        with writing(engine) as writer, pytest.raises(StorageError, match="file is not a database"):
            OutboxStore(writer).counts()

    def test_an_empty_database_names_the_cure(self, tmp_path: Path) -> None:
        sqlite3.connect(tmp_path / "data.db").execute("VACUUM").connection.close()
        with pytest.raises(StorageError, match="event-pusher db upgrade"):
            migrate.require_current(open_engine("sqlite:///data.db", tmp_path))

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("nonsense", "not a database URL"),
            ("mysql://u:hidden@db/x", "mysql is not supported"),
            ("postgresql+asyncpg://u:hidden@db/x", r"postgresql\+asyncpg is not supported"),
            ("sqlite://", "name a plain file"),
            ("sqlite:///:memory:", "name a plain file"),
            ("sqlite:///file:x?mode=memory&uri=true", "name a plain file"),
        ],
    )
    def test_a_url_we_cannot_use_is_refused_with_a_cure_and_without_its_password(self, url: str, says: str) -> None:
        with pytest.raises(StorageError, match=says) as caught:
            open_engine(url, Path())
        assert "hidden" not in str(caught.value)

    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_postgresql_means_psycopg(self, scheme: str) -> None:
        assert read_url(f"{scheme}://db/x", Path()).drivername == "postgresql+psycopg"

    def test_a_missing_driver_names_the_pip_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(StorageError, match=r"pip install 'event-pusher\[postgresql\]'"):
            open_engine("postgresql://db/x", Path())

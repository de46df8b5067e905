"""The same suites as under SQLite, on a real PostgreSQL; and what only a server can do: go away."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lease_suite import LeaseSuite
from migration_suite import MigrationSuite
from outbox_suite import OutboxSuite
from postgresql import PostgreSql, postgresql
from registration_suite import RdbmsRegistrationSuite
from sqlalchemy import Engine
from storage import FakeClock, insert, make_row, writing
from writer_suite import WriterSuite

from event_pusher.database import open_engine
from event_pusher.errors import StorageError
from event_pusher.outbox.lease import Lease
from event_pusher.outbox.store import OutboxStore
from event_pusher.writer import Writer

__all__ = ["postgresql"]  # a fixture, found by its name

pytestmark = pytest.mark.servers


@pytest.fixture
def url(postgresql: PostgreSql) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_engine(url, Path(), busy_timeout=30)
    yield engine
    engine.dispose()


class TestOutboxUnderPostgresql(OutboxSuite):
    pass


class TestLeaseUnderPostgresql(LeaseSuite):
    def test_a_takeover_waits_for_the_commit_that_is_under_way(self, engine: Engine) -> None:
        # Given a holder in the middle of a transaction, its lease expired
        with writing(engine) as writer, writing(engine) as other:
            first, second = Lease(writer, FakeClock(), "one"), Lease(other, FakeClock(), "two")
            first.acquire()
            writer.connection.exec_driver_sql("UPDATE event_pusher_owner SET expires_at = 0")
            taken = threading.Event()

            def take() -> None:
                second.acquire()
                taken.set()

            taker = threading.Thread(target=take)
            with writer.transaction():
                OutboxStore(writer).insert([make_row(1)])
                # When another takes over
                taker.start()
                _await_lock(engine)
                # Then it comes after the commit, not between
                assert not taken.is_set()
            taker.join(30)
            assert taken.is_set()
            assert OutboxStore(other).highest_id() == 1


class TestRegistrationsUnderPostgresql(RdbmsRegistrationSuite):
    pass


class TestMigrationsUnderPostgresql(MigrationSuite):
    pass


class TestWriterUnderPostgresql(WriterSuite):
    def test_a_connection_that_is_cut_is_opened_again(self, engine: Engine) -> None:
        with writing(engine) as writer:
            # Given a writer whose connection the server cut, in a transaction and outside
            store = OutboxStore(writer)
            first = store.reserve_ids(2)
            with pytest.raises(StorageError), writer.transaction():  # noqa: PT012 - the whole transaction is what raises
                store.insert([make_row(first)])
                _cut(engine, writer)
                store.insert([make_row(first + 1)])
            # Then nothing of it is there, and the next use has a new one
            assert store.counts() == {}
            _cut(engine, writer)
            with pytest.raises(StorageError):
                store.counts()
            assert store.counts() == {}

    def test_a_connection_that_broke_while_it_was_idle_costs_no_commit(self, engine: Engine) -> None:
        with writing(engine) as writer:
            _cut(engine, writer)
            assert insert(writer, 1)

    def test_a_server_that_was_away_is_found_again(self, postgresql: PostgreSql, engine: Engine) -> None:
        with writing(engine) as writer:
            insert(writer, 1)
            # Given a server that is gone
            postgresql.control("-m", "immediate", "stop")
            store = OutboxStore(writer)
            for _ in range(2):
                with pytest.raises(StorageError) as caught, writer.transaction():
                    pytest.fail("there is nobody")
                assert "\n" not in str(caught.value)
            # When it comes back
            postgresql.start()
            # Then what was committed is there, and the next commit works
            assert insert(writer, 1)
            assert store.counts() == {("push", "waiting"): 2}

    def test_a_row_that_another_locks_fails_after_the_timeout(self, url: str, engine: Engine) -> None:
        # Given a program that holds the owner's row
        hasty = open_engine(url, Path(), busy_timeout=0.1)
        with writing(engine) as other, writing(hasty) as writer, other.transaction() as connection:
            connection.exec_driver_sql("SELECT 1 FROM event_pusher_owner FOR UPDATE")
            # Then a commit that needs it says so
            with pytest.raises(StorageError, match="lock timeout"):
                OutboxStore(writer).reserve_ids(1)
        hasty.dispose()

    def test_text_that_postgresql_refuses_is_the_rows_fault(self, engine: Engine) -> None:
        with writing(engine) as writer:
            row = make_row(1)
            row.trace = "nul\x00"
            with pytest.raises(StorageError) as caught, writer.transaction():
                OutboxStore(writer).insert([row])
            assert type(caught.value).__name__ == "RowRefused"

    def test_the_settings_of_the_url_win(self, url: str) -> None:
        engine = open_engine(f"{url}&application_name=mine", Path())
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW application_name").scalar() == "mine"
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "5s"
        engine.dispose()


def _cut(engine: Engine, writer: Writer) -> None:
    driver = writer.connection.connection.driver_connection
    assert driver is not None
    with engine.connect() as connection:
        # With a timeout the server answers when the other end is gone.
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({driver.info.backend_pid}, 10000)")


def _await_lock(engine: Engine) -> None:
    with engine.connect() as connection:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            if connection.exec_driver_sql(waiting).scalar():
                return
    pytest.fail("nobody waits for the lock")

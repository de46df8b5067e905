"""The writer on any database. A subclass provides the fixture `engine`: migrated and empty."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from storage import insert, make_row, writing

from event_pusher.database import reader
from event_pusher.errors import LeaseLost, StorageError
from event_pusher.outbox.store import OutboxStore
from event_pusher.writer import Writer


class WriterSuite:
    @pytest.fixture
    def writer(self, engine: Engine) -> Iterator[Writer]:
        with writing(engine) as writer:
            yield writer

    def test_an_exception_undoes_the_transaction(self, writer: Writer) -> None:
        with pytest.raises(KeyError), writer.transaction():  # noqa: PT012 - the whole transaction is what raises
            OutboxStore(writer).insert([make_row(1)])
            raise KeyError
        assert OutboxStore(writer).counts() == {}

    def test_a_swallowed_error_cannot_lose_the_rest_in_silence(self, writer: Writer) -> None:
        # Given a transaction in which a statement failed and the error was swallowed
        store = OutboxStore(writer)
        committed = True
        try:
            with writer.transaction() as connection:
                store.insert([make_row(1)])
                with pytest.raises(Exception, match="nowhere"):
                    connection.exec_driver_sql("SELECT 1 FROM nowhere")
        except StorageError:
            committed = False
        # Then what it answered is what happened
        assert store.counts() == ({("push", "waiting"): 1} if committed else {})

    def test_an_error_is_one_line_with_its_cure_and_without_values(self, writer: Writer) -> None:
        with pytest.raises(StorageError) as caught, writer.transaction() as connection:
            connection.exec_driver_sql(writer.sql("SELECT ? FROM nowhere"), ("a secret",))
        assert "nowhere" in str(caught.value)
        assert "db upgrade" in str(caught.value)
        assert "a secret" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_reads_see_what_others_committed(self, engine: Engine, writer: Writer) -> None:
        # Given a writer and a reader that have both read before
        store = OutboxStore(writer)
        with reader(engine) as connection, writing(engine) as other:
            assert store.counts() == {}
            assert connection.exec_driver_sql("SELECT count(*) FROM event_pusher_deliveries").scalar() == 0
            # When another connection commits
            insert(other, 1)
            # Then neither holds on to an old snapshot
            assert store.counts() == {("push", "waiting"): 1}
            assert connection.exec_driver_sql("SELECT count(*) FROM event_pusher_deliveries").scalar() == 1

    def test_a_fenced_writer_writes_nothing_once_another_owns_the_database(self, writer: Writer) -> None:
        # Given a writer whose fence is no longer the database's
        store = OutboxStore(writer)
        writer.fence = 41
        # When it writes
        with pytest.raises(LeaseLost), writer.transaction():
            store.insert([make_row(1)])
        # Then nothing is there
        assert store.counts() == {}

    def test_transactions_do_not_nest(self, writer: Writer) -> None:
        with writer.transaction(), pytest.raises(RuntimeError), writer.transaction():
            pass

    def test_a_closed_writer_opens_again(self, writer: Writer) -> None:
        writer.close()
        writer.close()
        assert OutboxStore(writer).counts() == {}

"""Migrations on any database. A subclass provides the fixtures `engine` (migrated and empty) and `url`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect
from storage import NOW, insert, writing

from event_pusher import migrate
from event_pusher.errors import StorageError
from event_pusher.outbox.admin import Filters, OutboxAdmin
from event_pusher.outbox.history import Tried, read
from event_pusher.outbox.store import OutboxStore
from event_pusher.registrations import RdbmsRegistrations
from event_pusher.schema import metadata
from event_pusher.writer import Writer

#: The statements of the release whose newest revision was 0001, with values.
OLD_INSERT = (
    "INSERT INTO event_pusher_deliveries (id, backend, lane, lane_key, trace, accepted_at, expires_at, attempts,"
    " due_at, overtaken, recipient, target, payload, format, registration_id, registration_key, collapse_key)"
    " VALUES (?, 'push', '1', 0, 'trace', 1000.0, NULL, ?, 0.0, ?, 'bob@example.org', 'p2', ?, 1, 1, 1, NULL)"
)
OLD_REGISTRATION = (
    "INSERT INTO event_pusher_registrations (identity, user_jid, host, service, node, options, created_at, updated_at,"
    " disabled_at, disabled_reason) VALUES (?, ?, 'example.org', 'p2', 'n', '[]', 1000.0, 1000.0, ?, ?)"
)
OLD_UPDATES = (
    "UPDATE event_pusher_deliveries SET attempts = 1, due_at = 2, overtaken = true, reason = 'x' WHERE id = 1",
    "UPDATE event_pusher_deliveries SET state = 'dead', attempts = 1, reason = 'x', failed_at = 3.0 WHERE id = 4",
    "UPDATE event_pusher_registrations SET disabled_at = 1.0, disabled_reason = 'x' WHERE id = 1",
    "DELETE FROM event_pusher_registrations WHERE id = 2",
)


def fill_0001(writer: Writer) -> None:
    """Write what the release of revision 0001 writes: rows that are new, retried, overtaken, dead; registrations."""
    rows = [(1, 0, False, b"1"), (2, 3, False, b"2"), (3, 4, True, b"3"), (4, 5, False, b"4")]
    with writer.transaction() as connection:
        connection.exec_driver_sql(writer.sql(OLD_INSERT), rows)
        connection.exec_driver_sql(
            "UPDATE event_pusher_deliveries SET state = 'dead', reason = 'refused', failed_at = 1001.0 WHERE id = 4"
        )
        for number, (user, at, reason) in enumerate([("bob", None, None), ("eve", 1001.0, "item-not-found")]):
            values = (bytes([number]) * 32, f"{user}@example.org", at, reason)
            connection.exec_driver_sql(writer.sql(OLD_REGISTRATION), values)


def differences(writer: Writer) -> list[object]:
    options = {"version_table": migrate.VERSION_TABLE, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(writer.connection, opts=options), metadata))


def run(writer: Writer, action: str, revision: str) -> None:
    config = migrate.make_config()
    with writer.transaction() as connection:
        config.attributes["connection"] = connection
        getattr(command, action)(config, revision)


class MigrationSuite:
    @pytest.fixture
    def writer(self, engine: Engine) -> Iterator[Writer]:
        with writing(engine) as writer:
            yield writer

    def test_migrations_equal_the_models(self, writer: Writer) -> None:
        assert differences(writer) == []

    def test_there_is_a_single_head(self) -> None:
        assert len(ScriptDirectory.from_config(migrate.make_config()).get_heads()) == 1

    def test_down_to_nothing_and_up_again(self, engine: Engine, writer: Writer) -> None:
        run(writer, "downgrade", "base")
        assert inspect(engine).get_table_names() == [migrate.VERSION_TABLE]
        run(writer, "upgrade", "heads")
        assert differences(writer) == []

    def test_a_database_that_is_behind_is_refused_with_the_cure(self, engine: Engine, writer: Writer) -> None:
        migrate.require_current(engine)
        run(writer, "downgrade", "base")
        assert migrate.pending(engine)
        with pytest.raises(StorageError, match="event-pusher db upgrade"):
            migrate.require_current(engine)

    def test_upgrading_twice_changes_nothing(self, writer: Writer, url: str, tmp_path: Path) -> None:
        insert(writer, 1)
        assert migrate.upgrade(url, tmp_path) == migrate.current(url, tmp_path) == ["0003"]
        assert OutboxStore(writer).highest_id() == 1

    def test_a_filled_database_of_the_first_revision_is_read_by_this_release(self, writer: Writer) -> None:
        # Given what the release before left behind: rows in every state, as its own statements wrote them
        run(writer, "downgrade", "0001")
        fill_0001(writer)
        # When it is upgraded
        run(writer, "upgrade", "0002")
        # Then this release reads all of it
        store, registrations = OutboxStore(writer), RdbmsRegistrations(writer)
        assert [(row.id, row.attempts, row.overtaken) for row in store.load_after(0, 10)] == [
            (1, 0, False),
            (2, 3, False),
            (3, 4, True),
        ]
        assert list(registrations.for_users(["bob@example.org", "eve@example.org"])) == ["bob@example.org"]
        with writer.reading() as connection:
            told = {one["id"]: (one["state"], one["history"]) for one in OutboxAdmin(connection).list_(Filters())}
        assert told == {1: ("waiting", None), 2: ("waiting", None), 3: ("waiting", None), 4: ("dead", None)}

    def test_what_the_first_revision_left_is_retried_and_buried_with_its_history(self, writer: Writer) -> None:
        # Given rows of the release before
        run(writer, "downgrade", "0001")
        fill_0001(writer)
        run(writer, "upgrade", "0002")
        # When this release tries them
        store = OutboxStore(writer)
        rows = store.load_after(0, 2)
        news = {row.id: [Tried(NOW, row.attempts + 1, "retry", "no")] for row in rows}
        with writer.transaction() as connection:
            store.reschedule(rows[:1], ["no"], news)
            store.bury(rows[1:], ["no"], NOW, news)
            assert OutboxAdmin(connection).retry_chunk([4], NOW) == [4]
        # Then each row has what happened to it from now on
        with writer.reading() as connection:
            shown = [OutboxAdmin(connection).show(row.id) for row in rows]
        assert [read(one["history"]) for one in shown if one] == [
            [{"at": NOW, "number": row.attempts + 1, "outcome": "retry", "reason": "no"}] for row in rows
        ]

    def test_the_release_before_goes_on_while_the_database_is_upgraded(self, writer: Writer) -> None:
        # Given a database that was upgraded while the release before runs
        fill_0001(writer)
        # Then all its statements go on working
        with writer.transaction() as connection:
            for statement in OLD_UPDATES:
                connection.exec_driver_sql(statement)
        assert [row.id for row in OutboxStore(writer).load_after(0, 10)] == [1, 2, 3]

    def test_one_step_down_keeps_what_waits(self, writer: Writer) -> None:
        # Given a filled database of this release
        (row,) = insert(writer, 1)
        with writer.transaction():
            OutboxStore(writer).reschedule([row], ["no"], {row.id: [Tried(NOW, 1, "retry", "no")]})
        # When it goes a revision back, and on again
        run(writer, "downgrade", "0001")
        run(writer, "upgrade", "0002")
        # Then the delivery is there
        assert [found.id for found in OutboxStore(writer).load_after(0, 10)] == [row.id]

    def test_a_revision_of_a_package_that_is_gone_is_named(
        self, engine: Engine, writer: Writer, url: str, tmp_path: Path
    ) -> None:
        # Given a database that a plugin's tables were added to, and the plugin gone
        writer.connection.exec_driver_sql(f"INSERT INTO {migrate.VERSION_TABLE} VALUES ('acme7')")
        # Then both the start and the upgrade say which revision is missing
        with pytest.raises(StorageError, match="revision acme7, which no installed package has"):
            migrate.require_current(engine)
        with pytest.raises(StorageError, match="acme7"):
            migrate.upgrade(url, tmp_path)

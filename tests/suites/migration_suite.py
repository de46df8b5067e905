"""Migrations on any database. A subclass provides the fixtures `engine` (migrated and empty) and `url`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect
from storage import insert, writing

from event_pusher import migrate
from event_pusher.database import Writer
from event_pusher.errors import StorageError
from event_pusher.outbox.store import OutboxStore
from event_pusher.schema import metadata


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
        assert migrate.upgrade(url, tmp_path) == migrate.current(url, tmp_path) == ["0001"]
        assert OutboxStore(writer).highest_id() == 1

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

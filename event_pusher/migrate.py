"""
Alembic for operators: ``event-pusher db upgrade``, for the core's tables and third parties' alike.

A distribution adds its tables with an entry point in the group ``event_pusher.migrations`` whose value is a package
with a folder ``versions``; its first revision has ``down_revision = None`` and a branch label of its own.
"""

from __future__ import annotations

import importlib.resources
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from event_pusher.database import open_engine, reader
from event_pusher.errors import PluginError, StorageError
from event_pusher.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

GROUP = "event_pusher.migrations"
#: Alembic's own table, under our prefix like the others.
VERSION_TABLE = "event_pusher_alembic_version"
CORE = "event_pusher_migrations"
_CURE = "run `event-pusher db upgrade`"


def upgrade(url: str, folder: Path) -> list[str]:
    """
    Bring the database to the newest revisions, all or nothing; a SQLite file is created (mode 0600) if need be.

    Gives the heads. Raises `StorageError`, `PluginError`.
    """
    engine = open_engine(url, folder, create=True)
    try:
        with _writing(engine) as connection:
            config = make_config()
            _require_known(config, connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "heads")
            return _stamped(connection)
    finally:
        engine.dispose()


def current(url: str, folder: Path) -> list[str]:
    """Give the revisions that the database is at. Raises `StorageError`."""
    engine = open_engine(url, folder)
    try:
        with reader(engine) as connection:
            return _stamped(connection)
    finally:
        engine.dispose()


def history() -> list[str]:
    """Describe every revision installed, oldest first: ``0001 (event_pusher): what it does``."""
    found = []
    for script in ScriptDirectory.from_config(make_config()).walk_revisions():
        branch = ", ".join(sorted(script.branch_labels))
        found.append(f"{script.revision} ({branch}): {script.doc}" if branch else f"{script.revision}: {script.doc}")
    return found[::-1]


def pending(engine: Engine) -> bool:
    """Whether the database lacks a revision that is installed. Raises `StorageError`."""
    config = make_config()
    with reader(engine) as connection:
        _require_known(config, connection)
        return set(_stamped(connection)) != set(ScriptDirectory.from_config(config).get_heads())


def require_current(engine: Engine) -> None:
    """Raise `StorageError`, with the cure, unless the database is at the newest revisions."""
    if pending(engine):
        raise StorageError(f"the database lacks tables of this release; {_CURE}")


def make_config() -> Config:
    """
    Make alembic's configuration from what is installed: no file, no URL, nothing on standard output.

    Raises `PluginError` when a package of migrations cannot be found.
    """
    places = {CORE: _package(CORE)}
    for point in sorted(entry_points(group=GROUP)):
        places.setdefault(point.value, _package(point.value))
    config = Config(attributes={"packaged": True})
    config.set_main_option("script_location", _escaped(places[CORE]))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(_escaped(place / "versions") for place in places.values()))
    return config


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    """One transaction around all revisions; whatever alembic objects to becomes a `StorageError`."""
    writer = Writer(engine)
    try:
        with writer.transaction() as connection:
            yield connection
    except CommandError as error:
        raise StorageError(f"the migration failed: {error}") from None
    finally:
        writer.close()


def _require_known(config: Config, connection: Connection) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    strange = sorted(set(_stamped(connection)) - known)
    if strange:
        raise StorageError(
            f"the database is at revision {', '.join(strange)}, which no installed package has; "
            "install the release or the plugin that it came from"
        )


def _stamped(connection: Connection) -> list[str]:
    return sorted(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads())


def _package(name: str) -> Path:
    try:
        return Path(str(importlib.resources.files(name)))
    except (ImportError, TypeError) as error:
        raise PluginError(f"{GROUP}: the package {name} cannot be found ({error}); install it again") from None


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")

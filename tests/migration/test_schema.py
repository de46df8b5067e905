"""Migrations under SQLite, and what is installed beside the core."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from migration_suite import MigrationSuite
from sqlalchemy import Engine, inspect
from storage import sqlite_engine

from event_pusher import migrate
from event_pusher.database import open_engine
from event_pusher.errors import PluginError

ROOT = Path(__file__).parents[2]
ACME = '''
"""Acme's table"""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "acme1", None, ("acme",), "0002"


def upgrade():
    op.create_table("acme", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("acme")
'''


class TestMigrationsUnderSqlite(MigrationSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        with sqlite_engine(tmp_path) as engine:
            yield engine

    @pytest.fixture
    def url(self) -> str:
        return "sqlite:///event-pusher.db"


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, package: str, revision: str | None = None) -> None:
    """Let an entry point name `package`; with the text of a `revision`, the package is there too."""
    if revision is not None:
        versions = folder / package / "versions"
        versions.mkdir(parents=True)
        (versions.parent / "__init__.py").touch()
        (versions / "racme1.py").write_text(revision)
        monkeypatch.syspath_prepend(folder)
    points = EntryPoints([EntryPoint("acme", package, migrate.GROUP)])
    monkeypatch.setattr(migrate, "entry_points", lambda group: points.select(group=group))


def test_a_third_partys_tables_come_with_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an installed package with migrations of its own
    install(monkeypatch, tmp_path, "acme_good_migrations", ACME)
    # When the operator upgrades
    migrate.upgrade("sqlite:///x.db", tmp_path)
    # Then its table is there beside ours, and its revision is told
    engine = open_engine("sqlite:///x.db", tmp_path)
    assert {"acme", "event_pusher_owner"} <= set(inspect(engine).get_table_names())
    assert migrate.current("sqlite:///x.db", tmp_path) == ["0003", "acme1"]
    assert "acme1 (acme): Acme's table" in migrate.history()
    engine.dispose()


def test_a_package_of_migrations_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, tmp_path, "acme_gone_migrations")
    with pytest.raises(PluginError, match="acme_gone_migrations"):
        migrate.make_config()


def test_a_failing_revision_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a second revision that fails half-way
    broken = ACME.replace("\n\ndef downgrade", "    raise KeyError\n\n\ndef downgrade")
    install(monkeypatch, tmp_path, "acme_bad_migrations", broken)
    # When the operator upgrades
    with pytest.raises(KeyError):
        migrate.upgrade("sqlite:///x.db", tmp_path)
    # Then none of it is there
    engine = open_engine("sqlite:///x.db", tmp_path)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_an_upgrade_tells_our_logger_and_not_standard_output(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, logger="event_pusher"):
        migrate.upgrade("sqlite:///x.db", tmp_path)
    assert ("event_pusher.migrate", logging.INFO, "migrated to revision 0003") in caplog.record_tuples
    assert capsys.readouterr() == ("", "")


def test_alembic_itself_works_in_a_checkout(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "EVENT_PUSHER_DATABASE_URL": f"sqlite:///{tmp_path}/x.db",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    alembic = [sys.executable, "-m", "alembic"]
    subprocess.run([*alembic, "upgrade", "head"], cwd=ROOT, env=environment, check=True, capture_output=True)
    subprocess.run([*alembic, "check"], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert migrate.current("sqlite:///x.db", tmp_path) == ["0003"]


def test_alembic_in_a_checkout_without_a_url_says_what_to_set() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "EVENT_PUSHER_DATABASE_URL"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "set EVENT_PUSHER_DATABASE_URL" in done.stderr

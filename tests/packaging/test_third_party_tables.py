"""A third party's tables: a distribution with an alembic branch of its own, installed beside ours, and taken away."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
CONFIG = """
[database]
url = "sqlite:///event-pusher.db"
[sources.component]
domain = "push.example.org"
secret = "s3cret"
hosts = ["example.org"]
[backends.push]
"""


@pytest.fixture(scope="module")
def installed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the distribution is installed: who has it on the path has it."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    source = tree / "tests/third_party/event-pusher-tables"
    subprocess.run([*pip, "--target", folder, source], check=True, capture_output=True)
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config = tmp_path / "event-pusher.toml"
    config.write_text(CONFIG)
    return config


def tables(config: Path) -> set[str]:
    with sqlite3.connect(config.with_name("event-pusher.db")) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_one_command_upgrades_both_branches(alone: Run, installed: Path, config: Path) -> None:
    # Given a database that has our tables alone
    assert alone("event-pusher", "db", "upgrade", "-c", config).returncode == 0
    assert "acme_quotas" not in tables(config)
    # When the third party's package is there and the operator upgrades
    done = alone("event-pusher", "db", "upgrade", "-c", config, PYTHONPATH=str(installed))
    # Then its branch is at its head beside ours
    assert done.returncode == 0, done.stderr
    assert {"acme_quotas", "event_pusher_owner"} <= tables(config)
    current = alone("event-pusher", "db", "current", "-c", config, PYTHONPATH=str(installed)).stdout.split()
    assert "acme2" in current
    assert len(current) == 2


def test_the_history_names_both_branches(alone: Run, installed: Path) -> None:
    history = alone("event-pusher", "db", "history", PYTHONPATH=str(installed)).stdout
    assert "acme1 (acme): Quotas of users" in history
    assert "(event_pusher): " in history


def test_a_database_that_lacks_its_tables_is_refused(alone: Run, installed: Path, config: Path) -> None:
    # Given our tables alone, and its package
    alone("event-pusher", "db", "upgrade", "-c", config)
    # When the daemon is started
    done = alone("event-pusher", "run", "-c", config, PYTHONPATH=str(installed))
    # Then it says what to do
    assert done.returncode == 1
    assert "run `event-pusher db upgrade`" in done.stderr


@pytest.mark.parametrize("command", [("run",), ("db", "upgrade")])
def test_a_package_that_was_taken_away_is_missed(
    command: tuple[str, ...], alone: Run, installed: Path, config: Path
) -> None:
    # Given a database with its tables
    assert alone("event-pusher", "db", "upgrade", "-c", config, PYTHONPATH=str(installed)).returncode == 0
    # When the package is gone
    done = alone("event-pusher", *command, "-c", config)
    # Then the revision is named, in one line, with the cure
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "the database is at revision acme2, which no installed package has" in line
    assert "install the release or the plugin that it came from" in line


def test_check_tells_it_too(alone: Run, installed: Path, config: Path) -> None:
    alone("event-pusher", "db", "upgrade", "-c", config, PYTHONPATH=str(installed))
    done = alone("event-pusher", "check", "-c", config)
    assert done.returncode == 1
    assert "FAIL database: the database is at revision acme2" in done.stdout

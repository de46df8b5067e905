"""A migrated database for each test, and the core over it without threads."""

# ruff: noqa: E402 - the path and the rewriting come before the imports that need them

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Where `tests` lies, so that its modules can name each other however pytest was started.
sys.path.insert(0, str(Path(__file__).parents[2]))
pytest.register_assert_rewrite("tests.unit.support")

from event_pusher import migrate
from tests.unit.support import DATABASE, Rig, Rigs


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, made once."""
    folder = tmp_path_factory.mktemp("empty")
    migrate.upgrade(f"sqlite:///{DATABASE}", folder)
    return folder / DATABASE


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    """A folder with a migrated database of its own."""
    shutil.copy(empty_database, tmp_path / DATABASE)
    return tmp_path


@pytest.fixture
def rigs(folder: Path) -> Iterator[Rigs]:
    """Make rigs over the database of this test, one after the other; what is left open is closed."""
    made: list[Rig] = []

    def make(**given: object) -> Rig:
        made.append(Rig(folder, **given))  # type: ignore[arg-type]  # the arguments of Rig
        return made[-1]

    yield make
    for rig in made:
        rig.crash()


@pytest.fixture
def rig(rigs: Rigs) -> Rig:
    """The core with one backend, `Post`, over a real database."""
    return rigs()

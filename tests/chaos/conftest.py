"""Fixtures of the proofs: a pusher that starts fast, and the core over a real database, as the unit tests have it."""

# ruff: noqa: E402 - the path and the rewriting come before the imports that need them

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Where `tests` lies, so that its modules can name each other however pytest was started.
sys.path.insert(0, str(Path(__file__).parents[2]))
for _name in ("unit.support", "chaos.book", "chaos.field", "chaos.kill_loop", "chaos.machine"):
    pytest.register_assert_rewrite(f"tests.{_name}")

from tests.chaos.processes import Warm
from tests.unit.conftest import empty_database, folder, rig, rigs

__all__ = ["empty_database", "folder", "rig", "rigs", "warm"]


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """A process that has imported event-pusher; each start is a fork of it."""
    with Warm() as one:
        yield one

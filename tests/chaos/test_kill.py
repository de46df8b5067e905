"""Killed at any moment, again and again: what was acknowledged is not lost. `kill_loop.py` does it more often."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.chaos.kill_loop import kill_loop
from tests.chaos.processes import Warm

#: How many kills; more by the environment, or with `python tests/chaos/kill_loop.py`.
KILLS = int(os.environ.get("EVENT_PUSHER_KILLS", "50"))
#: So many of the power cuts.
CUTS = KILLS // 4


@pytest.fixture
def seed() -> int:
    """Printed, for a replay: ``python tests/chaos/kill_loop.py --seed …``."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure
    return seed


def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path, warm: Warm, seed: int) -> None:
    # Given messages at some hundred a second, and a push service with moods
    # When the process is killed at random moments (the audit after each is in the loop)
    figures = kill_loop(tmp_path, warm, seed, KILLS)
    print(figures)  # noqa: T201 - as above
    # Then everything came through, in order, and what was repeated is within its bound
    assert figures.kills == KILLS
    assert figures.published >= figures.events


def test_a_power_cut_that_drops_unsynced_pages_loses_nothing_that_was_acknowledged(
    tmp_path: Path, warm: Warm, seed: int
) -> None:
    # When after each kill the log of the database is cut at random, behind what an acknowledgement promised
    figures = kill_loop(tmp_path, warm, seed, CUTS, cut=True)
    print(figures)  # noqa: T201 - as above
    # Then something was cut, and everything came through all the same
    assert figures.cut_bytes > 0

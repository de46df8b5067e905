"""What `event-pusher new` writes, installed beside ours: it passes its own tests at once."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("kind", ["backend", "push-plugin"])
def test_its_own_tests_pass_at_once(kind: str, with_written: Run, written: dict[str, Path], tmp_path: Path) -> None:
    # Given its tests, away from what they test
    copy = tmp_path / kind
    copy.mkdir()
    shutil.copytree(written[kind] / "tests", copy / "tests")
    shutil.copy(written[kind] / "pyproject.toml", copy)
    # When they run
    done = with_written("python", "-m", "pytest", "-q", cwd=copy)
    # Then they pass, and none is skipped
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_both_are_found_by_their_names(with_written: Run) -> None:
    done = with_written("event-pusher", "plugins", "--json")

    found = {(row["group"], row["name"]) for row in json.loads(done.stdout)}
    assert {("event_pusher.backends", "acme-chat"), ("event_pusher.plugins.push", "quiet")} <= found

"""Asked to stop, and a disk without room: the real process."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from event_pusher.app import DRAIN_SECONDS
from tests.chaos.field import Field
from tests.chaos.processes import Warm

#: What a busy machine may add.
SLACK = 20.0


@pytest.fixture
def field(tmp_path: Path, warm: Warm) -> Iterator[Field]:
    """A ground whose push service is well."""
    with Field(tmp_path, warm, random.Random(3)) as ground:
        ground.moods.well = True
        yield ground


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of so many megabytes of its own."""
    folder = tempfile.mkdtemp(prefix="ep")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "event-pusher-test", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        Path(folder).rmdir()


def test_sigterm_under_load_ends_with_0_and_repeats_nothing(field: Field) -> None:
    # Given messages at some hundred a second
    process = field.start()
    field.wait_connected()
    with field.feeding(300):
        field.server.wait_for(lambda: len(field.book.sent) > 100)
        # When it is asked to stop, Then it does, within its time, with 0
        process.signal(signal.SIGTERM)
        assert process.wait(DRAIN_SECONDS + SLACK) == 0
    # And the next one goes on without a repetition
    field.start()
    field.drain()
    field.book.check(in_flight=0)
    assert field.book.repeats().total() == 0


def test_a_second_sigterm_ends_at_once(field: Field) -> None:
    # Given a push service that does not answer, so that draining would last
    field.moods.choose = lambda: "never"  # type: ignore[method-assign]  # for this test
    process = field.start()
    field.wait_connected()
    field.write(20)
    field.server.wait_for(lambda: len(field.book.sent) > 10)
    process.signal(signal.SIGTERM)
    field.until(lambda: "stopping" in field.said())
    # When the signal comes again, Then it is over, and not with 0
    process.signal(signal.SIGTERM)
    assert process.wait(SLACK) == 1
    # And nothing is lost
    field.audit()


def test_a_full_disk_pauses_intake_says_so_and_recovers_by_itself(warm: Warm) -> None:
    with small_disk(4) as folder, Field(folder, warm, random.Random(4), admin="unix:admin.sock") as ground:
        ground.moods.well = True
        process = ground.start()
        ground.wait_connected()
        ground.write(10)
        ground.server.wait_for(lambda: not ground.book.unsent)
        # When the disk is full while messages come
        ballast = folder / "ballast"
        fill(ballast)
        with ground.feeding(200):
            ground.until(lambda: "intake pauses" in ground.said())
            # Then the status says so, and nothing more is acknowledged
            assert "disk" in json.dumps(status(ground.config)["health"])
        # And when there is room, it goes on by itself, with all of it
        ballast.unlink()
        ground.drain()
        ground.book.check(in_flight=100)
        assert "well again" in ground.said()
        process.kill()


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def status(config: Path) -> dict[str, object]:
    """What `event-pusher status` says."""
    command = [sys.executable, "-m", "event_pusher", "status", "--json", "-c", str(config)]
    told: dict[str, object] = json.loads(subprocess.run(command, check=False, capture_output=True, text=True).stdout)
    return told

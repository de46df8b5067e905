"""
``kill -9`` at random points, again and again: what was acknowledged is never lost.

    python tests/chaos/kill_loop.py [--kills 1000] [--cut] [--seed N] [--rate 300]

A server end in this process tells of messages; a push service answers, refuses, answers late or never; ``event-pusher
run`` is killed at a random moment of its start or its work, and started again. After each kill the database is held
against what was acknowledged and published; at the end all is drained and counted. With ``--cut`` the WAL is cut after
each kill, at random, behind what an acknowledgement or a publish had promised (see `wal.py`). The figures come last.
"""

# ruff: noqa: T201 - a command: it finds the tests by itself, and prints

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.chaos.field import DATABASE, PHONES, USERS, Field
from tests.chaos.processes import Installed, Launcher, Warm
from tests.chaos.wal import cut_wal

#: Every so many starts are the command as installed; the others are forks, for speed.
INSTALLED_EVERY = 10


@dataclass(slots=True)
class Figures:
    """What a loop found; `first` are the seconds from a start to its first publish."""

    kills: int = 0
    events: int = 0
    published: int = 0
    repeated: int = 0
    worst: int = 0
    cut_bytes: int = 0
    first: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        first = f"{statistics.median(self.first):.2f} s" if self.first else "-"
        return (
            f"{self.kills} kills, {self.events} events, {self.events * PHONES} deliveries, {self.published} publishes: "
            f"0 lost, {self.repeated} repeated though taken (at most {self.worst} for one kill), "
            f"start to first delivery {first} (median), {self.cut_bytes} bytes of WAL cut"
        )


def kill_loop(
    folder: Path, launcher: Launcher, seed: int, kills: int, *, rate: float = 300, cut: bool = False
) -> Figures:
    """Kill and start `kills` times, drain, check; raises `AssertionError` where a promise is broken."""
    draw = random.Random(seed)
    figures = Figures()
    with Field(folder, launcher, draw) as ground:
        with ground.feeding(rate):
            for number in range(kills):
                ground.start(Installed() if number % INSTALLED_EVERY == 0 else launcher)
                _live(ground, draw)
                ground.kill()
                figures.kills += 1
                if ground.first_at:
                    figures.first.append(ground.first_at - ground.started_at)
                ground.audit()
                if cut:
                    figures.cut_bytes += cut_wal(folder / DATABASE, ground.told, draw)
        ground.start()
        ground.drain()
        # A lane holds one in flight: there are no more of them than registrations.
        ground.book.check(USERS * PHONES)
        repeats = ground.book.repeats()
        figures.events, figures.published = ground.events, len(ground.book.sent)
        figures.repeated, figures.worst = repeats.total(), max(repeats.values(), default=0)
    return figures


def _live(ground: Field, draw: random.Random) -> None:
    """Let it live for a random time: one in five dies while it starts, the others at work."""
    if draw.random() < 0.2:
        threading.Event().wait(draw.uniform(0.0, 0.15))
        return
    ground.wait_connected()
    threading.Event().wait(draw.uniform(0.0, 0.5))


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=300, help="events a second")
    parser.add_argument("--seed", type=int, default=None, help="what a former run printed")
    parser.add_argument("--cut", action="store_true", help="drop unsynced pages of the WAL after each kill")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ep") as name, Warm() as warm:
        figures = kill_loop(Path(name), warm, seed, given.kills, rate=given.rate, cut=given.cut)
    print(f"{figures}; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

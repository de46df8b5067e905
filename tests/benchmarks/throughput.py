"""
How many notifications a second one process delivers, durably: on SQLite (``synchronous=FULL``) and on PostgreSQL.

    python tests/benchmarks/throughput.py [--events 40000] [--runs 3] [--users 100] [--only sqlite] …

Each run has a calibration beside it: the shortest script that does the work without durability (bare.py), before the
same other end. A machine's speed drifts; the ratio to that script does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from database_server import postgresql
from kit import HERE, Column, Figures, Result, carry_out, cpu_seconds, family, parser, running
from stand import WARM, Stand, server_end, stand

BARE = "bare script, not durable"
COLUMNS = (
    Column("notifications_per_s", "notifications/s"),
    Column("ratio", "of the bare script", 2),
    Column("cpu_us_each", "CPU-µs each"),
    Column("cpu_ratio", "times its CPU", 2),
    Column("database_us_each", "database server's CPU-µs each"),
    Column("driver_us_each", "the other end's CPU-µs each"),
    Column("peak_rss_mb", "peak RSS MB"),
)


def bare(events: int, users: int) -> Figures:
    """What the script does."""
    with (
        server_end(users) as (server, port),
        running(sys.executable, HERE / "bare.py", str(port)) as script,
        tempfile.TemporaryDirectory() as name,
    ):
        server.hear()
        made = Stand(server, script, Path(name))
        made.phase(WARM)
        figures = made.phase(events)
        made.check()
        return figures


@contextmanager
def database(kind: str) -> Iterator[tuple[str | None, int | None]]:
    """The URL of an empty database and the id of its server; None = a SQLite file of the stand's own."""
    if kind == "sqlite":
        yield None, None
    else:
        with postgresql() as (url, pid):
            yield url, pid


def durable(kind: str, events: int, users: int) -> Figures:
    """What event-pusher does on this kind of database."""
    with database(kind) as (url, pid), stand(users, url=url) as made:
        members = family(pid) if pid else []
        before = sum(map(cpu_seconds, members))
        figures = made.phase(events)
        if members:
            figures["database_us_each"] = (sum(map(cpu_seconds, members)) - before) / events * 1e6
        made.check()
        return figures


def one_run(given: argparse.Namespace) -> dict[str, Figures]:
    """The calibration, then each database."""
    reference = bare(given.events, given.users)
    found = {BARE: reference}
    for kind, name in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        if given.only in (None, kind):
            figures = found[name] = durable(kind, given.events, given.users)
            figures["ratio"] = figures["notifications_per_s"] / reference["notifications_per_s"]
            figures["cpu_ratio"] = figures["cpu_us_each"] / reference["cpu_us_each"]
    return found


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__)
    options.add_argument("--events", type=int, default=40_000)
    options.add_argument("--users", type=int, default=100)
    options.add_argument("--only", choices=("sqlite", "postgresql"), help="only this database")
    given = options.parse_args()
    title = f"{given.events:,} notifications as fast as they go, {given.users:,} users"
    plot = ("notifications_per_s", "cpu_us_each")
    carry_out(given, lambda: one_run(given), lambda found: Result(title, "", COLUMNS, found, plot))


if __name__ == "__main__":
    main()

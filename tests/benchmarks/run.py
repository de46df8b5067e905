"""
The benchmark: events through a loopback stream to a counting push service, durable on SQLite (``synchronous=FULL``).

    python tests/benchmarks/run.py [--events 40000] [--runs 3] [--users 100] [--json FILE] [--plot FILE]

Three processes on one machine: the XMPP server's end with the push service (`server_end.py`), ``event-pusher run`` as
it is installed, and this one, which reads the pusher's CPU time and memory from /proc. Medians of the runs. The other
benchmarks here (README.md) go into each of the figures.
"""

from __future__ import annotations

import argparse

from kit import Column, Figures, Result, carry_out, parser
from latency import phases
from stand import stand
from throughput import BARE, bare

COLUMNS = (
    Column("notifications_per_s", "notifications/s"),
    Column("cpu_us_each", "CPU-µs each"),
    Column("p50_ms", "p50 ms", 1),
    Column("p99_ms", "p99 ms", 1),
    Column("peak_rss_mb", "peak RSS MB"),
)


def one_run(given: argparse.Namespace) -> dict[str, Figures]:
    """All phases with fresh processes and a fresh database."""
    with stand(given.users, url=given.database) as made:
        found = {"as fast as it goes": made.phase(given.events), **phases(made, (200.0, 2000.0), 5.0)}
        made.check()
    found[BARE] = bare(given.events, given.users)
    return found


def table(given: argparse.Namespace, found: dict[str, Figures]) -> Result:
    """The table, and the ratio of its first line to its last."""
    title = f"{given.events:,} notifications to {given.users:,} users, then two fixed rates"
    fast, reference = found["as fast as it goes"], found[BARE]
    ratio = fast["notifications_per_s"] / reference["notifications_per_s"]
    cpu = fast["cpu_us_each"] / reference["cpu_us_each"]
    note = f"{ratio:.2f} of what the bare script does, at {cpu:.1f} times its CPU."
    return Result(title, "load", COLUMNS, found, ("notifications_per_s", "cpu_us_each", "p99_ms"), [note])


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__)
    options.add_argument("--events", type=int, default=40_000)
    options.add_argument("--users", type=int, default=100)
    options.add_argument("--database", help="a SQLAlchemy URL of an empty database; default: SQLite in a new folder")
    given = options.parse_args()
    if given.database and given.runs > 1:
        options.error("a database is empty only once: --runs 1")
    carry_out(given, lambda: one_run(given), lambda found: table(given, found))


if __name__ == "__main__":
    main()

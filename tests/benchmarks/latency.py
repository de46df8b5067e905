"""
How long a notification takes: from the first byte of its event to its publish, at fixed rates.

    python tests/benchmarks/latency.py [--rates 200 2000 8000] [--seconds 5] [--runs 3] [--json FILE] [--plot FILE]

The driver takes both times itself, at the socket. "late" is how far it fell behind its own schedule: what it could not
send in time (a stalled other end, or the driver itself) is not in the latencies, so it stands beside them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kit import Column, Figures, Result, carry_out, parser
from stand import Stand, stand

RATES = (200.0, 2000.0, 8000.0)
COLUMNS = (
    Column("notifications_per_s", "notifications/s"),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
    Column("p999_ms", "p99.9 ms", 2),
    Column("late_ms", "late at most, ms", 1),
    Column("backlog", "without credit at most"),
    Column("cpu_us_each", "CPU-µs each"),
)


def phases(made: Stand, rates: Sequence[float], seconds: float) -> dict[str, Figures]:
    """One phase for each rate."""
    return {f"{rate:,.0f}/s": made.phase(max(200, int(rate * seconds)), rate) for rate in rates}


def one_run(given: argparse.Namespace) -> dict[str, Figures]:
    """A stand of its own."""
    with stand(given.users) as made:
        found = phases(made, given.rates, given.seconds)
        made.check()
        return found


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__)
    options.add_argument("--rates", type=float, nargs="+", default=RATES, help="notifications a second")
    options.add_argument("--seconds", type=float, default=5.0, help="how long each phase lasts")
    options.add_argument("--users", type=int, default=100)
    given = options.parse_args()
    title = f"Latency at fixed rates, durable on SQLite, {given.users:,} users"
    plot = ("p50_ms", "p99_ms", "p999_ms")
    carry_out(given, lambda: one_run(given), lambda found: Result(title, "rate", COLUMNS, found, plot))


if __name__ == "__main__":
    main()

"""
Twice what it can do for a minute, then what it takes to recover: no loss, credit held, memory bounded, time to drain.

    python tests/benchmarks/overload.py [--seconds 60] [--factor 2] [--runs 3] [--json FILE] [--plot FILE]

First a phase as fast as it goes says what it can do. Then the server has `--factor` times that; what has no credit
waits in its ring. The driver never exceeds the window, by construction: `outstanding` is the most that was on its way
unacknowledged, and must have come to the window but not beyond. Afterwards 200 a second must be as quick as before.
"""

from __future__ import annotations

import argparse

from kit import BenchmarkError, Column, Figures, Result, carry_out, parser
from stand import Stand, stand

QUIET = 200.0
COLUMNS = (
    Column("notifications_per_s", "notifications/s"),
    Column("backlog", "waited for credit at most"),
    Column("outstanding", "unacknowledged at most"),
    Column("drain_s", "time to drain, s", 1),
    Column("cpu_us_each", "CPU-µs each"),
    Column("p50_ms", "p50 ms", 1),
    Column("p99_ms", "p99 ms", 1),
    Column("rss_mb", "RSS MB"),
)


def overload(made: Stand, seconds: float, factor: float, calibration: int) -> dict[str, Figures]:
    """Quiet, as fast as it goes, too much, quiet again."""
    found = {"200/s before": made.phase(1000, QUIET), "as fast as it goes": made.phase(calibration)}
    rate = factor * found["as fast as it goes"]["notifications_per_s"]
    too_much = made.phase(int(rate * seconds), rate)
    found[f"{factor:g} times that for {seconds:g} s"] = too_much
    found["200/s after"] = made.phase(1000, QUIET)
    window = made.check()["window"]
    if too_much["outstanding"] > window:
        raise BenchmarkError(f"{too_much['outstanding']:.0f} were unacknowledged, the window is {window:.0f}")
    return found


def one_run(given: argparse.Namespace) -> dict[str, Figures]:
    """A stand of its own."""
    with stand(given.users) as made:
        return overload(made, given.seconds, given.factor, given.events)


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--factor", type=float, default=2.0)
    options.add_argument("--events", type=int, default=20_000, help="of the phase that says what it can do")
    options.add_argument("--users", type=int, default=100)
    given = options.parse_args()
    plot = ("notifications_per_s", "p99_ms", "rss_mb")
    carry_out(given, lambda: one_run(given), lambda found: Result("Overload", "", COLUMNS, found, plot))


if __name__ == "__main__":
    main()

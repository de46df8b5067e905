"""
How long an ``<enable/>`` takes while the pusher works as fast as it can.

    python tests/benchmarks/enable.py [--events 60000] [--enables 50] [--users 100] [--rate 0] [--json FILE]

Processes as in run.py. While messages come (`--rate` a second, 0 = as fast as the pusher acknowledges), `--enables`
clients a second enable push. Each stands in one stream behind the messages that were sent before it: what is measured
is what a client sees. What must hold: p99 < 250 ms.
"""

from __future__ import annotations

import argparse

from kit import Column, Figures, Result, carry_out, parser
from stand import stand

COLUMNS = (
    Column("enables", "enables"),
    Column("notifications_per_s", "notifications/s meanwhile"),
    Column("enable_p50_ms", "p50 ms", 1),
    Column("enable_p99_ms", "p99 ms", 1),
    Column("enable_p100_ms", "longest ms", 1),
)


def one_run(given: argparse.Namespace) -> dict[str, Figures]:
    """Fresh processes, a fresh database."""
    with stand(given.users) as made:
        return {f"{given.enables:g}/s": made.phase(given.events, given.rate, enables=given.enables)}


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__, runs=1)
    options.add_argument("--events", type=int, default=60_000)
    options.add_argument("--enables", type=float, default=50.0)
    options.add_argument("--users", type=int, default=100)
    options.add_argument("--rate", type=float, default=0.0)
    given = options.parse_args()
    plot = ("enable_p50_ms", "enable_p99_ms")
    carry_out(given, lambda: one_run(given), lambda found: Result("Enables under load", "", COLUMNS, found, plot))


if __name__ == "__main__":
    main()

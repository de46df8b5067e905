"""
Whether anything grows or gets lost in an hour: memory, open files, published = delivered, nothing twice.

    python tests/benchmarks/soak.py [--minutes 60] [--rate 500] [--lines 12] [--json FILE] [--plot FILE]

One process, one run. Each slice waits for its last notification; when nothing more comes, a lost one ends the
benchmark. The exit code is 1 when the last slice has more open files than the first, or a tenth more memory.
"""

from __future__ import annotations

import sys

from kit import BenchmarkError, Column, Figures, Result, load, open_files, parser, publish
from stand import Stand, stand

SLICE_SECONDS = 10.0
MOST_GROWTH = 1.1
COLUMNS = (
    Column("delivered", "delivered so far, each once"),
    Column("notifications_per_s", "notifications/s"),
    Column("cpu_us_each", "CPU-µs each"),
    Column("p99_ms", "worst p99 ms", 1),
    Column("rss_mb", "RSS MB"),
    Column("open_files", "open files"),
)


def soak(made: Stand, seconds: float, rate: float, lines: int) -> dict[str, Figures]:
    """One line of figures for each part of the time."""
    slices = max(lines, int(seconds / SLICE_SECONDS))
    events = max(1, int(rate * seconds / slices))
    found: dict[str, Figures] = {}
    worst = total = 0.0
    for number in range(1, slices + 1):
        figures = made.phase(events, rate)
        total += events
        worst = max(worst, figures["p99_ms"])
        if number * lines // slices > (number - 1) * lines // slices:
            files = open_files(made.pusher.pid)
            line = f"{number * seconds / slices / 60:.1f} min"
            found[line] = figures | {"delivered": total, "open_files": files, "p99_ms": worst}
            worst = 0.0
    return found


def judge(found: dict[str, Figures]) -> list[str]:
    """What grew that must not."""
    first, last = next(iter(found.values())), list(found.values())[-1]
    grown = []
    if last["open_files"] > first["open_files"]:
        grown.append(f"open files: {first['open_files']:.0f} → {last['open_files']:.0f}")
    if last["rss_mb"] > first["rss_mb"] * MOST_GROWTH:
        grown.append(f"memory: {first['rss_mb']:.0f} → {last['rss_mb']:.0f} MB")
    return grown


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__, runs=1)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--rate", type=float, default=500.0, help="messages a second")
    options.add_argument("--users", type=int, default=1000)
    options.add_argument("--lines", type=int, default=12, help="lines of the table")
    given = options.parse_args()
    try:
        before = load()
        with stand(given.users) as made:
            found = soak(made, given.minutes * 60, given.rate, given.lines)
            made.check(2.0)
        grown = judge(found)
        verdict = "Grown: " + "; ".join(grown) if grown else "Nothing grew, nothing was lost, nothing came twice."
        notes = [verdict, f"One run. Before: {before}; after: {load()}."]
        title = f"{given.minutes:g} minutes at {given.rate:g} messages a second"
        publish(given, Result(title, "after", COLUMNS, found, ("rss_mb", "open_files", "p99_ms"), notes), [found])
    except BenchmarkError as error:
        sys.exit(f"benchmark: {error}")
    sys.exit(1 if grown else 0)


if __name__ == "__main__":
    main()

"""
Whether a notification costs the same whatever there is: registrations, services of a user, backends, what waits.

    python tests/benchmarks/scale.py [--part registrations services backends start] [--most 1000000] [--runs 3] …

The database is prepared by bulk SQL, once for each size and run. `start` is the time from the start of the process to
its first publish; with what waits on disk, the memory is read after `--events` of it were delivered.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from kit import BenchmarkError, Column, Figures, Result, carry_out, cpu_seconds, parser, rss_mb
from stand import Stand, prepared, server_end, stand, started

SIZES = (1000, 10_000, 100_000, 1_000_000)
SERVICES = (1, 5, 20, 50)
BACKENDS = (1, 2, 4, 8)
WAITING_USERS = 100_000
COLUMNS = (
    Column("notifications_per_s", "notifications/s"),
    Column("cpu_us_each", "CPU-µs each"),
    Column("cost", "of the first line", 2),
    Column("rss_mb", "RSS MB"),
    Column("peak_rss_mb", "peak RSS MB"),
    Column("start_s", "start to first publish, s", 2),
)
Part = Callable[[argparse.Namespace], dict[str, Figures]]


def registrations(given: argparse.Namespace) -> dict[str, Figures]:
    """More and more users; each message is to another one, all over the table."""
    found: dict[str, Figures] = {}
    for size in (size for size in SIZES if size <= given.most):
        with prepared(size) as (folder, url), server_end(size) as (server, port):
            # Sent as soon as there is a stream: the answer says when the first publish came.
            server.say(events=1)
            began = time.monotonic()
            with started(folder, url, server, port) as pusher:
                server.hear()
                first = server.hear()["first_at"]
                made = Stand(server, pusher, folder)
                made.phase(2000)
                found[f"{size:,} registrations"] = made.phase(given.events) | {"start_s": first - began}
                made.check()
    return _compared(found)


def services(given: argparse.Namespace) -> dict[str, Figures]:
    """More and more devices of a user; a notification each."""
    found: dict[str, Figures] = {}
    for number in SERVICES:
        with stand(services=number) as made:
            found[f"{number} services each"] = made.phase(max(1, given.events // number), copies=number)
            made.check()
    return _compared(found)


def backends(given: argparse.Namespace) -> dict[str, Figures]:
    """More and more backends; a delivery each. Push is one, the others are log backends, whose work is next to none."""
    found: dict[str, Figures] = {}
    for number in BACKENDS:
        with stand(backends=number) as made:
            made.settled()
            before, began = cpu_seconds(made.pusher.pid), time.monotonic()
            figures = made.phase(max(1, given.events // number))
            made.settled()
            count = max(1, given.events // number) * number
            figures["cpu_us_each"] = (cpu_seconds(made.pusher.pid) - before) / count * 1e6
            figures["notifications_per_s"] = count / (time.monotonic() - began)
            found[f"{number} backends"] = figures
            made.check()
    return _compared(found)


def start(given: argparse.Namespace) -> dict[str, Figures]:
    """A start with very much that waits; it is all delivered, the oldest first."""
    users = min(WAITING_USERS, given.most)
    with prepared(users, waiting=given.most) as (folder, url), server_end(users) as (server, port):
        server.say(first=0, expect=given.most)
        began = time.monotonic()
        with started(folder, url, server, port) as pusher:
            server.hear()
            told = server.hear()
            if told["first_at"] < began:
                raise BenchmarkError("a publish came before the start")
            seconds = time.monotonic() - told["first_at"]
            figures = {
                "start_s": told["first_at"] - began,
                "notifications_per_s": given.most / seconds,
                "cpu_us_each": cpu_seconds(pusher.pid) / given.most * 1e6,
                "rss_mb": rss_mb(pusher.pid),
                "peak_rss_mb": rss_mb(pusher.pid, peak=True),
                "cost": 1.0,
            }
            Stand(server, pusher, folder).check()
    return {f"{given.most:,} waiting": figures}


PARTS: dict[str, Part] = {"registrations": registrations, "services": services, "backends": backends, "start": start}


def _compared(found: dict[str, Figures]) -> dict[str, Figures]:
    first = next(iter(found.values()), None)
    for figures in found.values():
        assert first is not None
        figures["cost"] = figures["cpu_us_each"] / first["cpu_us_each"]
    return found


def one_run(given: argparse.Namespace) -> dict[str, Figures]:
    """The parts that were asked for."""
    return {line: figures for part in given.part for line, figures in PARTS[part](given).items()}


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__)
    options.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    options.add_argument("--most", type=int, default=1_000_000, help="registrations and waiting deliveries at most")
    options.add_argument("--events", type=int, default=40_000, help="notifications of each line")
    given = options.parse_args()
    if given.most < SIZES[0]:
        options.error(f"--most {SIZES[0]} at least")
    title = f"Cost by size, {given.events:,} notifications each, durable on SQLite"
    plot = ("cpu_us_each", "peak_rss_mb")
    carry_out(given, lambda: one_run(given), lambda found: Result(title, "", COLUMNS, found, plot))


if __name__ == "__main__":
    main()

"""
The same messages through a server's own push engine, and through us on the same server, in turn.

    python tests/benchmarks/peers.py [--events 20000] [--users 100] [--only ejabberd prosody …] [--runs 3]

Debian's ejabberd with mod_push, Prosody with mod_cloud_notify, then each with our module and the daemon as
``event-pusher setup`` writes them; sender and text in every notification. "bare ejabberd" has no offline store: it is
the engine alone. Everybody starts fresh for each run. One process plays sender and push service (peer_end.py).

messages/s: until the server has handled the last message (it answers a ping behind it). notifications/s: until the
last notification has come. CPU: the server's until both have happened. The servers' own engines keep no durable queue.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from kit import HERE, BenchmarkError, Child, Column, Figures, Result, carry_out, cpu_seconds, parser, rss_mb, running
from peer_servers import ENGINES, enable, with_own_module, with_us
from servers import Server

WARM = 500
COLUMNS = (
    Column("notifications_per_s", "notifications/s"),
    Column("messages_per_s", "messages/s"),
    Column("server_us_each", "server's CPU-µs each"),
    Column("our_us_each", "our CPU-µs each"),
    Column("notifications_ratio", "notifications, of its own", 2),
    Column("messages_ratio", "messages, of its own", 2),
    Column("server_ratio", "server's CPU, of its own", 2),
    Column("server_rss_mb", "server RSS MB"),
)


def measure(server: Server, events: int, users: int, our: int | None) -> Figures:
    """Enable, warm up, and count."""
    enable(server, users)
    port = str(server.component_port)
    with running(sys.executable, HERE / "peer_end.py", server.domain, port, str(users)) as both:
        both.hear()
        both.ask(events=WARM)
        return _phase(both, server.pid, events, our)


def _phase(both: Child, server: int, events: int, our: int | None) -> Figures:
    before, ours = cpu_seconds(server), cpu_seconds(our) if our else 0.0
    told = both.ask(events=events)
    used = cpu_seconds(server) - before
    our_used = cpu_seconds(our) - ours if our else 0.0
    time.sleep(0.3)  # what comes twice comes now
    told |= {name: both.ask(events=1)[name] for name in ("again", "errors")}
    if told["again"] or told["errors"]:
        raise BenchmarkError(f"{told['again']} notifications came twice, {told['errors']} messages were refused")
    figures = {
        "notifications_per_s": events / told["seconds"],
        "messages_per_s": events / told["handled_s"],
        "server_us_each": used / events * 1e6,
        "server_rss_mb": rss_mb(server),
    }
    if our:
        figures["our_us_each"] = our_used / events * 1e6
    return figures


def one_run(names: Sequence[str], events: int, users: int) -> dict[str, Figures]:
    """Each server with its own engine, then with us."""
    found: dict[str, Figures] = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="event-pusher-bench-") as folder:
            with with_own_module(name, Path(folder) / "own") as server:
                own = measure(server, events, users, None)
            ours_in = Path(folder) / "ours"
            ours_in.mkdir()
            with with_us(name, ours_in) as (server, pid):
                ours = measure(server, events, users, pid)
        for key, ratio in (
            ("notifications_per_s", "notifications_ratio"),
            ("messages_per_s", "messages_ratio"),
            ("server_us_each", "server_ratio"),
        ):
            ours[ratio] = ours[key] / own[key]
        found |= {f"{name}, {ENGINES[name]}": own, f"{name}, event-pusher": ours}
    return found


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__)
    options.add_argument("--events", type=int, default=20_000)
    options.add_argument("--users", type=int, default=100)
    options.add_argument("--only", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    given: argparse.Namespace = options.parse_args()
    title = f"{given.events:,} messages to {given.users} offline users"
    plot = ("notifications_per_s", "messages_per_s", "server_us_each")
    run = lambda: one_run(given.only, given.events, given.users)  # noqa: E731 - what `carry_out` repeats
    carry_out(given, run, lambda found: Result(title, "server and engine", COLUMNS, found, plot))


if __name__ == "__main__":
    main()

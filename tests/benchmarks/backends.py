"""
What other backends do, in one run: webhooks, RabbitMQ against pika alone, a handler that hangs, and 1 to 8 backends.

    python tests/benchmarks/backends.py [--part webhooks rabbit hanging number] [--events 20000] [--runs 3] …

*webhooks*: events through the feed, the outbox and the http backend to a local sink over kept connections (`sink.py`).
*rabbit*: publishes with confirms on a real RabbitMQ, and pika alone doing the same (`rabbit.py`). *hanging*: the push
backend's latency alone, and beside a handler that answers after a second. *number*: log backends beside push, whose own
work is next to none. CPU is our process's, without the other ends'.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import rabbit
from kit import HERE, BenchmarkError, Child, Column, Figures, Result, carry_out, cpu_seconds, parser, running
from scale import backends
from stand import HTTP, PUSH, Stand, prepared, server_end, started

USERS = 100
#: Events a second beside the handler that hangs; a few times what its workers take.
RATE = 500.0
COLUMNS = (
    Column("notifications_per_s", "deliveries/s"),
    Column("cpu_us_each", "CPU-µs each"),
    Column("cost", "of the first of its kind", 2),
    Column("p50_ms", "push p50 ms", 1),
    Column("p99_ms", "push p99 ms", 1),
)
Part = Callable[[argparse.Namespace], dict[str, Figures]]


@contextmanager
def beside_a_sink(sections: Callable[[str], str], delay: float = 0.0) -> Iterator[tuple[Stand, Child]]:
    """The daemon with the sections that the sink's URL makes."""
    with (
        running(sys.executable, HERE / "sink.py", str(delay)) as sink,
        prepared(USERS) as (folder, url),
        server_end(USERS) as (server, port),
    ):
        where = f"http://127.0.0.1:{sink.hear()['port']}/hook"
        with started(folder, url, server, port, sections=sections(where)) as pusher:
            server.hear()
            yield Stand(server, pusher, folder), sink


def webhooks(given: argparse.Namespace) -> dict[str, Figures]:
    """One webhook for each message; acknowledged to the server when it is committed, delivered when the sink has it."""
    with beside_a_sink(partial(_filled, HTTP)) as (made, sink):
        for count in (1000, given.events):  # the first warms up
            before = cpu_seconds(made.pusher.pid)
            began = time.monotonic()
            made.server.ask(events=count, expect=0)
            told = sink.ask(**{"await": count})
            cpu = cpu_seconds(made.pusher.pid) - before
        if told["twice"]:
            raise BenchmarkError(f"{told['twice']} webhooks came twice")
    rate = given.events / (told["last"] - began)
    return {"webhooks, keep-alive": {"notifications_per_s": rate, "cpu_us_each": cpu / given.events * 1e6}}


def on_rabbitmq(given: argparse.Namespace) -> dict[str, Figures]:
    """Both publishers, one after the other, on one broker."""
    with rabbit.broker() as one:
        taken = rabbit.alternating(one, given.events, given.outstanding)
    alone = taken[rabbit.ALONE]
    return {
        f"RabbitMQ with confirms, {name}": {
            "notifications_per_s": figures.per_second,
            "cpu_us_each": figures.cpu_microseconds,
            "cost": figures.cpu_microseconds / alone.cpu_microseconds,
        }
        for name, figures in taken.items()
    }


def hanging(given: argparse.Namespace) -> dict[str, Figures]:
    """What a handler that answers after a second does to push: nothing, it should be."""
    found: dict[str, Figures] = {}
    both = PUSH + HTTP
    for name, sections, delay in (
        ("push alone", PUSH, 0.0),
        ("push beside a quick handler", both, 0.0),
        ("push beside one that answers after 1 s", both, 1.0),
    ):
        with beside_a_sink(partial(_filled, sections), delay) as (made, _):
            made.phase(int(RATE), RATE)
            found[name] = made.phase(int(RATE * given.seconds), RATE)
            made.check()
    return found


def _filled(sections: str, url: str) -> str:
    return sections.format(url=url)


PARTS: dict[str, Part] = {"webhooks": webhooks, "rabbit": on_rabbitmq, "hanging": hanging, "number": backends}


def one_run(given: argparse.Namespace) -> dict[str, Figures]:
    """The parts that were asked for."""
    return {line: figures for part in given.part for line, figures in PARTS[part](given).items()}


def main() -> None:
    """Parse, run, print."""
    options = parser(__doc__)
    options.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    options.add_argument("--events", type=int, default=20_000, help="deliveries of each line")
    options.add_argument("--outstanding", type=int, default=2000, help="publishes without a confirm, at most")
    options.add_argument("--seconds", type=float, default=10.0, help="how long push is watched beside a handler")
    given = options.parse_args()
    title = f"The backends, {given.events:,} deliveries each"
    plot = ("notifications_per_s", "cpu_us_each")
    carry_out(given, lambda: one_run(given), lambda found: Result(title, "", COLUMNS, found, plot))


if __name__ == "__main__":
    main()

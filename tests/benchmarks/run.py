"""
The benchmark: events through a loopback stream to a counting push service, durable on SQLite (``synchronous=FULL``).

    python tests/benchmarks/run.py [--events 40000] [--runs 3] [--users 100] [--json]

Three processes on one machine: the XMPP server's end with the push service (`server_end.py`), ``event-pusher run`` as
it is installed, and this one, which reads the pusher's CPU time and memory from /proc. Medians of the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server_end import COMPONENT, HOST, SERVICE

from event_pusher import migrate
from event_pusher.database import Writer, open_engine
from event_pusher.registrations import RdbmsRegistrations

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
CONFIG = """
[database]
url = "{url}"
[sources.component]
domain = "{component}"
server = "127.0.0.1:{port}"
secret = "bench"
hosts = ["{host}"]
[backends.push]
backend = "rdbms"
content = "full"
[admin]
listen = ""
[log]
level = "warning"
"""


def prepare(folder: Path, url: str, users: int) -> None:
    """Make the database, with one registration for each user."""
    migrate.upgrade(url, folder)
    writer = Writer(open_engine(url, folder))
    registrations = RdbmsRegistrations(writer)
    with writer.transaction():
        for number in range(users):
            registrations.enable(f"user{number}@{HOST}", SERVICE, f"node-{number}", (("secret", "s"),), time.time(), 20)
    writer.close()


@contextmanager
def running(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child that is ended by its id."""
    child = subprocess.Popen(arguments, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    try:
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=30)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_rss_mb(pid: int) -> float:
    """The most memory that the process had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def tell(child: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of JSON of `child`."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        sys.exit(f"benchmark: {child.args!r} ended early")
    answer: dict[str, Any] = json.loads(line)
    return answer


def phase(server: subprocess.Popen[str], pusher: subprocess.Popen[str], events: int, rate: float) -> dict[str, float]:
    """Run one phase and say what it cost."""
    assert server.stdin is not None
    before = cpu_seconds(pusher.pid)
    server.stdin.write(json.dumps({"events": events, "rate": rate}) + "\n")
    server.stdin.flush()
    answer = tell(server)
    cpu = cpu_seconds(pusher.pid) - before
    if answer["again"]:
        sys.exit(f"benchmark: {answer['again']} notifications came twice")
    return {
        "notifications_per_s": events / answer["seconds"],
        "cpu_us_each": cpu / events * 1e6,
        "p50_ms": answer["p50_ms"],
        "p99_ms": answer["p99_ms"],
        "p999_ms": answer["p999_ms"],
        "peak_rss_mb": peak_rss_mb(pusher.pid),
    }


def one_run(events: int, users: int, url: str | None) -> dict[str, dict[str, float]]:
    """All phases with fresh processes and a fresh database."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = url or f"sqlite:///{folder}/bench.db"
        prepare(folder, database, users)
        with running([sys.executable, str(HERE / "server_end.py"), str(users)]) as server:
            port = tell(server)["port"]
            config = folder / "event-pusher.toml"
            config.write_text(CONFIG.format(url=database, component=COMPONENT, port=port, host=HOST))
            command = [sys.executable, "-m", "event_pusher", "run", "-c", str(config)]
            with running(command, cwd=folder) as pusher:
                tell(server)
                phase(server, pusher, 2000, 0)  # warm
                return {
                    "as fast as it goes": phase(server, pusher, events, 0),
                    "200/s": phase(server, pusher, 1000, 200),
                    "2,000/s": phase(server, pusher, 10_000, 2000),
                }


def median(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The median of each figure."""
    return {
        name: {figure: statistics.median(run[name][figure] for run in runs) for figure in runs[0][name]}
        for name in runs[0]
    }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--database", help="a SQLAlchemy URL of an empty database; default: SQLite in a new folder")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    given = parser.parse_args()
    found = median([one_run(given.events, given.users, given.database) for _ in range(given.runs)])
    if given.json:
        print(json.dumps(found))
        return
    print("| load | notifications/s | CPU-µs each | p50 ms | p99 ms | peak RSS MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, figures in found.items():
        print(
            f"| {name} | {figures['notifications_per_s']:,.0f} | {figures['cpu_us_each']:.0f} | {figures['p50_ms']:.1f} |"
            f" {figures['p99_ms']:.1f} | {figures['peak_rss_mb']:.0f} |"
        )


if __name__ == "__main__":
    main()

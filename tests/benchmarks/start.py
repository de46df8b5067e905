"""
How long a command takes, and that only what is enabled is imported.

    python tests/benchmarks/start.py [--runs 9] [--json FILE] [--plot FILE]

The commands run as installed. What is imported is asked of the interpreter itself, at the end of ``--help`` and of a
daemon with the push backend alone; a module of another backend, or of its library, ends the benchmark.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

from kit import BenchmarkError, Column, Figures, Result, carry_out, parser, running
from stand import Stand, configuration, prepared, server_end

COMMAND = Path(sys.executable).with_name("event-pusher")
#: The command with one thing more: at its end it writes down what it had imported. (``-X importtime`` does not see
#: what `importlib` is asked for.)
LISTED = """
import atexit, os, pathlib, sys
names, leave = pathlib.Path(sys.argv.pop(1)), os._exit
def tell(code=0):
    names.write_text("\\n".join(sys.modules))
    leave(code)
atexit.register(tell)
os._exit = tell
from event_pusher.cli import main
main()
"""
#: What belongs to backends and databases that are not in use.
OTHERS = ("event_pusher_http", "event_pusher_log", "event_pusher_rabbit", "event_pusher_sns", "urllib3", "pika",
          "boto3", "botocore", "psycopg")  # fmt: skip
#: What telling how it is used has no need of.
NOT_FOR_HELP = (*OTHERS, "event_pusher_push", "lxml", "sqlalchemy", "alembic", "pydantic", "prometheus_client")
COLUMNS = (
    Column("ms", "ms"),
    Column("cpu_ms", "CPU-ms"),
    Column("modules", "modules"),
    Column("not_needed", "modules of what is not in use"),
)


def timed(*arguments: str | Path) -> Figures:
    """Run a command to its end."""
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise BenchmarkError(f"{arguments[0]} failed: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {"ms": took * 1000, "cpu_ms": cpu * 1000}


def unwanted(modules: set[str], forbidden: tuple[str, ...]) -> list[str]:
    """Which of these are, or lie in, packages that must not be there."""
    return sorted(name for name in modules if name.partition(".")[0] in forbidden)


def imports() -> dict[str, set[str]]:
    """What ``--help`` imports, and a daemon with one backend; nothing beyond what they use."""
    with prepared(1) as (folder, url), server_end(1) as (server, port):
        names = {name: folder / f"{name}.txt" for name in ("help", "daemon")}
        timed(sys.executable, "-c", LISTED, names["help"], "--help")
        config = folder / "event-pusher.toml"
        config.write_text(configuration(url, port))
        with running(sys.executable, "-c", LISTED, names["daemon"], "run", "-c", config, cwd=folder) as daemon:
            server.hear()
            Stand(server, daemon, folder).phase(10)
        found = {name: set(file.read_text().splitlines()) for name, file in names.items()}
    if "event_pusher_push.backend" not in found["daemon"]:
        raise BenchmarkError("what the daemon imports is not all there")
    return found


def one_run() -> dict[str, Figures]:
    """Each command once, warm."""
    found = imports()
    counts = {"--help": (found["help"], NOT_FOR_HELP), "run, push alone": (found["daemon"], OTHERS)}
    lines = {"`python -c pass`": timed(sys.executable, "-c", "pass"), "`event-pusher --help`": timed(COMMAND, "--help")}
    for name, (modules, forbidden) in counts.items():
        if surplus := unwanted(modules, forbidden):
            raise BenchmarkError(f"{name} imports what is not in use: {', '.join(surplus[:8])}")
        key = f"`event-pusher {name}`" if name == "--help" else name
        lines[key] = lines.get(key, {}) | {"modules": len(modules), "not_needed": 0}
    return lines


def main() -> None:
    """Parse, run, print."""
    given: argparse.Namespace = parser(__doc__, runs=9).parse_args()
    carry_out(given, one_run, lambda found: Result("Start", "command", COLUMNS, found, ("ms", "cpu_ms")))


if __name__ == "__main__":
    main()

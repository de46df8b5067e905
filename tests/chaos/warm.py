"""
event-pusher, imported once; each order on standard input forks a process that runs its command line.

A start takes 0.8 s of CPU for imports alone. The fork is a process of its own like any other: its pid, its files, its
threads, its death. Only the imports are inherited, and nothing of the product has run before the fork.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

from event_pusher.cli import main

#: What the command imports on its way; the settings name the rest.
MODULES = (
    *("event_pusher.cli.run", "event_pusher.app", "event_pusher.admin.live", "event_pusher.sources.component"),
    *("event_pusher_push.backend", "event_pusher_push_defaults.plugin", "sqlalchemy.dialects.sqlite"),
)


def serve() -> None:
    """``{"run": [arguments], "log": FILE}`` → pid; ``{"wait": pid}`` → exit code, negative for a signal."""
    for name in MODULES:
        import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            _answer(os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            _become(order["run"], order["log"])
        _answer(pid)


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(arguments: list[str], log: str) -> None:
    null, out = os.open(os.devnull, os.O_RDWR), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, file in ((0, null), (1, out), (2, out)):
        os.dup2(file, number)
    try:
        main(arguments)
    finally:
        os._exit(70)  # `run` ends the process itself


if __name__ == "__main__":
    serve()

"""`event-pusher run` as a process of its own: started as installed, or, fast, as a fork of one that has imported it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self


class Process:
    """A running pusher. Its pid stays its own until `wait`, so no signal can reach anybody else."""

    def __init__(self, pid: int, log: Path, reap: Callable[[], int]) -> None:
        self.pid = pid
        self.log = log
        self._reap = reap
        self._code: int | None = None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._code is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        if self._code is None:
            descriptor = os.pidfd_open(self.pid)
            try:
                ended, _, _ = select.select([descriptor], [], [], timeout)
            finally:
                os.close(descriptor)
            assert ended, f"process {self.pid} still runs; its log:\n{self.said()[-3000:]}"
            self._code = self._reap()
        return self._code

    def kill(self) -> None:
        """Kill it; returns when it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text() if self.log.exists() else ""


class Launcher(Protocol):
    """Starts ``event-pusher run``."""

    def start(self, config: Path, log: Path) -> Process:
        """Start it over `config`; what it writes goes to the end of `log`."""


class Installed:
    """Starts the command as an operator does."""

    def start(self, config: Path, log: Path) -> Process:
        with log.open("ab") as out:
            command = [sys.executable, "-m", "event_pusher", "run", "-c", str(config)]
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return Process(child.pid, log, child.wait)


class Warm:
    """Starts it as a fork of a process that has imported it (see `warm.py`)."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("warm.py"))]
        self._parent = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parent.communicate(timeout=30)

    def start(self, config: Path, log: Path) -> Process:
        pid = self._order(run=["run", "-c", str(config)], log=str(log))
        return Process(pid, log, lambda: self._order(wait=pid))

    def _order(self, **order: object) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())

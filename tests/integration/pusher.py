"""The daemon under test, as a process of its own."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inbox import Inbox

from event_pusher.admin.client import Remote

#: The command as pip installed it, beside this interpreter.
COMMAND = Path(sys.executable).with_name("event-pusher")
CONNECTED = "is connected to"
STANDBY = "stand-by"
START_TIMEOUT = 30.0


def event_pusher(*arguments: str) -> str:
    """Run a command to its end, which must be a good one; what it said."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Pusher:
    """One process at a time on the configuration `file`; what it logs is kept whole in `log`."""

    def __init__(self, file: Path, environment: Mapping[str, str] | None = None) -> None:
        self.file = file
        self.log: list[str] = []
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._lines: Inbox[str] = Inbox()
        self._reader: threading.Thread | None = None

    def upgrade(self) -> None:
        """Create the tables."""
        event_pusher("db", "upgrade", "-c", str(self.file))

    def start(self, until: str = CONNECTED) -> "Pusher":
        """Start, and return when it has logged `until`."""
        assert self._process is None, "it runs"
        self._lines = Inbox()
        self._process = subprocess.Popen(
            [COMMAND, "run", "-c", self.file],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True)
        self._reader.start()
        self.logged(until)
        return self

    def ensure(self) -> None:
        """Start it unless it runs."""
        if self._process is None:
            self.start()

    def logged(self, text: str) -> str:
        """The next line with this text that the running process logs."""
        try:
            return self._lines.take(lambda line: text in line, START_TIMEOUT)
        except AssertionError:
            raise AssertionError(f"it did not log {text!r}:\n" + "".join(self.log[-40:])) from None

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer to a command, over the control socket."""
        return self._remote().call(command, **arguments)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the control socket."""
        status, body = self._remote().request("GET", path)
        return status, body.decode()

    def terminate(self) -> None:
        """Ask it to end, as an init system does; it must do so in order."""
        assert self._end(signal.SIGTERM) == 0, "".join(self.log[-40:])

    def kill(self) -> None:
        """End it without a word, as a power cut does."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it, when it runs."""
        if self._process is not None:
            self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Have it stand still, as a machine that is suspended does."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> int:
        """Have a paused one go on until it ends by itself; its code."""
        assert self._process is not None, "it does not run"
        return self._end(signal.SIGCONT)

    def _remote(self) -> Remote:
        return Remote(f"unix:{self.file.parent / 'admin.sock'}")

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        assert process is not None, "it does not run"
        process.send_signal(how)
        try:
            code = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait(10)
        if self._reader is not None:
            self._reader.join(10)
        if process.stderr is not None:
            process.stderr.close()
        return code

    def _read(self, process: "subprocess.Popen[str]", lines: Inbox[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line)
            lines.put(line)

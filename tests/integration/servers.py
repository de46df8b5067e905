"""XMPP servers as plain foreground processes in a scratch directory: what they have in common.

``ejabberd_server`` and ``prosody_server`` have the two. Everything listens on 127.0.0.1, on ports
that were free a moment ago. A server that does not come up fails the test, with its log's tail.
"""

import abc
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from wire import PING, Client, Component, Stream, condition, has_id, new_id

SHARE = Path(__file__).resolve().parents[2] / "event_pusher" / "share"
START_TIMEOUT = 40.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(abc.ABC):
    """One XMPP server with one host, the components of ``components``."""

    domain: str
    components: tuple[str, ...] = ("push", "app", "muclight", "other", "probe")
    secret = "secret"

    def __init__(self, directory: Path, fragment: str = "") -> None:
        self.directory = directory
        self.fragment = fragment
        self.c2s_port, self.component_port = free_port(), free_port()
        self.log_path = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._streams: list[Stream] = []
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """The server's process, for measurements."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it takes clients and components."""
        self._configure()
        self._output = (self.directory / "output.log").open("ab")
        self._process = subprocess.Popen(
            self._command(),
            cwd=self.directory,
            env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait_ready()
        except AssertionError:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server's process; its data stays for the next start."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word, as a power cut does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        if self._output is not None:
            self._output.close()
        self._process = self._output = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def log(self) -> str:
        """Everything that the server has logged."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_logged(self, text: str, timeout: float = 10) -> None:
        """Return when the log has the text; servers write it behind what they do."""
        deadline = time.monotonic() + timeout
        while text not in self.log():
            assert time.monotonic() < deadline, f"{text!r} is not in the log:\n{self._tail()}"
            time.sleep(0.05)

    def client(
        self,
        user: str,
        resource: str = "r1",
        *,
        priority: int | None = 0,
        bind: bool = True,
    ) -> Client:
        """A logged-in client; ``priority=None`` sends no presence."""
        client = Client(user, self.domain, self.c2s_port, resource, priority=priority, bind=bind)
        self._streams.append(client)
        return client

    def component(self, name: str) -> Component:
        """A connected component: ``push`` is ``push.DOMAIN``."""
        jid = f"{name}.{self.domain}"
        if any(isinstance(s, Component) and s.jid == jid and s.hung_up for s in self._streams):
            # ejabberd would share the stanzas out between the new connection and the dying one.
            self.wait_away(name)
        component = Component(jid, self.component_port, self.secret)
        self._streams.append(component)
        return component

    def hang_up(self) -> None:
        """Close every client and component, and wait until the server has noticed."""
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()
        for name in {s.jid.split(".")[0] for s in streams if isinstance(s, Component)} - {"probe"}:
            self.wait_away(name)

    def wait_away(self, name: str) -> None:
        """Return when the server no longer has a connection of the component."""
        probe = Component(f"probe.{self.domain}", self.component_port, self.secret)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            identifier = new_id("ping")
            probe.send(
                f"<iq type='get' id='{identifier}' from='{probe.jid}' to='{name}.{self.domain}'>"
                f"<ping xmlns='{PING}'/></iq>"
            )
            try:
                if condition(probe.expect(has_id(identifier), 0.1)):
                    probe.close()
                    return
            except AssertionError:
                continue
        raise AssertionError(f"{name} is still connected")

    @abc.abstractmethod
    def register(self, user: str) -> None:
        """Make the account, with the password ``pw``."""

    @abc.abstractmethod
    def unregister(self, user: str) -> None:
        """Remove the account as an administrator (or the user) would."""

    @abc.abstractmethod
    def _configure(self) -> None:
        """Write the configuration and install the module."""

    @abc.abstractmethod
    def _command(self) -> list[str]: ...

    @abc.abstractmethod
    def _environment(self) -> Mapping[str, str]: ...

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._takes_connections():
            assert self._process is not None
            code = self._process.poll()
            assert code is None, f"the server ended with {code}:\n{self._tail()}"
            assert time.monotonic() < deadline, f"the server does not come up:\n{self._tail()}"
            time.sleep(0.05)

    def _takes_connections(self) -> bool:
        try:
            Component(f"probe.{self.domain}", self.component_port, self.secret).close()
            socket.create_connection(("127.0.0.1", self.c2s_port), 1).close()
        except (OSError, AssertionError):
            return False
        return True

    def _tail(self) -> str:
        output = self.directory / "output.log"
        text = output.read_text(errors="replace") if output.exists() else ""
        return "\n".join((self.log() + text).splitlines()[-60:])

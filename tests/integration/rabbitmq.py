"""
A real RabbitMQ of our own: Debian's server in a temporary folder, its ports free ones of loopback.

Its node speaks to an epmd of its own, so nothing else on the machine is asked, and nobody finds it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

BINARIES = Path("/usr/lib/rabbitmq/bin")
USER, PASSWORD = "pusher", "a password of loopback's"
_PATIENCE = 60.0
_CONFIGURATION = """\
loopback_users = none
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 10MB
default_user = {user}
default_pass = {password}
"""
_TLS = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {certificate}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
"""


class RabbitMq:
    """A broker that can be stopped, killed, emptied and started again; all on the same ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.tls_port, self._epmd_port, self._dist_port = free_ports(4)
        self.certificate, self._key = folder / "broker.crt", folder / "broker.key"
        self._numbers = count(1)
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    # --- its life -------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Write what it needs, and start its epmd."""
        (self.folder / "home").mkdir()
        (self.folder / "enabled_plugins").write_text("[].\n")
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", str(self._key), "-out", str(self.certificate)]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
        subprocess.run(command, check=True, capture_output=True)
        tls = _TLS.format(port=self.tls_port, certificate=self.certificate, key=self._key)
        text = _CONFIGURATION.format(user=USER, password=PASSWORD) + tls
        (self.folder / "rabbit.conf").write_text(text)
        self._epmd = subprocess.Popen(
            ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait(lambda: _listens(self._epmd_port), "epmd")

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        with (self.folder / "out").open("ab") as out:
            self._server = subprocess.Popen(
                [str(BINARIES / "rabbitmq-server")],
                env=self._environment(),
                cwd=self.folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait(lambda: _listens(self.port) and _listens(self.tls_port), "RabbitMQ")
        except AssertionError:
            raise AssertionError(f"RabbitMQ did not start:\n{(self.folder / 'out').read_text()[-3000:]}") from None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it as an administrator does, or kill it."""
        server, self._server = self._server, None
        if server is None:
            return
        os.killpg(server.pid, how)
        try:
            server.wait(_PATIENCE)
            _wait(lambda: not _listens(self.port) and not _listens(self._dist_port), "the end of RabbitMQ")
        finally:
            # The runtime's helpers are of the same group.
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside, its connections stand and nothing answers."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._server.pid, signal.SIGCONT)

    def empty(self) -> None:
        """Forget everything; it is stopped."""
        shutil.rmtree(self.folder / "mnesia")

    def close(self) -> None:
        """End it, and its epmd."""
        self.stop(signal.SIGKILL)
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl."""
        command = [str(BINARIES / "rabbitmqctl"), "--quiet", *arguments]
        done = subprocess.run(
            command, env=self._environment(), cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "test@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbit"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none",
        }

    # --- as a consumer --------------------------------------------------------------------------------------------

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """A new virtual host."""
        name = f"vh{next(self._numbers)}"
        self.make_vhost(name)
        yield name
        self.control("delete_vhost", name)

    def make_vhost(self, name: str) -> None:
        """Add a virtual host which the user may use."""
        self.control("add_vhost", name)
        self.control("set_permissions", "-p", name, USER, ".*", ".*", ".*")

    @contextmanager
    def channel(self, vhost: str) -> Iterator[BlockingChannel]:
        """A consumer's channel."""
        credentials = pika.PlainCredentials(USER, PASSWORD)
        connection = pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", self.port, vhost, credentials, heartbeat=0)
        )
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def bind(self, vhost: str, queue: str, *bindings: tuple[str, str]) -> None:
        """Have a durable queue, bound to each (exchange, pattern)."""
        with self.channel(vhost) as channel:
            channel.queue_declare(queue, durable=True)
            for exchange, pattern in bindings:
                channel.queue_bind(queue, exchange, pattern)

    def read(self, vhost: str, queue: str, number: int, timeout: float = 30.0) -> list[Message]:
        """Take `number` messages off a queue."""
        got: list[Message] = []
        with self.channel(vhost) as channel:
            for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=timeout):
                if method is None or properties is None or body is None:
                    break
                got.append(Message(method.exchange or "", method.routing_key or "", properties, body))
                if len(got) == number:
                    break
            channel.cancel()
        assert len(got) == number, f"only {len(got)} of {number} messages came"
        return got

    def exchanges(self, vhost: str) -> dict[str, tuple[str, bool]]:
        """Name → (type, durable), without the broker's own."""
        lines = self.control("list_exchanges", "-p", vhost, "--no-table-headers", "name", "type", "durable")
        rows = [line.split("\t") for line in lines.splitlines() if line.strip()]
        return {row[0]: (row[1], row[2] == "true") for row in rows if row[0] and not row[0].startswith("amq.")}


class Message:
    """A message that a consumer got."""

    def __init__(self, exchange: str, key: str, properties: pika.BasicProperties, body: bytes) -> None:
        self.exchange = exchange
        self.key = key
        self.properties = properties
        self.body = body


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(predicate: object, what: str) -> None:
    assert callable(predicate)
    deadline = time.monotonic() + _PATIENCE
    while not predicate():
        assert time.monotonic() < deadline, f"{what} took more than {_PATIENCE:g} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMq]:
    """The broker; a machine that cannot run it fails the test."""
    assert (BINARIES / "rabbitmq-server").exists(), "no RabbitMQ here; run `apt-get install rabbitmq-server`"
    folder = Path(tempfile.mkdtemp(prefix="event-pusher-rabbitmq-"))
    server = RabbitMq(folder)
    try:
        server.prepare()
        server.start()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def vhost(rabbitmq: RabbitMq) -> Iterator[str]:
    """A virtual host of the test's own."""
    with rabbitmq.vhost() as name:
        yield name

"""The whole way, from an XMPP server's message to a subscriber, through a real broker that is stopped and started."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from event_pusher.loopback import LoopbackServer

pytestmark = pytest.mark.servers
PATIENCE = 30.0
CONFIG = """\
[database]
url = "sqlite:///event-pusher.db"
[sources.component]
domain = "push.example.org"
server = "{server}"
secret = "secret"
hosts = ["example.org"]
[backends.mqtt]
port = {port}
retry = {{ schedule = ["200ms"] }}
"""


def until(true: Callable[[], bool], what: str) -> None:
    pause, end = threading.Event(), time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        pause.wait(0.02)


def ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Mosquitto:
    """A broker on loopback that keeps its sessions in a folder."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        user = "root" if os.getuid() == 0 else ""
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\n" + (f"user {user}\n" if user else "")
        )

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", self._folder / "mosquitto.conf"], stdout=log, stderr=log)
        until(self._answers, (self._folder / "mosquitto.log").read_text())

    def _answers(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            ended(self._process)


class Subscriber:
    """Hears everything once, also what is published while it is away."""

    def __init__(self, port: int) -> None:
        self.heard: list[str] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="subscriber", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("event-pusher/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE)

    def _message(self, _: Client, __: Any, message: Any) -> None:
        if not message.dup:
            self.heard.append(json.loads(message.payload)["body"])

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.close()


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


@pytest.fixture
def pusher(tmp_path: Path, broker: Mosquitto, server: LoopbackServer) -> Iterator[None]:
    """`event-pusher run`."""
    config = tmp_path / "event-pusher.toml"
    config.write_text(CONFIG.format(server=server.address, port=broker.port))
    command = [sys.executable, "-m", "event_pusher"]
    subprocess.run([*command, "db", "upgrade", "-c", config], check=True, cwd=tmp_path)
    process = subprocess.Popen([*command, "run", "-c", config], cwd=tmp_path)
    assert server.wait_connected(PATIENCE)
    yield
    ended(process)


@pytest.mark.usefixtures("pusher")
def test_a_broker_that_is_stopped_and_started_gets_one_copy_of_each_message(
    broker: Mosquitto, subscriber: Subscriber, server: LoopbackServer
) -> None:
    # Given messages that arrived
    sent = [f"{when} {number}" for when in ("before", "meanwhile", "afterwards") for number in range(50)]
    for body in sent[:50]:
        server.message("alice@example.org/phone", "bob@example.org", body)
    until(lambda: len(subscriber.heard) >= 50, "nothing arrived")
    # When the broker is stopped, messages come, and it is started again
    broker.stop()
    for body in sent[50:100]:
        server.message("alice@example.org/phone", "bob@example.org", body)
    until(lambda: server.acked >= server.ring.next - 1, "they were not accepted")
    broker.start()
    for body in sent[100:]:
        server.message("alice@example.org/phone", "bob@example.org", body)
    # Then each arrives once, in order
    until(lambda: len(subscriber.heard) >= len(sent), "not all arrived")
    threading.Event().wait(1.0)
    assert [body for body, copies in Counter(subscriber.heard).items() if copies > 1] == []
    assert subscriber.heard == sent

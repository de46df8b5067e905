"""``event-pusher run`` as a process: signals, exit codes, stand-by, logs."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from event_pusher.admin.client import Remote
from event_pusher.loopback import HOLD, LoopbackServer
from tests.unit.running import Place

COMMAND = [sys.executable, "-c", "from event_pusher.cli import main; main()", "run", "-c"]


class Daemon:
    """The process; `lines` is what it has said on standard error up to what was waited for."""

    def __init__(self, config: Path, **environment: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*COMMAND, config], stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )

    def until(self, text: str) -> str:
        """Read on until a line has `text`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError("".join(self.lines))

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and give the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The exit code."""
        assert self.process.stderr is not None
        self.lines += self.process.stderr.readlines()
        self.process.stderr.close()
        return self.process.wait(20)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """An XMPP server."""
    with LoopbackServer() as server:
        yield server


@pytest.fixture
def place(server: LoopbackServer) -> Iterator[Place]:
    """A configuration that names the server."""
    place = Place(server.address)
    yield place
    place.remove()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(place: Place, number: int) -> None:
    # Given a pusher that is connected
    daemon = Daemon(place.config)
    daemon.until("is connected to")
    # When the signal comes, Then it stops in order and leaves no socket
    assert daemon.end(number) == 0
    assert daemon.lines[-1].endswith(": stopped\n")
    assert not (place.folder / "admin.sock").exists()


def test_hup_takes_over_the_log_level_and_an_override(place: Place) -> None:
    # Given a pusher that is connected
    daemon = Daemon(place.config)
    daemon.until("is connected to")
    # When level and an override of a host are others
    override = '[log]\nlevel = "debug"\n[hosts."example.org".backends.push]\nonly_users = ["eve@example.org"]\n'
    place.config.write_text(place.config.read_text() + override)
    daemon.process.send_signal(signal.SIGHUP)
    # Then both are taken over, and that is said
    said = daemon.until("taken over")
    assert 'hosts."example.org".backends.push' in said
    assert "log.level" in said
    assert daemon.end() == 0


def test_hup_names_each_key_that_needs_a_restart_and_changes_nothing(place: Place) -> None:
    # Given a pusher, and a file with one change that could be taken over and two that cannot
    daemon = Daemon(place.config)
    daemon.until("is connected to")
    text = place.config.read_text().replace('["1h"]', '["2h"]')
    place.config.write_text(text + '[log]\nlevel = "error"\n[outbox]\nmax_rows = 7\n')
    # When it is told
    daemon.process.send_signal(signal.SIGHUP)
    # Then each of the two has its line, and the level is what it was: the end is still logged
    for key in ("outbox.max_rows", "backends.push.retry.schedule[0]"):
        daemon.until(f"{key} needs a restart; nothing is changed")
    assert daemon.end() == 0
    assert daemon.lines[-1].endswith(": stopped\n")


def test_hup_with_a_faulty_file_names_each_fault_and_changes_nothing(place: Place) -> None:
    # Given a pusher, and a file with two faults
    daemon = Daemon(place.config)
    daemon.until("is connected to")
    place.config.write_text(place.config.read_text() + '[log]\nlevel = "loud"\n[outbox]\nmax_rows = 0\n')
    # When it is told
    daemon.process.send_signal(signal.SIGHUP)
    # Then both are logged, and it goes on
    for fault in ("log.level", "outbox.max_rows"):
        assert "nothing is changed" in daemon.until(fault)
    assert daemon.end() == 0


def test_a_second_process_stands_by_answers_and_takes_over(place: Place) -> None:
    # Given two processes on one database
    first = Daemon(place.config)
    first.until("is connected to")
    second = Daemon(place.config)
    second.until("stand-by")
    # When the first one ends
    assert first.end() == 0
    # Then the second one connects, and is asked from now on
    second.until("is connected to")
    assert Remote(place.settings.admin.listen).call("status")["pid"] == second.process.pid
    assert second.end() == 0


def test_a_stand_by_ends_at_a_signal(place: Place) -> None:
    first = Daemon(place.config)
    first.until("is connected to")
    second = Daemon(place.config)
    second.until("stand-by")
    assert second.end() == 0
    assert first.end() == 0


def test_the_second_signal_ends_it_at_once(place: Place, server: LoopbackServer) -> None:
    # Given an attempt whose answer does not come, for which a clean stop waits
    service = server.push_service("app.example.org", lambda _: HOLD)
    daemon = Daemon(place.config)
    daemon.until("is connected to")
    assert server.wait_connected()
    assert server.enable("bob@example.org", "app.example.org", "n1").type == "result"
    server.message("alice@example.org/r", "bob@example.org", "hello")
    assert server.wait_for(lambda: service.count == 1)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.until("once more stops at once")
    # When the second signal comes, Then it does not wait
    assert daemon.end() == 1


def test_a_lost_lease_ends_it_with_a_failure(place: Place, server: LoopbackServer) -> None:
    # Given a pusher whose database another one has taken over
    daemon = Daemon(place.config)
    daemon.until("is connected to")
    assert server.wait_connected()
    with closing(sqlite3.connect(place.folder / "event-pusher.db")) as other:
        other.execute("UPDATE event_pusher_owner SET fence = fence + 1")
        other.commit()
    # When it is to write
    server.enable("bob@example.org", "app.example.org", "n1")
    # Then it stops, and says why
    assert daemon.wait() == 1
    assert "another process owns the database now" in "".join(daemon.lines)


def test_a_start_that_fails_is_one_line_with_the_cure(place: Place) -> None:
    (place.folder / "event-pusher.db").unlink()
    daemon = Daemon(place.config)
    assert daemon.wait() == 1
    assert daemon.lines == [
        f"event-pusher: there is no database {place.folder}/event-pusher.db; run `event-pusher db upgrade`\n"
    ]


def test_json_logs_are_one_object_a_line_without_texts(place: Place, server: LoopbackServer) -> None:
    # Given JSON logs, at the level that says most
    place.config.write_text(place.config.read_text() + '[log]\nformat = "json"\nlevel = "debug"\n')
    daemon = Daemon(place.config)
    daemon.until("is connected to")
    # When a message comes
    server.message("alice@example.org/r", "bob@example.org", "a secret of the heart")
    assert server.wait_for(lambda: server.acked >= server.ring.next - 1)
    assert daemon.end() == 0
    # Then every line is JSON, and none has its text
    assert all({"time", "level", "logger", "message"} <= json.loads(line).keys() for line in daemon.lines)
    assert "heart" not in "".join(daemon.lines)


def test_systemd_is_told(place: Place) -> None:
    # Given systemd
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(place.folder / "notify"))
        systemd.settimeout(20)
        # When it starts and stops
        daemon = Daemon(place.config, NOTIFY_SOCKET=str(place.folder / "notify"))
        # Then both are told
        assert systemd.recv(100) == b"READY=1"
        assert daemon.end() == 0
        assert systemd.recv(100) == b"STOPPING=1"

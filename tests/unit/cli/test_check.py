"""What ``event-pusher check`` finds."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from event_pusher.assembly import hold_lease
from event_pusher.clock import SystemClock
from event_pusher.database import open_engine
from event_pusher.loopback import LoopbackServer
from tests.unit.running import Place, Running


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """An XMPP server."""
    with LoopbackServer() as server:
        yield server


@pytest.fixture
def connected(server: LoopbackServer) -> Iterator[Place]:
    """A configuration that names the server."""
    place = Place(server.address)
    yield place
    place.remove()


def test_all_is_well(place: Place) -> None:
    result = place.run("check")
    assert result.exit_code == 0
    assert all(line.startswith("ok ") for line in result.output.splitlines())


def test_every_fault_is_a_line(place: Place) -> None:
    place.config.write_text(place.config.read_text() + "[log]\nlevle = 1\n[outbox]\nmax_rows = 0\n")
    result = place.run("check")
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.output.splitlines()] == ["FAIL", "FAIL"]


def test_a_database_without_tables_is_told_with_the_cure(place: Place) -> None:
    (place.folder / "event-pusher.db").unlink()
    result = place.run("check")
    assert result.exit_code == 1
    assert "(run `event-pusher db upgrade`)" in result.output


def test_a_secret_that_everybody_can_read_is_told_with_the_cure(place: Place) -> None:
    (place.folder / "component-secret").chmod(0o644)
    assert f"(chmod 640 {place.folder}/component-secret)" in place.run("check").output


def test_a_secret_in_a_readable_configuration_is_told(place: Place) -> None:
    place.config.write_text(place.config.read_text().replace('{ file = "component-secret" }', '"secret"'))
    place.config.chmod(0o644)
    output = place.run("check").output
    assert "warn sources.component.secret" in output
    assert f"chmod 640 {place.config}" in output


def test_a_missing_folder_of_the_socket_is_told(place: Place) -> None:
    place.config.write_text(place.config.read_text() + f'[admin]\nlisten = "unix:{place.folder}/run/admin.sock"\n')
    result = place.run("check")
    assert result.exit_code == 1
    assert "make it, or set another path" in result.output


def test_plaintext_to_another_machine_is_a_warning(place: Place) -> None:
    text = place.config.read_text().replace("127.0.0.1:1", "192.0.2.1:5347")
    place.config.write_text(text.replace("hosts = [", "allow_plaintext = true\nhosts = ["))
    assert "(use a tunnel" in place.run("check").output


def test_connect_finds_the_feed(connected: Place) -> None:
    result = connected.run("check", "--connect")
    assert result.exit_code == 0
    assert "example.org tells its events" in result.output


def test_connect_takes_nothing_away(connected: Place, server: LoopbackServer) -> None:
    # Given an event that waits for the pusher
    server.message("alice@example.org/r", "bob@example.org", "hello")
    # When the connection is checked
    assert connected.run("check", "--connect").exit_code == 0
    # Then it still waits
    assert (server.acked, server.ring.next - server.ring.first) == (0, server.ring.next - 1)


def test_a_wrong_secret_is_told_with_the_cure(connected: Place) -> None:
    (connected.folder / "component-secret").write_text("wrong")
    result = connected.run("check", "--connect")
    assert result.exit_code == 1
    assert "write the same one here (secret) and in the server" in result.output


def test_a_server_that_is_away_is_told(place: Place) -> None:
    result = place.run("check", "--connect")
    assert result.exit_code == 1
    assert "start the server, or set another address" in result.output


def test_a_server_without_the_module_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a server that takes components and has no module: nobody answers the resume
    monkeypatch.setattr("event_pusher.admin.checks.CONNECT_SECONDS", 0.5)
    with LoopbackServer() as server:
        monkeypatch.setattr(server, "_told", lambda *_: None)
        place = Place(server.address)
        result = place.run("check", "--connect")
        place.remove()
    # Then that is said, and what brings it
    assert result.exit_code == 1
    assert "example.org does not answer: its module is not loaded" in result.output
    assert "`event-pusher setup` writes the module" in result.output


def test_a_running_pusher_keeps_its_stream_and_is_asked(running: Running) -> None:
    # Given a pusher that runs
    opened = running.call("status")["sources"]["component"]["counters"]["streams_opened"]
    # When the connection is checked
    result = running.run("check", "--connect", "--json")
    # Then it answers, and its stream was left alone
    assert result.exit_code == 0
    assert any("the running process says" in one["text"] for one in json.loads(result.output))
    assert running.call("status")["sources"]["component"]["counters"]["streams_opened"] == opened


def test_a_stream_of_a_process_elsewhere_is_left_alone(connected: Place, server: LoopbackServer) -> None:
    # Given an owner of the database that does not listen here
    engine = open_engine(connected.settings.database.url, connected.folder)
    writer, lease = hold_lease(engine, SystemClock())
    assert lease.acquire()
    # When the connection is checked
    result = connected.run("check", "--connect")
    # Then it is not tried
    assert "has the streams: not tried" in result.output
    assert not server.connected
    lease.release()
    writer.close()
    engine.dispose()


def test_a_socket_of_another_program_is_told(place: Place) -> None:
    # Given something that listens there and is not event-pusher
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place.folder / "admin.sock"))
        other.listen()
        other.settimeout(10)

        def talk() -> None:
            peer, _ = other.accept()
            peer.recv(1000)
            peer.sendall(b"hello\n")
            peer.close()

        thread = threading.Thread(target=talk)
        thread.start()
        result = place.run("check")
        thread.join()
    assert result.exit_code == 1
    assert "FAIL admin" in result.output

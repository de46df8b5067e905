"""The listener: who may ask, what is served, what becomes of the socket."""

from __future__ import annotations

import socket
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from event_pusher.admin.client import NobodyListensError, RefusedError, Remote
from event_pusher.admin.http import AdminServer, Answer, json_answer
from event_pusher.errors import SettingsError
from tests.unit.running import Place, Running


def respond(method: str, path: str, body: bytes) -> Answer:
    return json_answer({"path": path})


@pytest.fixture
def tcp() -> Iterator[str]:
    """A server on loopback TCP; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = AdminServer(address, respond)
    server.start()
    yield address
    server.close()


def path_of(place: Place) -> Path:
    return place.folder / "admin.sock"


def test_the_socket_is_its_owners_alone(running: Running) -> None:
    assert stat.S_IMODE(path_of(running.place).stat().st_mode) == 0o600


def test_a_socket_that_nobody_serves_is_replaced(place: Place) -> None:
    # Given what a killed process left behind
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path_of(place)))
    # When another one starts
    server = AdminServer(place.settings.admin.listen, respond)
    server.start()
    # Then it is served, and at its end it is gone
    assert Remote(place.settings.admin.listen).call("any")["path"] == "/commands/any"
    server.close()
    assert not path_of(place).exists()


def test_a_living_process_keeps_its_socket_and_is_followed(place: Place) -> None:
    # Given two processes with one address
    first, second = (AdminServer(place.settings.admin.listen, respond) for _ in range(2))
    first.start()
    second.start()
    assert (first.is_listening, second.is_listening) == (True, False)
    # When the first one ends
    first.close()
    # Then the second one takes over
    assert second._waiter is not None
    second._waiter.join(5)
    assert Remote(place.settings.admin.listen).call("any")
    second.close()


def test_a_file_that_is_no_socket_stays(place: Place) -> None:
    path_of(place).write_text("mine")
    with pytest.raises(SettingsError, match=r"no socket.*set another"):
        AdminServer(place.settings.admin.listen, respond).start()
    assert path_of(place).read_text() == "mine"


def test_a_missing_folder_is_told_with_the_cure(place: Place) -> None:
    with pytest.raises(SettingsError, match=r"there is no folder .*; make it"):
        AdminServer(f"unix:{place.folder}/run/admin.sock", respond).start()


def test_nobody_listening_says_what_to_start(place: Place) -> None:
    with pytest.raises(NobodyListensError, match="start `event-pusher run`"):
        Remote(place.settings.admin.listen).call("status")


@pytest.mark.parametrize(
    "header", [{"Host": "evil.example"}, {"Host": "evil.example:80"}, {"Origin": "http://127.0.0.1"}]
)
def test_a_browser_that_was_lured_to_the_port_is_refused(tcp: str, header: dict[str, str]) -> None:
    request = urllib.request.Request(f"http://{tcp}/metrics", headers=header)
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
    refused.value.close()


def test_programs_of_this_machine_may_ask_over_tcp(tcp: str) -> None:
    assert Remote(tcp).call("any") == {"path": "/commands/any"}


def test_something_else_at_the_address_is_recognised(place: Place) -> None:
    server = AdminServer(place.settings.admin.listen, lambda *_: Answer(404, "text/html", b"<html/>"))
    server.start()
    with pytest.raises(RefusedError, match="is not event-pusher"):
        Remote(place.settings.admin.listen).call("status")
    server.close()


def test_health_and_readiness(running: Running) -> None:
    # Given a pusher that is well
    assert running.remote.request("GET", "/healthz")[0] == 200
    assert running.remote.request("GET", "/readyz")[0] == 200
    # When the XMPP server is away
    running.server.close()
    running.until(running.app.health)
    # Then it is alive, and not ready, and says why
    status, body = running.remote.request("GET", "/readyz")
    assert (status, b"source component" in body) == (503, True)
    assert running.remote.request("GET", "/healthz")[0] == 200


def test_commands_are_posted_and_the_rest_is_read(running: Running) -> None:
    assert running.remote.request("GET", "/commands/status")[0] == 405
    assert running.remote.request("POST", "/metrics", b"{}")[0] == 405
    assert running.remote.request("GET", "/nothing")[0] == 404


def test_arguments_that_are_no_json_are_refused(running: Running) -> None:
    assert running.remote.request("POST", "/commands/status", b"{")[0] == 400
    assert running.remote.request("POST", "/commands/status", b"[]")[0] == 400


def test_the_metrics_count_and_name_nobody(running: Running) -> None:
    # Given a push
    running.enable()
    running.write("hello")
    running.until(lambda: running.call("status")["counters"].get("delivered") == 1)
    # When a scraper comes
    status, body = running.remote.request("GET", "/metrics")
    text = body.decode()
    # Then what it counts is there, without any account
    assert status == 200
    for line in (
        'event_pusher_delivered_total{backend="push"} 1.0',
        'event_pusher_dead_total{backend="push"} 0.0',
        'event_pusher_decisions_total{backend="push",reason="accepted"} 1.0',
        "event_pusher_outbox_waiting 0.0",
        'event_pusher_source_up{source="component"} 1.0',
    ):
        assert line in text
    assert "@" not in text


def test_no_listener_is_made_when_it_is_off() -> None:
    server = AdminServer("", respond)
    server.start()
    assert not server.is_listening
    server.close()

"""Who may be connected to when a URL comes from a user."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from webhook_sink import Sink
from webhooks import publish, running

from event_pusher.abc import DELIVERED, Dead
from event_pusher_http.guard import AddressRefused, connect, is_permitted, networks, resolve

REFUSED = Dead("the URL leads to an address that is not public; the operator may allow its network")


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
    ],
)  # fmt: skip
def test_public_addresses_are_permitted(address: str) -> None:
    assert is_permitted(address)


@pytest.mark.parametrize(
    "address",
    [
        # loopback, this network, private, shared, link-local, documentation, benchmarks, multicast, reserved
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.0.1", "100.64.0.1", "169.254.169.254", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        # the same in IPv6
        "::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1",
        "3fff::1", "5f00::1", "100::1", "2001:2::1",
        # addresses inside addresses: IPv4-mapped and -compatible, NAT64 (and its local prefix), 6to4, Teredo
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::10.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::", "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        # no address
        "localhost", "", "1.2.3", "0x7f.1",
    ],
)  # fmt: skip
def test_all_others_are_refused(address: str) -> None:
    assert not is_permitted(address)


@pytest.mark.parametrize(
    ("address", "permitted"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.2.0.1", False), ("fd00:1::5", True), ("fd00:2::5", False)],
)
def test_an_operator_may_allow_networks(address: str, permitted: bool) -> None:
    assert is_permitted(address, networks(["10.1.0.0/16", "fd00:1::/64"])) is permitted


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1"])
def test_where_clouds_keep_credentials_nobody_is_let(address: str) -> None:
    assert not is_permitted(address, networks(["0.0.0.0/0", "::/0"]))


def info(address: str, port: int = 80) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, port))


def test_one_private_address_refuses_a_name() -> None:
    with pytest.raises(AddressRefused):
        resolve("h", 80, look_up=lambda *args, **options: [info("8.8.8.8"), info("10.0.0.1")])


def test_a_name_without_an_address_cannot_be_looked_up() -> None:
    with pytest.raises(socket.gaierror):
        resolve("h", 80, look_up=lambda *args, **options: [])


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "localhost", "::1", "0"])
def test_other_ways_to_write_loopback_are_refused(host: str) -> None:
    with pytest.raises((AddressRefused, socket.gaierror)):
        resolve(host, 80)


def test_the_first_address_that_takes_a_connection_gets_it(sink: Sink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]

    sock = connect([info("127.0.0.1", nobody), info("127.0.0.1", sink.port)], 5.0)

    assert sock.getpeername()[1] == sink.port
    sock.close()


# --- in a handler ---------------------------------------------------------------------------------------------------


def test_an_operators_handler_may_go_anywhere(sink: Sink) -> None:
    with running({"url": sink.url}) as backend:
        assert publish(backend) == DELIVERED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433"])
def test_an_untrusted_handler_goes_to_no_private_address(sink: Sink, host: str) -> None:
    with running({"url": f"http://{host}:{sink.port}/", "untrusted": True}) as backend:
        assert publish(backend) == REFUSED

    assert sink.connections == 0


def test_an_untrusted_handler_goes_where_the_operator_allows(sink: Sink) -> None:
    with running({"url": sink.url, "untrusted": True, "allow_networks": ["127.0.0.0/8"]}) as backend:
        assert publish(backend) == DELIVERED


def test_the_tested_address_is_the_one_that_is_connected_to(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a name that says one thing the first time and another the next (DNS rebinding)
    look_ups: list[str] = []

    def look_up(host: str, *args: object, **options: object) -> list[Any]:
        look_ups.append(host)
        return [info("127.0.0.1" if len(look_ups) == 1 else "192.168.0.1", sink.port)]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    # When a request goes there
    url = f"http://hook.example.net:{sink.port}/"
    with running({"url": url, "untrusted": True, "allow_networks": ["127.0.0.0/8"]}) as backend:
        outcome = publish(backend)
    # Then it was asked once, and the request names the host and not the address
    assert (outcome, look_ups) == (DELIVERED, ["hook.example.net"])
    assert sink.requests[0].headers["host"] == f"hook.example.net:{sink.port}"


def test_every_new_connection_is_tested(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a name that leads to an allowed address at first
    answers = ["127.0.0.1"]
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **options: [info(answers[0], sink.port)])
    url = f"http://hook.example.net:{sink.port}/"
    with running({"url": url, "untrusted": True, "allow_networks": ["127.0.0.1/32"]}) as backend:
        assert publish(backend) == DELIVERED
        # When it leads to another one, and the connection is gone
        answers[0] = "127.0.0.2"
        sink.go_away()
        sink.come_back()
        # Then that is refused
        assert publish(backend) == REFUSED

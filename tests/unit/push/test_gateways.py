"""Push without PubSub: what is registered at a virtual host goes to its gateway, through the whole core."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from event_pusher.abc import Attempt, Gateway, GatewaySettings, Notification, Registration
from event_pusher.errors import DestinationGone, TemporaryPublishError
from event_pusher.intake import Enable, Refusal
from event_pusher.settings import NamedBackend, NamedGateway
from event_pusher.testing.factories import BOB, HOST
from tests.unit.support import SERVICE, Rig, Rigs, push

PATIENCE = 10.0
VIRTUAL = f"push.{HOST}"
OPTIONS = (("device_id", "d-1"), ("service", "fcm"))


class Scripted(Gateway[GatewaySettings]):
    """Does what `trouble` says, when `going` lets it."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]  # handed on
        self.trouble: Exception | None = None
        self.going = threading.Event()
        self.going.set()
        self.asked: list[tuple[Registration, Notification, str]] = []
        self.life: list[str] = []

    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        self.asked.append((registration, notification, attempt.key))
        self.going.wait(PATIENCE)
        if self.trouble is not None:
            raise self.trouble

    def start(self) -> None:
        self.life.append("start")

    def close(self, timeout: float) -> None:
        self.life.append("close")

    def health(self) -> str | None:
        return "it hurts" if self.trouble else None


def virtual(name: str = "push", workers: int = 2, **options: object) -> NamedBackend:
    """Name a push backend that has a gateway."""
    one = NamedGateway("scripted", "scripted", Scripted, GatewaySettings(workers=workers))
    hosts: dict[str, Any] = {"virtual_pubsub_hosts": ["push.@HOST@"], **options}
    return replace(push(**hosts), name=name, gateways=(one,))


def gateway(rig: Rig, name: str = "push") -> Scripted:
    """The gateway of a backend."""
    found = rig.built.backends[name].tools.gateways["scripted"]
    assert isinstance(found, Scripted)
    return found


def until(rig: Rig, true: Callable[[], bool]) -> None:
    """Let the core turn, and gateways publish on their threads, until it is so."""
    pause = threading.Event()
    for _ in range(1000):
        if true():
            return
        pause.wait(0.005)
        rig.turn()
    raise AssertionError("it did not come about")


@pytest.fixture
def enabled(rigs: Rigs) -> Rig:
    """Bob has one registration at the virtual host."""
    rig = rigs(backends=(virtual(),))
    enable(rig, VIRTUAL)
    return rig


def enable(rig: Rig, service: str) -> None:
    answers: list[Refusal | None] = []
    rig.give(Enable(BOB, service, "node-1", OPTIONS, answers.append))
    assert answers == [None]


def test_the_gateway_is_asked_with_the_registration_and_what_is_said(enabled: Rig) -> None:
    # When a message comes for him
    enabled.give(enabled.message("hello"))
    until(enabled, lambda: enabled.rows() == [])
    # Then the gateway has published it, and nothing went over the stream
    [(registration, notification, key)] = gateway(enabled).asked
    assert (registration.user, registration.service, registration.node) == (BOB, VIRTUAL, "node-1")
    assert registration.options == OPTIONS
    assert notification.get("last-message-body") == "hello"
    assert key == "e1-1-1"
    assert enabled.feed.server.requests == []


def test_what_a_notification_reveals_goes_by_content(rigs: Rigs) -> None:
    rig = rigs(backends=(virtual(content="marker"),))
    enable(rig, VIRTUAL)

    rig.give(rig.message("hello"))
    until(rig, lambda: rig.rows() == [])

    assert gateway(rig).asked[0][1].fields == (("message-count", "1"), ("last-message-body", "New message"))


def test_a_push_service_on_the_network_is_published_to_beside_it(enabled: Rig) -> None:
    enable(enabled, SERVICE)
    enabled.give(enabled.message("hello"))
    until(enabled, lambda: enabled.rows() == [])
    assert len(gateway(enabled).asked) == 1
    assert [one.to for one in enabled.feed.server.requests] == [SERVICE]


@pytest.mark.parametrize("service", [f"other.{HOST}", HOST, f"xpush.{HOST}", "push.example.net", f"push.{HOST}.evil"])
def test_a_service_that_only_looks_like_a_virtual_host_is_on_the_network(rigs: Rigs, service: str) -> None:
    rig = rigs(backends=(virtual(),))
    enable(rig, service)
    rig.give(rig.message("hello"))
    assert [one.to for one in rig.feed.server.requests] == [service]
    assert gateway(rig).asked == []


def test_a_failure_is_tried_again_with_the_same_key(enabled: Rig) -> None:
    # Given a gateway that fails
    gateway(enabled).trouble = TemporaryPublishError("the provider is down")
    enabled.give(enabled.message("hello"))
    until(enabled, lambda: [row["reason"] for row in enabled.rows()] == ["the provider is down"])
    # When it is well again and the time has come
    gateway(enabled).trouble = None
    enabled.turn(seconds=2)
    until(enabled, lambda: enabled.rows() == [])
    # Then the same was published
    assert gateway(enabled).asked[0] == gateway(enabled).asked[1]


def test_a_device_that_is_gone_disables_the_registration(enabled: Rig) -> None:
    gateway(enabled).trouble = DestinationGone("not registered")
    enabled.give(enabled.message("one"), enabled.message("two"))
    until(enabled, lambda: enabled.rows() == [])
    record = enabled.built.registrations.show(1)
    assert record is not None
    assert record.disabled_reason == "not registered"
    assert len(gateway(enabled).asked) == 1


def test_a_gateway_that_hangs_holds_nobody_else_up_and_takes_a_bounded_number(rigs: Rigs) -> None:
    # Given a gateway of one thread that hangs, and eight users of it
    rig = rigs(backends=(virtual(workers=1),))
    users = [f"u{number}@{HOST}" for number in range(8)]
    for user in users:
        rig.give(Enable(user, VIRTUAL, "node", OPTIONS, lambda _refusal: None))
    enable(rig, SERVICE)
    gateway(rig).going.clear()
    # When each of them gets a message, and then Bob, whose service is on the network
    rig.give(*(rig.message(f"m-{user}", user) for user in users), rig.message("hello"))
    rig.turn(3)
    # Then Bob's is published, and what the gateway cannot take waits without being counted
    assert len(rig.feed.server.requests) == 1
    assert rig.parts.publishers["push"].in_flight == 5
    assert [row["attempts"] for row in rig.rows()] == [0] * 8
    # And all goes when the gateway goes on
    gateway(rig).going.set()
    until(rig, lambda: rig.rows() == [])
    assert sorted(asked[0].user for asked in gateway(rig).asked) == users


def test_what_waits_for_a_gateway_that_is_gone_waits_and_says_so(enabled: Rig, rigs: Rigs) -> None:
    # Given a delivery for a gateway
    gateway(enabled).trouble = TemporaryPublishError("away")
    enabled.give(enabled.message("hello"))
    until(enabled, lambda: bool(enabled.rows()) and enabled.rows()[0]["attempts"] == 1)
    enabled.close()
    # When the next start has none
    again = rigs(backends=(push(),), clock=enabled.clock)
    again.turn(5, seconds=2)
    # Then it waits, with the cure
    assert [row["reason"] for row in again.rows()] == [
        f"no gateway serves {VIRTUAL} any more; name one in virtual_pubsub_hosts"
    ]


def test_the_backend_starts_closes_and_speaks_for_its_gateways(enabled: Rig) -> None:
    backend, one = enabled.built.backends["push"], gateway(enabled)
    backend.start()
    assert backend.health() is None
    one.trouble = TemporaryPublishError("x")
    assert backend.health() == "it hurts"
    backend.close(0.1)
    assert one.life == ["start", "close"]


def test_two_push_backends_publish_both(rigs: Rigs) -> None:
    # Given two push backends that differ in what they tell
    rig = rigs(backends=(push(), replace(push(content="none"), name="quiet")))
    enable(rig, SERVICE)
    # When a message comes
    rig.give(rig.message("hello"))
    rig.turn(3)
    # Then each has published it, in its own way
    payloads = [one.payload for one in rig.feed.server.requests]
    assert [b"hello" in payload for payload in payloads] == [True, False]
    assert rig.rows() == []

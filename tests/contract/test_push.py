"""The push backend and its default plugin are held to the contracts like anybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from event_pusher.abc import (
    Attempt,
    Delivery,
    Gateway,
    GatewaySettings,
    IqAnswer,
    NoSettings,
    Notification,
    Registration,
)
from event_pusher.testing import (
    BackendContract,
    InMemoryRegistrations,
    PushPluginContract,
    RecordingStanzas,
    World,
    make_chain,
    make_gateway_tools,
    make_tools,
)
from event_pusher.testing.doubles import RESULT
from event_pusher.testing.factories import BOB
from event_pusher_push.backend import PushBackend
from event_pusher_push.gateways import FORMAT, pack
from event_pusher_push.wire import with_item_id
from event_pusher_push_defaults.plugin import DefaultsPlugin

VIRTUAL = "virtual.example.org"


class Willing(Gateway[GatewaySettings]):
    """A gateway that takes everything."""

    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        """Take it."""


class PushWorld(World):
    """An XMPP server that answers every publish; Bob has two registrations."""

    def __init__(self) -> None:
        self.stanzas = RecordingStanzas()
        registrations = InMemoryRegistrations()
        registrations.enable(node="node-1")
        registrations.enable(node="node-2", options=(("secret", "push-credential"),))
        super().__init__(
            make_tools(
                name="push",
                registrations=registrations,
                stanzas=self.stanzas,
                plugins=make_chain((DefaultsPlugin, NoSettings())),
                gateways={"willing": Willing(GatewaySettings(), make_gateway_tools())},
            )
        )

    def received(self) -> Sequence[bytes]:
        named = with_item_id(b"<item>", "KEY").partition(b"KEY")
        return [
            one.payload.replace(named[0] + one.token.key.encode() + named[2], b"<item>", 1)
            for one in self.stanzas.requests
        ]

    def discard(self) -> None:
        self.stanzas.requests.clear()

    def go_away(self) -> bool:
        self.stanzas.up = False
        return True

    def come_back(self) -> bool:
        self.stanzas.up = True
        self.stanzas.answer = RESULT
        self.stanzas.answer_all()
        return True

    def stall(self) -> bool:
        self.stanzas.answer = None
        return True

    def refuse(self) -> bool:
        self.stanzas.answer = IqAnswer("error", "service-unavailable", "wait", "", "push.example.net")
        return True

    def close(self) -> None:
        self.stanzas.answer_all()


class TestPushBackend(BackendContract):
    backend_class = PushBackend

    def make_world(self) -> World:
        return PushWorld()

    def options(self) -> dict[str, Any]:
        return {"virtual_pubsub_hosts": [VIRTUAL]}

    def older(self) -> list[Delivery]:
        """What waits for a gateway; the events here are for push services on the network."""
        payload = pack(Registration(3, BOB, VIRTUAL, "node"), Notification((("message-count", "1"),)))
        return [Delivery(BOB, VIRTUAL, payload, format=FORMAT, registration=3)]


class TestDefaultsPlugin(PushPluginContract):
    plugin_class = DefaultsPlugin
    last = True

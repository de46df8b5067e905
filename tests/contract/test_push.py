"""The push backend and its default plugin are held to the contracts like anybody's."""

from __future__ import annotations

from collections.abc import Sequence

from event_pusher.abc import IqAnswer, NoSettings
from event_pusher.testing import (
    BackendContract,
    InMemoryRegistrations,
    PushPluginContract,
    RecordingStanzas,
    World,
    make_chain,
    make_tools,
)
from event_pusher.testing.doubles import RESULT
from event_pusher_push.backend import PushBackend
from event_pusher_push.wire import with_item_id
from event_pusher_push_defaults.plugin import DefaultsPlugin


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


class TestDefaultsPlugin(PushPluginContract):
    plugin_class = DefaultsPlugin
    last = True

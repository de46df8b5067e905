"""The component source is held to the contract, with the loopback server."""

from __future__ import annotations

from typing import Any

from event_pusher.loopback import LoopbackServer
from event_pusher.sources.component import ComponentSource
from event_pusher.testing import SourceContract, SourceWorld

SECRET = "correct horse battery staple"


class ComponentWorld(SourceWorld):
    """An XMPP server that serves one component."""

    def __init__(self) -> None:
        self.server = LoopbackServer(secret=SECRET).start()

    def happen(self) -> bool:
        self.server.message("alice@example.org/phone", "bob@example.org", "Come at eight")
        return True

    def cut(self) -> bool:
        self.server.drop_stream()
        return True

    def close(self) -> None:
        self.server.close()


class TestComponentSource(SourceContract):
    source_class = ComponentSource

    def make_world(self) -> ComponentWorld:
        return ComponentWorld()

    def options(self, world: Any) -> dict[str, Any]:
        return self._options(world.server.address)

    def options_of_nobody(self) -> dict[str, Any]:
        return self._options("127.0.0.1:1")

    def _options(self, server: str) -> dict[str, Any]:
        return {"domain": "push.example.org", "server": server, "secret": SECRET, "hosts": ["example.org"]}

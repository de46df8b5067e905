"""The HTTP backend is held to the contract, with a receiver on loopback."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from webhook_sink import Reply, Sink
from webhooks import make_backend

from event_pusher.abc import Backend
from event_pusher.testing import BackendContract, World, make_tools
from event_pusher_http.backend import HttpBackend
from event_pusher_http.settings import HttpSettings
from event_pusher_http.wire import Letter


class HttpWorld(World):
    """A receiver of the events' JSON."""

    def __init__(self) -> None:
        super().__init__(make_tools(name="http"))
        self.sink = Sink()
        self.away = False

    def received(self) -> Sequence[bytes]:
        """What was stored can be told from what came: the JSON says the kind of event."""
        return [
            Letter(
                "hook", "", json.loads(got.body)["kind"], {"content-type": got.headers["content-type"]}, got.body
            ).pack()
            for got in self.sink.requests
        ]

    def discard(self) -> None:
        self.sink.requests.clear()

    def go_away(self) -> bool:
        self.away = True
        self.sink.go_away()
        return True

    def come_back(self) -> bool:
        self.sink.let_go()
        self.sink.answer = lambda _got: Reply()
        if self.away:
            self.away = False
            self.sink.come_back()
        return True

    def stall(self) -> bool:
        self.sink.hold()
        return True

    def refuse(self) -> bool:
        self.sink.answer = lambda _got: Reply(503)
        return True

    def close(self) -> None:
        self.sink.close()


class TestHttpBackend(BackendContract):
    backend_class = HttpBackend
    _sink: Sink

    def make_world(self) -> World:
        world = HttpWorld()
        self._sink = world.sink
        return world

    def options(self) -> dict[str, Any]:
        where = getattr(self, "_sink", None)
        url = f"{where.url}/hook?token=q-s3cret" if where else "http://127.0.0.1:9/hook"
        return {
            "handlers": [
                {
                    "name": "hook",
                    "url": url.replace("//", "//user:u-s3cret@"),
                    "callback_module": "json",
                    "events": ["chat", "user_status", "unacked_message"],
                    "headers": {"X-Api-Key": "h-s3cret"},
                    "secrets": ["whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"],
                }
            ]
        }

    def make_backend(self, world: World) -> Backend[Any]:
        return make_backend(cast("HttpSettings", self.make_settings()))


def test_what_a_url_keeps_secret_is_never_shown() -> None:
    # Given a handler whose URL has a password and a token
    contract = TestHttpBackend()
    settings = contract.make_settings()
    # Then neither it nor what is made of it shows them
    backend = make_backend(cast("HttpSettings", settings))
    deliveries = contract.deliveries(backend)
    shown = repr(settings) + repr(deliveries) + "".join(str(one.payload) for one in deliveries)
    assert [secret for secret in ("u-s3cret", "q-s3cret") if secret in shown] == []

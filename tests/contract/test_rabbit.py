"""The rabbit backend is held to the contract, with a broker that is a double: `servers` tests have the real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from amqp_broker import AmqpBroker, eventually

from event_pusher.abc import Backend
from event_pusher.testing import BackendContract, World, make_tools
from event_pusher_rabbit.backend import RabbitBackend
from event_pusher_rabbit.wire import Message, pack

PASSWORD = "correct horse battery staple"


class RabbitWorld(World):
    """A broker on loopback."""

    def __init__(self) -> None:
        super().__init__(make_tools(name="rabbit"))
        self.broker = AmqpBroker().__enter__()

    def received(self) -> Sequence[bytes]:
        return [
            pack(Message(one.exchange, one.key, one.properties.timestamp, one.body)) for one in self.broker.messages
        ]

    def discard(self) -> None:
        self.broker.messages.clear()

    def go_away(self) -> bool:
        self.broker.leave()
        return True

    def come_back(self) -> bool:
        self.broker.verdict = lambda _message: "ack"
        self.broker.come_back()
        return True

    def stall(self) -> bool:
        self.broker.verdict = lambda _message: "hold"
        return True

    def refuse(self) -> bool:
        self.broker.verdict = lambda _message: "nack"
        return True

    def close(self) -> None:
        self.broker.close()


class TestRabbitBackend(BackendContract):
    backend_class = RabbitBackend
    port = 0

    def options(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.port or 5672,
            "password": PASSWORD,
            "presence_exchange": {},
            "chat_msg_exchange": {},
            "groupchat_msg_exchange": {},
        }

    def make_world(self) -> World:
        world = RabbitWorld()
        self.port = world.broker.port
        return world

    @pytest.fixture
    def started(self, backend: Backend[Any], world: World) -> Backend[Any]:
        """It is connected before anything is published."""
        backend.start()
        assert eventually(backend.ready)
        return backend

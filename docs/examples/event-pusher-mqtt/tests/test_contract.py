"""The backend keeps the contract of event-pusher, with a broker of a few lines that misbehaves when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedIOBase
from typing import Any

from event_pusher_mqtt.backend import MqttBackend

from event_pusher.testing import BackendContract, TcpWorld, World, chat_event

CONNECT, PUBLISH, PINGREQ = 1, 3, 12
CONNACK, PINGRESP = b"\x20\x03\x00\x00\x00", b"\xd0\x00"
QUOTA_EXCEEDED = 0x97


class Broker(TcpWorld):
    """Enough of MQTT 5 for a publisher."""

    def converse(self, stream: BufferedIOBase, write: Callable[[bytes], object]) -> None:
        while head := stream.read(1):
            body = stream.read(_variable(stream))
            if head[0] >> 4 == CONNECT:
                write(CONNACK)
            elif head[0] >> 4 == PINGREQ:
                write(PINGRESP)
            elif head[0] >> 4 == PUBLISH:
                write(self._published(body))

    def _published(self, body: bytes) -> bytes:
        topic_end = 2 + int.from_bytes(body[:2], "big")
        packet, properties = body[topic_end : topic_end + 2], body[topic_end + 2]
        accepted = self.take(body[topic_end + 3 + properties :])
        return b"\x40\x03" + packet + bytes([0 if accepted else QUOTA_EXCEEDED])


def _variable(stream: BufferedIOBase) -> int:
    value, shift = 0, 0
    while byte := stream.read(1):
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            break
    return value


class TestMqttBackend(BackendContract):
    backend_class = MqttBackend
    port = 1883

    def make_world(self) -> World:
        world = Broker()
        self.port = world.port
        return world

    def options(self) -> dict[str, Any]:
        return {"port": self.port, "username": "pusher", "password": "correct horse battery staple"}

    def test_wildcards_of_a_user_do_not_get_into_the_topic(self, started: MqttBackend) -> None:
        (delivery,) = self.decide(started, chat_event(recipient="b+o#b@example.org"))

        assert delivery.target == "event-pusher/b%2Bo%23b@example.org"

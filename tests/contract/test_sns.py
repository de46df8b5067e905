"""The sns backend is held to the contract, over HTTP to moto's SNS; what arrives is read from a subscribed queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aws import ACCOUNT, KEY, REGION, SECRET, Aws, refusal

from event_pusher.abc import Backend, NoSettings
from event_pusher.testing import BackendContract, World, make_plugin_tools, make_tools
from event_pusher_sns.backend import SnsBackend
from event_pusher_sns.plugin import DefaultsPlugin
from event_pusher_sns.wire import Notice


class SnsWorld(World):
    """One topic for all three streams, so that their order can be read."""

    def __init__(self) -> None:
        super().__init__(make_tools(name="sns", plugins=(DefaultsPlugin(NoSettings(), make_plugin_tools()),)))
        self.aws = Aws().__enter__()
        self.away = False
        self._queue = self.aws.topic("all")

    def received(self) -> Sequence[bytes]:
        # The queue is at the same server: while that is away, nothing can have come.
        texts = [one["Body"] for one in self._queue.taken] if self.away else self._queue.bodies()
        return [Notice(text).pack() for text in texts]

    def go_away(self) -> bool:
        self._queue.bodies()
        self.away = True
        self.aws.leave()
        return True

    def come_back(self) -> bool:
        self.aws.faults.clear()
        self.aws._go.set()
        if self.away:
            self.away = False
            self.aws.come_back()
        return True

    def stall(self) -> bool:
        self.aws.hold()
        return True

    def refuse(self) -> bool:
        self.aws.faults[:] = [refusal(503, "ServiceUnavailable")] * 1000
        return True

    def close(self) -> None:
        self.aws.close()


class TestSnsBackend(BackendContract):
    backend_class = SnsBackend
    dropped: ClassVar[Mapping[str, str]] = {"test_memory_stays_flat": "moto, in this process, keeps every message"}
    url: ClassVar[str] = "http://127.0.0.1:9"

    def options(self) -> dict[str, Any]:
        streams = dict.fromkeys(("presence_updates_topic", "pm_messages_topic", "muc_messages_topic"), "all")
        keys = {"access_key_id": KEY, "secret_access_key": SECRET}
        return {"region": REGION, "account_id": ACCOUNT, "sns_host": self.url} | keys | streams

    def make_world(self) -> World:
        return SnsWorld()

    def make_backend(self, world: World) -> Backend[Any]:
        assert isinstance(world, SnsWorld)
        type(self).url = world.aws.url
        return super().make_backend(world)

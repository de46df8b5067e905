"""A backend that breaks no duty, and its destination in memory: what is broken is made of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

from event_pusher.abc import Acc, Attempt, Backend, BackendSettings, BackendTools, Delivery, Event, Secret
from event_pusher.errors import TemporaryPublishError, UnknownOutcome
from event_pusher.testing import BackendContract, World, make_tools


class TokenSettings(BackendSettings):
    token: Secret = Secret(text="s3cret-token")


class Memory(World):
    """Keeps what arrives; can be away, stand still, or refuse."""

    def __init__(self) -> None:
        super().__init__(make_tools())
        self.taken: list[bytes] = []
        self.away = self.refusing = False
        self.flowing = threading.Event()
        self.flowing.set()

    def take(self, payload: bytes) -> bool:
        """Something arrives: whether it was accepted."""
        if self.away:
            raise TemporaryPublishError("nobody is there")
        if not self.refusing:
            self.taken.append(payload)
        return not self.refusing

    def received(self) -> Sequence[bytes]:
        return list(self.taken)

    def discard(self) -> None:
        self.taken.clear()

    def go_away(self) -> bool:
        self.away = True
        return True

    def come_back(self) -> bool:
        self.away = self.refusing = False
        self.flowing.set()
        return True

    def stall(self) -> bool:
        self.flowing.clear()
        return True

    def refuse(self) -> bool:
        self.refusing = True
        return True

    def close(self) -> None:
        self.flowing.set()


class Good(Backend[TokenSettings]):
    """Breaks no duty."""

    Settings = TokenSettings
    world: Memory

    def __init__(self, settings: TokenSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self.closed = 0

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        if isinstance(event, Event):
            yield Delivery(str(event.user), "memory", f"{acc.id} {event.kind}".encode())

    def publish(self, attempt: Attempt) -> None:
        accepted = self.world.take(attempt.delivery.payload)
        if not self.world.flowing.wait(min(attempt.deadline, 0.1)):
            raise UnknownOutcome("no answer")
        if not accepted:
            raise TemporaryPublishError("it was refused")


class Contract(BackendContract):
    backend_class = Good
    patience = 0.3
    quiet = 0.1
    deadline = 0.2
    endurance = 3000

    def make_world(self) -> World:
        return Memory()

    def make_backend(self, world: World) -> Backend[Any]:
        backend = super().make_backend(world)
        assert isinstance(world, Memory)
        backend.world = world  # type: ignore[attr-defined]  # all of them are `Good`s
        return backend

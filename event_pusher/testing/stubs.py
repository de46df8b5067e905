"""Classes that stand in for others in a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from event_pusher.abc import Acc, Attempt, Backend, BackendSettings, Delivery, Event, PushPlugin

if TYPE_CHECKING:
    from collections.abc import Iterable


class StubPushSettings(BackendSettings):
    """A backend's section that names a chain."""

    plugin_module: str | tuple[str, ...] = "defaults"


class StubPushBackend(Backend[StubPushSettings]):
    """Takes push plugins, and delivers nothing."""

    Settings = StubPushSettings
    Plugin: ClassVar[type | None] = PushPlugin

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        return ()

    def publish(self, attempt: Attempt) -> None:
        """Deliver nothing."""

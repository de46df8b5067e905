"""A backend in two steps: `push_event` decides what is delivered, `publish` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from event_pusher.abc import Acc, Attempt, Backend, BackendSettings, Delivery, Event
from event_pusher.events import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable


class LogSettings(BackendSettings):
    """``[backends.log]``: `bodies` prints the text of messages too."""

    bodies: bool = False


class LogBackend(Backend[LogSettings]):
    """Every event of every kind becomes one line of the log, in the order in which it happened to its user."""

    Settings = LogSettings

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        if isinstance(event, Event):  # a later release may bring kinds that this one does not know
            payload = to_json(acc, event, body=self.settings.bodies)
            yield Delivery(recipient=str(event.user), target="log", payload=payload)

    def publish(self, attempt: Attempt) -> None:
        self.tools.log.info("%s", attempt.delivery.payload.decode())

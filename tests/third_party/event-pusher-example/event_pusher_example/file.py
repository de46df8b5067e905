"""The `file` backend: every message becomes a line of JSON in a file."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from event_pusher.abc import (
    DELIVERED,
    Acc,
    Attempt,
    Backend,
    BackendSettings,
    BackendTools,
    ChatEvent,
    Delivery,
    Event,
    Outcome,
    Report,
    Retry,
)
from event_pusher.events import to_json


class FileSettings(BackendSettings):
    """``[backends.file]``: `path` is the file, which is made when it is not there."""

    path: Path


class FileBackend(Backend[FileSettings]):
    """Appends a batch with one write, so it overrides `publish_many` and not `publish`."""

    Settings = FileSettings
    max_batch = 100

    def __init__(self, settings: FileSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self._one_writer = threading.Lock()

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        if isinstance(event, ChatEvent) and event.stanza.body:
            yield Delivery(recipient=str(event.user), target=str(self.settings.path), payload=to_json(acc, event))

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        lines = b"".join(attempt.delivery.payload + b"\n" for attempt in attempts)
        outcome: Outcome = DELIVERED
        try:
            with self._one_writer, self.settings.path.open("ab") as file:
                file.write(lines)
        except OSError as error:
            outcome = Retry(f"cannot write {self.settings.path}: {error.strerror}")
        report([(attempt, outcome) for attempt in attempts])

    def health(self) -> str | None:
        folder = self.settings.path.parent
        return None if folder.is_dir() else f"{folder} is not there"

"""The backend keeps the contract of event-pusher, and does what it is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from event_pusher_example.file import FileBackend

from event_pusher.abc import Retry
from event_pusher.testing import BackendContract, Reports, World, attempt, chat_event


class Folder(World):
    """The file's folder, which may go away."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def received(self) -> Sequence[bytes]:
        return self.path.read_bytes().splitlines() if self.path.exists() else []

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)

    def go_away(self) -> bool:
        self.path.parent.rename(self.path.parent.with_name("away"))
        return True

    def come_back(self) -> bool:
        self.path.parent.with_name("away").rename(self.path.parent)
        return True


class TestFileBackend(BackendContract):
    backend_class = FileBackend

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "folder" / "messages.jsonl"
        self.path.parent.mkdir()

    def options(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def make_world(self) -> World:
        return Folder(self.path)

    def test_a_line_is_the_json_of_the_message(self, started: FileBackend) -> None:
        (delivery,) = self.decide(started, chat_event("Come at eight"))

        self.publish(started, [attempt(delivery)])

        assert json.loads(self.path.read_text())["body"] == "Come at eight"

    def test_a_folder_that_is_away_is_a_matter_of_time(self, started: FileBackend, world: World) -> None:
        world.go_away()
        (one,) = self.attempts(started, 1)
        reports = Reports()

        started.publish_many([one], reports)

        assert reports.of(one) == [Retry(f"cannot write {self.path}: No such file or directory")]
        assert started.health() == f"{self.path.parent} is not there"

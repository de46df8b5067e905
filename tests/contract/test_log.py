"""The log backend is held to the contract like anybody's."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import pytest

from event_pusher.testing import BackendContract, World, acc, attempt, chat_event, make_tools
from event_pusher_log.backend import LogBackend, LogSettings


class LogWorld(World):
    """A log, and what was written to it."""

    def __init__(self) -> None:
        super().__init__(make_tools(name="log"))
        self._lines: list[bytes] = []
        self._handler = logging.Handler()
        self._handler.emit = lambda record: self._lines.append(record.getMessage().encode())  # type: ignore[method-assign]  # a double
        self.tools.log.addHandler(self._handler)
        self.tools.log.setLevel(logging.INFO)

    def received(self) -> Sequence[bytes]:
        return list(self._lines)

    def discard(self) -> None:
        self._lines.clear()

    def close(self) -> None:
        self.tools.log.removeHandler(self._handler)


class TestLogBackend(BackendContract):
    backend_class = LogBackend

    def make_world(self) -> World:
        return LogWorld()


@pytest.mark.parametrize(("bodies", "shown"), [(False, False), (True, True)])
def test_the_text_of_a_message_is_printed_only_when_asked_for(bodies: bool, shown: bool) -> None:
    # Given a log backend
    world = LogWorld()
    backend = LogBackend(LogSettings(bodies=bodies), world.tools)
    # When a message goes through it
    (delivery,) = backend.push_event(acc(), chat_event("Come at eight"))
    backend.publish(attempt(delivery))
    # Then its text is in the line or not
    (line,) = world.received()
    assert (b"Come at eight" in line) is shown
    world.close()


def test_a_line_says_what_happened_to_whom() -> None:
    # Given a log backend
    world = LogWorld()
    backend = LogBackend(LogSettings(), world.tools)
    # When a message for Bob goes through it
    (delivery,) = backend.push_event(acc("a7"), chat_event(id="m7"))
    backend.publish(attempt(delivery))
    # Then the line is JSON and tells it
    said = json.loads(world.received()[0])
    assert {key: said[key] for key in ("kind", "user", "direction", "type", "message_id")} == {
        "kind": "chat",
        "user": "bob@example.org",
        "direction": "out",
        "type": "chat",
        "message_id": "m7",
    }
    world.close()

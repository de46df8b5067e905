"""How it is logged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from event_pusher import log as logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave logging as pytest wants it."""
    root, ours = logging.getLogger(), logging.getLogger("event_pusher")
    handlers, level, our_level = list(root.handlers), root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def test_json_lines_carry_time_level_logger_message_and_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    # Given JSON logs
    logs.set_up("info", "json")
    # When something fails
    try:
        int("why")
    except ValueError:
        logging.getLogger("event_pusher.push").exception("it failed for %s", "jürgen")
    # Then one line of JSON has it all
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("error", "event_pusher.push", "it failed for jürgen")
    assert "ValueError: " in told["exception"]
    assert told["time"].endswith("+00:00")


def test_of_libraries_only_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "text")
    logging.getLogger("alembic").info("chatter")
    logging.getLogger("alembic").warning("trouble")
    logging.getLogger("event_pusher").debug("ours")
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().err.splitlines()] == ["trouble", "ours"]


def test_the_level_can_be_changed_later(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("error", "text")
    logging.getLogger("event_pusher").info("before")
    logs.set_level("info")
    logging.getLogger("event_pusher").info("behind")
    assert "before" not in (said := capsys.readouterr().err)
    assert "behind" in said

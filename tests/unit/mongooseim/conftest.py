"""Conversion of a text, and what is loaded from its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from event_pusher.registry import Registry
from event_pusher.settings import Settings, load
from tests.unit.running import run


@dataclass(frozen=True)
class Done:
    """What the command wrote and said, and what is loaded from it when the secrets are filled in."""

    text: str
    said: str
    settings: Settings

    def backend(self, name: str) -> Any:
        """The settings of a backend."""
        return next(one.settings for one in self.settings.backends if one.name == name)


Init = Callable[[str], Done]


@pytest.fixture
def init(tmp_path: Path) -> Init:
    """Give `event-pusher init FILE --from …`, fill the secrets in, and load the file."""

    def converting(text: str) -> Done:
        source, file = tmp_path / "mongooseim", tmp_path / "event-pusher.toml"
        source.write_text(text)
        done = run("init", file, "--from", source)
        assert done.exit_code == 0, done.stderr
        written = file.read_text()
        for line in ["#   component-secret: x", *written.splitlines()]:
            name, colon, _ = line.removeprefix("#   ").partition(": ")
            if line.startswith("#   ") and colon and "." not in name and " " not in name:
                (tmp_path / name).write_text("filled-in")
        return Done(written, done.stderr, load(file, Registry()))

    return converting

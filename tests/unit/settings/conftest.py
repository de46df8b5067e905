"""A registry with our own and a stranger's classes, and a file to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from event_pusher.abc import EventPlugin, PushPlugin, Secret, Section, Source
from event_pusher.errors import SettingsError
from event_pusher.registry import BACKENDS, EVENT_PLUGINS, GATEWAYS, PLUGINS, SOURCES
from event_pusher.settings import Settings, load
from event_pusher.sources.component import ComponentSource
from event_pusher.testing import StubRegistry
from event_pusher.testing.stubs import StubPushBackend
from event_pusher_log.backend import LogBackend
from event_pusher_mongoosepush.gateway import MongoosePushGateway
from event_pusher_push.backend import PushBackend
from event_pusher_push_defaults.plugin import DefaultsPlugin


class InletSettings(Section):
    hosts: tuple[str, ...] = ("example.org",)
    secret: Secret = Secret(text="s3cret")


class Inlet(Source[InletSettings]):
    Settings: ClassVar[type[Section]] = InletSettings

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.settings.hosts

    def start(self) -> None:
        pass

    def close(self, timeout: float) -> None:
        pass


class MuteSettings(Section):
    hours: tuple[int, int] = (22, 7)
    token: Secret | None = None


class Mute(PushPlugin[MuteSettings]):
    Settings = MuteSettings


REGISTRY = StubRegistry(
    {
        SOURCES: {"inlet": Inlet, "component": ComponentSource},
        BACKENDS: {"push": PushBackend, "log": LogBackend, "stub": StubPushBackend},
        PLUGINS + "push": {"defaults": DefaultsPlugin, "mute": Mute},
        PLUGINS + "stub": {"defaults": DefaultsPlugin},
        EVENT_PLUGINS: {"stamp": EventPlugin},
        GATEWAYS: {"mongoosepush": MongoosePushGateway},
    }
)

BASE = """
[database]
url = "sqlite:///event-pusher.db"
[sources.inlet]
"""

Read = Callable[[str], Settings]
Faults = Callable[[str], tuple[str, ...]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Load a configuration: the text of a file."""

    def reading(text: str) -> Settings:
        path = tmp_path / "event-pusher.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, REGISTRY)

    return reading


@pytest.fixture
def faults(read: Read) -> Faults:
    """Load a configuration that is wrong; give back what is."""

    def reading(text: str) -> tuple[str, ...]:
        with pytest.raises(SettingsError) as caught:
            read(text)
        assert not any("\n" in fault or "pydantic" in fault for fault in caught.value.faults)
        return caught.value.faults

    return reading

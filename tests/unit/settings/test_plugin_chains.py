"""Chains of plugins that stand elsewhere than in ``plugin_module``: a backend whose handlers name one each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from event_pusher.abc import Acc, Attempt, Backend, BackendSettings, Delivery, Event, NoSettings, PluginTools, Section
from event_pusher.errors import SettingsError
from event_pusher.registry import BACKENDS, PLUGINS, SOURCES
from event_pusher.settings import Settings, load
from event_pusher.sources.component import ComponentSource
from event_pusher.testing import StubRegistry


class Door(Section):
    callback_module: tuple[str, ...] = ("defaults",)


class DoorsSettings(BackendSettings):
    doors: tuple[Door, ...] = ()

    def plugin_chains(self) -> Iterable[tuple[tuple[str | int, ...], tuple[str, ...]]]:
        return [(("doors", n, "callback_module"), door.callback_module) for n, door in enumerate(self.doors)]


class Policy:
    Settings: ClassVar[type[Section]] = NoSettings

    def __init__(self, settings: Section, tools: PluginTools) -> None:
        self.tools = tools


class Doors(Backend[DoorsSettings]):
    Settings = DoorsSettings
    Plugin: ClassVar[type | None] = Policy

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        return ()

    def publish(self, attempt: Attempt) -> None:
        pass


REGISTRY = StubRegistry(
    {
        SOURCES: {"component": ComponentSource},
        BACKENDS: {"doors": Doors},
        PLUGINS + "doors": {"defaults": Policy, "mute": Policy},
    }
)
BASE = """
[database]
url = "sqlite:///event-pusher.db"
[sources.component]
domain = "push.example.org"
secret = "s3cret"
hosts = ["example.org"]
"""


def read(folder: Path, text: str) -> Settings:
    path = folder / "event-pusher.toml"
    path.write_text(BASE + text, encoding="utf-8")
    return load(path, REGISTRY)


def names(chain: Iterable[Any]) -> list[str]:
    return [plugin.name for plugin in chain]


def test_each_door_has_the_chain_that_it_names(tmp_path: Path) -> None:
    # Given two doors, one of which names a plugin
    settings = read(tmp_path, '[backends.doors]\ndoors = [{}, { callback_module = ["mute"] }]')
    # Then there are two chains, each closed with the defaults
    (backend,) = settings.backends
    assert {key: names(chain) for key, chain in backend.chains.items()} == {
        ("defaults",): ["defaults"],
        ("mute",): ["mute", "defaults"],
    }
    # And the backend has none of its own
    assert backend.plugins == ()


def test_a_host_may_name_chains_too(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        '[backends.doors]\n[hosts."example.org".backends.doors]\ndoors = [{ callback_module = ["mute"] }]',
    )

    assert list(settings.backends[0].chains) == [("mute",)]


def test_the_plugins_of_such_chains_are_in_use(tmp_path: Path) -> None:
    settings = read(tmp_path, '[backends.doors]\ndoors = [{ callback_module = ["mute"] }]')

    assert settings.enabled[PLUGINS + "doors"] == {"mute", "defaults"}


def test_a_name_that_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, '[backends.doors]\ndoors = [{}, { callback_module = ["mut"] }]')

    assert caught.value.faults[0].startswith('backends.doors.doors[1].callback_module: no doors plugin "mut"')

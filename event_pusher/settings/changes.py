"""What is otherwise in a file that was read again: keys only, never values. See docs/operations.md for what reloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from event_pusher.abc import BackendSettings
from event_pusher.options import Secret
from event_pusher.registry import EVENT_PLUGINS, PLUGINS
from event_pusher.settings.faults import Path, dotted
from event_pusher.settings.model import NamedBackend, NamedPlugin, Settings


@dataclass(slots=True)
class Changes:
    """
    The keys that differ: those for which the process must start anew, and those that can be taken over.

    `backends`: by the name of the backend, in plugin chains and per-host overrides; `events`: event plugins.
    """

    restart: list[str] = field(default_factory=list)
    backends: dict[str, list[str]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    log_level: bool = False

    def __bool__(self) -> bool:
        return bool(self.restart or self.backends or self.events or self.log_level)


def compare(old: Settings, new: Settings) -> Changes:
    """Find what differs between two readings of one file."""
    changes = Changes()
    restart = changes.restart
    if old.database != new.database:
        restart.append("database.url")
    for name in ("admin", "log", "outbox"):
        for path in differences(getattr(old, name), getattr(new, name), (name,)):
            if path == ("log", "level"):
                changes.log_level = True
            else:
                restart.append(dotted(path))
    for name, sources in _pairs("sources", old.sources, new.sources, restart):
        restart += map(dotted, differences(sources[0].settings, sources[1].settings, ("sources", name)))
    for name, gateways in _pairs("gateways", old.gateways, new.gateways, restart):
        restart += map(dotted, differences(gateways[0].settings, gateways[1].settings, ("gateways", name)))
    for name, backends in _pairs("backends", old.backends, new.backends, restart):
        _backend(name, backends[0], backends[1], changes)
    changes.events = list(dict.fromkeys(_chain(("events", "plugins"), _EVENTS, old.event_plugins, new.event_plugins)))
    return changes


_EVENTS = EVENT_PLUGINS.removeprefix(PLUGINS)


def differences(old: Any, new: Any, at: Path = ()) -> Iterator[Path]:
    """Find the paths at which two values of settings differ; a secret is one value."""
    if type(old) is not type(new):
        yield at
    elif isinstance(old, BaseModel) and not isinstance(old, Secret):
        for name in type(old).model_fields:
            yield from differences(getattr(old, name), getattr(new, name), (*at, name))
    elif isinstance(old, dict):
        for key in old.keys() | new.keys():
            yield from differences(old.get(key), new.get(key), (*at, key))
    elif isinstance(old, tuple) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, (*at, number))
    elif old != new:
        yield at


def _pairs(what: str, old: Sequence[Any], new: Sequence[Any], restart: list[str]) -> Iterator[tuple[str, Any]]:
    """Pair what has the same name and type; what has none goes to `restart`."""
    before, after = {one.name: one for one in old}, {one.name: one for one in new}
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if one is None or other is None or (one.type, one.cls) != (other.type, other.cls):
            restart.append(dotted((what, name)))
        else:
            yield name, (one, other)


def _backend(name: str, old: NamedBackend, new: NamedBackend, changes: Changes) -> None:
    at: Path = ("backends", name)
    loose: list[str] = []
    is_chain = _chains_of(old.settings, new.settings)
    for path in differences(old.settings, new.settings):
        (loose if is_chain(path) else changes.restart).append(dotted((*at, *path)))
    for host in sorted({*old.host_settings, *new.host_settings}):
        paths = differences(old.host_settings.get(host), new.host_settings.get(host), ("hosts", host, *at))
        loose += map(dotted, paths)
    for one, other in _chain_pairs(old, new):
        loose += _chain((*at, "plugin_module"), new.type, one, other)
    if loose:
        changes.backends[name] = list(dict.fromkeys(loose))


def _chains_of(*settings: BackendSettings) -> Callable[[Path], bool]:
    """Make a test whether a path in a backend's section names plugins."""
    known = {tuple(path) for one in settings for path, _ in one.plugin_chains()} | {("plugin_module",)}
    return lambda path: any(path[: len(one)] == one for one in known)


def _chain_pairs(old: NamedBackend, new: NamedBackend) -> Iterator[tuple[Sequence[NamedPlugin], Sequence[NamedPlugin]]]:
    yield old.plugins, new.plugins
    for before, after in ((old.host_plugins, new.host_plugins), (old.chains, new.chains)):
        yield from _values(before, after)


def _values(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    # One that came or went shows in the settings, which name it.
    return ((before[key], after[key]) for key in before.keys() & after.keys())


def _chain(at: Path, kind: str, old: Sequence[NamedPlugin], new: Sequence[NamedPlugin]) -> Iterator[str]:
    if [one.name for one in old] != [one.name for one in new]:
        yield dotted(at)
    before = {one.name: one for one in old}
    for one in new:
        if one.name in before:
            paths = differences(before[one.name].settings, one.settings, ("plugins", kind, one.name))
            yield from map(dotted, paths)

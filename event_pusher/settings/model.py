"""What the configuration becomes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from event_pusher.abc import Backend, BackendSettings, EventPlugin, Gateway, GatewaySettings, PushPlugin, Source
from event_pusher.options import Duration, Secret, Section
from event_pusher.registry import BACKENDS, EVENT_PLUGINS, GATEWAYS, PLUGINS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping


SourceClass = type[Source[Any]]
BackendClass = type[Backend[Any]]
GatewayClass = type[Gateway[Any]]
#: Of the push backend, of events, or of a stranger's backend: then any class that has ``Settings``.
PluginClass = type[PushPlugin[Any] | EventPlugin[Any]]

#: ``sockaddr_un.sun_path`` holds 108 bytes, the last one is 0.
MAX_SOCKET_PATH = 107


class DatabaseSection(Section):
    """``[database]``: any SQLAlchemy URL; it may hold a password, so it may stand elsewhere like any secret."""

    url: Secret


class AdminSettings(Section):
    """``[admin]``: where metrics, health and commands are served: ``unix:PATH``, ``127.0.0.1:PORT``, "" = nowhere."""

    listen: str = ""

    @field_validator("listen")
    @classmethod
    def _usable(cls, value: str) -> str:
        if not value or (value.startswith("unix:") and value != "unix:"):
            return value
        host, colon, port = value.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004 - TCP's ports
            raise ValueError('must be "unix:PATH", "127.0.0.1:PORT" or "" (off)')
        if host != "localhost" and not _is_loopback(host.strip("[]")):
            raise ValueError("must be a loopback address: who reaches it may give commands")
        return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LogSettings(Section):
    """``[log]``."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class OutboxSettings(Section):
    """``[outbox]``: `max_rows` waiting (then sources stop reading); how long dead letters and dedupe keys are kept."""

    max_rows: int = Field(default=1_000_000, ge=1)
    dead_retention: Duration = 7 * 86400.0
    dedupe_window: Duration = 86400.0


class EventsSection(Section):
    """``[events]``: the event plugins, in order."""

    plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Database:
    """Where everything is kept; a relative SQLite path has become absolute."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NamedPlugin:
    """A plugin of a chain, before it is made."""

    name: str
    cls: PluginClass
    settings: Section


@dataclass(frozen=True, slots=True)
class NamedSource:
    """``[sources.NAME]``."""

    name: str
    type: str
    cls: SourceClass
    settings: Section


@dataclass(frozen=True, slots=True)
class NamedGateway:
    """``[gateways.NAME]``."""

    name: str
    type: str
    cls: GatewayClass
    settings: GatewaySettings


@dataclass(frozen=True, slots=True)
class NamedBackend:
    """
    ``[backends.NAME]``; `host_settings` and `host_plugins` have only the hosts that say otherwise.

    `chains`: see `BackendSettings.plugin_chains`; those of all hosts, by the names that were asked for. `gateways`:
    those that it uses, for whatever host.
    """

    name: str
    type: str
    cls: BackendClass
    settings: BackendSettings
    plugins: tuple[NamedPlugin, ...] = ()
    host_settings: Mapping[str, BackendSettings] = field(default_factory=dict)
    host_plugins: Mapping[str, tuple[NamedPlugin, ...]] = field(default_factory=dict)
    chains: Mapping[tuple[str, ...], tuple[NamedPlugin, ...]] = field(default_factory=dict)
    gateways: tuple[NamedGateway, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """All of the configuration, checked."""

    path: Path
    database: Database
    sources: tuple[NamedSource, ...]
    backends: tuple[NamedBackend, ...]
    event_plugins: tuple[NamedPlugin, ...]
    admin: AdminSettings
    log: LogSettings
    outbox: OutboxSettings
    gateways: tuple[NamedGateway, ...] = ()

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self.path.parent

    @property
    def enabled(self) -> dict[str, set[str]]:
        """The entry points that are in use, by group: what `Registry.listing` asks for."""
        groups: dict[str, set[str]] = {
            SOURCES: {source.type for source in self.sources},
            BACKENDS: {backend.type for backend in self.backends},
            GATEWAYS: {gateway.type for gateway in self.gateways},
            EVENT_PLUGINS: {plugin.name for plugin in self.event_plugins},
        }
        for backend in self.backends:
            for chain in (backend.plugins, *backend.host_plugins.values(), *backend.chains.values()):
                groups.setdefault(PLUGINS + backend.type, set()).update(plugin.name for plugin in chain)
        return groups

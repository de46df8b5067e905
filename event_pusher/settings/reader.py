"""Puts the settings together; what backends, sources and plugins may say is theirs, so the registry is asked."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.engine import URL

from event_pusher.abc import BackendSettings
from event_pusher.errors import InvalidJid, PluginError, SettingsError
from event_pusher.jid import Jid
from event_pusher.registry import did_you_mean
from event_pusher.settings.chains import Chains
from event_pusher.settings.faults import Faults, Path, everything, within
from event_pusher.settings.file import read_toml
from event_pusher.settings.model import (
    AdminSettings,
    Database,
    DatabaseSection,
    EventsSection,
    LogSettings,
    NamedBackend,
    NamedGateway,
    NamedPlugin,
    NamedSource,
    OutboxSettings,
    Settings,
)
from event_pusher.settings.places import admin_listen, database_url
from event_pusher.settings.sections import Sections, merged

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator, Mapping

    from event_pusher.registry import Registry

T = TypeVar("T")

_TOP = ("database", "sources", "backends", "gateways", "plugins", "hosts", "events", "admin", "log", "outbox")
#: Names go into rows, metrics and the names of threads.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ONE_FOR_ALL = frozenset(BackendSettings.model_fields)


def load(path: pathlib.Path, registry: Registry) -> Settings:
    """Read the file at `path`. Raises `SettingsError` with everything that is wrong, never with a secret."""
    path = path.absolute()
    return _Reader(path, registry, read_toml(path)).read()


class _Reader:
    def __init__(self, path: pathlib.Path, registry: Registry, table: dict[str, Any]) -> None:
        self._path = path
        self._registry = registry
        self._table = table
        self._faults = Faults()
        self._sections = Sections(path.parent, self._faults)
        self._chains = Chains(registry, self._faults, self._sections, table.get("plugins", {}))

    def read(self) -> Settings:
        for key in self._table:
            if key not in _TOP:
                self._faults.unknown((key,), _TOP, "unknown section")
        url = self._database()
        sources = tuple(self._named("sources", "component", self._source))
        overrides = self._overrides(sources)
        gateways = {one.name: one for one in self._named("gateways", None, self._gateway)}
        make_backend = partial(self._backend, overrides=overrides, gateways=gateways)
        backends = tuple(self._named("backends", "push", make_backend))
        events = self._sections.read(EventsSection, self._table.get("events", {}), ("events",))
        event_plugins = self._chains.of_events(events.plugins if events else (), ("events", "plugins"))
        self._chains.rest(self._types("backends"))
        admin = self._admin(url)
        log = self._sections.read(LogSettings, self._table.get("log", {}), ("log",))
        outbox = self._sections.read(OutboxSettings, self._table.get("outbox", {}), ("outbox",))
        if self._faults.lines or url is None or admin is None or log is None or outbox is None:
            raise SettingsError(self._faults.lines)
        database = Database(url.render_as_string(hide_password=False))
        found = tuple(gateways.values())
        return Settings(self._path, database, sources, backends, event_plugins, admin, log, outbox, found)

    def _database(self) -> URL | None:
        if "database" not in self._table:
            self._faults.add(("database",), 'the section is missing: [database] url = "sqlite:///event-pusher.db"')
            return None
        section = self._sections.read(DatabaseSection, self._table["database"], ("database",))
        try:
            return database_url(section.url.reveal(), self._path.parent) if section else None
        except ValueError as error:
            self._faults.add(("database", "url"), str(error))
            return None

    def _admin(self, url: URL | None) -> AdminSettings | None:
        section = self._sections.read(AdminSettings, self._table.get("admin", {}), ("admin",))
        try:
            return admin_listen(section, url, self._path.parent) if section and url else None
        except ValueError as error:
            self._faults.add(("admin", "listen"), str(error))
            return None

    def _named(
        self, what: str, example: str | None, make: Callable[[str, str, dict[str, Any]], T | None]
    ) -> Iterator[T]:
        """Make what each ``[what.NAME]`` says, of the type that it says (its name by default); None may be there."""
        tables = self._table.get(what, {})
        if not isinstance(tables, dict):
            self._faults.add((what,), f"must be sections: [{what}.NAME]")
            return
        if not tables and example:
            self._faults.add((what,), f"none is configured; add a section [{what}.{example}]")
        for name, raw in tables.items():
            if not _NAME.fullmatch(name):
                self._faults.add((what, name), "a name is made of at most 64 letters, digits, - and _")
            elif not isinstance(raw, dict):
                self._faults.add((what, name), f"must be a section: [{what}.{name}]")
            elif not isinstance(kind := raw.get("type", name), str):
                self._faults.add((what, name, "type"), "must be a text")
            elif (made := make(name, kind, raw)) is not None:
                yield made

    def _types(self, what: str) -> set[str]:
        tables = self._table.get(what, {})
        named = tables.items() if isinstance(tables, dict) else ()
        return {str(raw.get("type", name)) for name, raw in named if isinstance(raw, dict)}

    def _source(self, name: str, kind: str, raw: dict[str, Any]) -> NamedSource | None:
        path: Path = ("sources", name)
        cls = self._class(self._registry.source, kind, path)
        if cls is None:
            return None
        if "type" not in cls.Settings.model_fields:
            raw = {key: value for key, value in raw.items() if key != "type"}
        settings = self._sections.read(cls.Settings, raw, path)
        return None if settings is None else NamedSource(name, kind, cls, settings)

    def _gateway(self, name: str, kind: str, raw: dict[str, Any]) -> NamedGateway | None:
        path: Path = ("gateways", name)
        cls = self._class(self._registry.gateway, kind, path)
        settings = self._sections.read(cls.Settings, raw, path) if cls is not None else None
        return NamedGateway(name, kind, cls, settings) if cls is not None and settings is not None else None

    def _used(
        self, path: Path, settings: BackendSettings, gateways: Mapping[str, NamedGateway]
    ) -> Iterator[NamedGateway]:
        """The gateways that the section at `path` names."""
        configured = _names(self._table, "gateways")
        for at, name in settings.named_gateways():
            if name is None and len(configured) != 1:
                there = ", ".join(configured) or "none; add a section [gateways.NAME]"
                self._faults.add((*path, *at), f'say which gateway: {{ "HOST" = "GATEWAY" }} (there are: {there})')
                return
            chosen = name or configured[0]
            if chosen in gateways:
                yield gateways[chosen]
            elif chosen not in configured:  # what is wrong with one that is, has been told
                hint = did_you_mean(chosen, configured) or f"add a section [gateways.{chosen}]"
                self._faults.add((*path, *at), f'no gateway "{chosen}" is configured; {hint}')

    def _class(self, find: Callable[[str], type[T]], kind: str, path: Path) -> type[T] | None:
        try:
            return find(kind)
        except PluginError as error:
            self._faults.add(path, str(error))
            return None

    def _backend(
        self,
        name: str,
        kind: str,
        raw: dict[str, Any],
        overrides: dict[str, dict[str, Any]],
        gateways: Mapping[str, NamedGateway],
    ) -> NamedBackend | None:
        path: Path = ("backends", name)
        cls = self._class(self._registry.backend, kind, path)
        if cls is None:
            return None
        settings = self._sections.read(cls.Settings, raw, path)
        host_settings: dict[str, BackendSettings] = {}
        host_plugins: dict[str, tuple[NamedPlugin, ...]] = {}
        chains = {} if settings is None else self._chains.named_by(kind, settings, path)
        used = [] if settings is None else list(self._used(path, settings, gateways))
        for host, tables in overrides.items():
            if name not in tables:
                continue
            at: Path = ("hosts", host, *path)
            special = self._override(cls.Settings, raw, tables[name], at, whole=settings is not None)
            if special is not None:
                host_settings[_folded(host)] = special
                chains |= self._chains.named_by(kind, special, at)
                used += self._used(at, special, gateways)
                if cls.Plugin is not None and "plugin_module" in tables[name]:
                    host_plugins[_folded(host)] = self._chain(kind, special, at)
        if settings is None:
            return None
        own = cls.Plugin is not None and cls.Settings.plugin_chains is BackendSettings.plugin_chains
        plugins = self._chain(kind, settings, path) if own else ()
        its = tuple({one.name: one for one in used}.values())
        return NamedBackend(name, kind, cls, settings, plugins, host_settings, host_plugins, chains, its)

    def _chain(self, kind: str, settings: BackendSettings, path: Path) -> tuple[NamedPlugin, ...]:
        return self._chains.of_backend(kind, getattr(settings, "plugin_module", None), (*path, "plugin_module"))

    def _override(
        self, model: type[BackendSettings], below: dict[str, Any], above: object, path: Path, *, whole: bool
    ) -> BackendSettings | None:
        if not isinstance(above, dict):
            self._faults.add(path, "must be a section")
            return None
        for key in sorted(_ONE_FOR_ALL & above.keys()):
            self._faults.add((*path, key), f"cannot differ between hosts; set it in [{path[-2]}.{path[-1]}]")
        new = within(above)
        # What is wrong with the section below has been told; when nothing is, all that is wrong came with `above`.
        return self._sections.read(model, merged(below, above), path, everything if whole else new, new)

    def _overrides(self, sources: tuple[NamedSource, ...]) -> dict[str, dict[str, Any]]:
        """Collect ``[hosts."…".backends.NAME]``, by host and NAME."""
        tables = self._table.get("hosts", {})
        if not isinstance(tables, dict):
            self._faults.add(("hosts",), 'must be sections: [hosts."example.org".backends.NAME]')
            return {}
        # A source that could not be read may serve anything.
        served = _served(sources) if len(sources) == len(_names(self._table, "sources")) else []
        found: dict[str, dict[str, Any]] = {}
        for host, table in tables.items():
            if served and _folded(host) not in served:
                self._faults.unknown(("hosts", host), served, "no source serves this host")
            if isinstance(table, dict) and isinstance(table.get("backends", {}), dict):
                found[host] = table.get("backends", {})
                self._host(host, table)
            else:
                self._faults.add(("hosts", host), f'must be sections: [hosts."{host}".backends.NAME]')
        return found

    def _host(self, host: str, table: dict[str, Any]) -> None:
        for key in table:
            if key != "backends":
                self._faults.unknown(("hosts", host, key), ("backends",))
        backends = _names(self._table, "backends")
        for name in table.get("backends", {}):
            if name not in backends:
                self._faults.unknown(("hosts", host, "backends", name), backends, "no such backend is configured")


def _names(table: dict[str, Any], what: str) -> list[str]:
    tables = table.get(what, {})
    return sorted(tables) if isinstance(tables, dict) else []


def _served(sources: tuple[NamedSource, ...]) -> list[str]:
    """List the hosts of all sources; empty when one of them does not say beforehand."""
    hosts = [getattr(source.settings, "hosts", None) for source in sources]
    return sorted({_folded(str(host)) for some in hosts for host in some or ()}) if all(hosts) else []


def _folded(host: str) -> str:
    try:
        return Jid.parse(host).domain
    except InvalidJid:
        return host

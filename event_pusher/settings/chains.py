"""The plugins: which are asked for, in which order, and what ``[plugins.KIND.NAME]`` sets for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from event_pusher.errors import PluginError
from event_pusher.registry import EVENT_PLUGINS, PLUGINS, Registry
from event_pusher.settings.model import NamedPlugin

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from event_pusher.options import BackendSettings
    from event_pusher.settings.faults import Faults, Path
    from event_pusher.settings.sections import Sections

#: Behind the last plugin of every chain stands the one of this name.
LAST = "defaults"
_EVENTS = EVENT_PLUGINS.removeprefix(PLUGINS)


class Chains:
    """Makes chains of plugins; each plugin is read once, however many chains it stands in."""

    def __init__(self, registry: Registry, faults: Faults, sections: Sections, raw: object) -> None:
        self._registry = registry
        self._faults = faults
        self._sections = sections
        self._raw: dict[str, Any] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            faults.add(("plugins",), "must be sections: [plugins.push.NAME]")
        self._made: dict[tuple[str, str], NamedPlugin | None] = {}

    def of_backend(self, kind: str, wanted: str | Sequence[str] | None, path: Path) -> tuple[NamedPlugin, ...]:
        """Make the chain that ``plugin_module`` at `path` names, closed with `LAST`."""
        names = [wanted] if isinstance(wanted, str) else list(wanted or ())
        if LAST in names[:-1]:
            self._faults.add(path, f'"{LAST}" answers everything: what stands behind it would never be asked')
        return self._chain(kind, [*names, LAST] if LAST not in names else names, path)

    def named_by(
        self, kind: str, settings: BackendSettings, path: Path
    ) -> dict[tuple[str, ...], tuple[NamedPlugin, ...]]:
        """Make the chains that the `settings` of the backend at `path` name elsewhere than in ``plugin_module``."""
        return {names: self.of_backend(kind, names, (*path, *at)) for at, names in settings.plugin_chains()}

    def of_events(self, names: Sequence[str], path: Path) -> tuple[NamedPlugin, ...]:
        """Make the chain that every event passes before the backends see it."""
        return self._chain(_EVENTS, names, path)

    def rest(self, kinds: Collection[str]) -> None:
        """Note the sections that belong to nothing; one of a plugin that is installed and not in use may stay."""
        for kind, plugins in self._raw.items():
            if kind not in kinds and kind != _EVENTS:
                self._faults.unknown(("plugins", kind), sorted({*kinds, _EVENTS}), "no backend of this type")
                continue
            installed = self._registry.names(PLUGINS + kind)
            for name in plugins if isinstance(plugins, dict) else ():
                if name not in installed:
                    self._faults.unknown(("plugins", kind, name), installed, f"no such {kind} plugin is installed")

    def _chain(self, kind: str, names: Sequence[str], path: Path) -> tuple[NamedPlugin, ...]:
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._faults.add(path, f'"{name}" stands there more than once')
        plugins = [self._plugin(kind, name, path) for name in names]
        return tuple(plugin for plugin in plugins if plugin is not None)

    def _plugin(self, kind: str, name: str, path: Path) -> NamedPlugin | None:
        if (kind, name) not in self._made:
            self._made[kind, name] = self._make(kind, name, path)
        return self._made[kind, name]

    def _make(self, kind: str, name: str, path: Path) -> NamedPlugin | None:
        try:
            cls = self._registry.plugin(kind, name)
        except PluginError as error:
            self._faults.add(path, str(error))
            return None
        of_kind = self._raw.get(kind, {})
        if not isinstance(of_kind, dict):
            self._faults.add(("plugins", kind), f"must be sections: [plugins.{kind}.NAME]")
            return None
        settings = self._sections.read(cls.Settings, of_kind.get(name, {}), ("plugins", kind, name))
        return None if settings is None else NamedPlugin(name, cls, settings)

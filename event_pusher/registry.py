"""
Name → class, through entry points: ours register exactly like a stranger's.

Names are counted here over `importlib.metadata`; stevedore then loads the one that was asked for. It is not asked
to find them: it runs doubled names both, its disk cache goes stale on a quick reinstall, and what comes from that
cache does not know its distribution.
"""

from __future__ import annotations

import difflib
import inspect
import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from stevedore.named import NamedExtensionManager

from event_pusher.abc import Backend, BackendSettings, EventPlugin, Gateway, GatewaySettings, Section, Source
from event_pusher.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

BACKENDS = "event_pusher.backends"
SOURCES = "event_pusher.sources"
GATEWAYS = "event_pusher.gateways"
#: Followed by a backend's type, or by ``events``.
PLUGINS = "event_pusher.plugins."
EVENT_PLUGINS = PLUGINS + "events"

_OURS = "event_pusher."
#: ``pika>=1.3; extra == "rabbit"``, as it stands in a distribution's metadata.
_REQUIREMENT = re.compile(r"""([A-Za-z0-9._-]+).*\bextra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True, slots=True)
class Found:
    """One entry point as ``event-pusher plugins`` shows it; `why` says what is broken."""

    group: str
    name: str
    distribution: str
    version: str
    target: str
    state: Literal["installed", "enabled", "broken"]
    why: str = ""


class Registry:
    """Every entry point that is installed; imports only what is asked for, and that once."""

    def __init__(self, points: Iterable[EntryPoint] | None = None) -> None:
        """Take `points` instead of what is installed (for tests)."""
        found = _installed() if points is None else points
        self._points: dict[str, dict[str, list[EntryPoint]]] = {}
        for point in found:
            if point.group.startswith(_OURS):
                self._points.setdefault(point.group, {}).setdefault(point.name, []).append(point)
        self._classes: dict[tuple[str, str], type] = {}

    def names(self, group: str) -> tuple[str, ...]:
        """The names installed in `group`, sorted."""
        return tuple(sorted(self._points.get(group, ())))

    def backend(self, name: str) -> type[Backend[Any]]:
        """The backend class called `name`. Raises `PluginError`."""
        backend: type[Backend[Any]] = self._class(BACKENDS, name)
        return backend

    def source(self, name: str) -> type[Source[Any]]:
        """The source class called `name`. Raises `PluginError`."""
        source: type[Source[Any]] = self._class(SOURCES, name)
        return source

    def gateway(self, name: str) -> type[Gateway[Any]]:
        """The gateway class called `name`. Raises `PluginError`."""
        gateway: type[Gateway[Any]] = self._class(GATEWAYS, name)
        return gateway

    def plugin(self, of: str, name: str) -> type[Any]:
        """The plugin class called `name` of the backend type `of`, or of ``events``. Raises `PluginError`."""
        plugin: type[Any] = self._class(PLUGINS + of, name)
        return plugin

    def listing(self, enabled: Mapping[str, Collection[str]]) -> list[Found]:
        """Every entry point found; `enabled` (group → names) are imported to see whether they are whole."""
        rows = [
            self._found(point, enabled.get(group, ()))
            for group, names in sorted(self._points.items())
            for _, points in sorted(names.items())
            for point in points
        ]
        for group, names in sorted(enabled.items()):
            absent = sorted(set(names) - set(self.names(group)))
            rows += [Found(group, name, "", "", "", "broken", self._missing(group, name)) for name in absent]
        return rows

    def _found(self, point: EntryPoint, enabled: Collection[str]) -> Found:
        state: Literal["installed", "enabled", "broken"] = "installed"
        why = ""
        try:
            self._single(point.group, point.name)
            if point.name in enabled:
                state = "enabled"
                self._class(point.group, point.name)
        except PluginError as error:
            state, why = "broken", str(error)
        dist = point.dist
        return Found(
            point.group, point.name, dist.name if dist else "", dist.version if dist else "", point.value, state, why
        )

    def _class(self, group: str, name: str) -> Any:
        if (group, name) not in self._classes:
            point = self._single(group, name)
            base = self._base(group)
            loaded = self._import(point)
            if base is not None:
                _check(point, loaded, base)
            self._classes[group, name] = loaded
        return self._classes[group, name]

    def _single(self, group: str, name: str) -> EntryPoint:
        points = self._points.get(group, {}).get(name, [])
        if not points:
            raise PluginError(self._missing(group, name))
        if len(points) > 1:
            homes = " and ".join(f"{_home(point)} ({point.value})" for point in points)
            raise PluginError(f'{_kind(group)} "{name}" is there {len(points)} times: {homes}; uninstall all but one')
        return points[0]

    def _missing(self, group: str, name: str) -> str:
        names = self.names(group)
        hint = did_you_mean(name, names) or "install the package that brings it"
        return f'no {_kind(group)} "{name}" is installed (there are: {", ".join(names) or "none"}); {hint}'

    def _base(self, group: str) -> type | None:
        """What the classes of `group` inherit; None for a group that does not hold classes of ours."""
        fixed: dict[str, type] = {
            BACKENDS: Backend,
            SOURCES: Source,
            GATEWAYS: Gateway,
            EVENT_PLUGINS: EventPlugin,
        }
        if group in fixed:
            return fixed[group]
        if not group.startswith(PLUGINS):
            return None
        kind = group.removeprefix(PLUGINS)
        base = self.backend(kind).Plugin
        if base is None:
            raise PluginError(f'the backend "{kind}" takes no plugins; take them out of its section')
        return base

    def _import(self, point: EntryPoint) -> Any:
        try:
            return _Loader(point).extensions[0].plugin
        except PluginError:
            raise
        except (Exception, SystemExit) as error:  # stevedore lets AssertionError and SystemExit past its callback
            raise PluginError(_unimportable(point, error)) from error


class _Loader(NamedExtensionManager[Any]):
    """stevedore's loader, over an entry point that was found here."""

    def __init__(self, point: EntryPoint) -> None:
        self._point = point
        super().__init__(
            point.group,
            [point.name],
            on_load_failure_callback=self._failed,
            on_missing_entrypoints_callback=self._lost,
        )

    def list_entry_points(self) -> list[EntryPoint]:
        return [self._point]

    @staticmethod
    def _failed(manager: object, point: EntryPoint, error: BaseException) -> NoReturn:
        raise PluginError(_unimportable(point, error)) from error

    @staticmethod
    def _lost(names: Iterable[str]) -> NoReturn:
        raise PluginError(f"stevedore did not load {', '.join(names)}")


def _installed() -> Iterator[EntryPoint]:
    """Every entry point; of a distribution that is on the path twice, those of the first, which is what runs."""
    seen: set[str] = set()
    for dist in distributions():
        # Half-removed distributions have no metadata; theirs are entry points all the same.
        name = _plain(dist.metadata["Name"]) if "Name" in (dist.metadata or ()) else ""
        if not name or name not in seen:
            yield from dist.entry_points
        seen.add(name)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """``did you mean "…"?`` for the one of `known` that is nearest to `word`, else ""."""
    close = difflib.get_close_matches(word.lower(), known, n=1)
    # MongooseIM's long names end with ours: mod_event_pusher_push_plugin_defaults
    close += sorted((name for name in known if word.endswith("_" + name)), key=len, reverse=True)
    return f'did you mean "{close[0]}"?' if close else ""


def _kind(group: str) -> str:
    kinds = {BACKENDS: "backend", SOURCES: "source", GATEWAYS: "gateway", EVENT_PLUGINS: "event plugin"}
    if group.startswith(PLUGINS):
        return kinds.get(group, f"{group.removeprefix(PLUGINS)} plugin")
    return kinds.get(group, f"{group} entry")


def _home(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def _what(point: EntryPoint) -> str:
    return f'{_kind(point.group)} "{point.name}" of {_home(point)} ({point.value})'


def _unimportable(point: EntryPoint, error: BaseException) -> str:
    cause = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return f"{_what(point)} cannot be imported: {cause}; {_cure(point, error)}"


def _cure(point: EntryPoint, error: BaseException) -> str:
    dist = point.dist.name if point.dist else point.module.partition(".")[0]
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not missing or missing == point.module.partition(".")[0]:
        return f"reinstall or update {dist}, or take it out of the configuration"
    extra = _extra_with(point, missing)
    return f"pip install '{dist}[{extra}]'" if extra else f"install what brings the module {missing}"


def _extra_with(point: EntryPoint, module: str) -> str:
    """The extra which brings `module`: one that requires a project of this name, else the entry point's namesake."""
    if point.dist is None:
        return ""
    requirements = [_REQUIREMENT.match(line) for line in point.dist.requires or ()]
    wanted = {_plain(match[2]) for match in requirements if match and _plain(match[1]) == _plain(module)}
    extras = {_plain(extra) for extra in point.dist.metadata.get_all("Provides-Extra") or ()}
    if _plain(point.name) in (wanted or extras):
        return _plain(point.name)
    return min(wanted, default="")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _check(point: EntryPoint, loaded: Any, base: type) -> None:
    if not inspect.isclass(loaded) or not issubclass(loaded, base):
        raise PluginError(f"{_what(point)} is not a subclass of {base.__module__}.{base.__qualname__}")
    if inspect.isabstract(loaded):
        names = ", ".join(sorted(getattr(loaded, "__abstractmethods__", ())))
        raise PluginError(f"{_what(point)} is abstract; its author must write {names}")
    if issubclass(loaded, Backend) and _never_publishes(loaded):
        raise PluginError(f"{_what(point)} has neither publish nor publish_many; its author must write one")
    wanted = next((owed for kind, owed in _SETTINGS.items() if issubclass(loaded, kind)), Section)
    settings = getattr(loaded, "Settings", None)
    if not (inspect.isclass(settings) and issubclass(settings, wanted)):
        raise PluginError(f"{_what(point)}: its Settings must be a subclass of event_pusher.abc.{wanted.__name__}")


#: What the ``Settings`` of these inherit.
_SETTINGS: Mapping[type, type[Section]] = {Backend: BackendSettings, Gateway: GatewaySettings}


def _never_publishes(backend: type[Backend[Any]]) -> bool:
    return backend.publish is Backend.publish and backend.publish_many is Backend.publish_many

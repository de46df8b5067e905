"""
SIGHUP: take over what can be taken over while the process runs, all of it or nothing.

Log level, plugin chains (with their plugins' options) and per-host overrides; secret files are read at each use. What
is new is made beside the core, and put in its place on the core's thread between two turns: every event is decided by
the old chains or by the new ones, never by both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import TimeoutError as CoreTimeoutError
from functools import partial
from typing import TypeVar

from event_pusher import log as logs
from event_pusher.abc import Backend
from event_pusher.app import App
from event_pusher.assembly import Assembly
from event_pusher.errors import EventPusherError, SettingsError
from event_pusher.registry import Registry
from event_pusher.settings import NamedBackend, Settings, load
from event_pusher.settings.changes import Changes, compare

log = logging.getLogger(__name__)

#: The core takes it over between two turns; a turn takes as long as its commit.
CORE_SECONDS = 10.0
Swap = Callable[[], None]
T = TypeVar("T")


class NeedsRestartError(EventPusherError):
    """What was changed cannot be taken over; `keys` name it."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__(f"{', '.join(keys)}: needs a restart")
        self.keys = keys


def take_over(app: App, new: Settings) -> list[str]:
    """
    Let `app` go on with `new`; the keys that changed.

    Raises `NeedsRestartError`, `SettingsError`, `PluginError` or `EventPusherError`: then nothing is changed.
    """
    changes = compare(app.settings, new)
    built = app.assembly
    if built is not None:
        swaps = _prepare(built, new, changes)
        _on_core(built, partial(_swap, built, new, swaps))
    elif changes.restart:
        raise NeedsRestartError(changes.restart)
    # In stand-by nothing is built yet: it will be of these.
    app.settings = new
    told = [key for keys in changes.backends.values() for key in keys] + changes.events
    return told + ["log.level"] * changes.log_level


def _prepare(built: Assembly, new: Settings, changes: Changes) -> list[Swap]:
    """Make what is new, beside what runs. Raises as `take_over`."""
    fixed = [name for name in changes.backends if type(built.backends[name]).reload is Backend.reload]
    restart = [*changes.restart, *(key for name in fixed for key in changes.backends[name])]
    if restart:
        raise NeedsRestartError(restart)
    swaps: list[Swap] = []
    for named in new.backends:
        if named.name in changes.backends:
            swap = _made(f"backend {named.name}", partial(_of_backend, built, named))
            restart += [] if swap else changes.backends[named.name]
            swaps += [swap] if swap else []
    if restart:
        raise NeedsRestartError(restart)
    if changes.events:
        plugins = _made("events.plugins", partial(built.workshop.event_plugins, new.event_plugins))
        swaps.append(partial(built.dispatcher.replace_plugins, plugins))
    return swaps


def _of_backend(built: Assembly, named: NamedBackend) -> Swap | None:
    return built.backends[named.name].reload(named.settings, built.workshop.tools(named))


def _made(what: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except EventPusherError:
        raise
    except Exception as error:  # a stranger's constructor: its text may be private
        raise SettingsError([f"{what}: {type(error).__name__} while it was made"]) from error


def _on_core(built: Assembly, swap: Swap) -> None:
    future = built.core.call(swap)
    try:
        future.result(CORE_SECONDS)
    except CoreTimeoutError:
        if future.cancel():
            raise EventPusherError("the core does not answer") from None
        future.result()  # it has begun


def _swap(built: Assembly, new: Settings, swaps: list[Swap]) -> None:
    for one in swaps:
        one()
    built.settings = new


def reload(app: App, level: str | None = None) -> None:
    """Read the file again, take it over, and log what came of it; `level` stands above the file's."""
    try:
        new = load(app.settings.path, Registry())
        changed = take_over(app, new)
    except NeedsRestartError as error:
        for key in error.keys:
            log.error("SIGHUP: %s needs a restart; nothing is changed", key)  # noqa: TRY400 - the line says it all
    except SettingsError as error:
        for fault in error.faults:
            log.error("SIGHUP: %s; nothing is changed", fault)  # noqa: TRY400 - as above
    except EventPusherError as error:
        log.error("SIGHUP: %s; nothing is changed", error)  # noqa: TRY400 - as above
    else:
        logs.set_level(level or new.log.level)
        log.warning("SIGHUP: taken over: %s", ", ".join(changed) or "nothing was changed; secrets are read at each use")

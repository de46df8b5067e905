"""What ``event-pusher check`` looks at: one `Check` each, with the cure where something is wrong."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from event_pusher.abc import SourceTools
from event_pusher.admin.client import NobodyListensError, RefusedError, Remote
from event_pusher.admin.http import UNIX
from event_pusher.admin.offline import owner
from event_pusher.clock import SystemClock
from event_pusher.database import open_engine, reader
from event_pusher.errors import EventPusherError
from event_pusher.intake import FeedStarted, Item
from event_pusher.migrate import require_current
from event_pusher.options import Secret
from event_pusher.outbox.lease import Holder, describe
from event_pusher.outbox.orphans import orphans_cure, orphans_of, told_of_orphans
from event_pusher.settings import NamedSource, Settings
from event_pusher.settings.sections import secrets_in

#: A server that is up answers a handshake and a resume at once.
CONNECT_SECONDS = 10.0
_GROUP_AND_OTHERS_WRITE, _OTHERS_READ = 0o022, 0o004


class Check(NamedTuple):
    """One finding."""

    level: Literal["ok", "warn", "FAIL"]
    text: str
    cure: str = ""


def checks(settings: Settings, *, connect: bool) -> Iterator[Check]:
    """Look at everything, in the order in which `run` would stumble over it."""
    yield Check("ok", f"configuration {settings.path}")
    yield from _plugins(settings)
    yield from _secrets(settings)
    yield from _plaintext(settings)
    holder: Holder | None = None
    try:
        holder, orphans = _database(settings)
        yield Check("ok", "database: reachable, and its tables are those of this release")
        yield from _orphaned(orphans)
    except EventPusherError as error:
        yield _failed("database", error)
    running = _running(settings)
    yield from _admin(settings, running, holder)
    if connect:
        yield from _connect(settings, running, holder)


def _failed(what: str, error: Exception) -> Check:
    text, _, cure = str(error).partition("; ")
    return Check("FAIL", f"{what}: {text}", cure)


def _plugins(settings: Settings) -> Iterator[Check]:
    # Reading the settings has imported them all.
    sources = ", ".join(one.name for one in settings.sources)
    backends = ", ".join(one.name for one in settings.backends)
    gateways = ", ".join(one.name for one in settings.gateways)
    kinds = f"sources ({sources}), backends ({backends}){f', gateways ({gateways})' if gateways else ''}"
    yield Check("ok", f"{kinds} and their plugins can be loaded")


def _secrets(settings: Settings) -> Iterator[Check]:
    sections = [(f"sources.{one.name}", one.settings) for one in settings.sources]
    sections += [(f"backends.{one.name}", one.settings) for one in settings.backends]
    sections += [(f"gateways.{one.name}", one.settings) for one in settings.gateways]
    found = False
    for where, section in sections:
        for path, secret in secrets_in(section):
            found = True
            name = ".".join([where, *map(str, path)])
            yield _file(name, secret.path()) if secret.file else _other(name, secret, settings.path)
    if not found:
        yield Check("ok", "no secret is configured")


def _file(name: str, path: Path) -> Check:
    mode = path.stat().st_mode
    if mode & _OTHERS_READ:
        return Check("warn", f"{name}: everybody can read {path}", f"chmod 640 {path}")
    if mode & _GROUP_AND_OTHERS_WRITE:
        return Check("warn", f"{name}: others may write {path}", f"chmod 640 {path}")
    return Check("ok", f"{name}: {path} can be read, and not by everybody")


def _other(name: str, secret: Secret, config: Path) -> Check:
    if secret.text is not None and config.stat().st_mode & _OTHERS_READ:
        return Check(
            "warn",
            f"{name} stands in {config}, which everybody can read",
            f'chmod 640 {config}, or use {{ file = "…" }}',
        )
    return Check("ok", f"{name} can be read")


def _plaintext(settings: Settings) -> Iterator[Check]:
    for one in settings.sources:
        server = getattr(one.settings, "server", None)
        if server and getattr(one.settings, "allow_plaintext", False):
            yield Check(
                "warn",
                f"sources.{one.name}: what goes to {server} is not encrypted (allow_plaintext)",
                "use a tunnel, unless the network between them is yours alone",
            )
        elif server:
            yield Check("ok", f"sources.{one.name}: {server} is on this machine")


def _database(settings: Settings) -> tuple[Holder, dict[str, int]]:
    """Who owns it, and how many deliveries wait for each backend that is not configured."""
    engine = open_engine(settings.database.url, settings.folder)
    try:
        require_current(engine)
        with reader(engine) as connection:
            return describe(connection), orphans_of(connection, {one.name for one in settings.backends})
    finally:
        engine.dispose()


def _orphaned(orphans: dict[str, int]) -> Iterator[Check]:
    for name, number in orphans.items():
        yield Check("FAIL", f"backends.{name}: {told_of_orphans(name, number)}", orphans_cure(name))


def _running(settings: Settings) -> dict[str, Any] | EventPusherError | None:
    """The status of the process that listens, what is wrong with it, or None when nobody does."""
    if not settings.admin.listen:
        return None
    try:
        status: dict[str, Any] = Remote(settings.admin.listen, 10.0).call("status")
    except NobodyListensError:
        return None
    except RefusedError as error:
        return error
    return status


def _admin(settings: Settings, running: object, holder: Holder | None) -> Iterator[Check]:
    listen = settings.admin.listen
    alive = holder is not None and not holder.free
    if isinstance(running, EventPusherError):
        yield _failed("admin", running)
    elif isinstance(running, dict):
        yield Check("ok", f"admin: event-pusher runs and answers at {listen} (process {running['pid']})")
    elif not listen:
        yield Check("warn", 'admin: listen is "": no metrics, and commands cannot ask the process', "set a socket")
    elif holder is not None and alive:
        yield Check("warn", f"admin: {owner(holder)}, and nobody answers at {listen}", "give commands where it runs")
    else:
        yield _folder(listen)


def _folder(listen: str) -> Check:
    folder = Path(listen.removeprefix(UNIX)).parent
    if listen.startswith(UNIX) and not folder.is_dir():
        return Check("FAIL", f"admin: there is no folder {folder}", "make it, or set another path")
    if listen.startswith(UNIX) and not os.access(folder, os.W_OK):
        return Check("FAIL", f"admin: {folder} may not be written", "run as the user who owns it, or set another path")
    return Check("ok", f"admin: {listen} is free")


# --- with --connect ---------------------------------------------------------------------------------------------


def _connect(settings: Settings, running: object, holder: Holder | None) -> Iterator[Check]:
    if isinstance(running, dict) and not running["standby"]:
        yield from _asked(running)
    elif isinstance(running, dict):
        yield Check("ok", "stand-by: the process that owns the database has the streams")
    elif holder is not None and not holder.free:
        yield Check("warn", f"{owner(holder)} and has the streams: not tried", "run the check where it runs")
    else:
        for one in settings.sources:
            yield from _try(one)


def _asked(status: dict[str, Any]) -> Iterator[Check]:
    """A running instance keeps its streams; it knows."""
    for name, source in status["sources"].items():
        health = source["health"]
        if health:
            yield Check("FAIL", f"sources.{name} (the running process says): {health}", "see its log")
        else:
            hosts = ", ".join(sorted({feed["host"] for feed in source["feeds"]}) or source["hosts"])
            yield Check("ok", f"sources.{name} (the running process says): connected, serves {hosts}")


class _Listener(logging.Handler):
    """Keeps the last complaint of a source."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def _try(named: NamedSource) -> Iterator[Check]:
    """Connect for a moment: nothing is acknowledged, so the server keeps all it has for the real one."""
    listener, told, changed = _Listener(), dict[str, FeedStarted](), threading.Event()

    def intake(items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, FeedStarted):
                told[item.host] = item
                changed.set()

    log = logging.Logger(f"check.{named.name}")  # noqa: LOG001 - heard by the listener alone, and gone with this call
    log.addHandler(listener)
    source = named.cls(named.settings, SourceTools(named.name, intake, SystemClock(), log))
    source.start()
    try:
        until = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < until and not listener.last and not set(source.hosts) <= told.keys():
            changed.wait(0.1)
            changed.clear()
        health = source.health()
    finally:
        source.close(2.0)
    yield from _found(named.name, source.hosts, set(told), health, listener.last)


def _found(name: str, hosts: Sequence[str], told: set[str], health: str | None, complaint: str) -> Iterator[Check]:
    where = f"sources.{name}"
    if health is not None:
        text = complaint or health
        yield Check("FAIL", f"{where}: {text}", "" if "(" in text else "start the server, or set another address")
        return
    yield Check("ok", f"{where}: the server took the component")
    for host in hosts:
        if host in told:
            yield Check("ok", f"{where}: {host} tells its events")
        else:
            yield Check(
                "FAIL",
                f"{where}: {complaint or f'{host} does not answer: its module is not loaded'}",
                "`event-pusher setup` writes the module and says how it is loaded",
            )

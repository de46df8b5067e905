"""The running process: start in order, wait, stop in order."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine

from event_pusher.abc import Backend, Clock
from event_pusher.assembly import Assembly, assemble, hold_lease
from event_pusher.clock import SteadyClock, SystemClock, since_boot
from event_pusher.database import open_engine
from event_pusher.errors import StorageError
from event_pusher.intake import Position
from event_pusher.migrate import require_current
from event_pusher.outbox.lease import Lease
from event_pusher.settings import Settings
from event_pusher.writer import Writer

log = logging.getLogger(__name__)

#: A stand-by asks for the lease so often.
STANDBY_SECONDS = 1.0
#: A clean stop waits so long for what is in flight.
DRAIN_SECONDS = 10.0
#: So long for each part to let go.
CLOSE_SECONDS = 3.0


class App:
    """
    ``event-pusher run`` without signals and command line.

    `start` blocks while another process owns the database (stand-by); `stop` may be called from any thread.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or SteadyClock(SystemClock(), since_boot)
        self._stopping = threading.Event()
        self._closed = False
        self.started_at = 0.0
        self.assembly: Assembly | None = None

    def start(self) -> bool:
        """Begin; False when `stop` came before the lease. Raises `SettingsError`, `PluginError`, `StorageError`."""
        engine = open_engine(self.settings.database.url, self.settings.folder)
        writer, lease = hold_lease(engine, self._clock)
        try:
            return self._begin(engine, writer, lease)
        except BaseException:
            self._give_up(writer, lease)
            raise
        finally:
            if self.assembly is None:
                writer.close()
                engine.dispose()

    def _begin(self, engine: Engine, writer: Writer, lease: Lease) -> bool:
        require_current(engine)
        told = False
        while not lease.acquire():
            if not told:
                log.warning("stand-by: %s owns the database; waiting to take over", lease.describe().name)
                told = True
            if self._stopping.wait(STANDBY_SECONDS):
                return False
        self.assembly = assemble(self.settings, engine, writer, lease, self._clock)
        for backend in self.assembly.backends.values():
            backend.start()
        self.assembly.core.start()
        self.assembly.checkpoints.start()
        self._start_sources(self.assembly)
        self.started_at = self._clock.now()
        log.info(
            "started: sources %s, backends %s, %d deliveries waiting",
            ", ".join(self.assembly.sources), ", ".join(self.assembly.backends), self.assembly.core.rows,
        )  # fmt: skip
        return True

    def wait(self) -> bool:
        """Wait for `stop` or for the core's end; True when it was `stop`."""
        core = self.assembly.core if self.assembly else None
        while core is not None and not self._stopping.wait(0.5):
            if core.join(0):
                return False
        return True

    def stop(self) -> None:
        """Ask for a clean stop (any thread, also before `start`)."""
        self._stopping.set()

    def close(self, drain: float = DRAIN_SECONDS) -> None:
        """Stop intake and admission, wait up to `drain` seconds for answers, write them, let go. Twice is fine."""
        built = self.assembly
        if built is None or self._closed:
            return
        self._closed = True
        for name, source in built.sources.items():
            try:
                source.stop_intake()
            except Exception:
                log.exception("source %s failed to stop its intake", name)
        if not built.core.drain(drain):
            log.warning("%d deliveries had no answer in time; they go again at the next start", built.core.in_flight)
        built.core.stop(CLOSE_SECONDS)
        for source in built.sources.values():
            self._let_go(source.close, "source")
        for publisher in built.parts.publishers.values():
            self._let_go(publisher.close, f"backend {publisher.name}")
        built.checkpoints.close()
        built.writer.close()
        built.engine.dispose()
        log.info("stopped")

    def health(self) -> dict[str, str]:
        """What is not well: part → one line; empty when all is."""
        built = self.assembly
        if built is None:
            return {"app": "stand-by: another process owns the database"}
        troubles: dict[str, str] = {}
        if built.core.trouble:
            troubles["database"] = built.core.trouble
        if built.checkpoints.trouble:
            troubles["log of SQLite"] = built.checkpoints.trouble
        if built.core.is_full():
            troubles["outbox"] = f"full: {built.core.rows} rows; sources stop reading until there is room"
        for name, source in built.sources.items():
            if (said := source.health()) is not None:
                troubles[f"source {name}"] = said
        for name, backend in built.backends.items():
            if (said := _health(backend)) is not None:
                troubles[f"backend {name}"] = said
        return troubles

    def _give_up(self, writer: Writer, lease: Lease) -> None:
        """The start failed: let go of what was begun, and of the database at once."""
        if self.assembly is not None:
            self.close(0.0)
        elif writer.fence is not None:
            with suppress(StorageError):
                lease.release()

    def _start_sources(self, built: Assembly) -> None:
        committed: dict[str, dict[str, list[Position]]] = {}
        for source, host, position in built.positions.all():
            committed.setdefault(source, {}).setdefault(host, []).append(position)
        for name, one in built.sources.items():
            one.resume_from(committed.get(name, {}))
            one.start()

    def _let_go(self, close: Any, what: str) -> None:
        began = time.monotonic()
        try:
            close(CLOSE_SECONDS)
        except Exception:
            log.exception("%s failed to close", what)
        if time.monotonic() - began > CLOSE_SECONDS:
            log.warning("%s took more than %.0f s to close", what, CLOSE_SECONDS)


def _health(backend: Backend[Any]) -> str | None:
    try:
        return backend.health()
    except Exception as error:  # noqa: BLE001 - a broken health check is a finding, not a crash
        return f"its health check failed: {type(error).__name__}"

"""
From settings to built objects: who gets what, and nobody gets the application.

::

    sources ──items──▶ inbox ──▶ core ──▶ dispatcher ──▶ backends ──▶ plugin chains
       ▲                 ▲         │
       │             outcomes      ├──▶ outbox, registrations, lease (one writer)
       └── stanzas ◀── backends ◀──┴──▶ publishers ──▶ worker pools
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Engine

from event_pusher.abc import (
    Backend,
    BackendTools,
    Clock,
    EventPlugin,
    Gateway,
    GatewayTools,
    PluginChain,
    PluginTools,
    Source,
    SourceTools,
)
from event_pusher.acceptance import Acceptance
from event_pusher.checkpoints import Checkpoints
from event_pusher.core import Core, CoreParts
from event_pusher.counters import Counters
from event_pusher.dispatcher import Dispatcher
from event_pusher.errors import SettingsError
from event_pusher.idempotency import Seen
from event_pusher.inbox import Inbox
from event_pusher.intake import Position
from event_pusher.journal import Journal
from event_pusher.lane import Window
from event_pusher.lanes import Lanes
from event_pusher.outbox.lease import Lease
from event_pusher.outbox.store import OutboxStore
from event_pusher.pool import WorkerPool
from event_pusher.positions import Positions
from event_pusher.publisher import Publisher
from event_pusher.refill import Refill
from event_pusher.registrations import MemoryRegistrations, RdbmsRegistrations, RegistrationStore
from event_pusher.sessions import SessionTable
from event_pusher.settings import NamedBackend, NamedGateway, NamedPlugin, Settings
from event_pusher.settlement import Settlement
from event_pusher.stanzas import StanzaRouter
from event_pusher.writer import Writer

log = logging.getLogger(__name__)

#: Registrations per account where no backend says otherwise.
MAX_REGISTRATIONS = 20


@dataclass(slots=True)
class Assembly:
    """Everything that runs, built and not started."""

    settings: Settings
    engine: Engine
    writer: Writer
    lease: Lease
    clock: Clock
    core: Core
    parts: CoreParts
    dispatcher: Dispatcher
    registrations: RegistrationStore
    sessions: SessionTable
    positions: Positions
    sources: Mapping[str, Source[Any]]
    backends: Mapping[str, Backend[Any]]
    counters: Counters
    journal: Journal
    workshop: Workshop
    checkpoints: Checkpoints


def hold_lease(engine: Engine, clock: Clock) -> tuple[Writer, Lease]:
    """The writing connection and the right to use it; ask `Lease.acquire` until it is given."""
    writer = Writer(engine)
    return writer, Lease(writer, clock, socket.gethostname())


def assemble(settings: Settings, engine: Engine, writer: Writer, lease: Lease, clock: Clock) -> Assembly:
    """Build it all; the lease is held. Raises `SettingsError`, `PluginError`, `StorageError`."""
    counters, inbox, store, sessions, journal = Counters(), Inbox(), OutboxStore(writer), SessionTable(), Journal()
    kind, most = _registration_options(settings.backends)
    registrations: RegistrationStore = MemoryRegistrations() if kind == "memory" else RdbmsRegistrations(writer)
    sources = {
        one.name: one.cls(one.settings, SourceTools(one.name, inbox.put_items, clock, _log(one.name)))
        for one in settings.sources
    }
    stanzas = StanzaRouter(
        {host: sender for source in sources.values() if (sender := source.stanzas()) for host in source.hosts}
    )
    hosts = tuple(host for source in sources.values() for host in source.hosts)
    workshop = Workshop(hosts, registrations, sessions, stanzas, clock)
    backends = {one.name: workshop.backend(one) for one in settings.backends}
    window = Window()
    publishers = {one.name: _publisher(one, backends[one.name], window, store, inbox) for one in settings.backends}
    dispatcher = Dispatcher(workshop.event_plugins(settings.event_plugins), list(backends.items()), counters, journal)
    positions = Positions(store.load_positions())
    acceptance = Acceptance(
        store=store,
        registrations=registrations,
        dispatcher=dispatcher,
        positions=positions,
        sessions=sessions,
        seen=Seen(store.load_seen(clock.now()), settings.outbox.dedupe_window),
        max_age={one.name: one.settings.max_age for one in settings.backends},
        max_registrations=most,
        counters=counters,
        clock=clock,
        savepoint=writer.savepoint,
    )

    def acknowledge(source: str, host: str, position: Position) -> None:
        if source in sources:
            try:
                sources[source].acknowledge(host, position)
            except Exception:
                log.exception("source %s failed to acknowledge", source)

    settlement = Settlement(store, registrations, list(publishers.values()), counters, journal=journal)
    parts = CoreParts(
        writer=writer,
        lease=lease,
        store=store,
        refill=Refill(store, window, publishers, counters),
        positions=positions,
        acceptance=acceptance,
        settlement=settlement,
        publishers=publishers,
        acknowledge=acknowledge,
        counters=counters,
        clock=clock,
        max_rows=settings.outbox.max_rows,
        dead_retention=settings.outbox.dead_retention,
    )
    return Assembly(
        settings=settings,
        engine=engine,
        writer=writer,
        lease=lease,
        clock=clock,
        core=Core(parts, inbox),
        parts=parts,
        dispatcher=dispatcher,
        registrations=registrations,
        sessions=sessions,
        positions=positions,
        sources=sources,
        backends=backends,
        counters=counters,
        journal=journal,
        workshop=workshop,
        checkpoints=Checkpoints(engine),
    )


class Workshop:
    """Makes backends and plugins, with the tools they share."""

    def __init__(
        self,
        hosts: tuple[str, ...],
        registrations: RegistrationStore,
        sessions: SessionTable,
        stanzas: StanzaRouter,
        clock: Clock,
    ) -> None:
        self._hosts = hosts
        self._registrations = registrations
        self._sessions = sessions
        self._stanzas = stanzas
        self._clock = clock

    def backend(self, named: NamedBackend) -> Backend[Any]:
        """Make a backend, with its plugins."""
        return named.cls(named.settings, self.tools(named))

    def tools(self, named: NamedBackend) -> BackendTools:
        """Make what a backend may use; its plugins are made for it."""
        return BackendTools(
            name=named.name,
            hosts=self._hosts,
            registrations=self._registrations,
            sessions=self._sessions,
            stanzas=self._stanzas,
            plugins=self._chain(named.plugins),
            clock=self._clock,
            log=_log(named.name),
            host_settings=named.host_settings,
            host_plugins={host: self._chain(plugins) for host, plugins in named.host_plugins.items()},
            chains={names: self._chain(plugins) for names, plugins in named.chains.items()},
            gateways={one.name: self._gateway(one) for one in named.gateways},
        )

    def event_plugins(self, plugins: Sequence[NamedPlugin]) -> list[tuple[str, EventPlugin[Any]]]:
        """Make the plugins that every event passes first."""
        return [(named.name, self._event_plugin(named)) for named in plugins]

    def _event_plugin(self, named: NamedPlugin) -> EventPlugin[Any]:
        plugin: EventPlugin[Any] = named.cls(named.settings, self._plugin_tools(named.name, None, PluginChain()))  # type: ignore[assignment]  # the registry checked the class of its group
        return plugin

    def _gateway(self, named: NamedGateway) -> Gateway[Any]:
        return named.cls(named.settings, GatewayTools(named.name, self._clock, _log(named.name)))

    def _chain(self, plugins: Sequence[NamedPlugin]) -> tuple[Any, ...]:
        """The last one is made first: each knows the one behind it."""
        chain = PluginChain()
        made: list[Any] = []
        for named in reversed(plugins):
            chain.first = named.cls(named.settings, self._plugin_tools(named.name, chain.first, chain))
            made.insert(0, chain.first)
        return tuple(made)

    def _plugin_tools(self, name: str, behind: Any, chain: PluginChain) -> PluginTools:
        return PluginTools(name, behind, chain, self._sessions, self._clock, _log(name))


def _publisher(
    named: NamedBackend, backend: Backend[Any], window: Window, store: OutboxStore, inbox: Inbox
) -> Publisher:
    lanes = Lanes(named.name, window, store.load_lane, max(named.settings.retry.schedule))
    pool = WorkerPool(named.name, named.settings.wpool)
    publisher = Publisher(named.name, backend, named.settings, lanes, pool)
    publisher.report = partial(inbox.put_outcomes, publisher)
    return publisher


def _registration_options(backends: Sequence[NamedBackend]) -> tuple[str, int]:
    """Where registrations are stored and how many an account may have, as the push backends say."""
    kinds = {kind for one in backends if (kind := getattr(one.settings, "backend", None))}
    if len(kinds) > 1:
        raise SettingsError(["the push backends name different stores (backend = …): let them name the same"])
    caps = [cap for one in backends if (cap := getattr(one.settings, "max_registrations", None))]
    return (kinds.pop() if kinds else "rdbms"), max(caps, default=MAX_REGISTRATIONS)


def _log(name: str) -> logging.Logger:
    return logging.getLogger(f"event_pusher.{name}")

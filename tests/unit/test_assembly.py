"""From settings to built objects: who gets what."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_pusher.abc import Acc, Event, EventPlugin, NoSettings, PushPlugin
from event_pusher.assembly import MAX_REGISTRATIONS, assemble, hold_lease
from event_pusher.database import open_engine
from event_pusher.errors import SettingsError
from event_pusher.intake import Position
from event_pusher.registrations import MemoryRegistrations, RdbmsRegistrations
from event_pusher.settings.model import NamedPlugin
from event_pusher.testing import ManualClock
from event_pusher.testing.factories import HOST
from event_pusher_push.backend import PushBackend
from event_pusher_push_defaults.plugin import DefaultsPlugin
from tests.unit.support import DATABASE, Rigs, post, push, settings


class First(PushPlugin[NoSettings]):
    """Overrides nothing."""


class Stop(EventPlugin[NoSettings]):
    """Stops everything."""

    def push_event(self, acc: Acc, event: Event) -> bool:
        return False


def test_a_chain_knows_its_order_and_its_first(rigs: Rigs) -> None:
    # Given two plugins in front of the default one
    backend = rigs(backends=(push(First, First),)).built.backends["push"]
    first, second, last = backend.tools.plugins
    # Then each knows the one behind it, and all know whom the backend asks
    assert (first.tools.next, second.tools.next, last.tools.next) == (second, last, None)
    assert [one.tools.chain.first for one in (first, second, last)] == [first] * 3
    assert isinstance(last, DefaultsPlugin)


def test_a_hosts_chain_is_its_own(rigs: Rigs) -> None:
    backend = rigs(backends=(push(hosts={HOST: (First,)}),)).built.backends["push"]
    (common,), (first, last) = backend.tools.plugins, backend.tools.host_plugins[HOST]
    assert common is not last
    assert common.tools.chain.first is common
    assert last.tools.chain.first is first


def test_everybody_gets_the_same_sessions_registrations_and_clock(rigs: Rigs) -> None:
    rig = rigs(backends=(push(), post()))
    for backend in rig.built.backends.values():
        assert backend.tools.sessions is rig.built.sessions
        assert backend.tools.registrations is rig.built.registrations
        assert backend.tools.clock is rig.clock
        assert backend.tools.hosts == (HOST,)
    assert isinstance(rig.built.backends["push"], PushBackend)


def test_a_publish_reaches_the_source_of_its_host(rigs: Rigs) -> None:
    rig = rigs(backends=(push(),))
    assert rig.built.backends["push"].ready()
    rig.feed.server.up = False
    assert not rig.built.backends["push"].ready()


def test_an_event_plugin_stands_before_every_backend(rigs: Rigs) -> None:
    rig = rigs(event_plugins=(NamedPlugin("stop", Stop, NoSettings()),))
    rig.give(rig.message("hello"))
    assert rig.post.attempts == []
    assert [(one.backend, one.reason) for one in rig.built.dispatcher.decisions] == [("stop", "stopped")]


@pytest.mark.parametrize(("kind", "cls"), [("rdbms", RdbmsRegistrations), ("memory", MemoryRegistrations)])
def test_registrations_are_kept_where_the_push_backend_says(rigs: Rigs, kind: str, cls: type) -> None:
    assert isinstance(rigs(backends=(push(backend=kind),)).built.registrations, cls)


def test_without_a_push_backend_they_are_kept_in_the_database(rigs: Rigs) -> None:
    rig = rigs()
    assert isinstance(rig.built.registrations, RdbmsRegistrations)
    assert rig.parts.acceptance._max_registrations == MAX_REGISTRATIONS


def test_two_stores_are_refused(folder: Path) -> None:
    # Given two push backends that name different stores
    engine = open_engine(f"sqlite:///{DATABASE}", folder)
    clock = ManualClock()
    writer, lease = hold_lease(engine, clock)
    second = push(backend="memory")
    one = settings(folder, push(), second)
    # Then the start says so
    with pytest.raises(SettingsError, match="name the same"):
        assemble(one, engine, writer, lease, clock)
    writer.close()
    engine.dispose()


def test_positions_and_dedupe_keys_are_read_at_the_start(rigs: Rigs) -> None:
    # Given a process that took in a message which may come again
    rig = rigs()
    rig.give(rig.message("hello", state="hibernated"))
    rig.close()
    # Then the next one knows both
    again = rigs()
    assert again.built.positions.all() == [("feed", HOST, Position("main", "e1", 1))]
    assert len(again.parts.acceptance._seen) == 1

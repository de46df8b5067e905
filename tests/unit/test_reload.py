"""SIGHUP: all that can be taken over while the process runs, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from event_pusher import log as logs
from event_pusher.abc import Acc, Event, EventPlugin, Jid, NoSettings, PluginTools, PushPlugin, Stanza
from event_pusher.reload import NeedsRestartError, reload, take_over
from event_pusher.settings import NamedPlugin, Settings
from tests.unit.running import BOB, Running


class Mute(PushPlugin[NoSettings]):
    """Pushes nothing."""

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        return False


class Broken(PushPlugin[NoSettings]):
    """Cannot be made."""

    def __init__(self, settings: NoSettings, tools: PluginTools) -> None:
        raise RuntimeError("a private word")


class Stop(EventPlugin[NoSettings]):
    """Lets nothing through."""

    def push_event(self, acc: Acc, event: Event) -> bool:
        return False


@pytest.fixture
def running() -> Iterator[Running]:
    with Running() as running:
        running.enable()
        yield running
    logs.set_level("info")


def with_plugins(settings: Settings, *plugins: type[PushPlugin[Any]]) -> Settings:
    """The same, with these plugins before the last one of the push backend."""
    (push,) = settings.backends
    chain = (*(NamedPlugin(one.__name__, one, NoSettings()) for one in plugins), push.plugins[-1])
    return replace(settings, backends=(replace(push, plugins=chain),))


def edit(running: Running, more: str) -> None:
    """Write something more to the end of the file."""
    running.place.config.write_text(running.place.config.read_text() + more)


def last_reason(running: Running) -> str:
    """What was decided last."""
    running.write("hello")
    return str(running.call("explain", user=BOB)["decisions"][-1]["reason"])


def test_a_new_chain_decides_from_the_next_event_on(running: Running) -> None:
    # Given a pusher that pushes
    assert last_reason(running) == "accepted"
    # When its chain gets a plugin that does not
    changed = take_over(running.app, with_plugins(running.app.settings, Mute))
    # Then the next event is decided by it, and the key is told
    assert changed == ["backends.push.plugin_module"]
    assert last_reason(running) == "plugin"


def test_event_plugins_are_taken_over(running: Running) -> None:
    # When an event plugin comes
    stop = NamedPlugin("stop", Stop, NoSettings())
    assert take_over(running.app, replace(running.app.settings, event_plugins=(stop,))) == ["events.plugins"]
    # Then it stops the next event, and when it goes, it does not any more
    assert last_reason(running) == "stopped"
    take_over(running.app, replace(running.app.settings, event_plugins=()))
    assert last_reason(running) == "accepted"


def test_a_plugin_that_cannot_be_made_leaves_everything_as_it_was(
    running: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file whose chain has a plugin that fails
    new = with_plugins(running.app.settings, Mute, Broken)
    monkeypatch.setattr("event_pusher.reload.load", lambda *_: new)
    # When it is read
    reload(running.app)
    # Then that is logged without the plugin's words, and the old chain decides
    assert "RuntimeError while it was made; nothing is changed" in caplog.text
    assert "a private word" not in caplog.text
    assert last_reason(running) == "accepted"


def test_an_override_of_a_host_is_taken_over(running: Running) -> None:
    # Given a file that says something else for the host
    edit(running, '[hosts."example.org".backends.push]\nonly_users = ["eve@example.org"]\n')
    # When it is read
    reload(running.app)
    # Then it holds
    assert last_reason(running) == "only-users"


def test_one_change_that_needs_a_restart_keeps_all_others_away(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a file with two such changes, and two that could be taken over
    edit(running, '[hosts."example.org".backends.push]\nonly_users = ["eve@example.org"]\n')
    edit(running, '[log]\nlevel = "debug"\nformat = "json"\n[outbox]\nmax_rows = 7\n')
    # When it is read
    reload(running.app)
    # Then each of the two is named in a line of its own, and nothing is changed
    lines = [one.getMessage() for one in caplog.records if "SIGHUP" in one.getMessage()]
    assert lines == [
        "SIGHUP: log.format needs a restart; nothing is changed",
        "SIGHUP: outbox.max_rows needs a restart; nothing is changed",
    ]
    assert last_reason(running) == "accepted"
    assert logging.getLogger("event_pusher").level != logging.DEBUG


def test_a_backend_that_cannot_take_it_over_names_its_keys(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a backend that knows nothing of reloading
    assert running.app.assembly is not None
    backend = running.app.assembly.backends["push"]
    monkeypatch.setattr(backend, "reload", lambda *_: None)
    # When its chain changes
    with pytest.raises(NeedsRestartError) as refused:
        take_over(running.app, with_plugins(running.app.settings, Mute))
    # Then that key needs a restart
    assert refused.value.keys == ["backends.push.plugin_module"]
    assert last_reason(running) == "accepted"


def test_every_fault_of_the_file_is_logged(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    edit(running, '[log]\nlevel = "loud"\n[outbox]\nmax_rows = 0\n')
    reload(running.app)
    assert sum("nothing is changed" in one.getMessage() for one in caplog.records) == 2


def test_the_same_file_says_that_nothing_changed(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    reload(running.app)
    assert "nothing was changed" in caplog.text


def test_a_stand_by_takes_it_over_for_the_time_when_it_starts(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that does not own the database
    new = with_plugins(running.app.settings, Mute)
    with monkeypatch.context() as patch:
        patch.setattr(running.app, "assembly", None)
        # When its file changes
        take_over(running.app, new)
    # Then it will start with the new one
    assert running.app.settings is new

"""The running process: started and stopped in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from event_pusher import app as module
from event_pusher.app import App
from event_pusher.assembly import hold_lease
from event_pusher.clock import SystemClock
from event_pusher.database import open_engine
from event_pusher.errors import PluginError, StorageError
from event_pusher.events import Acc
from event_pusher.intake import Occurrence
from event_pusher.testing import chat_event
from event_pusher.testing.factories import HOST
from tests.unit.support import DATABASE, Feed, Post, post, settings

SECONDS = 20.0


class Careful(Post):
    """Tells when it has published."""

    published = threading.Event()

    def publish_many(self, attempts: Any, report: Any) -> None:
        super().publish_many(attempts, report)
        self.published.set()


class Unstartable(Post):
    def start(self) -> None:
        raise PluginError("no such broker; install it")


class Unclosable(Post):
    def close(self, timeout: float) -> None:
        raise OSError("still busy")

    def health(self) -> str | None:
        raise OSError("a secret")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the source, in order."""
    made: list[str] = []
    for name in ("start", "close", "stop_intake", "resume_from"):
        monkeypatch.setattr(Feed, name, lambda *_, name=name: made.append(name))
    return made


@pytest.fixture
def apps(folder: Path) -> Iterator[Any]:
    made: list[App] = []

    def make(*backends: Any) -> App:
        made.append(App(settings(folder, *backends)))
        return made[-1]

    yield make
    for one in made:
        one.stop()
        one.close(0.0)


def owner(folder: Path) -> str | None:
    """Who holds the database."""
    engine = open_engine(f"sqlite:///{DATABASE}", folder)
    writer, lease = hold_lease(engine, SystemClock())
    name = lease.describe().name
    writer.close()
    engine.dispose()
    return name


def test_it_starts_delivers_and_stops(apps: Any, folder: Path, calls: list[str]) -> None:
    # Given a started process
    app = apps(post(cls=Careful))
    assert app.start()
    assert app.assembly is not None
    assert calls == ["resume_from", "start"]
    # When a message comes
    app.assembly.core.inbox.put_items([Occurrence("feed", HOST, None, Acc("a1", HOST, 0.0), chat_event("hello"))])
    # Then it is delivered, by threads of its own
    assert Careful.published.wait(SECONDS)
    # And a stop ends all of it, in order, and gives the database back
    app.stop()
    assert app.wait()
    app.close()
    assert calls == ["resume_from", "start", "stop_intake", "close"]
    assert owner(folder) is None


def test_closing_twice_or_before_the_start_is_fine(apps: Any) -> None:
    apps().close()
    app = apps()
    app.start()
    app.close()
    app.close()


def test_a_stand_by_waits_and_takes_over(apps: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a process that owns the database, and a second one
    monkeypatch.setattr(module, "STANDBY_SECONDS", 0.001)
    first, second = apps(), apps()
    first.start()
    started = threading.Event()

    def wait() -> None:
        if second.start():
            started.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert second.health() == {"app": "stand-by: another process owns the database"}
    assert second.assembly is None
    # When the first one ends, Then the second begins
    first.close()
    assert started.wait(SECONDS)
    waiting.join(SECONDS)


def test_a_stand_by_can_be_stopped(apps: Any) -> None:
    first, second = apps(), apps()
    first.start()
    second.stop()
    assert second.start() is False
    second.close()


def test_a_database_that_lacks_tables_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / DATABASE).touch()
    with pytest.raises(StorageError, match="db upgrade"):
        App(settings(tmp_path)).start()


def test_a_backend_that_cannot_start_stops_the_start_and_frees_the_database(
    apps: Any, folder: Path, calls: list[str]
) -> None:
    # Given a backend that cannot start
    app = apps(post(cls=Unstartable))
    with pytest.raises(PluginError, match="no such broker"):
        app.start()
    # Then no source began, and another process may begin at once
    assert "start" not in calls
    assert owner(folder) is None
    assert apps().start()


def test_what_cannot_be_built_frees_the_database(apps: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise PluginError("broken")

    monkeypatch.setattr(module, "assemble", broken)
    with pytest.raises(PluginError):
        apps().start()
    assert owner(folder) is None


def test_a_backend_that_cannot_close_stops_nobody(apps: Any, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = apps(post(cls=Unclosable))
    app.start()
    app.close()
    assert "backend post failed to close" in caplog.text
    assert owner(folder) is None


def test_a_source_that_cannot_stop_its_intake_stops_nobody(
    apps: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_source: Feed) -> None:
        raise OSError("no stream")

    monkeypatch.setattr(Feed, "stop_intake", broken)
    app = apps()
    app.start()
    app.close()
    assert "source feed failed to stop its intake" in caplog.text
    assert owner(folder) is None


def test_health_tells_of_every_part(apps: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a well process
    app = apps(post(cls=Unclosable), post("other"))
    app.start()
    assert app.assembly is not None
    monkeypatch.setattr(Feed, "health", lambda _: "no stream")
    monkeypatch.setattr(app.assembly.core.commits, "trouble", "disk full")
    monkeypatch.setattr(app.assembly.core, "is_full", lambda: True)
    monkeypatch.setattr(app.assembly.core.commits, "rows", 7)
    # Then what is not well is there with one line each, and a broken check says no secret
    health = app.health()
    assert health["source feed"] == "no stream"
    assert health["database"] == "disk full"
    assert "full: 7 rows" in health["outbox"]
    assert health["backend post"] == "its health check failed: OSError"
    assert "backend other" not in health


def test_wait_tells_a_core_that_died_from_a_stop(apps: Any) -> None:
    # Given a core that loses its lease
    app = apps()
    app.start()
    assert app.assembly is not None
    app.assembly.core.write(
        lambda: app.assembly.writer.connection.exec_driver_sql("UPDATE event_pusher_owner SET fence = fence + 1")
    ).result(SECONDS)
    app.assembly.core.call(lambda: setattr(app.assembly.core, "_renewed", float("-inf")))
    # Then waiting ends, and a close waits for no drain
    assert app.wait() is False
    assert app.assembly.core.drain(3600) is False

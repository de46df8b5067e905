"""What operators order while the real process takes hundreds of events a second succeeds, and no event is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from event_pusher.abc import Delivery
from event_pusher.admin.client import Remote
from event_pusher.database import open_engine
from event_pusher.loopback import LoopbackServer, PushService
from event_pusher.outbox.row import Row
from event_pusher.outbox.store import OutboxStore
from event_pusher.registrations import RdbmsRegistrations
from event_pusher.writer import Writer
from tests.unit.cli.test_run import Daemon
from tests.unit.running import Place

#: Of each kind: dead letters to retry, some to discard, and what waits for the registrations to delete.
ROWS, REGISTRATIONS, RATE = 3000, 200, 300
LIVE, SILENT = "app.example.org", "silent.example.org"
BOB = "bob@example.org"


class Load:
    """The process, fed at `RATE`; it started with `ROWS` of each kind, for the registrations `ids`."""

    def __init__(self, server: LoopbackServer, service: PushService, place: Place) -> None:
        self.server, self.service, self.place = server, service, place
        self.ids = fill(place)
        self.remote = Remote(place.settings.admin.listen)
        self.fed = 0
        self._done = threading.Event()

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """Let messages come as long as the block lasts."""
        thread = threading.Thread(target=self._feed)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _feed(self) -> None:
        while not self._done.wait(0.02):
            for _ in range(max(1, RATE // 50)):
                self.server.message("alice@example.org/r", BOB, f"live {self.fed}")
                self.fed += 1


def fill(place: Place) -> list[int]:
    """Write dead letters and waiting rows; the ids of the registrations that the latter wait for."""
    engine = open_engine(place.settings.database.url, place.folder)
    writer = Writer(engine)
    store, registrations, now = OutboxStore(writer), RdbmsRegistrations(writer), time.time()
    with writer.transaction():
        registrations.enable(BOB, LIVE, "n", (), now, 20)
        silent = [registrations.enable(f"u{n}@example.org", SILENT, "n", (), now, 20) for n in range(REGISTRATIONS)]
        ids = [one.id for one in silent if one is not None]
        first = store.reserve_ids(3 * ROWS)
        rows = [_row(first + number, ids[number % REGISTRATIONS], now) for number in range(3 * ROWS)]
        store.insert(rows)
        store.bury(rows[: 2 * ROWS], ["refused"] * 2 * ROWS, now)
    writer.close()
    engine.dispose()
    return ids


def _row(id_: int, registration: int, now: float) -> Row:
    delivery = Delivery(f"u{id_}@example.org", SILENT, b"<publish/>", lane=str(registration), registration=registration)
    return Row(id_, "push", str(registration), delivery, "t", now, now + 86400, due_at=now + 3600)


@pytest.fixture
def load() -> Iterator[Load]:
    with LoopbackServer() as server:
        place = Place(server.address)
        load = Load(server, server.push_service(LIVE, None, parse=False), place)
        server.push_service(SILENT, lambda _: ("wait", "internal-server-error"))
        daemon = Daemon(place.config)
        try:
            daemon.until("is connected to")
            yield load
            assert daemon.end() == 0
        finally:
            daemon.process.kill()
            daemon.process.wait()
            place.remove()


def test_bulk_orders_succeed_while_events_go_on(load: Load) -> None:
    # Given events at full rate
    with load.feeding():
        assert load.server.wait_for(lambda: load.service.count > 0, 20)
        before = load.service.count
        # When thousands of deliveries are discarded and retried, and registrations deleted with what waits for them
        discard = load.place.run("deliveries", "discard", "--state", "waiting", "--target", SILENT, "--yes")
        retry = load.place.run("deliveries", "retry", "--state", "dead")
        delete = load.place.run("registrations", "delete", *map(str, load.ids))
        during = load.service.count - before
    # Then each does all it was told, and events went on meanwhile
    assert discard.output == f"{ROWS:,} deliveries discarded\n"
    assert retry.output == f"{2 * ROWS:,} deliveries wait again\n"
    assert delete.output == f"deleted {REGISTRATIONS} registrations\n"
    assert during > 0
    # And every event arrives, once
    assert load.server.wait_for(lambda: load.service.count >= load.fed, 30)
    assert load.service.count == load.fed
    assert load.remote.call("status")["unaccounted"] == 0


def test_an_enable_is_answered_under_load(load: Load) -> None:
    with load.feeding():
        assert load.server.wait_for(lambda: load.service.count > 0, 20)
        for number in range(20):
            assert load.server.enable(f"new{number}@example.org", LIVE, "n").type == "result"

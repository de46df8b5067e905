"""A server that stops reading, floods, or both: nothing stands still for good, and the operator is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from event_pusher.admin.live import LiveDesk
from event_pusher.app import App
from event_pusher.registry import Registry
from event_pusher.settings import load
from event_pusher.xmpp.stream import StreamOptions
from tests.unit.raw_end import HOST, SERVICE, RawEnd
from tests.unit.running import Place

USERS = [f"user{number}@{HOST}" for number in range(2000)]
#: More than the sockets' buffers hold, and than the feed's window is wide.
NUMBER, SIZE = 2500, 4000
#: Seconds that a server may not read: 20, but for these tests.
PATIENCE = 1.5
MORE = 'content = "full"\nin_flight = 2000\npublish_timeout = 6\norder_hold = 600\n'


class Flooded:
    """The pusher in this process, the bare end of a server, and people who are away: as many as may be in flight."""

    def __init__(self) -> None:
        self.end = RawEnd()
        self.place = Place(self.end.address, MORE)
        self.place.config.write_text(self.place.config.read_text().replace('"1h"', '"0.2s"'))
        self.place.settings = load(self.place.config, Registry())
        self.app = App(self.place.settings)
        self.desk = LiveDesk(self.app)

    def start(self) -> None:
        assert self.app.start()
        built = self.app.assembly
        assert built is not None
        built.sources["component"].stream._backoff = lambda attempt: 0.1  # type: ignore[attr-defined]  # a component
        enable = partial(built.registrations.enable, service=SERVICE, node="n", options=(), now=0.0, limit=9)
        assert built.core.write(lambda: all(enable(user) for user in USERS)).result(30)
        assert self.end.resumed.wait(10)

    def status(self) -> dict[str, Any]:
        return self.desk.status()

    def close(self) -> None:
        self.end.reading.set()
        self.app.close(drain=0.5)
        self.end.close()
        self.place.remove()


@pytest.fixture
def flooded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flooded]:
    monkeypatch.setattr("event_pusher.sources.component.StreamOptions", partial(StreamOptions, patience=PATIENCE))
    rig = Flooded()
    rig.start()
    yield rig
    rig.close()


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline, nobody = time.monotonic() + seconds, threading.Event()
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        nobody.wait(0.05)


def test_a_flood_beyond_all_credit_is_taken_in_and_goes_out(flooded: Flooded) -> None:
    # When a server floods, whatever credit it has, Then all is taken in, pushed and acknowledged
    flooded.end.flood(USERS, NUMBER, SIZE)
    until(lambda: len(set(flooded.end.published)) == NUMBER)
    until(lambda: flooded.end.acked == flooded.end.n)
    assert len(flooded.end.published) == NUMBER
    assert flooded.status()["health"] == {}


def test_a_server_that_stops_reading_and_floods_stops_nothing_for_good(flooded: Flooded) -> None:
    # Given a server that reads nothing more
    flooded.end.reading.clear()
    # When it floods all the same, Then it is read: two ends that only write would wait for each other for good
    flooder = threading.Thread(target=flooded.end.flood, args=(USERS, NUMBER, SIZE), daemon=True)
    flooder.start()
    flooder.join(30)
    assert not flooder.is_alive()
    # And the pusher answers meanwhile, has all on disk that was not read, and says what is wrong
    until(lambda: "connection-timeout" in flooded.status()["health"].get("source component", ""))
    assert flooded.status()["backends"]["push"]["waiting"] + len(flooded.end.published) >= NUMBER
    # When it reads again, Then everything goes out
    flooded.end.reading.set()
    until(lambda: len(set(flooded.end.published)) == NUMBER, 120)
    until(lambda: flooded.status()["backends"]["push"]["waiting"] == 0)
    until(lambda: flooded.status()["health"] == {})

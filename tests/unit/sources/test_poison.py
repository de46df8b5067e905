"""A publish that makes the server close the stream, over a real socket: the loopback server cannot bear one item."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from event_pusher.abc import Attempt, Delivery, IqAnswer, IqRequest, SourceTools
from event_pusher.intake import Item
from event_pusher.loopback import HOLD, LoopbackServer, Publish, Verdict
from event_pusher.sources.component import ComponentSettings, ComponentSource

BOB, SERVICE = "bob@example.org", "p.example.net"
PAYLOAD = b"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n1'><item id='k%d'/></publish></pubsub>"
POISON = 3


class Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Rig:
    """The source, and answers to its requests by number."""

    def __init__(self, server: LoopbackServer, publish_as: str) -> None:
        self.server = server
        self.answers: dict[int, list[str]] = {}
        self._news = threading.Condition()
        settings = {"domain": "push.example.org", "server": server.address, "secret": "s", "hosts": ["example.org"]}
        self.source = ComponentSource(
            ComponentSettings.model_validate(settings | {"secret": "secret", "publish_as": publish_as}),
            SourceTools("component", self._ignore, Clock(), logging.getLogger("test")),
        )
        self.source.stream._backoff = lambda attempt: 0.0
        self.source.start()
        self.wait(self.source.stanzas().ready)

    def ask(self, *numbers: int) -> None:
        attempts = [Attempt(n, 1, f"k{n}", Delivery(BOB, SERVICE, PAYLOAD % n), 0.0) for n in numbers]
        wanted = [IqRequest("example.org", SERVICE, one.delivery.payload, one) for one in attempts]
        self.source.stanzas().request(wanted, 40.0, self._told)

    def said(self, number: int) -> list[str]:
        return self.answers.get(number, [])

    def wait(self, true: Callable[[], bool]) -> None:
        with self._news:
            deadline = time.monotonic() + 10
            while not true():
                assert time.monotonic() < deadline, (self.answers, self.source.counters)
                self._news.wait(0.02)

    def _told(self, answers: Sequence[tuple[Attempt, IqAnswer]]) -> None:
        with self._news:
            for attempt, answer in answers:
                self.answers.setdefault(attempt.id, []).append(answer.type)
            self._news.notify_all()

    def _ignore(self, items: Sequence[Item]) -> None:
        pass


@pytest.fixture(params=["host", "component"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with LoopbackServer() as server:

        def take(publish: Publish) -> Verdict:
            if publish.item_id != f"k{POISON}":
                return None
            server.end_stream("policy-violation")
            return HOLD

        server.push_service(SERVICE, take)
        rig = Rig(server, request.param)
        yield rig
        rig.source.close(5)


def test_one_publish_that_breaks_the_stream_is_told_so_and_the_others_are_answered(rig: Rig) -> None:
    # Given publishes, one of which makes the server close the stream, which are tried again until they are answered
    counters = rig.source.counters
    for lost in (1, 2):
        rig.ask(*(number for number in range(1, 6) if "result" not in rig.said(number)))
        rig.wait(lambda lost=lost: counters["streams_lost"] == lost and rig.source.stanzas().ready())  # type: ignore[misc]  # lambda
    # When it comes for the third time
    rig.ask(*(number for number in range(1, 6) if "result" not in rig.said(number)))
    rig.wait(lambda: "fatal" in rig.said(POISON))
    rig.wait(rig.source.stanzas().ready)
    # Then it alone is given up, and the others arrive
    rig.ask(*(number for number in range(1, 6) if rig.said(number)[-1:] != ["result"] and number != POISON))
    rig.wait(lambda: all(rig.said(number)[-1:] == ["result"] for number in (1, 2, 4, 5)))
    assert rig.said(POISON)[-1] == "fatal"
    assert (counters["streams_lost"], counters["requests_convicted"]) == (3, 1)

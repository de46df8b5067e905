"""Shared by the tests of XMPP: stanzas from text, a clock that stands still."""

import logging
from collections.abc import Callable

import pytest
from lxml import etree

from event_pusher.xmpp.budget import NameBudget
from event_pusher.xmpp.feed import FeedReader
from event_pusher.xmpp.parser import StreamParser

HEADER = (
    b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' "
    b"from='push.example.org' id='s1'>"
)


@pytest.fixture
def stanza() -> Callable[[str], etree._Element]:
    """Makes the stanza of this text as a stream gives it."""

    def make(xml: str) -> etree._Element:
        [element] = StreamParser(budget=NameBudget()).feed(HEADER + xml.encode())
        return element

    return make


class StillClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.time = 1_000_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def counters() -> dict[str, int]:
    return {}


@pytest.fixture
def reader(clock: StillClock, counters: dict[str, int]) -> FeedReader:
    return FeedReader("component", ["example.org"], clock, logging.getLogger("test"), counters)

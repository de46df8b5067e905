"""The bound of the ring: what has to go is the oldest, and what went is told exactly."""

import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from feed import Feed, carries, child
from feed_servers import Site, roundtrip, running
from wire import Client

pytestmark = pytest.mark.servers

SMALL_RING = 4000


@pytest.fixture(scope="module")
def small_site(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server whose ring holds a few entries only."""
    with running(server_name, tmp_path_factory.mktemp("small"), ring_bytes=SMALL_RING) as site:
        yield site


@pytest.fixture
def small(small_site: Site) -> Iterator[Site]:
    """The same; what the test opens on it is closed afterwards."""
    yield small_site
    small_site.close()


def flood(site: Site, sender: Client, count: int = 30) -> list[str]:
    """Messages to an account that is not there."""
    away = site.jid(site.account())
    messages = [sender.message(away, "x" * 100) for _ in range(count)]
    roundtrip(sender, site.domain)
    return messages


def test_a_full_ring_drops_the_oldest_and_tells_which(small: Site) -> None:
    # Given a consumer that goes away
    sender = small.client(small.account())
    feed = small.feed()
    n = int(feed.of(carries(sender.message(sender.bare, "x"), "sent")).get("n", ""))
    position = feed.position(n)
    feed.component.close()
    # When more happens than the ring holds, and it comes back
    messages = flood(small, sender)
    again = small.feed(resume=False)
    answer = again.resume(snapshot=False, **position)
    # Then it is told exactly what is gone, and gets the rest
    covered, gaps = told_until(again, messages[-1])
    assert gaps[0] == n + 1
    assert int(answer.get("lost", "")) == int(answer.get("first", "")) - 1 - n > 0
    assert covered == list(range(n + 1, covered[-1] + 1))


def told_until(feed: Feed, last: str) -> tuple[list[int], list[int]]:
    """The numbers that were told until the message ``last`` was, and those of them that are lost."""
    told: list[int] = []
    lost: list[int] = []
    while True:
        message = feed.component.expect(is_numbered)
        entry = message[0]
        if entry.get("n"):
            told.append(int(entry.get("n", "")))
            feed.ack(told[-1])
        else:
            assert (entry.get("feed"), entry.get("epoch")) == (feed.feed, feed.epoch)
            gap = range(int(entry.get("from", "")), int(entry.get("to", "")) + 1)
            told += gap
            lost += gap
        if carries(last, "received")(message):
            return told, lost


def test_a_ring_that_overflows_without_credit_tells_it_when_there_is_credit(small: Site) -> None:
    # Given a consumer without credit: one entry is on the wire
    sender = small.client(small.account())
    feed = small.feed(resume=False)
    feed.resume(snapshot=False, window="1")
    n = int(feed.component.expect(lambda stanza: is_numbered(stanza) and "n" in stanza[0].attrib)[0].get("n", ""))
    feed.component.clear()
    # When the ring overflows, and the consumer acknowledges
    messages = flood(small, sender)
    roundtrip(feed.component, small.domain)
    assert not feed.component.waiting(lambda stanza: child(stanza, "lost") is not None)
    feed.ack(n)
    # Then it is told the gap, and gets what follows as it acknowledges, without a hole
    covered, gaps = told_until(feed, messages[-1])
    assert covered[0] == gaps[0] == n + 1
    assert covered == list(range(n + 1, covered[-1] + 1))


def test_a_snapshot_pushes_nothing_out_of_the_ring(small: Site) -> None:
    # Given an entry that is not acknowledged, and more sessions than the ring holds
    sender = small.client(small.account())
    for _ in range(20):
        small.client(small.account(), priority=None)
    feed = small.feed()
    message = sender.message(sender.bare, "x")
    n = int(feed.of(carries(message, "received")).get("n", ""))
    # When a consumer resumes and gets the snapshot
    feed.resume(snapshot=True, **feed.position(n - 1))
    # Then the entry is still there for the next one
    again = Feed(feed.component, feed.host)
    assert again.resume(snapshot=False, **feed.position(n - 1)).get("lost") == "0"


def is_numbered(stanza: Element) -> bool:
    """Matches what stands for entries: one of them, or a gap."""
    element = child(stanza)
    return element is not None and bool({"n", "from"} & set(element.attrib))


def test_what_is_too_old_goes_while_no_consumer_is_there(server_name: str, tmp_path: Path) -> None:
    # Given a ring that keeps entries for a second, and a consumer that goes
    with running(server_name, tmp_path, ring_age=1) as site:
        sender = site.client(site.account())
        feed = site.feed()
        n = int(feed.of(carries(sender.message(sender.bare, "x"), "sent")).get("n", ""))
        feed.component.close()
        # When a message comes and it stays away for longer
        flood(site, sender, 1)
        time.sleep(4)  # nothing tells that an entry went: this is about time itself
        again = site.feed(resume=False)
        answer = again.resume(snapshot=False, **feed.position(n))
        # Then the entries are gone, and it is told
        assert int(answer.get("lost", "")) > 0
        assert answer.get("first") == answer.get("next")
        assert again.expect("lost").get("from") == str(n + 1)


def test_age_does_not_count_while_a_consumer_is_there(server_name: str, tmp_path: Path) -> None:
    # Given a ring that keeps entries for a second, and a consumer that does not acknowledge
    with running(server_name, tmp_path, ring_age=1) as site:
        sender = site.client(site.account())
        feed = site.feed()
        message = sender.message(sender.bare, "x")
        n = int(feed.of(carries(message, "sent")).get("n", ""))
        time.sleep(3)  # longer than the ring keeps anything
        # When it resumes from before
        answer = feed.resume(snapshot=False, **feed.position(n - 1))
        # Then the entry is there
        assert answer.get("lost") == "0"
        feed.of(carries(message, "sent"))

"""The bound of the ring: what has to go is the oldest, and what went is told exactly."""

import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from feed import Feed, carries, child, is_event
from feed_servers import Site, catch_up, roundtrip, running
from wire import Client, local

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
    first = int(answer.get("first", ""))
    gap = again.expect("lost")
    assert (gap.get("feed"), gap.get("epoch")) == (again.feed, again.epoch)
    assert (gap.get("from"), gap.get("to")) == (str(n + 1), str(first - 1))
    assert int(answer.get("lost", "")) == first - 1 - n > 0
    begin = int(again.expect("snapshot-begin").get("n", ""))
    entries = [child(stanza, "event") for stanza in again.component.waiting(is_event())]
    assert [int(e.get("n", "")) for e in entries if e is not None][: begin - first] == list(range(first, begin))
    again.of(carries(messages[-1], "received"))


def test_a_ring_that_overflows_without_credit_tells_it_when_there_is_credit(small: Site) -> None:
    # Given a consumer without credit: one entry is on the wire
    sender = small.client(small.account())
    feed = small.feed(resume=False)
    feed.resume(snapshot=False)
    catch_up(feed)
    feed.resume(snapshot=False, window="1")
    n = int(feed.component.expect(is_numbered)[0].get("n", ""))
    # When the ring overflows, and the consumer acknowledges
    messages = flood(small, sender)
    roundtrip(feed.component, small.domain)
    assert not feed.component.waiting(lambda stanza: child(stanza, "lost") is not None)
    feed.ack(n)
    # Then it is told the gap once, and gets what follows as it acknowledges
    gap = feed.component.expect(is_numbered)[0]
    assert (local(gap), gap.get("from")) == ("lost", str(n + 1))
    drain(feed, int(gap.get("to", "")) + 1, messages[-1])


def drain(feed: Feed, n: int, last: str) -> None:
    """Acknowledge one by one, from entry ``n`` until the message ``last`` is there, without a hole."""
    while True:
        message = feed.component.expect(is_numbered)
        if carries(last, "received")(message):
            return
        assert int(message[0].get("n", message[0].get("from", ""))) == n
        n = int(message[0].get("n", message[0].get("to", ""))) + 1
        feed.ack(n - 1)


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

"""The feed's start, order, credit, acknowledgement and bound, on the wire of docs/feed-protocol.md."""

from pathlib import Path

import pytest
from feed import FEED, Feed, carries, child, is_event
from feed_servers import Site, assert_none, catch_up, roundtrip, running
from wire import condition, local

pytestmark = pytest.mark.servers


@pytest.fixture
def feed(site: Site) -> Feed:
    """A consumer that has got and acknowledged everything up to now."""
    return site.feed()


def numbers(feed: Feed) -> list[int]:
    """The numbers of the entries in the inbox."""
    found = [child(element) for element in feed.component.waiting(lambda s: child(s) is not None)]
    return [int(entry.get("n", "")) for entry in found if entry is not None and entry.get("n")]


def last_event(feed: Feed, site: Site) -> int:
    """Cause an event and return its number."""
    sender = site.client(site.account())
    return int(feed.of(carries(sender.message(sender.bare, "x"), "received")).get("n", ""))


def reconnected(site: Site, feed: Feed) -> Feed:
    """A new consumer on a new connection, as after a restart of ours; it has not resumed."""
    feed.component.close()
    return site.feed(resume=False)


def test_a_resume_is_answered_with_where_the_ring_stands(site: Site) -> None:
    # Given a consumer which has acknowledged everything
    feed = site.feed()
    n = last_event(feed, site)
    feed.ack(n)
    # When it resumes from there
    answer = feed.resume(snapshot=False, **feed.position(n))
    # Then the ring is empty and nothing is lost
    assert answer.get("version") == "0"
    assert answer.get("first") == answer.get("next") == str(n + 1)
    assert answer.get("lost") == "0"
    assert site.server.__class__.__name__.lower() in answer.get("server", "").lower()
    assert answer.get("feed")
    assert answer.get("epoch")


def test_an_unknown_version_is_answered_with_an_error(site: Site) -> None:
    # Given a connection
    feed = site.feed(resume=False)
    # When it asks for a version of the future
    answer = feed.resume(snapshot=False, version="99")
    # Then it is told so
    assert (answer.get("version"), answer.get("error")) == ("0", "unsupported-version")


def test_what_happened_before_the_first_resume_is_told(server_name: str, tmp_path: Path) -> None:
    # Given a server that just started, without a component
    with running(server_name, tmp_path) as site:
        sender, away = site.client(site.account()), site.account()
        # When a message comes before the very first resume
        message = sender.message(site.jid(away), "early")
        roundtrip(sender, site.domain)
        feed = site.feed(resume=False)
        answer = feed.resume(snapshot=False)
        # Then the consumer gets it, from the ring's first entry on
        assert answer.get("first") == "1"
        assert answer.get("lost") == "0"
        feed.of(carries(message, "received", state="offline"))


def test_a_restart_of_the_server_starts_another_epoch(server_name: str, tmp_path: Path) -> None:
    # Given a consumer that has a position
    with running(server_name, tmp_path) as site:
        feed = site.feed()
        old = feed.position(3)
        # When the server restarts and the consumer resumes from it
        site.server.restart()
        feed = site.feed(resume=False)
        answer = feed.resume(snapshot=False, **old)
        # Then the epoch is another one, and what is lost is unknown
        assert answer.get("epoch") != old["epoch"]
        assert answer.get("lost") == "0"
        assert feed.expect("snapshot-begin").get("n") == answer.get("next")


def test_what_was_not_acknowledged_is_replayed_after_our_reconnect(site: Site, feed: Feed) -> None:
    # Given a consumer that acknowledged one event and then got another
    sender = site.client(site.account())
    acknowledged = sender.message(sender.bare, "1")
    first = feed.of(carries(acknowledged, "received"))
    feed.ack(first.get("n", ""))
    message = sender.message(sender.bare, "2")
    n = feed.of(carries(message, "sent")).get("n")
    # When its connection breaks and it resumes from what it has
    position = feed.position(int(first.get("n", "")))
    again = reconnected(site, feed)
    again.resume(snapshot=False, **position)
    # Then the second comes again under the same number, and the first does not
    assert again.of(carries(message, "sent")).get("n") == n
    catch_up(again)
    assert not again.component.waiting(carries(acknowledged))


def test_what_happens_while_we_are_away_is_told_afterwards(site: Site, feed: Feed) -> None:
    # Given a consumer that goes away
    position = feed.position(last_event(feed, site))
    feed.component.close()
    # When a message comes, and the consumer is back
    sender = site.client(site.account())
    message = sender.message(site.jid(site.account()), "while away")
    roundtrip(sender, site.domain)
    again = site.feed(resume=False)
    again.resume(snapshot=False, **position)
    # Then it gets it, before the snapshot
    n = again.of(carries(message, "received", state="offline")).get("n", "")
    assert int(n) < int(again.expect("snapshot-begin").get("n", ""))


def test_an_acknowledgement_frees_the_ring(site: Site, feed: Feed) -> None:
    # Given an event which is acknowledged
    n = last_event(feed, site)
    feed.ack(n)
    roundtrip(feed.component, site.domain)
    # When a consumer comes that knows nothing
    again = reconnected(site, feed)
    answer = again.resume(snapshot=False)
    # Then the ring begins behind it
    assert int(answer.get("first", "")) == n + 1


def test_no_more_than_the_window_is_on_the_wire(site: Site, feed: Feed) -> None:
    # Given a consumer with a window of three which has acknowledged everything
    n = last_event(feed, site)
    position = feed.position(n)
    again = reconnected(site, feed)
    # When it resumes, and there are many entries beyond its position
    again.resume(snapshot=False, window="3", **position)
    sender = site.client(site.account())
    for _ in range(5):
        sender.message(sender.bare, "x")
    roundtrip(sender, site.domain)
    roundtrip(again.component, site.domain)
    # Then three come, and the rest as they are acknowledged
    assert numbers(again) == [n + 1, n + 2, n + 3]
    again.ack(n + 2)
    again.component.expect(lambda s: (child(s) is not None) and numbers(again)[-1] == n + 5)
    roundtrip(again.component, site.domain)
    assert max(numbers(again)) == n + 5


def test_numbers_have_no_holes_and_events_come_in_order(site: Site, feed: Feed) -> None:
    # Given a sender
    sender = site.client(site.account())
    # When it sends messages
    messages = [sender.message(sender.bare, "x") for _ in range(10)]
    last = feed.component.expect(carries(messages[-1], "received"))
    # Then the entries are numbered without holes
    feed.component.inbox.append(last)
    found = numbers(feed)
    assert sorted(found) == list(range(min(found), max(found) + 1))
    assert found[:-1] == sorted(found[:-1])


def test_the_snapshot_names_the_live_sessions_in_order(site: Site, feed: Feed) -> None:
    # Given an available session, one that is not, and one that waits for resumption
    user, silent, asleep = site.account(), site.account(), site.account()
    site.client(user, "phone", priority=7)
    site.client(silent, "phone", priority=None)
    site.client(asleep, "phone").enable_sm().abort()
    feed.event("hibernation-start", user=site.jid(asleep))
    # When a consumer resumes
    again = reconnected(site, feed)
    again.resume()
    # Then the snapshot names them, between its two marks
    entries = [child(stanza) for stanza in again.component.inbox]
    begin = next(i for i, entry in enumerate(entries) if entry is not None and local(entry) == "snapshot-begin")
    sessions = {entry.get("user"): entry for entry in entries[begin + 1 :] if entry is not None}
    available = sessions[site.jid(user)]
    assert (available.get("kind"), available.get("resource")) == ("session-start", "phone")
    assert available.get("priority") == "7"
    assert available.get("session")
    assert sessions[site.jid(silent)].get("priority") is None
    assert sessions[site.jid(asleep)].get("state") == "hibernated"


def test_the_end_of_the_snapshot_counts_its_sessions(site: Site) -> None:
    # Given a consumer
    feed = site.feed(resume=False)
    # When it gets a snapshot
    feed.resume(snapshot=False)
    begin = int(feed.expect("snapshot-begin").get("n", ""))
    end = feed.expect("snapshot-end")
    # Then the count is the number of sessions between the marks
    assert int(end.get("count", "")) == int(end.get("n", "")) - begin - 1


def test_the_snapshot_is_whole_whatever_the_kinds(site: Site) -> None:
    # Given a session
    client = site.client(site.account())
    # When a consumer resumes that wants no session events
    feed = site.feed(resume=False)
    feed.resume(kinds="received")
    # Then the snapshot names it all the same
    feed.event("session-start", user=client.bare)


def test_a_second_consumer_takes_over(site: Site, feed: Feed) -> None:
    # Given two consumers, of which the second resumed last
    second = Feed(feed.component, feed.host)
    second.resume(snapshot=False)
    catch_up(second)
    n = last_event(second, site)
    # When the first acknowledges
    feed.ack(n)
    roundtrip(feed.component, site.domain)
    # Then nothing is freed: the entry comes again
    third = reconnected(site, feed)
    answer = third.resume(snapshot=False)
    assert int(answer.get("first", "")) <= n


@pytest.mark.parametrize("who", ["user", "component", "node", "resource"])
def test_a_stranger_cannot_acknowledge(site: Site, feed: Feed, who: str) -> None:
    # Given an event that is not acknowledged
    n = last_event(feed, site)
    xml = f"<ack xmlns='{FEED}' feed='{feed.feed}' epoch='{feed.epoch}' n='{n}' consumer='{feed.consumer}'/>"
    # When a stranger acknowledges it in our name
    stranger_says(site, feed, who, xml)
    # Then it is still in the ring
    again = reconnected(site, feed)
    assert int(again.resume(snapshot=False).get("first", "")) <= n


@pytest.mark.parametrize("who", ["user", "component", "node", "resource"])
def test_a_stranger_cannot_take_the_feed_over(site: Site, feed: Feed, who: str) -> None:
    # Given a consumer that is served
    # When a stranger resumes
    xml = f"<resume xmlns='{FEED}' version='0' consumer='stranger' window='1'/>"
    stranger_says(site, feed, who, xml)
    # Then the consumer is served as before, and may acknowledge
    n = last_event(feed, site)
    feed.ack(n)
    roundtrip(feed.component, site.domain)
    again = reconnected(site, feed)
    assert int(again.resume(snapshot=False).get("first", "")) > n


def test_a_strangers_event_is_not_answered(site: Site, feed: Feed) -> None:
    # Given a user
    stranger = site.client(site.account())
    # When it sends an event of its own to the host
    stranger.send(f"<message to='{site.domain}'><event xmlns='{FEED}' kind='received' n='1'/></message>")
    # Then nothing comes of it, not even an error
    roundtrip(stranger, site.domain)
    assert not stranger.waiting(lambda s: local(s) == "message" and condition(s) is not None)
    assert_none(feed, stranger, is_event("received", state="offline"))


def stranger_says(site: Site, feed: Feed, who: str, xml: str) -> None:
    """Send the element to the host from an address that is not exactly the component's."""
    if who == "user":
        client = site.client(site.account())
        client.send(f"<message to='{site.domain}'>{xml}</message>")
        roundtrip(client, site.domain)
    elif who == "component":
        other = site.component("other")
        other.message(site.domain, xml)
        roundtrip(other, site.domain)
    else:
        sender = f"x@{site.push}" if who == "node" else f"{site.push}/r"
        feed.component.message(site.domain, xml, sender)
        roundtrip(feed.component, site.domain)

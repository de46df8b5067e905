"""The life of sessions and accounts, as the feed tells it."""

import pytest
from feed import Feed, is_event
from feed_servers import Site, assert_none
from wire import Client

pytestmark = pytest.mark.servers


@pytest.fixture
def feed(site: Site) -> Feed:
    """A consumer that has got and acknowledged everything up to now."""
    return site.feed()


def test_a_session_starts_and_ends_with_one_id(site: Site, feed: Feed) -> None:
    # Given nobody
    # When a client logs in and leaves
    client = site.client(site.account(), "phone")
    start = feed.event("session-start", user=client.bare)
    client.close()
    end = feed.event("session-end", user=client.bare)
    # Then both events name the same session
    assert start.get("resource") == end.get("resource") == "phone"
    assert start.get("session") == end.get("session") != ""


def test_the_same_resource_gets_another_session_id(site: Site, feed: Feed) -> None:
    # Given a session
    user = site.account()
    first = site.client(user, "phone")
    # When another one replaces it under the same resource
    one = feed.event("session-start", user=first.bare).get("session")
    site.client(user, "phone")
    # Then it has another id, and the first one's end names the first
    assert feed.event("session-start", user=first.bare).get("session") != one
    assert feed.event("session-end", user=first.bare).get("session") == one


def test_presence_is_told_with_its_priority(site: Site, feed: Feed) -> None:
    # Given a session
    client = site.client(site.account(), priority=5)
    session = feed.event("session-start", user=client.bare).get("session")
    # When it becomes available, changes its priority and becomes unavailable
    first = feed.event("available", user=client.bare)
    client.presence(-3)
    second = feed.event("available", user=client.bare)
    client.send("<presence type='unavailable'/>")
    last = feed.event("unavailable", user=client.bare)
    # Then each is told with the session
    assert [first.get("priority"), second.get("priority")] == ["5", "-3"]
    assert {e.get("session") for e in (first, second, last)} == {session}


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "cut"])
def test_the_end_of_a_connection_is_told(site: Site, feed: Feed, clean: bool) -> None:
    # Given an available client
    client = site.client(site.account())
    feed.event("available", user=client.bare)
    # When its connection ends
    if clean:
        client.close()
    else:
        client.abort()
    # Then it is unavailable, and its session is over
    feed.event("unavailable", user=client.bare)
    feed.event("session-end", user=client.bare)


def test_a_session_hibernates_and_is_resumed(site: Site, feed: Feed) -> None:
    # Given a session that can be resumed
    user = site.account()
    client = site.client(user, "phone").enable_sm()
    session = feed.event("session-start", user=client.bare).get("session")
    feed.event("available", user=client.bare)
    # When its connection breaks and it comes back
    client.abort()
    start = feed.event("hibernation-start", user=client.bare)
    back = site.client(user, bind=False)
    back.resume_sm(client)
    end = feed.event("hibernation-end", user=client.bare)
    # Then both are told of that session, and it lives on
    assert (start.get("session"), start.get("resource")) == (session, "phone")
    assert end.get("resource") == "phone"
    assert_none(feed, back, is_event("unavailable", user=client.bare))


def test_a_removed_account_is_told(site: Site, feed: Feed) -> None:
    # Given an account
    user = site.account()
    # When it is removed
    site.server.unregister(user)
    # Then that is told
    assert feed.event("user-removed").get("user") == site.jid(user)


def ask(contact: Client, bare: str) -> None:
    """Ask for a subscription."""
    contact.send(f"<presence to='{bare}' type='subscribe'/>")


def test_a_waiting_subscription_request_is_told_with_their_number(site: Site, feed: Feed) -> None:
    # Given an account that is not there
    bare = site.jid(site.account())
    # When two contacts ask
    ask(site.client(site.account()), bare)
    first = feed.event("subscribe", user=bare)
    ask(site.client(site.account()), bare)
    second = feed.event("subscribe", user=bare)
    # Then each is told with how many wait
    assert (first.get("pending"), second.get("pending")) == ("1", "2")


def test_a_blocked_contacts_request_is_not_told(site: Site, feed: Feed) -> None:
    # Given an account that blocks a contact
    account, contact = site.client(site.account()), site.client(site.account())
    item = f"<block xmlns='urn:xmpp:blocking'><item jid='{contact.bare}'/></block>"
    assert account.iq("set", None, item).get("type") == "result"
    # When the contact asks
    ask(contact, account.bare)
    # Then nothing is told
    assert_none(feed, contact, is_event("subscribe", user=account.bare))

"""Which messages the feed tells, how often and in which state."""

from collections.abc import Iterator

import pytest
from feed import Feed, carries, is_event, stanza_of
from feed_servers import Site, assert_none, error, roundtrip, running
from wire import Client, new_id

pytestmark = pytest.mark.servers


@pytest.fixture
def feed(site: Site) -> Feed:
    """A consumer that has got and acknowledged everything up to now."""
    return site.feed()


@pytest.fixture
def alice(site: Site) -> Client:
    """The sender."""
    return site.client(site.account("alice"))


def hibernating(site: Site, feed: Feed, user: str, resource: str = "phone") -> Client:
    """A session which waits for resumption."""
    client = site.client(user, resource).enable_sm()
    client.abort()
    feed.event("hibernation-start", user=site.jid(user), resource=resource)
    return client


def received_of(feed: Feed, identifier: str) -> list[str]:
    """The states in which the message was told as received and has not been taken out of the inbox."""
    found = feed.component.waiting(carries(identifier, "received"))
    return [stanza[0].get("state", "") for stanza in found]


def settle(feed: Feed, sender: Client) -> None:
    """Wait until what the sender did before has been told."""
    assert_none(feed, sender, is_event("no such kind"))


def test_a_message_that_a_client_sends_is_told_with_its_session(site: Site, feed: Feed) -> None:
    # Given a client
    alice = site.client(site.account("alice"))
    session = feed.event("session-start", user=alice.bare).get("session")
    # When it sends a message
    message = alice.message(site.jid(site.account()), "hello")
    # Then it is told as sent, with who sent it
    stanza = feed.component.expect(carries(message, "sent"))
    assert stanza[0].get("user") == alice.bare
    assert (stanza[0].get("resource"), stanza[0].get("session")) == ("r1", session)
    inner = stanza_of(stanza)
    assert inner is not None
    assert (inner.get("from"), inner.get("type")) == (alice.full, "chat")
    assert inner.findtext("{jabber:client}body") == "hello"
    delay = stanza.find("{urn:xmpp:forward:0}forwarded/{urn:xmpp:delay}delay")
    assert delay is not None
    assert delay.get("stamp", "").endswith("Z")


def test_a_message_for_an_account_without_sessions_is_offline_and_stored(site: Site, feed: Feed, alice: Client) -> None:
    # Given an account that is not there
    bob = site.jid(site.account("bob"))
    # When a message comes for it
    message = alice.message(bob, "hello")
    # Then it is told as offline, and that the server keeps it
    event = feed.of(carries(message, "received"))
    assert (event.get("user"), event.get("state"), event.get("stored")) == (bob, "offline", "true")


def test_a_message_from_another_component_is_told(site: Site, feed: Feed) -> None:
    # Given an account that is not there, and a component of the server
    bob = site.jid(site.account("bob"))
    other = site.component("other")
    # When the component sends it a message
    message = new_id("m")
    other.message(bob, "<body>hello</body>", attrs=f"type='chat' id='{message}'")
    # Then it is told as offline
    assert feed.of(carries(message, "received")).get("state") == "offline"


def test_a_message_that_live_sessions_took_is_one_online_event(site: Site, feed: Feed, alice: Client) -> None:
    # Given an account with two live sessions
    user = site.account("bob")
    phone, laptop = site.client(user, "phone"), site.client(user, "laptop")
    # When a message comes for the account and both get it
    message = alice.message(site.jid(user), "hello")
    for client in (phone, laptop):
        client.expect(lambda stanza: stanza.get("id") == message)
    # Then it is told once
    assert feed.of(carries(message, "received")).get("state") == "online"
    settle(feed, alice)
    assert received_of(feed, message) == []


def test_a_live_session_beside_one_that_waits_makes_it_online(site: Site, feed: Feed, alice: Client) -> None:
    # Given an account with a live session and one that waits for resumption
    user = site.account("bob")
    hibernating(site, feed, user)
    site.client(user, "laptop")
    # When a message comes
    message = alice.message(site.jid(user), "hello")
    # Then it is one online event
    assert feed.of(carries(message, "received")).get("state") == "online"
    settle(feed, alice)
    assert received_of(feed, message) == []


def test_each_session_that_waits_for_resumption_is_named(site: Site, feed: Feed, alice: Client) -> None:
    # Given an account whose two sessions wait for resumption
    user = site.account("bob")
    hibernating(site, feed, user, "phone")
    hibernating(site, feed, user, "tablet")
    # When a message comes
    message = alice.message(site.jid(user), "hello")
    # Then there is an event for each
    events = [feed.of(carries(message, "received")) for _ in "12"]
    assert {event.get("resource") for event in events} == {"phone", "tablet"}
    assert {event.get("state") for event in events} == {"hibernated"}
    assert len({event.get("session") for event in events}) == 2
    settle(feed, alice)
    assert not received_of(feed, message)


def test_a_message_to_a_session_that_is_gone_is_offline(site: Site, feed: Feed, alice: Client) -> None:
    # Given an account without sessions
    bob = site.jid(site.account("bob"))
    # When a message is addressed to one of its resources
    message = alice.message(f"{bob}/gone", "hello")
    # Then it is told as offline
    assert feed.of(carries(message, "received")).get("state") == "offline"


def test_a_message_to_oneself_has_both_addresses(site: Site, feed: Feed, alice: Client) -> None:
    # Given a client
    # When it sends a message without an address
    message = new_id("m")
    alice.send(f"<message id='{message}' type='chat'><body>note</body></message>")
    # Then the event's stanza has one all the same
    stanza = feed.component.expect(carries(message, "received", state="online"))
    inner = stanza_of(stanza)
    assert inner is not None
    assert inner.get("to") == alice.bare


def test_an_error_is_not_told(site: Site, feed: Feed, alice: Client) -> None:
    # Given accounts with and without a session
    online, offline = site.account("bob"), site.account("bob")
    bob = site.client(online)
    # When messages of type error come for them
    for address in (bob.full, site.jid(online), site.jid(offline)):
        alice.send(f"<message to='{address}' type='error' id='e'>{error('cancel', 'gone')}</message>")
    # Then none is told as received
    assert_none(feed, alice, carries("e", "received"))


def test_a_blocked_sender_gives_no_event(site: Site, feed: Feed, alice: Client) -> None:
    # Given an account that blocks the sender, online and then offline
    bob = site.client(site.account("bob"))
    item = f"<block xmlns='urn:xmpp:blocking'><item jid='{alice.bare}'/></block>"
    assert bob.iq("set", None, item).get("type") == "result"
    # When the sender writes in both states
    to_session = alice.message(bob.full, "hello")
    to_account = alice.message(bob.bare, "hello")
    settle(feed, alice)
    bob.close()
    feed.event("session-end", user=bob.bare)
    to_nobody = alice.message(bob.bare, "hello")
    # Then nothing is told as received
    settle(feed, alice)
    for message in (to_session, to_account, to_nobody):
        assert received_of(feed, message) == []


def test_an_account_that_does_not_exist_gives_no_event(site: Site, feed: Feed, alice: Client) -> None:
    # Given an address that nobody has
    nobody = f"{new_id('nobody')}@{site.domain}"
    # When messages come for it
    chat = alice.message(nobody, "hello")
    room = alice.message(nobody, "hello", "type='groupchat'")
    # Then they are not told as received
    settle(feed, alice)
    assert received_of(feed, chat) == received_of(feed, room) == []


def test_a_groupchat_copy_to_an_offline_account_is_told(site: Site, feed: Feed) -> None:
    # Given a room that sends its copies to accounts, as MUC Light does
    room = site.component("muclight")
    bob = site.jid(site.account("bob"))
    # When it sends one to an account that is not there
    message = new_id("m")
    sender = f"room@{room.jid}/alice@{site.domain}"
    room.message(bob, "<body>hello all</body>", sender, f"type='groupchat' id='{message}'")
    # Then it is told as offline, with its type
    stanza = feed.component.expect(carries(message, "received", user=bob, state="offline"))
    inner = stanza_of(stanza)
    assert inner is not None
    assert inner.get("type") == "groupchat"


def test_offline_messages_are_not_told_again_when_the_client_gets_them(site: Site, feed: Feed, alice: Client) -> None:
    # Given a message that waits for an account
    user = site.account("bob")
    message = alice.message(site.jid(user), "hello")
    feed.of(carries(message, "received", state="offline"))
    # When the client comes and gets it
    bob = site.client(user)
    bob.expect(lambda stanza: stanza.get("id") == message)
    # Then it is not told again
    assert_none(feed, bob, carries(message, "received"))


def test_what_a_session_had_not_acknowledged_is_told_when_it_hibernates(site: Site, feed: Feed, alice: Client) -> None:
    # Given a session that got a message and does not acknowledge it
    user = site.account("bob")
    bob = site.client(user, "phone").enable_sm(acking=False)
    message = alice.message(bob.bare, "hello")
    bob.expect(lambda stanza: stanza.get("id") == message)
    # When its connection breaks
    bob.abort()
    session = feed.event("hibernation-start", user=bob.bare).get("session")
    # Then the message is told as unacknowledged, once, with the session
    event = feed.of(carries(message, "unacked"))
    assert (event.get("user"), event.get("resource")) == (bob.bare, "phone")
    assert event.get("session") == session
    settle(feed, alice)
    assert not feed.component.waiting(carries(message, "unacked"))


def test_what_was_acknowledged_is_not_told_as_unacked(site: Site, feed: Feed, alice: Client) -> None:
    # Given a session that acknowledged a message
    bob = site.client(site.account("bob"), "phone").enable_sm()
    message = alice.message(bob.bare, "hello")
    bob.expect(lambda stanza: stanza.get("id") == message)
    bob.send(f"<a xmlns='urn:xmpp:sm:3' h='{bob.handled}'/>")
    roundtrip(bob, site.domain)
    # When its connection breaks
    bob.abort()
    feed.event("hibernation-start", user=bob.bare)
    # Then the message is not told
    assert_none(feed, alice, carries(message, "unacked"))


def test_a_session_that_ends_with_unacknowledged_messages_tells_them(site: Site, feed: Feed, alice: Client) -> None:
    # Given a session with XEP-0198 but without resumption
    bob = site.client(site.account("bob"), "phone").enable_sm(resume=False, acking=False)
    message = alice.message(bob.bare, "hello")
    bob.expect(lambda stanza: stanza.get("id") == message)
    # When its connection breaks
    bob.abort()
    # Then the message is told as unacknowledged, and once as offline
    feed.of(carries(message, "unacked"))
    feed.event("session-end", user=bob.bare)
    feed.of(carries(message, "received", state="offline"))
    assert_none(feed, alice, carries(message, "received", state="offline"))


@pytest.fixture(scope="module")
def strict_site(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server whose module tells few kinds, no online messages and no texts."""
    directory = tmp_path_factory.mktemp("strict")
    kinds = ["sent", "received", "session-start"]
    with running(server_name, directory, kinds=kinds, online=False, bodies=False) as site:
        yield site


def test_the_options_keep_kinds_online_messages_and_texts_at_home(strict_site: Site) -> None:
    # Given a module with bodies, online and kinds switched off
    feed = strict_site.feed()
    alice, user = strict_site.client(strict_site.account()), strict_site.account()
    # When a message comes for an account that is not there, and one for an account that is
    offline = alice.message(strict_site.jid(user), "secret &lt;text>")
    online = alice.message(alice.bare, "secret")
    # Then the first has no text, the second is told as sent only, and presence is not told
    inner = stanza_of(feed.component.expect(carries(offline, "received")))
    assert inner is not None
    assert inner.findtext("{jabber:client}body") == "…"
    settle(feed, alice)
    assert received_of(feed, online) == []
    assert not feed.component.waiting(is_event("available"))
    assert "secret" not in feed.component.inbox_text()


def test_a_resume_narrows_kinds_and_bodies(site: Site, alice: Client) -> None:
    # Given a consumer that wants one kind, without texts
    feed = site.feed(kinds="received", bodies="no")
    # When a message comes
    message = alice.message(site.jid(site.account()), "secret")
    # Then that kind alone is told, without the text
    inner = stanza_of(feed.component.expect(carries(message, "received")))
    assert inner is not None
    assert inner.findtext("{jabber:client}body") == "…"
    assert not feed.component.waiting(carries(message, "sent"))

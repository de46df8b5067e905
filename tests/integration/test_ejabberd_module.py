"""What is ejabberd's own: rivals, reloads, module_install, sessions which resume under a new id."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ejabberd_server import Ejabberd
from feed import FEED, PUSH, Feed, carries, child, is_event
from feed_servers import Site, assert_none, catch_up, roundtrip
from servers import SHARE
from wire import condition, has_id, local

pytestmark = pytest.mark.servers

MODULE = """\
modules:
  mod_event_feed:
    component: push.ej.test
"""
RIVALS = {
    "mod_push": MODULE + "  mod_push: {}\n",
    "mod_delegation": MODULE + '  mod_delegation: {namespaces: {"urn:xmpp:push:0": {}}}\n',
}
ENABLE = f"<enable xmlns='{PUSH}' jid='app.ej.test' node='n'/>"


@contextmanager
def serving(server: Ejabberd) -> Iterator[Site]:
    """The server, started; it stops at the end."""
    site = Site(server)
    try:
        server.start()
        yield site
    finally:
        site.close()
        server.stop()


@pytest.fixture(scope="module")
def only_ejabberd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """ejabberd with the module's defaults."""
    with serving(Ejabberd(tmp_path_factory.mktemp("ejabberd"), MODULE)) as site:
        yield site


@pytest.fixture
def ejabberd(only_ejabberd: Site) -> Iterator[Site]:
    """The same; what the test opens on it is closed afterwards."""
    yield only_ejabberd
    only_ejabberd.close()


@pytest.mark.parametrize("rival", RIVALS)
def test_beside_a_rival_the_module_stays_away_until_it_is_gone(rival: str, tmp_path: Path) -> None:
    # Given a host with another module for push registrations
    server = Ejabberd(tmp_path, RIVALS[rival])
    with serving(server) as site:
        feed = site.feed(resume=False)
        # Then ours does not serve, and says what to do
        feed.component.message(site.domain, f"<resume xmlns='{FEED}' version='0'/>")
        feed.component.expect(lambda stanza: condition(stanza) is not None)
        server.wait_logged(f"Remove {rival}")
        server.wait_logged("ejabberdctl reload_config")
        # When the other goes out of the configuration
        server.reconfigure(MODULE)
        # Then ours serves
        feed.resume()
        client = site.client(site.account())
        assert client.features(client.bare).count(PUSH) == 1


def test_a_rival_that_comes_by_a_reload_is_named_in_the_log(tmp_path: Path) -> None:
    # Given a host with the module
    server = Ejabberd(tmp_path, MODULE)
    with serving(server) as site:
        # When a reload brings another module for push registrations
        server.reconfigure(RIVALS["mod_push"])
        # Then the log names it
        server.wait_logged("mod_push has taken urn:xmpp:push:0")
        # And when it goes, registrations come to the component again
        server.reconfigure(MODULE)
        push = site.component("push")
        site.client(site.account()).send(f"<iq type='set' id='e1'>{ENABLE}</iq>")
        push.expect(lambda stanza: local(stanza) == "iq" and stanza.get("type") == "set")


def test_module_install_takes_the_module_from_a_directory(tmp_path: Path) -> None:
    # Given a server without the module, and its sources where module_install looks
    server = Ejabberd(tmp_path, "", install=False)
    shutil.copytree(SHARE / "ejabberd" / "mod_event_feed", server.modules_path / "sources" / "mod_event_feed")
    with serving(server) as site:
        # When it is installed and configured, without a restart
        server.api("module_install", module="mod_event_feed")
        server.reconfigure(MODULE)
        # Then it serves
        assert site.feed(resume=False).resume().get("server", "").startswith("ejabberd")


def test_options_change_without_a_restart(tmp_path: Path) -> None:
    # Given a feed that tells online messages
    server = Ejabberd(tmp_path, MODULE)
    with serving(server) as site:
        feed, alice, bob = site.feed(), site.client(site.account()), site.client(site.account())
        epoch = feed.epoch
        feed.of(carries(alice.message(bob.bare, "1"), "received"))
        # When a reload takes them out
        server.reconfigure(MODULE + "    online: false\n")
        message = alice.message(bob.bare, "2")
        bob.expect(has_id(message))
        # Then they are no longer told, in the same ring
        assert_none(feed, alice, carries(message, "received"))
        assert feed.event("sent").get("epoch") == epoch


def test_a_domain_that_leaves_the_configuration_is_told(tmp_path: Path) -> None:
    # Given two hosts, and a consumer of the second
    server = Ejabberd(tmp_path, MODULE)
    server.hosts.append("two.test")
    with serving(server) as site:
        feed = Feed(site.component("push"), "two.test")
        feed.resume()
        # When the host is removed
        server.hosts.remove("two.test")
        server.reconfigure(MODULE)
        # Then it is told
        assert not feed.event("host-removed").get("user")


def test_entries_go_to_the_connection_that_resumed(ejabberd: Site) -> None:
    # Given two connections of the component, of which the second resumed
    stale = ejabberd.component("push")
    feed = ejabberd.feed()
    alice = ejabberd.client(ejabberd.account())
    # When events happen
    messages = [alice.message(alice.bare, "x") for _ in range(20)]
    # Then all of them come there
    for message in messages:
        feed.of(carries(message, "sent"))
    roundtrip(alice, ejabberd.domain)
    assert not stale.waiting(lambda stanza: child(stanza) is not None)


def test_a_resumed_session_is_another_one_with_its_priority(ejabberd: Site) -> None:
    # Given a session that waits for resumption
    feed = ejabberd.feed()
    old = ejabberd.client(ejabberd.account(), priority=7).enable_sm()
    first = feed.event("session-start", user=old.bare).get("session", "")
    old.abort()
    feed.event("hibernation-start", session=first)
    # When it is resumed
    new = ejabberd.client(old.bare.split("@")[0], bind=False)
    new.resume_sm(old)
    # Then a new one starts, awake and with the priority, before the old one ends
    start = feed.event("session-start", user=old.bare)
    assert (start.get("priority"), start.get("resource")) == ("7", "r1")
    assert start.get("session") != first
    awake = feed.event("hibernation-end", session=start.get("session", ""))
    end = feed.event("session-end", session=first)
    assert int(start.get("n", "")) < min(int(awake.get("n", "")), int(end.get("n", "")))
    assert not feed.component.waiting(is_event("unavailable", user=old.bare))


def test_what_waits_in_a_session_comes_again_as_offline_when_it_dies(ejabberd: Site) -> None:
    # Given a session that waits a second for resumption, and a message for it
    feed, alice = ejabberd.feed(), ejabberd.client(ejabberd.account())
    bob = ejabberd.client(ejabberd.account()).enable_sm(seconds=1)
    bob.abort()
    feed.event("hibernation-start", user=bob.bare)
    message = alice.message(bob.bare, "hello")
    feed.of(carries(message, "received", state="hibernated"))
    # When the time runs out
    feed.event("unavailable", user=bob.bare)
    feed.event("session-end", user=bob.bare)
    # Then the message is offline, and stored
    assert feed.of(carries(message, "received", state="offline")).get("stored") == "true"


def test_what_a_client_left_unacknowledged_when_it_closed_in_order_is_offline(
    ejabberd: Site,
) -> None:
    # Given a client that took a message and did not acknowledge it
    feed, alice = ejabberd.feed(), ejabberd.client(ejabberd.account())
    bob = ejabberd.client(ejabberd.account()).enable_sm(acking=False)
    message = alice.message(bob.bare, "hello")
    bob.expect(has_id(message))
    # When it ends its stream in order
    bob.close()
    # Then ejabberd stores the message, and it is told
    assert feed.of(carries(message, "received", state="offline")).get("stored") == "true"
    assert not feed.component.waiting(carries(message, "unacked"))


def test_a_room_that_sends_to_the_account_of_a_live_session_is_told(ejabberd: Site) -> None:
    # Given a live session, and a room that sends to bare JIDs: ejabberd bounces that
    feed, room = ejabberd.feed(), ejabberd.component("muclight")
    bob = ejabberd.client(ejabberd.account())
    # When the room sends
    room.message(bob.bare, "<body>hi</body>", attrs="type='groupchat' id='gc1'")
    # Then no session took it
    event = feed.of(carries("gc1", "received"))
    assert (event.get("state"), event.get("stored")) == ("offline", "false")


def test_a_blocked_room_is_not_told(ejabberd: Site) -> None:
    # Given an account that blocks a room
    feed, room = ejabberd.feed(), ejabberd.component("muclight")
    alice, bob = ejabberd.client(ejabberd.account()), ejabberd.client(ejabberd.account())
    bob.iq("set", None, f"<block xmlns='urn:xmpp:blocking'><item jid='{room.jid}'/></block>")
    bob.close()
    feed.event("session-end", user=bob.bare)
    # When the room sends to it
    room.message(bob.bare, "<body>hi</body>", attrs="type='groupchat' id='gc2'")
    room.expect(lambda stanza: condition(stanza) is not None)
    # Then nothing is told
    assert_none(feed, alice, carries("gc2"))


def test_a_carbon_copy_is_not_a_message_of_its_own(ejabberd: Site) -> None:
    # Given an account with two sessions, one of which gets carbon copies
    feed, alice = ejabberd.feed(), ejabberd.client(ejabberd.account())
    user = ejabberd.account()
    phone, laptop = ejabberd.client(user, "phone"), ejabberd.client(user, "laptop", priority=-1)
    laptop.iq("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>")
    # When a message comes for the other
    message = alice.message(phone.full, "hello")
    laptop.expect(lambda stanza: stanza.find("{urn:xmpp:carbons:2}received") is not None)
    # Then it is one event
    feed.of(carries(message, "received", state="online"))
    assert_none(feed, alice, is_event("received", user=phone.bare))


def test_a_session_of_negative_priority_leaves_the_account_offline(ejabberd: Site) -> None:
    # Given an account whose only session has a negative priority
    feed, alice = ejabberd.feed(), ejabberd.client(ejabberd.account())
    bob = ejabberd.client(ejabberd.account(), priority=-1)
    # When a message comes
    message = alice.message(bob.bare, "hello")
    # Then it is offline
    assert feed.of(carries(message, "received")).get("state") == "offline"


def test_the_snapshot_says_who_waits(ejabberd: Site) -> None:
    # Given one session that is live and one that waits for resumption
    feed = ejabberd.feed()
    live = ejabberd.client(ejabberd.account(), priority=3)
    waiting = ejabberd.client(ejabberd.account()).enable_sm()
    waiting.abort()
    feed.event("hibernation-start", user=waiting.bare)
    catch = feed.event("session-start", user=live.bare).get("session", "")
    feed.component.clear()
    # When a consumer resumes
    feed.resume(snapshot=False)
    # Then the snapshot tells both apart
    assert feed.event("session-start", session=catch, priority="3", state="").get("n")
    feed.event("session-start", user=waiting.bare, state="hibernated")
    catch_up(feed)

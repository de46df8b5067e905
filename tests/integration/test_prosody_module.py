"""What is Prosody's own: modules that ours refuses to live beside, mod_smacks' timers, mod_mam, carbons."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from feed import FEED, Feed, carries, child, is_event
from feed_servers import Site, assert_none, roundtrip, serving
from prosody_server import Prosody
from wire import condition

pytestmark = pytest.mark.servers

MODULE = """\
  modules_enabled = { "event_feed" }
  event_feed_component = "push.pr.test"
"""


REFUSED = {
    "mod_cloud_notify": (
        MODULE.replace('"event_feed"', '"event_feed", "cloud_notify"'),
        'Remove "cloud_notify" from modules_enabled',
    ),
    "delegation of push": (
        MODULE.replace('"event_feed"', '"event_feed", "delegation"')
        + '  delegations = { ["urn:xmpp:push:0"] = { jid = "push.pr.test" } }\n',
        'Remove ["urn:xmpp:push:0"] from delegations',
    ),
    "no component": ('  modules_enabled = { "event_feed" }\n', "event_feed_component is missing"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_the_module_refuses_to_start_and_names_the_cure(tmp_path: Path, why: str) -> None:
    # Given a configuration with which it cannot work
    fragment, cure = REFUSED[why]
    # When Prosody starts
    with serving(Prosody(tmp_path, fragment)) as site:
        log = site.server.log()
        # Then the log says what to do, and the module is not there
        assert cure in log
        push = site.component("push")
        assert condition(push.iq("set", site.domain, f"<publish xmlns='{FEED}'/>")) == ("cancel", "service-unavailable")


@pytest.fixture(scope="module")
def quick_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A Prosody whose sessions do not wait long, with an archive."""
    extra = '  smacks_hibernation_time = 1\n  smacks_max_ack_delay = 1\n  archive_expires_after = "never"\n'
    fragment = MODULE.replace('"event_feed"', '"event_feed", "mam"') + extra
    with serving(Prosody(tmp_path_factory.mktemp("quick"), fragment)) as site:
        yield site


@pytest.fixture
def quick(quick_site: Site) -> Iterator[Site]:
    """The same; what the test opens on it is closed afterwards."""
    yield quick_site
    quick_site.close()


def test_a_message_told_as_hibernated_comes_again_as_offline_when_the_session_dies(quick: Site) -> None:
    # Given a session which waits for resumption, and a message for it
    feed, alice, user = quick.feed(), quick.client(quick.account()), quick.account()
    bob = quick.client(user, "phone").enable_sm()
    bob.abort()
    feed.event("hibernation-start", user=bob.bare)
    message = alice.message(bob.bare, "hello")
    feed.of(carries(message, "received", state="hibernated"))
    # When it waited long enough
    feed.event("session-end", user=bob.bare)
    # Then the message is offline, once, and never was unacknowledged: nobody had sent it
    feed.of(carries(message, "received", state="offline"))
    assert_none(feed, alice, carries(message, "received"))
    assert not feed.component.waiting(carries(message, "unacked"))


def test_a_client_that_does_not_acknowledge_in_time_is_told_once(quick: Site) -> None:
    # Given a session that does not answer the server's requests
    feed, alice = quick.feed(), quick.client(quick.account())
    bob = quick.client(quick.account(), "phone").enable_sm(acking=False)
    # When a message is not acknowledged for smacks_max_ack_delay, and then the connection breaks
    message = alice.message(bob.bare, "hello")
    event = feed.of(carries(message, "unacked"))
    assert event.get("resource") == "phone"
    bob.abort()
    feed.event("hibernation-start", user=bob.bare)
    # Then it is not told twice
    assert_none(feed, alice, carries(message, "unacked"))


def test_an_archived_message_is_stored(quick: Site) -> None:
    # Given an archive and an account with a session
    feed, alice = quick.feed(), quick.client(quick.account())
    bob = quick.client(quick.account())
    # When a message comes that the archive takes, and one that it does not
    kept = alice.message(bob.bare, "hello")
    dropped = alice.message(bob.full, "hello", "type='headline'")
    # Then the feed knows
    assert feed.of(carries(kept, "received", state="online")).get("stored") == "true"
    assert feed.of(carries(dropped, "received", state="online")).get("stored") == "false"


def test_a_carbon_is_not_an_event_of_its_own(quick: Site) -> None:
    # Given an account with two sessions, one of which wants carbons
    feed, alice, user = quick.feed(), quick.client(quick.account()), quick.account()
    phone, laptop = quick.client(user, "phone"), quick.client(user, "laptop")
    assert laptop.iq("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>").get("type") == "result"
    # When a message comes for the other
    message = alice.message(phone.full, "hello")
    feed.of(carries(message, "received", state="online"))
    laptop.expect(lambda stanza: stanza.find("{urn:xmpp:carbons:2}received") is not None)
    # Then there is no second event
    assert_none(feed, alice, is_event("received", user=phone.bare))


def test_a_reload_of_the_module_goes_on_where_it_was(tmp_path: Path) -> None:
    # Given a consumer that has not acknowledged an event, and a session
    server = Prosody(tmp_path, MODULE.replace('"event_feed"', '"event_feed", "admin_shell"'))
    with serving(server) as site:
        feed, alice = site.feed(), site.client(site.account())
        first = feed.of(carries(alice.message(alice.bare, "1"), "received"))
        # When the module is reloaded
        config = str(tmp_path / "prosody.cfg.lua")
        shell = [
            "lua5.4",
            "/usr/bin/prosodyctl",
            "--config",
            config,
            "shell",
            "module",
            "reload",
            "event_feed",
            "pr.test",
        ]
        done = subprocess.run(shell, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        # Then the consumer is served as before, under the same epoch
        second = feed.of(carries(alice.message(alice.bare, "2"), "received"))
        assert second.get("epoch") == first.get("epoch")
        assert int(second.get("n", "")) > int(first.get("n", ""))
        assert "Reloaded" in server.log() or "reload" in done.stdout.lower()
        # And an acknowledgement of what came before counts
        feed.ack(first.get("n", ""))
        roundtrip(feed.component, site.domain)
        again = Feed(feed.component, feed.host)
        assert int(again.resume(snapshot=False).get("first", "")) == int(first.get("n", "")) + 1


def test_a_bounced_message_of_ours_is_not_an_ack(quick: Site) -> None:
    # Given an event that is not acknowledged
    feed, alice = quick.feed(), quick.client(quick.account())
    n = feed.of(carries(alice.message(alice.bare, "x"), "received")).get("n", "")
    # When the acknowledgement comes inside an error
    ack = f"<ack xmlns='{FEED}' feed='{feed.feed}' epoch='{feed.epoch}' n='{n}' consumer='{feed.consumer}'/>"
    feed.component.message(quick.domain, ack, attrs="type='error'")
    roundtrip(feed.component, quick.domain)
    # Then the entry is still in the ring
    again = Feed(feed.component, feed.host)
    assert int(again.resume(snapshot=False).get("first", "")) <= int(n)
    assert child(again.component.expect(is_event()), "event") is not None

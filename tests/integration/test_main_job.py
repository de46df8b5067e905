"""The main job on real servers: who misses a message gets a push, once on each registration, and nobody else."""

import pytest
from world import World

pytestmark = pytest.mark.servers

OPTIONS = {"secret": "tok&en", "device": "d 1"}


def test_somebody_who_closed_the_stream_gets_one_push_with_everything_in_it(world: World) -> None:
    # Given somebody who enabled push with a form and closed the stream
    bob = world.absent("form", OPTIONS)
    # When alice writes
    world.alice.message(bob, "hello <bob> & 'all'")
    # Then the push service gets exactly one notification, from the host's own domain
    (notice,) = world.pushed(bob, "form")
    assert notice.sender == world.domain
    assert notice.fields == {
        "message-count": "1",
        "last-message-sender": world.alice.bare,
        "last-message-body": "hello <bob> & 'all'",
    }
    assert notice.options == OPTIONS


def test_without_a_form_there_are_no_publish_options(world: World) -> None:
    # Given somebody who enabled push without a form, and somebody with a form that holds nothing
    plain, empty = world.absent("plain"), world.absent("empty", {})
    # When alice writes
    for jid in (plain, empty):
        world.alice.message(jid, "hello")
    # Then the notifications have no such element
    assert [one.options for one in world.pushed(plain, "plain")] == [None]
    assert [one.options for one in world.pushed(empty, "empty")] == [None]


def test_each_registration_gets_one(world: World) -> None:
    # Given somebody with two nodes at one service and one at another
    other = world.push_service("other", trusted=world.domain)
    person = world.person(world.account())
    for jid, node in [(world.service.jid, "two-a"), (world.service.jid, "two-b"), (other.jid, "two-c")]:
        person.enable(jid, node)
    world.leave(person)
    # When alice writes twice
    for body in ("one", "two"):
        world.alice.message(person.bare, body)
    # Then each registration gets each message once, in order
    for service, node in [(world.service, "two-a"), (world.service, "two-b"), (other, "two-c")]:
        assert [one.body for one in world.pushed(person.bare, node, service)] == ["one", "two"]


def test_somebody_online_gets_none(world: World) -> None:
    # Given somebody who enabled push and stays online
    person = world.person(world.account())
    person.enable(world.service.jid, "online")
    # When alice writes
    message = world.alice.message(person.bare, "hello")
    # Then the message arrives, and no push
    person.expect(lambda e: e.get("id") == message)
    world.silent("online")


def test_a_session_that_never_sent_presence_counts_as_online(world: World) -> None:
    # Given somebody with a session that never became available
    person = world.person(world.account(), priority=None)
    person.enable(world.service.jid, "silent")
    # When alice writes
    world.alice.message(person.bare, "hello")
    # Then nothing is pushed: as in MongooseIM a bound session has priority 0
    world.silent("silent")


def test_somebody_who_disabled_the_node_gets_none_for_it(world: World) -> None:
    # Given somebody who took back one of two nodes
    person = world.person(world.account())
    person.enable(world.service.jid, "node-gone")
    person.enable(world.service.jid, "node-kept")
    person.disable(world.service.jid, "node-gone")
    world.leave(person)
    # When alice writes
    world.alice.message(person.bare, "hello")
    # Then only the other is pushed to
    assert world.bodies(person.bare, "node-kept") == ["hello"]
    world.silent("node-gone")


def test_somebody_who_disabled_the_service_gets_none_from_it(world: World) -> None:
    # Given somebody who took back everything at one of two services
    other = world.push_service("other")
    person = world.person(world.account())
    for service, node in [(world.service.jid, "all-a"), (world.service.jid, "all-b"), (other.jid, "all-c")]:
        person.enable(service, node)
    person.disable(world.service.jid)
    world.leave(person)
    # When alice writes
    world.alice.message(person.bare, "hello")
    # Then only the other service is published to
    assert [one.body for one in world.pushed(person.bare, "all-c", other)] == ["hello"]
    world.silent("all-a")
    world.silent("all-b")


def test_disabling_what_was_never_enabled_is_fine(world: World) -> None:
    person = world.person(world.account())
    person.disable(world.service.jid)
    person.disable(world.service.jid, "never")


def test_a_removed_account_takes_its_registrations_with_it(world: World) -> None:
    # Given somebody who enabled push
    bob = world.absent("removed")
    # When the account is removed, and somebody else gets the name
    world.server.unregister(bob.partition("@")[0])
    world.server.register(bob.partition("@")[0])
    world.alice.message(bob, "hello")
    # Then nothing is pushed
    world.silent("removed")


@pytest.mark.parametrize(
    ("kind", "body", "extra"),
    [
        ("", "hello", ""),
        ("normal", "hello", ""),
        ("headline", "hello", ""),
        ("chat", "", "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>"),
        ("chat", "", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"),
        ("chat", "", "<body/>"),
    ],
    ids=["untyped", "normal", "headline", "chat marker", "chat state", "empty body"],
)
def test_what_is_no_chat_with_a_text_makes_no_push(world: World, kind: str, body: str, extra: str) -> None:
    # Given somebody who is offline
    bob = world.absent("kinds")
    # When such a message comes
    world.alice.message(bob, body, kind, extra)
    # Then there is no push, and one for the next chat message
    assert world.bodies(bob, "kinds") == []

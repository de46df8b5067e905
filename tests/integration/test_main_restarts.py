"""Nothing is missed and nothing is doubled when the daemon or the server is started anew."""

import time
from collections.abc import Iterator

import pytest
from pusher import CONNECTED, STANDBY, Pusher
from world import World

pytestmark = pytest.mark.servers

MESSAGES = [f"message {number}" for number in range(20)]


@pytest.fixture(autouse=True)
def _running_again(world: World) -> Iterator[None]:
    yield
    world.pusher.close()
    world.pusher.start()


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_what_is_said_while_the_daemon_is_away_is_pushed_when_it_is_back(world: World, how: str) -> None:
    # Given somebody who is offline, and a daemon that is away
    bob = world.absent(f"away-{how}")
    getattr(world.pusher, how)()
    # When alice writes, and it comes back
    for body in MESSAGES:
        world.alice.message(bob, body)
    world.alice.settle()
    world.pusher.start()
    # Then each message is pushed once, in order
    assert world.bodies(bob, f"away-{how}") == MESSAGES


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_what_is_under_way_when_the_daemon_ends_is_not_lost(world: World, how: str) -> None:
    # Given somebody who is offline
    bob = world.absent(f"under-way-{how}")
    # When the daemon ends while alice writes, and comes back
    for body in MESSAGES[:10]:
        world.alice.message(bob, body)
    getattr(world.pusher, how)()
    for body in MESSAGES[10:]:
        world.alice.message(bob, body)
    world.alice.settle()
    world.pusher.start()
    # Then each is pushed, once unless it died: what it had no time to note comes again, as the same item
    assert world.bodies(bob, f"under-way-{how}", crashed=how == "kill") == MESSAGES


def test_a_publish_without_an_answer_comes_again_as_the_same_item(world: World) -> None:
    # Given a publish that the push service has not answered
    bob = world.absent("unanswered")
    world.service.hold("unanswered")
    world.alice.message(bob, "held")
    held = world.service.refusal("unanswered")
    # When the daemon dies and comes back
    world.pusher.kill()
    world.pusher.start()
    # Then it comes again, as the same item
    again = world.service.notice("unanswered")
    assert (again.body, again.item) == ("held", held.item)
    assert world.bodies(bob, "unanswered") == []


def test_registrations_outlive_the_daemon(world: World) -> None:
    # Given somebody who enabled push with options and then took back one of two nodes
    person = world.person(world.account())
    person.enable(world.service.jid, "kept", {"k": "v"})
    person.enable(world.service.jid, "taken-back")
    person.disable(world.service.jid, "taken-back")
    world.leave(person)
    # When the daemon dies and comes back
    world.pusher.kill()
    world.pusher.start()
    world.alice.message(person.bare, "hello")
    # Then the push goes where it was wanted, with the options
    assert [one.options for one in world.pushed(person.bare, "kept")] == [{"k": "v"}]
    world.silent("taken-back")


def test_when_the_server_is_started_anew_the_daemon_is_there_again(world: World) -> None:
    # Given pushes before
    bob = world.absent("server-restart")
    for body in MESSAGES[:3]:
        world.alice.message(bob, body)
    assert world.bodies(bob, "server-restart") == MESSAGES[:3]
    # When the server ends and begins, and everybody comes back
    world.alice.close()
    world.service.disconnect()
    world.server.restart()
    world.pusher.logged(CONNECTED)
    world.service.connect()
    world.alice.login()
    for body in MESSAGES[3:]:
        world.alice.message(bob, body)
    # Then what is new is pushed, and nothing else
    assert world.bodies(bob, "server-restart") == MESSAGES[3:]


def test_a_second_daemon_on_the_database_waits_and_takes_over(world: World) -> None:
    # Given a second daemon, which waits
    bob = world.absent("stand-by")
    second = Pusher(world.pusher.file).start(until=STANDBY)
    try:
        world.alice.message(bob, "by the first")
        assert world.bodies(bob, "stand-by") == ["by the first"]
        # When the first one dies
        world.pusher.kill()
        began = time.monotonic()
        for body in MESSAGES:
            world.alice.message(bob, body)
        second.logged(CONNECTED)
        # Then the second takes over at once, not when a lease has run out, and nothing is missed or doubled
        assert time.monotonic() - began < 10
        assert world.bodies(bob, "stand-by", crashed=True) == MESSAGES
        second.terminate()
    finally:
        second.close()


def test_a_daemon_that_waits_ends_in_order(world: World) -> None:
    # Given a second daemon, which waits; When it is asked to end, Then it does, and the first goes on
    bob = world.absent("waited")
    Pusher(world.pusher.file).start(until=STANDBY).terminate()
    world.alice.message(bob, "hello")
    assert world.bodies(bob, "waited") == ["hello"]

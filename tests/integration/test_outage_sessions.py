"""Who is online is known again when the daemon comes back: what changed meanwhile, and what did not."""

from typing import Any

import pytest
from outage import eventually
from people import Person
from world import World

pytestmark = pytest.mark.servers


def sessions(world: World, jid: str) -> list[tuple[str, int | None]]:
    """Resource and priority of the sessions that `explain` tells."""
    told = explained(world, jid)
    return sorted((one["resource"], one["priority"]) for one in told["sessions"])


def explained(world: World, jid: str) -> Any:
    return world.pusher.ask("explain", user=jid)


def known(world: World, jid: str, *wanted: tuple[str, int | None]) -> bool:
    """Whether it comes to know these sessions of the account, and no others."""
    return eventually(lambda: sessions(world, jid) == sorted(wanted)) or pytest.fail(str(explained(world, jid)))


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_sessions_that_changed_while_the_daemon_was_away_are_known_again(world: World, how: str) -> None:
    # Given people who are online, offline, and one who will not change, all of them with push
    stays, goes, moves, comes = (enabled(world, name) for name in ("stays", "goes", "moves", "comes"))
    world.leave(comes)
    for one, resource in ((stays, "phone"), (goes, "phone"), (moves, "phone")):
        assert known(world, one.bare, (resource, 0))
    assert known(world, comes.bare)
    # When they go, come and change while the daemon is away, one of them more than once
    getattr(world.pusher, how)()
    world.leave(goes)
    world.person(comes.bare, "tablet", priority=3)
    world.leave(world.person(moves.bare, "tablet"))
    world.person(moves.bare, "laptop", priority=5)
    moves.presence("<priority>-1</priority>")
    moves.presence(kind="unavailable", to=world.alice.bare)
    world.gone(moves)
    for one in (stays, goes, moves, comes):
        world.alice.message(one.bare, f"while away, to {one.bare}")
    world.alice.settle()
    world.pusher.start()
    # Then it knows who is where
    assert known(world, stays.bare, ("phone", 0))
    assert known(world, goes.bare)
    assert known(world, moves.bare, ("phone", -1), ("laptop", 5))
    assert known(world, comes.bare, ("tablet", 3))
    online = {one: explained(world, one.bare)["online"] for one in (stays, goes, moves, comes)}
    assert online == {stays: True, goes: False, moves: True, comes: True}
    # And the one who is offline, nobody else, was pushed to
    assert world.bodies(goes.bare, node_of(goes)) == [f"while away, to {goes.bare}"]
    for one in (stays, moves, comes):
        world.silent(node_of(one))


def test_a_session_that_changes_while_the_snapshot_is_told_is_known(world: World) -> None:
    # Given a daemon that is away, and people who came meanwhile
    world.pusher.terminate()
    stays = [world.person(world.account(), f"r{number}") for number in range(5)]
    comes = world.account()
    # When somebody comes, and others go, in the moment in which it comes back
    world.pusher.start()
    came = world.person(comes, "late", priority=1)
    for person in stays[:3]:
        world.leave(person)
    # Then it knows of all of them
    assert known(world, came.bare, ("late", 1))
    for person in stays[:3]:
        assert known(world, person.bare)
    for person in stays[3:]:
        assert known(world, person.bare, (person.full.partition("/")[2], 0))


def test_a_session_that_waits_for_resumption_is_known_again(world: World) -> None:
    # Given a session that lost its connection while the daemon was away
    person = world.person(world.account(), sm="resume")
    assert known(world, person.bare, ("phone", 0))
    world.pusher.terminate()
    person.cut()
    world.gone(person)
    # When the daemon comes back, Then the session has ended for it too: the time for its resumption ran out
    world.pusher.start()
    assert known(world, person.bare)


def enabled(world: World, name: str) -> Person:
    """Somebody online who has enabled push."""
    person = world.person(world.account(name))
    person.enable(world.service.jid, node_of(person))
    return person


def node_of(person: Person) -> str:
    return f"node of {person.bare.partition('@')[0]}"

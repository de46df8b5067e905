"""The server loses something while the daemon is away: how much is told, and the rest is pushed."""

import re
from collections.abc import Iterator

import pytest
from feed_servers import SERVERS
from installation import Wishes
from outage import absent, eventually
from pusher import CONNECTED
from world import World, running_world

pytestmark = pytest.mark.servers

_LOST = re.compile(r"(\d+) events are lost: the server's ring was full")


@pytest.fixture(scope="module", params=SERVERS)
def small_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose server keeps a few events only."""
    with running_world(request.param, tmp_path_factory.mktemp("small"), Wishes(ring_bytes=30_000)) as world:
        yield world


def counted(world: World, name: str) -> int:
    """What `status` and the metrics say, which must be the same."""
    found: int = world.pusher.ask("status")["counters"][name]
    _, text = world.pusher.get("/metrics")
    assert f"event_pusher_{name}_total {float(found)}\n" in text
    return found


def test_what_a_full_ring_had_to_drop_is_told_exactly_and_the_rest_is_pushed(small_world: World) -> None:
    # Given somebody who is offline, and a daemon that has noted all that happened
    world = small_world
    ((bob, node),) = absent(world, "ring", 1).items()
    world.bodies(bob, node)
    world.alice.settle()
    world.pusher.terminate()
    # When more is said than the server's ring holds, and the daemon comes back
    said = [f"message {number}" for number in range(200)]
    for body in said:
        world.alice.message(bob, body)
    world.alice.settle()
    world.pusher.start()
    lost = int(_LOST.search(world.pusher.logged("events are lost"))[1])  # type: ignore[index]  # the line has the words
    found = world.bodies(bob, node)
    # Then what the ring kept is pushed, and what it dropped is counted
    assert 0 < len(found) < len(said)
    assert found == said[-len(found) :]
    assert lost == len(said) - len(found)
    assert counted(world, "events_lost") == lost
    assert len([line for line in world.pusher.log if _LOST.search(line)]) == 1


def test_a_server_that_died_meanwhile_is_told_as_a_gap(world: World) -> None:
    # Given somebody who is offline, and a daemon that is away
    ((bob, node),) = absent(world, "gap", 1).items()
    world.pusher.terminate()
    world.alice.message(bob, "lost with the server")
    world.alice.settle()
    # When the server dies and comes back, and then the daemon
    world.restart_server(bob)
    world.pusher.start()
    world.pusher.logged("the server started anew")
    # Then it says that something is lost, and what is said now is pushed
    assert eventually(lambda: counted(world, "feed_gaps") == 1)
    world.alice.message(bob, "said afterwards")
    assert world.bodies(bob, node) == ["said afterwards"]


def test_a_server_that_dies_beside_the_daemon_is_told_as_a_gap(world: World) -> None:
    # Given a daemon that is connected
    ((bob, node),) = absent(world, "gap-live", 1).items()
    world.alice.message(bob, "before")
    assert world.bodies(bob, node) == ["before"]
    gaps = counted(world, "feed_gaps")
    # When the server dies and comes back
    world.restart_server(bob)
    world.pusher.logged(CONNECTED)
    world.pusher.logged("the server started anew")
    # Then it says so, and what is said now is pushed
    assert counted(world, "feed_gaps") == gaps + 1
    world.alice.message(bob, "said afterwards")
    assert world.bodies(bob, node) == ["said afterwards"]

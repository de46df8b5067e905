"""A push that makes the server close the stream is found, and is dead alone."""

from collections.abc import Iterator

import pytest
from feed_servers import SERVERS
from installation import Wishes
from outage import absent, eventually
from world import World, running_world

pytestmark = pytest.mark.servers

#: What the server takes from a component in one stanza; from a client it takes more.
STANZA_BYTES = 12_000
#: Nobody waits long for a push without an answer, so that it breaks the stream again soon.
QUICK = {"wpool = { workers = 1,": "publish_timeout = 3\nwpool = { workers = 1,"}


@pytest.fixture(scope="module", params=SERVERS)
def narrow_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose server closes a component's stream on what is large."""
    wishes = Wishes(stanza_bytes=STANZA_BYTES, edits=QUICK)
    with running_world(request.param, tmp_path_factory.mktemp("narrow"), wishes) as world:
        yield world


def dead(world: World) -> list[dict[str, str]]:
    found: list[dict[str, str]] = world.pusher.ask("deliveries_list", state="dead")
    return found


@pytest.mark.timeout(180)
def test_a_push_on_which_the_server_closes_the_stream_is_dead_alone(narrow_world: World) -> None:
    # Given people who are offline
    world = narrow_world
    nodes = absent(world, "poison", 4)
    (victim, its_node), *others = nodes.items()
    # When one is written what is too large for the server in one stanza, between much else
    world.alice.message(victim, "x" * (2 * STANZA_BYTES))
    for number in range(10):
        for jid in nodes:
            world.alice.message(jid, f"message {number}")
    # Then it, and nothing else, is dead, and says why
    assert eventually(lambda: bool(dead(world)), 120)
    [letter] = dead(world)
    assert "the server closed the stream on it" in letter["reason"]
    # And everything else is pushed, in order
    for jid, node in [*others, (victim, its_node)]:
        assert world.bodies(jid, node, crashed=True) == [f"message {number}" for number in range(10)]
    # And the stream holds
    lost = world.pusher.ask("status")["sources"]["component"]["counters"]["streams_lost"]
    assert lost <= 6
    assert eventually(lambda: [one["state"] for one in world.pusher.ask("deliveries_list")] == ["dead"])

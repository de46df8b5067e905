"""The daemon is away while people write: each message is pushed once when it is back, in order."""

import pytest
from outage import RATE, SECONDS, Conversation, absent, all_pushed
from world import World

pytestmark = [pytest.mark.servers, pytest.mark.timeout(SECONDS * 2 + 120)]


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_conversation_during_an_outage_is_pushed_whole_and_once(world: World, how: str) -> None:
    # Given a conversation with people who are offline
    nodes = absent(world, f"outage-{how}", 5)
    with Conversation(world.alice, list(nodes)) as talk:
        talk.go_on(1)
        # When the daemon goes away while it goes on, and comes back
        before = talk.go_on(0)
        getattr(world.pusher, how)()
        talk.go_on(SECONDS)
        world.pusher.start()
        talk.go_on(1)
        talk.end()
    # Then each message is pushed once, in the order of each registration
    assert len(talk.said) >= (SECONDS + 2) * RATE
    all_pushed(world, talk, nodes, crashed=how == "kill")
    # And what came again after a crash is what it had no time to note, as the item that it was
    again = [int(one.body.split()[1]) for one in world.repeated]
    assert len(set(again)) == len(again)
    assert all(before - RATE <= number <= before + 1 for number in again), (before, again)

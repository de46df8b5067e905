"""What a push service may answer, and what comes of it."""

import pytest
from world import World

pytestmark = pytest.mark.servers


def test_a_cancel_disables_the_registration_until_it_is_enabled_again(world: World) -> None:
    # Given somebody whose device the push service does not know any more
    bob = world.absent("cancelled")
    world.service.refuse("cancelled", ("cancel", "item-not-found"))
    # When alice writes, and goes on writing
    world.alice.message(bob, "refused")
    assert world.service.refusal("cancelled").body == "refused"
    world.silent("cancelled")
    for body in ("two", "three"):
        world.alice.message(bob, body)
    # Then nothing more is published
    world.silent("cancelled")
    # And when they enable push again, only what comes then is
    person = world.person(bob)
    person.enable(world.service.jid, "cancelled")
    world.leave(person)
    world.alice.message(bob, "four")
    assert world.bodies(bob, "cancelled") == ["four"]


@pytest.mark.parametrize(
    "error",
    [("wait", "resource-constraint"), ("auth", "forbidden"), ("modify", "not-acceptable"), ("continue", "conflict")],
    ids=lambda error: error[0],
)
def test_other_errors_are_tried_again_until_all_is_well(world: World, error: tuple[str, str]) -> None:
    # Given a push service in trouble
    node = f"trouble-{error[0]}"
    bob = world.absent(node)
    world.service.refuse(node, error, error, error)
    # When alice writes twice
    for body in ("one", "two"):
        world.alice.message(bob, body)
    # Then the first is tried until it is taken, always as the same item, and the second follows
    tries = [world.service.refusal(node) for _ in range(3)]
    taken = [world.service.notice(node) for _ in range(2)]
    assert [one.body for one in taken] == ["one", "two"]
    assert {one.item for one in tries} == {taken[0].item} != {taken[1].item}
    assert world.bodies(bob, node) == []


def test_what_is_pushed_while_the_service_is_away_arrives_when_it_is_back(world: World) -> None:
    # Given somebody with registrations at two services, one of which goes away
    other = world.push_service("other")
    person = world.person(world.account())
    person.enable(other.jid, "away")
    person.enable(world.service.jid, "here")
    world.leave(person)
    other.disconnect()
    world.server.wait_away("other")
    # When alice writes (the one that is there has heard it), and the other comes back
    for body in ("one", "two"):
        world.alice.message(person.bare, body)
        world.service.notice("here", body)
    other.connect()
    # Then it gets both, once each, in order
    assert [other.notice("away").body for _ in range(2)] == ["one", "two"]
    assert world.pushed(person.bare, "away", other) == []


def test_a_service_that_is_slow_holds_up_nobody_else(world: World) -> None:
    # Given two who are offline, and a service that does not answer for the one
    slow, quick = world.absent("slow"), world.absent("quick")
    world.service.hold("slow")
    # When alice writes to both
    for jid in (slow, quick):
        for body in ("one", "two"):
            world.alice.message(jid, body)
    # Then the other gets everything, and the one nothing more until there is an answer
    held = world.service.refusal("slow")
    assert world.bodies(quick, "quick") == ["one", "two"]
    world.silent("slow")
    world.service.answer(held)
    assert world.bodies(slow, "slow") == ["two"]

"""Lost connections: the push comes when the server gives the session up, and once."""

import pytest
from people import PUSH
from wire import PING, Client
from world import World

pytestmark = pytest.mark.servers


def test_somebody_whose_connection_was_cut_gets_one_push(world: World) -> None:
    # Given somebody who lost the network
    person = world.person(world.account())
    person.enable(world.service.jid, "cut")
    person.cut()
    world.gone(person)
    # When alice writes
    world.alice.message(person.bare, "hello")
    # Then there is one push
    assert world.bodies(person.bare, "cut") == ["hello"]


def test_acknowledgements_without_resumption_change_nothing(world: World) -> None:
    # Given somebody with XEP-0198, without resumption, who lost the network
    person = world.person(world.account(), sm="on")
    person.enable(world.service.jid, "cut-on")
    person.cut()
    world.gone(person)
    # When alice writes
    world.alice.message(person.bare, "hello")
    # Then there is one push
    assert world.bodies(person.bare, "cut-on") == ["hello"]


def test_a_session_that_can_be_resumed_is_pushed_to_when_its_time_is_over(world: World) -> None:
    # Given somebody whose session waits for its resumption
    person = world.person(world.account(), sm="resume")
    person.enable(world.service.jid, "hibernated")
    person.cut()
    # When alice writes
    world.alice.message(person.bare, "hello")
    # Then there is no push while it waits, and one when the server gives it up
    world.silent("hibernated")
    world.gone(person)
    assert world.service.notice("hibernated").body == "hello"
    assert world.bodies(person.bare, "hibernated") == []


def test_a_message_that_was_on_its_way_when_the_network_went_is_pushed_once(world: World) -> None:
    # Given somebody who takes nothing more, which nobody knows yet
    person = world.person(world.account(), sm="resume")
    person.enable(world.service.jid, "unacked")
    person.deafen()
    # When alice writes, the connection is cut, alice writes again, and the session's time is over
    world.alice.message(person.bare, "before the cut")
    world.alice.settle()
    person.cut()
    world.alice.message(person.bare, "after the cut")
    world.silent("unacked")
    world.gone(person)
    # Then each message is pushed once, in order
    assert [world.service.notice("unacked").body for _ in range(2)] == ["before the cut", "after the cut"]
    assert world.bodies(person.bare, "unacked") == []


def test_a_session_that_is_resumed_in_time_gets_its_message_and_no_push(world: World) -> None:
    # Given a session that waits for its resumption
    user = world.account().partition("@")[0]
    first = world.server.client(user)
    answer = first.iq("set", None, f"<enable xmlns='{PUSH}' jid='{world.service.jid}' node='resumed'/>")
    assert answer.get("type") == "result"
    first.enable_sm()
    first.abort()
    # When alice writes and the session is resumed
    message = world.alice.message(first.bare, "hello")
    world.alice.settle()
    second = world.server.client(user, bind=False)
    second.resume_sm(first)
    # Then the message arrives, and no push
    second.expect(lambda e: e.get("id") == message)
    settle(second, world)
    world.silent("resumed")
    second.close()


def settle(client: Client, world: World) -> None:
    """Return when the server has seen what the client acknowledged."""
    client.iq("get", world.domain, f"<ping xmlns='{PING}'/>")

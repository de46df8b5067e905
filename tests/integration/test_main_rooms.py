"""Rooms that keep their members, as MUC Light does: each member gets a copy, offline or not."""

import pytest
from wire import Component
from world import World

pytestmark = pytest.mark.servers

AFFILIATIONS = "<x xmlns='urn:xmpp:muclight:0#affiliations'><user affiliation='member'>%s</user></x><body/>"


class Room:
    """A room whose members are whoever the test writes to."""

    def __init__(self, component: Component) -> None:
        self.jid = f"coven@{component.jid}"
        self._component = component

    def copy(self, member: str, occupant: str, payload: str) -> None:
        """Hand a member its copy of what the occupant said; "" = the room itself."""
        sender = f"{self.jid}/{occupant}" if occupant else self.jid
        self._component.message(member, payload, sender, "type='groupchat' id='r1'")


@pytest.fixture
def room(world: World) -> Room:
    return Room(world.component("muclight"))


def test_an_offline_member_gets_a_push_that_names_the_occupant(world: World, room: Room) -> None:
    # Given a member who is offline
    bob = world.absent("room", {"k": "v"})
    # When an occupant speaks
    room.copy(bob, world.alice.bare, "<body>Heyah!</body>")
    # Then there is one push, and its sender is the occupant
    notice = world.service.notice("room")
    assert notice.fields == {
        "message-count": "1",
        "last-message-sender": f"{room.jid}/{world.alice.bare}",
        "last-message-body": "Heyah!",
    }
    assert notice.options == {"k": "v"}
    assert world.bodies(bob, "room") == []


def test_a_change_of_affiliations_is_no_reason_for_a_push(world: World, room: Room) -> None:
    # Given a member who is offline
    bob = world.absent("affiliations")
    # When the room tells of a change, and then an occupant speaks
    room.copy(bob, "", AFFILIATIONS % bob)
    room.copy(bob, world.alice.bare, "<body>welcome</body>")
    # Then only the latter is pushed
    assert world.service.notice("affiliations").body == "welcome"
    assert world.bodies(bob, "affiliations") == []


def test_a_member_who_is_online_gets_no_push(world: World, room: Room) -> None:
    # Given a member who is online, and one who is not
    kate = world.person(world.account())
    kate.enable(world.service.jid, "room-online")
    bob = world.absent("room-offline")
    # When an occupant speaks to both (to the account, and as a room of sessions would)
    for member in (kate.bare, kate.full, bob):
        room.copy(member, world.alice.bare, "<body>Heyah!</body>")
    # Then the one reads it, and the other gets the push
    kate.expect(lambda e: e.get("from") == f"{room.jid}/{world.alice.bare}")
    assert world.service.notice("room-offline").body == "Heyah!"
    world.silent("room-online")

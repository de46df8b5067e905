"""Registrations wherever they are kept. A subclass provides the fixture `world`: store and how to write to it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from threading import Barrier, Thread

import pytest
from sqlalchemy import Engine
from storage import NOW, writing

from event_pusher.registration import Registration
from event_pusher.registrations import RdbmsRegistrations, Record, RegistrationStore

BOB, EVE = "bob@example.org", "eve@example.net"
P2 = "p2.example.net"
FORM = (("secret", "s3cret"), ("ünïcode", "☃"), ("secret", "twice"))


@dataclass
class World:
    store: RegistrationStore
    writing: Callable[[], AbstractContextManager[object]]

    def try_enable(
        self, user: str = BOB, node: str = "n1", *, limit: int = 10, service: str = P2
    ) -> Registration | None:
        with self.writing():
            return self.store.enable(user, service, node, FORM, NOW, limit)

    def enable(self, user: str = BOB, node: str = "n1", *, limit: int = 10, service: str = P2) -> Registration:
        registration = self.try_enable(user, node, limit=limit, service=service)
        assert registration is not None
        return registration


class RegistrationSuite:
    def test_an_enabled_pair_is_found_with_its_options_in_order(self, world: World) -> None:
        registration = world.enable()
        assert world.store.for_users([BOB, EVE]) == {BOB: [registration]}
        assert registration.options == FORM

    def test_a_batch_of_users_is_one_look_up(self, world: World) -> None:
        users = [f"user{n}@example.org" for n in range(1200)]
        for user in users[::100]:
            world.enable(user)
        assert sorted(world.store.for_users(users + users)) == sorted(users[::100])
        assert world.store.for_users([]) == {}

    def test_enabling_again_replaces_the_options_and_keeps_the_id(self, world: World) -> None:
        first = world.enable()
        with world.writing():
            again = world.store.enable(BOB, P2, "n1", (), NOW + 5, 1)
        assert again is not None
        assert (again.id, again.options) == (first.id, ())
        record = world.store.show(first.id)
        assert record is not None
        assert (record.registration, record.created_at, record.updated_at) == (again, NOW, NOW + 5)

    def test_one_more_than_the_limit_is_refused_and_renewing_is_not(self, world: World) -> None:
        # Given a user at the limit
        first, second = world.enable(node="n1", limit=2), world.enable(node="n2", limit=2)
        # Then a third pair is refused, another user's is not, and renewing is not
        assert world.try_enable(node="n3", limit=2) is None
        assert world.try_enable(EVE, limit=2) is not None
        assert world.enable(node="n2", limit=2) == second
        assert world.store.for_users([BOB]) == {BOB: [first, second]}

    def test_a_disabled_one_is_not_found_does_not_count_and_is_revived_by_enable(self, world: World) -> None:
        # Given a registration that the push service refused
        first = world.enable(limit=1)
        with world.writing():
            world.store.mark_disabled([first.id], "item-not-found", NOW + 1)
            world.store.mark_disabled([first.id], "later", NOW + 2)
        assert world.store.for_users([BOB]) == {}
        record = world.store.show(first.id)
        assert record is not None
        assert (record.disabled_at, record.disabled_reason) == (NOW + 1, "item-not-found")
        # Then it takes no place, and enabling revives it as it was
        second = world.enable(node="n2", limit=1)
        with world.writing():
            world.store.mark_disabled([second.id], "x", NOW)
        assert world.enable(limit=1) == first
        revived = world.store.show(first.id)
        assert revived is not None
        assert (revived.disabled_at, revived.disabled_reason) == (None, None)

    def test_disable_takes_one_node_or_the_whole_service(self, world: World) -> None:
        one, two, three = world.enable(node="n1"), world.enable(node="n2"), world.enable(node="n3")
        other = world.enable(node="n1", service="other.example.net")
        with world.writing():
            assert world.store.disable(BOB, P2, "n1") == [one.id]
            assert world.store.disable(BOB, P2, "n1") == []
            assert sorted(world.store.disable(BOB, P2, None)) == [two.id, three.id]
        assert world.store.for_users([BOB]) == {BOB: [other]}

    def test_a_node_may_be_empty_and_is_not_every_node(self, world: World) -> None:
        empty, named = world.enable(node=""), world.enable(node="n1")
        with world.writing():
            assert world.store.disable(BOB, P2, "") == [empty.id]
        assert world.store.for_users([BOB]) == {BOB: [named]}

    def test_removing_an_account_or_a_host_removes_all_of_it(self, world: World) -> None:
        mine, host = world.enable(), world.enable("ann@example.org")
        eve = world.enable(EVE)
        with world.writing():
            assert world.store.remove_user(BOB) == [mine.id]
            assert world.store.remove_host("example.org") == [host.id]
            assert world.store.remove_host("e_ample.net") == []
        assert world.store.for_users([BOB, "ann@example.org", EVE]) == {EVE: [eve]}

    def test_ids_do_not_come_again(self, world: World) -> None:
        first = world.enable()
        with world.writing():
            world.store.delete([first.id])
        second = world.enable()
        assert second.id > first.id

    def test_a_node_of_4096_characters_is_kept_whole(self, world: World) -> None:
        # Random enough that no database can pack it into an index entry
        node = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(4096))
        registration = world.enable(node=node)
        assert world.store.for_users([BOB])[BOB][0].node == node
        assert world.enable(node=node) == registration

    def test_listing_filters_and_pages(self, world: World) -> None:
        bob, eve = world.enable(), world.enable(EVE)
        with world.writing():
            world.store.mark_disabled([eve.id], "x", NOW)
        listed = [
            [record.registration for record in found]
            for found in (
                world.store.list_(),
                world.store.list_(user=BOB),
                world.store.list_(host="example.net"),
                world.store.list_(service="x"),
                world.store.list_(enabled=True),
                world.store.list_(enabled=False),
                world.store.list_(limit=1),
                world.store.list_(after=bob.id),
            )
        ]
        assert listed == [[bob, eve], [bob], [eve], [], [bob], [eve], [bob], [eve]]

    def test_what_is_deleted_is_gone(self, world: World) -> None:
        registration = world.enable()
        with world.writing():
            assert world.store.delete([registration.id, 1]) == [registration.id]
        assert world.store.show(registration.id) is None
        assert world.store.for_users([BOB]) == {}

    def test_a_paused_registration_is_selected_for_nothing(self, world: World) -> None:
        # Given two registrations
        one, other = world.enable(), world.enable(node="n2")
        # When one is paused
        with world.writing():
            assert world.store.pause([one.id, 10**9], "maintenance", NOW) == [one.id]
        # Then the other one is all there is, and the pause is told with its reason
        assert world.store.for_users([BOB]) == {BOB: [other]}
        record = world.store.show(one.id)
        assert record is not None
        assert (record.paused_at, record.paused_reason, record.disabled_at) == (NOW, "maintenance", None)

    def test_a_client_that_enables_again_stays_paused(self, world: World) -> None:
        # Given a paused registration
        one = world.enable()
        with world.writing():
            world.store.pause([one.id], "maintenance", NOW)
        # When the client renews it
        world.enable()
        # Then it is still paused, until it is resumed
        assert world.store.for_users([BOB]) == {}
        with world.writing():
            assert world.store.resume([one.id]) == [one.id]
        assert world.store.for_users([BOB]) == {BOB: [one]}

    def test_records_come_back_as_they_were_put(self, world: World) -> None:
        # Given records of another store, with all that can be said of one
        records = [
            Record(Registration(7, BOB, P2, "n1", FORM), NOW, NOW + 1, NOW + 2, "item-not-found"),
            Record(Registration(8, BOB, P2, "n2", ()), NOW, NOW + 1, paused_at=NOW + 3, paused_reason="maintenance"),
        ]
        # When they are put here, twice
        for _ in range(2):
            with world.writing():
                world.store.put(records)
        # Then each is there once, under an id of this store
        found = world.store.list_(user=BOB)
        assert [replace(one, registration=replace(one.registration, id=0)) for one in found] == [
            replace(one, registration=replace(one.registration, id=0)) for one in records
        ]
        assert world.store.find(BOB, P2, "n1") == found[0]
        assert world.store.find(BOB, P2, "n3") is None

    def test_a_put_keeps_the_id_of_what_was_there(self, world: World) -> None:
        # Given a registration
        one = world.enable()
        # When a record of the same node is put
        with world.writing():
            world.store.put([Record(Registration(99, BOB, P2, "n1", ()), NOW, NOW)])
        # Then the options are the record's, and the id is what it was
        assert world.store.for_users([BOB]) == {BOB: [Registration(one.id, BOB, P2, "n1", ())]}


class RdbmsRegistrationSuite(RegistrationSuite):
    """Over a database. A subclass provides the fixture `engine`: migrated and empty."""

    @pytest.fixture
    def world(self, engine: Engine) -> Iterator[World]:
        with writing(engine) as writer:
            with writer.transaction() as connection:
                # Ids above 1, so that 1 names nothing.
                RdbmsRegistrations(writer).enable("first@example.org", P2, "n", (), NOW, 1)
                connection.exec_driver_sql("DELETE FROM event_pusher_registrations")
            yield World(RdbmsRegistrations(writer), writer.transaction)

    def test_two_that_enable_the_same_pair_at_once_make_one_row(self, engine: Engine) -> None:
        # Given two writers that start together
        together, made = Barrier(2), []

        def enable() -> None:
            with writing(engine) as writer:
                store = RdbmsRegistrations(writer)
                for n in range(20):
                    together.wait(30)
                    with writer.transaction():
                        made.append(store.enable(BOB, P2, f"n{n}", FORM, NOW, 100))

        threads = [Thread(target=enable) for _ in range(2)]
        # When both enable the same pairs
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        # Then each pair is there once, and both were told the same id
        with writing(engine) as writer:
            found = RdbmsRegistrations(writer).for_users([BOB])[BOB]
        assert len(found) == 20
        assert len(made) == 40
        assert set(made) == set(found)

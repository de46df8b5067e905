"""The outbox in a database. A subclass provides the fixture `engine`: migrated and empty."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Engine
from storage import NOW, insert, make_row, writing

from event_pusher.errors import StorageError
from event_pusher.intake import Position
from event_pusher.outbox.admin import Filters, OutboxAdmin, discard, retry
from event_pusher.outbox.store import OutboxStore
from event_pusher.storage_errors import RowRefused
from event_pusher.writer import Writer


class OutboxSuite:
    @pytest.fixture
    def writer(self, engine: Engine) -> Iterator[Writer]:
        with writing(engine) as writer:
            yield writer

    def test_a_row_comes_back_as_it_went_in(self, writer: Writer) -> None:
        # Given a delivery with every field set
        (row,) = insert(writer, 1)
        # When it is read
        (found,) = OutboxStore(writer).load_after(0, 10)
        # Then nothing is lost
        assert found == row

    def test_ids_never_come_again_over_emptying_and_a_new_start(self, engine: Engine, writer: Writer) -> None:
        # Given deliveries that were made and removed
        rows = insert(writer, 3)
        with writer.transaction():
            OutboxStore(writer).remove([row.id for row in rows])
        # When another process reserves ids
        with writing(engine) as other:
            first = OutboxStore(other).reserve_ids(5)
        # Then they are new
        assert first > rows[-1].id

    def test_ids_reserved_in_a_transaction_that_failed_stay_reserved(self, engine: Engine, writer: Writer) -> None:
        # Given a block from a transaction that was rolled back
        store = OutboxStore(writer)
        with pytest.raises(ZeroDivisionError), writer.transaction():  # noqa: PT012 - the whole transaction is what raises
            first = store.reserve_ids(10)
            raise ZeroDivisionError
        # When its ids are used after all
        with writer.transaction():
            store.insert([make_row(first)])
        # Then neither this process nor the next gives them again
        assert store.reserve_ids(1) == first + 10
        with writing(engine) as other:
            assert OutboxStore(other).reserve_ids(1) == first + 11

    def test_ids_reserved_in_a_savepoint_that_failed_stay_reserved(self, engine: Engine, writer: Writer) -> None:
        # Given a block whose savepoint was undone, and then the one that made it good
        store, firsts = OutboxStore(writer), []
        with writer.transaction():
            with suppress(ZeroDivisionError), writer.savepoint():
                firsts.append(store.reserve_ids(10))
                raise ZeroDivisionError
            with suppress(ZeroDivisionError), writer.savepoint():
                store.insert([make_row(firsts[0])])
                raise ZeroDivisionError
            # When an id of it is used all the same
            store.insert([make_row(firsts[0] + 1)])
        # Then the next process gets others
        with writing(engine) as other:
            assert OutboxStore(other).reserve_ids(1) == firsts[0] + 10

    def test_a_commit_done_twice_inserts_once(self, writer: Writer) -> None:
        rows = insert(writer, 2)
        with writer.transaction():
            OutboxStore(writer).insert(rows)
        assert OutboxStore(writer).counts() == {("push", "waiting"): 2}

    def test_rows_are_read_in_order_and_in_pages(self, writer: Writer) -> None:
        ids = [row.id for row in insert(writer, 5)]
        store = OutboxStore(writer)
        assert [row.id for row in store.load_after(0, 3)] == ids[:3]
        assert [row.id for row in store.load_after(ids[2], 3)] == ids[3:]
        assert store.highest_id() == ids[-1]

    def test_rows_are_read_by_their_ids_while_they_wait(self, writer: Writer) -> None:
        first, dead, last = insert(writer, 3)
        store = OutboxStore(writer)
        with writer.transaction():
            store.bury([dead], ["x"], NOW)
        assert store.load_ids([last.id, dead.id, first.id, 10**9]) == [first, last]
        assert store.load_ids([]) == []

    def test_a_lane_is_read_alone(self, writer: Writer) -> None:
        # Given two lanes, and one of the same name at another backend
        first, other = insert(writer, 2), insert(writer, 1, lane="8")
        insert(writer, 1, backend="http")
        # When one is read from a place on
        store = OutboxStore(writer)
        found = store.load_lane("push", "7", first[0].id, 10)
        # Then only it comes
        assert found == first[1:]
        assert store.load_lane("push", "8", 0, 10) == other

    def test_a_lane_is_read_in_order_over_a_thousand_blocks_of_ids(self, writer: Writer) -> None:
        # Given a lane and another one, spread thinly over millions of ids
        store = OutboxStore(writer)
        first = store.reserve_ids(8_000_000)
        rows = [make_row(first + n * 7_919, lane=str(n % 2)) for n in range(1000)]
        with writer.transaction():
            store.insert(rows)
        # When the lane is read in pages, then discarded
        found: list[int] = []
        while page := store.load_lane("push", "1", found[-1] if found else 0, 120):
            found += [row.id for row in page]
        # Then every row came once, in order
        assert found == [row.id for row in rows[1::2]]
        with writer.transaction():
            assert sorted(store.discard_for_registrations([7])) == [row.id for row in rows]

    def test_registrations_whose_numbers_end_alike_are_told_apart(self, writer: Writer) -> None:
        (mine,), others = insert(writer, 1, registration=7), insert(writer, 1, registration=7 + 2**32)
        store = OutboxStore(writer)
        with writer.transaction():
            assert store.discard_for_registrations([7]) == [mine.id]
        assert store.load_after(0, 9) == others

    def test_a_rescheduled_row_keeps_its_attempts_due_time_and_reason(self, writer: Writer) -> None:
        (row,) = insert(writer, 1)
        row.attempts, row.due_at, row.overtaken = 3, NOW + 30, True
        store = OutboxStore(writer)
        with writer.transaction():
            store.reschedule([row], ["503"])
        assert store.load_after(0, 10) == [row]
        assert (OutboxAdmin(writer.connection).show(row.id) or {})["reason"] == "503"

    def test_a_dead_row_waits_no_more_and_keeps_its_reason(self, writer: Writer) -> None:
        # Given two deliveries
        dead, alive = insert(writer, 2)
        store = OutboxStore(writer)
        # When one dies
        dead.attempts = 4
        with writer.transaction():
            store.bury([dead], ["item-not-found"], NOW + 9)
        # Then the other one waits alone, and the first can be looked at
        assert store.load_after(0, 10) == store.load_lane("push", "7", 0, 10) == [alive]
        assert store.counts() == {("push", "dead"): 1, ("push", "waiting"): 1}
        shown = OutboxAdmin(writer.connection).show(dead.id) or {}
        assert (shown["reason"], shown["failed_at"], shown["attempts"]) == ("item-not-found", NOW + 9, 4)

    def test_discarding_for_a_registration_leaves_others_and_dead_letters(self, writer: Writer) -> None:
        mine, dead = insert(writer, 2)
        others, free = insert(writer, 1, registration=8), insert(writer, 1, registration=None)
        store = OutboxStore(writer)
        with writer.transaction():
            store.bury([dead], ["x"], NOW)
            assert store.discard_for_registrations([7, 99]) == [mine.id]
        assert store.load_after(0, 10) == others + free

    def test_a_position_is_replaced_for_its_feed_only(self, writer: Writer) -> None:
        store = OutboxStore(writer)
        with writer.transaction():
            store.save_positions(
                [("c", "example.org", Position("a", "e1", 1)), ("c", "example.org", Position("b", "e1", 5))]
            )
        with writer.transaction():
            store.save_positions([("c", "example.org", Position("a", "e2", 2**40))])
        found = sorted(store.load_positions())
        assert found == [("c", "example.org", Position("a", "e2", 2**40)), ("c", "example.org", Position("b", "e1", 5))]

    def test_keys_are_known_until_they_end(self, writer: Writer) -> None:
        store = OutboxStore(writer)
        early, late = [b"%016d" % n for n in range(3)], [b"%016d" % n for n in range(3, 5)]
        with writer.transaction():
            store.remember(early, NOW + 10)
            store.remember(late, NOW + 20)
        assert store.load_seen(NOW) == {**dict.fromkeys(early, NOW + 10), **dict.fromkeys(late, NOW + 20)}
        assert store.load_seen(NOW + 10) == dict.fromkeys(late, NOW + 20)
        with writer.transaction():
            assert store.forget_expired(NOW + 10) == 1
        assert store.load_seen(NOW) == dict.fromkeys(late, NOW + 20)

    def test_deliveries_and_position_are_committed_together_or_not_at_all(self, writer: Writer) -> None:
        # Given a batch with one value that no database takes
        store = OutboxStore(writer)
        first = store.reserve_ids(2)
        bad = make_row(first + 1)
        bad.delivery.recipient = "\ud800@example.org"
        # When it is committed
        with pytest.raises(RowRefused) as caught, writer.transaction():  # noqa: PT012 - the whole transaction is what raises
            store.save_positions([("c", "example.org", Position("a", "e", 1))])
            store.insert([make_row(first), bad])
        # Then nothing is there, the error names no value, and the good part goes the next time
        assert (store.counts(), store.load_positions()) == ({}, [])
        assert "example.org" not in str(caught.value)
        with writer.transaction():
            store.insert([make_row(first)])
        assert store.highest_id() == first

    def test_one_bad_row_fails_alone_in_its_savepoint(self, writer: Writer) -> None:
        store = OutboxStore(writer)
        first = store.reserve_ids(2)
        bad = make_row(first + 1)
        bad.trace = None  # type: ignore[assignment]  # what the test is about
        with writer.transaction():
            store.insert([make_row(first)])
            with pytest.raises(StorageError), writer.savepoint():
                store.insert([bad])
        assert store.counts() == {("push", "waiting"): 1}

    def test_dead_letters_are_listed_by_every_filter(self, writer: Writer) -> None:
        # Given a dead letter and a waiting row at another backend
        (dead,) = insert(writer, 1)
        insert(writer, 1, backend="http")
        with writer.transaction():
            OutboxStore(writer).bury([dead], ["x"], NOW)
        admin = OutboxAdmin(writer.connection)
        # When each filter is asked for what fits and what does not
        fits = Filters(state="dead", backend="push", user="bob@example.org", target="p2.example.net", since=NOW)
        misses = [
            Filters(state="x"),
            Filters(backend="x"),
            Filters(user="x"),
            Filters(target="x"),
            Filters(since=NOW + 1),
        ]
        # Then it answers so, and the listing holds no payload
        (listed,) = admin.list_(fits)
        assert listed["id"] == dead.id
        assert "payload" not in listed
        assert [admin.count(filters) for filters in misses] == [0] * 5
        assert admin.count(Filters()) == 2
        assert admin.list_(Filters(), after=dead.id)[0]["backend"] == "http"

    def test_a_retried_dead_letter_keeps_its_id_and_gets_its_time_again(self, writer: Writer) -> None:
        (row,) = insert(writer, 1)
        row.attempts = 5
        store = OutboxStore(writer)
        with writer.transaction():
            store.bury([row], ["x"], NOW)
        assert retry(writer, [row.id, 10**9], NOW + 1e6) == 1
        (found,) = store.load_after(0, 10)
        assert (found.id, found.attempts, found.overtaken) == (row.id, 0, True)
        assert found.expires_at == NOW + 1e6 + 3600

    def test_bulk_work_takes_more_than_one_chunk(self, writer: Writer) -> None:
        # Given more dead letters than a chunk holds
        rows = insert(writer, 1203)
        store = OutboxStore(writer)
        with writer.transaction():
            store.bury(rows, ["x"] * 1203, NOW)
        # When all are retried, and then discarded, by filter and by id
        assert retry(writer, Filters(backend="push"), NOW) == 1203
        assert store.counts() == {("push", "waiting"): 1203}
        assert discard(writer, [row.id for row in rows[:600]]) == 600
        # Then each was counted once
        assert discard(writer, Filters()) == 603
        assert store.counts() == {}

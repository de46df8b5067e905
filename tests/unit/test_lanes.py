"""Order: one at a time in a lane, and a prefix of it in memory."""

from __future__ import annotations

import pytest

from event_pusher import lanes as module
from event_pusher.errors import StorageError
from event_pusher.lane import Lane, Window
from event_pusher.lanes import Lanes
from event_pusher.outbox.row import Row
from tests.unit.support import row

NOW = 1000.0


class Table:
    """The waiting rows on disk, and the lanes over them."""

    def __init__(self, limit: int = 10_000) -> None:
        self.rows: dict[int, Row] = {}
        self.window = Window(limit)
        self.lanes = Lanes("post", self.window, self.load)
        self.broken = False
        self.reads = 0

    def load(self, backend: str, lane: str, after: int, limit: int) -> list[Row]:
        self.reads += 1
        if self.broken:
            raise StorageError("the disk does not answer")
        return [one for id_, one in sorted(self.rows.items()) if one.lane == lane and id_ > after][:limit]

    def add(self, *rows: Row) -> None:
        """Commit rows and offer them, as the core does."""
        for one in rows:
            self.rows[one.id] = one
            self.window.cursor = one.id
            self.lanes.add(one, NOW)

    def take(self, limit: int = 100, now: float = NOW) -> list[int]:
        """Take heads; gives their ids."""
        self.taken = list(self.lanes.take(limit, now))
        return [one.id for _, one in self.taken]

    def lane(self, id_: int) -> Lane:
        """The lane of what was taken last under `id_`."""
        return next(lane for lane, one in self.taken if one.id == id_)

    def done(self, id_: int, now: float = NOW) -> None:
        """`id_`, taken last, is delivered."""
        del self.rows[id_]
        self.lanes.done(self.lane(id_), now)


def test_a_lane_goes_one_by_one_in_order() -> None:
    # Given two rows of one lane
    table = Table()
    table.add(row(1), row(2))
    # When heads are taken, Then only the first goes
    assert table.take() == [1]
    assert table.take() == []
    # And the second one when the first is done
    table.take()
    table.taken = [(lane, one) for lane in table.lanes._lanes.values() for one in [lane.rows[0]]]
    table.done(1)
    assert table.take() == [2]


def test_lanes_do_not_wait_for_each_other() -> None:
    # Given rows of two lanes
    table = Table()
    table.add(row(1, "a"), row(2, "b"), row(3, "a"))
    # Then the head of each goes
    assert table.take() == [1, 2]


def test_no_more_are_taken_than_asked_for() -> None:
    table = Table()
    table.add(row(1, "a"), row(2, "b"), row(3, "c"))
    assert table.take(2) == [1, 2]
    assert table.take(2) == [3]


def test_without_a_lane_all_go_at_once() -> None:
    table = Table()
    table.add(row(1, ""), row(2, ""))
    assert table.take() == [1, 2]


def test_a_row_whose_time_has_not_come_waits() -> None:
    # Given a row that failed before a restart
    table = Table()
    table.add(row(1, due_at=NOW + 5))
    # Then it goes at its time
    assert table.take() == []
    assert table.lanes.next_due() == NOW + 5
    assert table.take(now=NOW + 5) == [1]


def test_a_lane_that_is_done_is_forgotten() -> None:
    table = Table()
    table.add(row(1))
    table.take()
    table.done(1)
    assert len(table.lanes) == 0
    assert table.window.rows == 0


def test_a_failed_head_stays_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a lane of three whose head failed
    table = Table()
    table.add(row(1), row(2), row(3))
    table.take()
    table.lanes.park(table.lane(1), NOW + 10)
    # Then nothing of it goes before, and the head goes first
    assert table.take(now=NOW + 9) == []
    assert table.take(now=NOW + 10) == [1]


def test_a_parked_lane_keeps_only_its_head_in_memory_and_reads_the_rest_back() -> None:
    # Given a lane of three whose head failed
    table = Table()
    table.add(row(1), row(2), row(3))
    table.take()
    table.lanes.park(table.lane(1), NOW + 10)
    # Then memory holds the head, and the window counts nothing of it
    assert [one.id for one in table.lanes.rows()] == [1]
    assert table.window.rows == 0
    # When more comes meanwhile, Then it stays on disk
    table.add(row(4))
    assert [one.id for one in table.lanes.rows()] == [1]
    # And afterwards all go in order
    went = []
    while taken := table.take(now=NOW + 10):
        went += taken
        table.done(taken[0], NOW + 10)
    assert went == [1, 2, 3, 4]


def test_a_full_lane_leaves_the_rest_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given lanes that hold two rows at most
    monkeypatch.setattr(module, "LANE_ROWS", 2)
    table = Table()
    table.add(*(row(id_) for id_ in range(1, 8)))
    # Then no more than two are in memory, and all go in order
    went = []
    while taken := table.take():
        assert table.window.rows <= 2
        went += taken
        table.done(taken[0])
    assert went == [1, 2, 3, 4, 5, 6, 7]


def test_what_the_window_has_not_reached_is_not_read_by_a_lane() -> None:
    # Given a parked lane, and a row of it on disk beyond the window's cursor
    table = Table()
    table.add(row(1), row(2))
    table.take()
    table.lanes.park(table.lane(1), NOW)
    table.rows[3] = row(3)
    # When the lane reads its rest
    table.take()
    table.done(1)
    # Then the window brings the one beyond, once
    assert [one.id for one in table.lanes.rows()] == [2]
    table.add(table.rows[3])
    table.take()
    table.done(2)
    assert table.take() == [3]


def test_one_that_steps_aside_lets_the_next_go_and_retries_alone() -> None:
    # Given a head that failed for too long
    table = Table()
    table.add(row(1), row(2))
    table.take()
    head = table.lane(1).rows[0]
    head.due_at = NOW + 60
    # When it steps aside
    table.lanes.step_aside(table.lane(1), NOW)
    # Then the next goes now and it goes at its time, marked
    assert table.take() == [2]
    assert head.overtaken
    assert table.take(now=NOW + 60) == [1]


def test_one_without_a_lane_that_steps_aside_stays_one() -> None:
    # Given a row without order that failed for too long
    table = Table()
    table.add(row(1, ""))
    table.take()
    table.lane(1).rows[0].due_at = NOW + 60
    # When it steps aside
    table.lanes.step_aside(table.lane(1), NOW)
    # Then it waits once, and goes once
    assert table.window.rows == 0
    assert table.take(now=NOW + 59) == []
    assert table.take(now=NOW + 60) == [1]
    table.lanes.park(table.lane(1), NOW + 90)
    assert table.take(now=NOW + 61) == []


def test_a_lane_that_reads_its_rest_leaves_out_what_stepped_aside() -> None:
    # Given a lane with one in its midst that an operator let wait again: it goes alone
    table = Table()
    table.add(row(1), row(2, overtaken=True), row(3))
    assert table.take() == [1, 2]
    # When the head failed, and the lane reads its rest back
    table.lanes.park(table.lane(1), NOW)
    table.take()
    table.done(1)
    # Then the one that goes alone is not read a second time
    assert table.take() == [3]


def test_one_given_back_goes_again_first() -> None:
    table = Table()
    table.add(row(1), row(2))
    table.take()
    table.lanes.give_back(table.lane(1), NOW)
    assert table.take() == [1]


def test_dropped_rows_are_forgotten_but_for_the_one_under_way() -> None:
    # Given a busy head and waiting rows of two registrations
    table = Table()
    table.add(row(1, registration=7), row(2, registration=7), row(3, registration=8), row(4, "b", registration=7))
    table.take(1)
    # When one registration goes
    table.lanes.drop(frozenset({7}))
    # Then what is under way ends, and of the rest only the other's remains
    assert [one.id for one in table.lanes.rows()] == [1, 3]
    assert table.window.rows == 2
    table.done(1)
    assert table.take() == [3]


def test_dropping_a_parked_head_leaves_the_window_right() -> None:
    # Given a parked lane
    table = Table()
    table.add(row(1, registration=7))
    table.take()
    table.lanes.park(table.lane(1), NOW + 5)
    # When its registration goes
    table.rows.clear()
    table.lanes.drop(frozenset({7}))
    # Then nothing is left when its time comes
    assert table.take(now=NOW + 5) == []
    assert table.window.rows == 0
    assert len(table.lanes) == 0


def test_dropping_by_id_takes_only_these() -> None:
    table = Table()
    table.add(row(1), row(2), row(3))
    table.lanes.drop_ids(frozenset({2}))
    assert [one.id for one in table.lanes.rows()] == [1, 3]
    assert table.window.rows == 2


def test_a_lane_that_cannot_be_read_is_read_again() -> None:
    # Given a lane with a rest on disk, and a disk that does not answer
    table = Table()
    table.add(row(1), row(2))
    table.take()
    table.lanes.park(table.lane(1), NOW)
    table.take()
    table.broken = True
    # When the head is done
    table.done(1)
    assert table.take() == []
    # Then the rest comes when the disk answers again
    table.broken = False
    due = table.lanes.next_due()
    assert due is not None
    assert table.take(now=due) == [2]


def test_the_window_wants_rows_when_it_is_half_empty() -> None:
    # Given a window of four that did not take all
    window = Window(limit=4)
    window.spilled = True
    # Then it reads on below the half
    window.rows = 2
    assert not window.wants_rows()
    window.rows = 1
    assert window.wants_rows()
    # And never when everything is in memory
    window.spilled = False
    assert not window.wants_rows()

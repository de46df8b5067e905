"""Lanes against a model: every row is handed out once, in order, whatever is parked, spilled, read back or dropped."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from event_pusher import lanes as module
from event_pusher.lanes import Lane, Lanes, Window
from event_pusher.outbox.row import Row
from tests.unit.support import row

REGISTRATIONS = {"a": 1, "b": 2, "c": 3, "": 4}
LANE = st.sampled_from(sorted(REGISTRATIONS))


class LanesModel(RuleBasedStateMachine):
    """`disk` is the table, `retried` what may be handed out again; the core's part is played by the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.next_id = 1
        self.disk: dict[int, Row] = {}
        self.window = Window(limit=6)
        self.lanes = Lanes("post", self.window, self.load)
        self.flights: dict[int, tuple[Lane, Row]] = {}
        self.ended: set[int] = set()
        self.due: dict[int, float] = {}
        self.started: dict[str, list[int]] = {}

    @initialize()
    def small(self) -> None:
        """Lanes of three rows."""
        assert module.LANE_ROWS == 3

    def load(self, backend: str, lane: str, after: int, limit: int) -> list[Row]:
        found = [one for id_, one in sorted(self.disk.items()) if one.lane == lane and id_ > after]
        return [_copy(one) for one in found[:limit]]

    # --- what the core does -------------------------------------------------------------------------------------

    @rule(lanes=st.lists(LANE, min_size=1, max_size=6))
    def commit(self, lanes: list[str]) -> None:
        fresh = []
        for lane in lanes:
            one = row(self.next_id, lane, registration=REGISTRATIONS[lane])
            self.next_id += 1
            self.disk[one.id] = _copy(one)
            fresh.append(one)
        for one in fresh:
            if self.window.spilled or not self.window.has_room():
                self.window.spilled = True
                return
            self.window.cursor = one.id
            self.lanes.add(one, self.now)

    @precondition(lambda self: self.window.wants_rows())
    @rule()
    def refill(self) -> None:
        found = [_copy(one) for id_, one in sorted(self.disk.items()) if id_ > self.window.cursor][:4]
        for one in found:
            self.window.cursor = one.id
            self.lanes.add(one, self.now)
        self.window.spilled = len(found) == 4

    @rule(limit=st.integers(1, 5))
    def take(self, limit: int) -> None:
        for lane, one in self.lanes.take(limit, self.now):
            assert one.id in self.disk, "a row that is gone was handed out"
            assert one.id not in self.flights, "a row under way was handed out"
            assert one.id not in self.ended, "a settled row was handed out"
            assert self.due.get(one.id, 0.0) <= self.now, "a row was handed out before its time"
            if one.lane and not one.overtaken:
                assert all(other.overtaken or other.lane != one.lane for _, other in self.flights.values())
                before = [id_ for id_, other in self.disk.items() if other.lane == one.lane and not other.overtaken]
                assert one.id == min(before), "a row was handed out before an older one of its lane"
            self.flights[one.id] = (lane, one)

    @rule(seconds=st.sampled_from([0.5, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # --- what becomes of attempts -------------------------------------------------------------------------------

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def delivered(self, data: st.DataObject) -> None:
        lane, one = self._land(data)
        self.disk.pop(one.id, None)
        self.ended.add(one.id)
        self.lanes.done(lane, self.now)

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 2.0, 30.0]), aside=st.booleans())
    def failed(self, data: st.DataObject, seconds: float, aside: bool) -> None:
        lane, one = self._land(data)
        if one.id not in self.disk:
            self.lanes.done(lane, self.now)
            return
        one.due_at = self.due[one.id] = self.disk[one.id].due_at = self.now + seconds
        if aside and not one.overtaken:
            self.disk[one.id].overtaken = True
            self.lanes.step_aside(lane, self.now)
        else:
            self.lanes.park(lane, one.due_at)

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def unsent(self, data: st.DataObject) -> None:
        lane, one = self._land(data)
        if one.id not in self.disk:
            self.lanes.done(lane, self.now)
            return
        one.due_at = self.due[one.id] = self.now + 0.5
        self.lanes.give_back(lane, self.now)

    @rule(lane=LANE)
    def drop(self, lane: str) -> None:
        registration = REGISTRATIONS[lane]
        self.disk = {id_: one for id_, one in self.disk.items() if one.delivery.registration != registration}
        self.lanes.drop(frozenset({registration}))

    def _land(self, data: st.DataObject) -> tuple[Lane, Row]:
        return self.flights.pop(data.draw(st.sampled_from(sorted(self.flights))))

    # --- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def the_window_counts_what_is_in_memory_and_not_parked(self) -> None:
        held = sum(len(lane.rows) for lane in self.lanes._lanes.values() if not lane.parked)
        assert self.window.rows == held

    @invariant()
    def no_row_is_in_memory_twice(self) -> None:
        ids = [one.id for one in self.lanes.rows()]
        assert len(ids) == len(set(ids))

    @invariant()
    def a_lane_holds_no_more_than_it_may(self) -> None:
        assert all(len(lane.rows) <= 3 for lane in self.lanes._lanes.values())

    def teardown(self) -> None:
        """From any state, with everything well, all that is on disk goes."""
        for lane, one in list(self.flights.values()):
            self.disk.pop(one.id, None)
            self.lanes.done(lane, self.now)
        self.flights.clear()
        for _ in range(3 * self.next_id + 10):
            self.now += 60.0
            if self.window.wants_rows():
                self.refill()
            for lane, one in list(self.lanes.take(5, self.now)):
                assert self.disk.pop(one.id, None) is not None, "a row was handed out twice"
                self.lanes.done(lane, self.now)
        assert not self.disk, "rows were forgotten"
        assert self.window.rows == 0


def _copy(one: Row) -> Row:
    return row(one.id, one.lane, registration=one.delivery.registration, due_at=one.due_at, overtaken=one.overtaken)


def test_rows_are_handed_out_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given lanes that hold three rows and a window of six, When anything happens in any order, Then the rules hold
    monkeypatch.setattr(module, "LANE_ROWS", 3)
    run_state_machine_as_test(
        LanesModel,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )

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
from event_pusher.lane import Lane, Window
from event_pusher.lanes import Lanes
from event_pusher.outbox.row import Row
from tests.unit.support import row

#: Lanes have the names of registrations, as the push backend's; "" = no order.
REGISTRATIONS = {"1": 1, "2": 2, "3": 3, "": 4}
TARGET = "target"
LANE = st.sampled_from(sorted(REGISTRATIONS))


class LanesModel(RuleBasedStateMachine):
    """`disk` is the table, `retried` what may be handed out again; the core's part is played by the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.next_id = 1
        self.disk: dict[int, Row] = {}
        self.window = Window(limit=6, beds=1)
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

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def held(self, data: st.DataObject) -> None:
        lane, one = self._land(data)
        if one.id not in self.disk:
            self.lanes.done(lane, self.now)
            return
        self.lanes.hold(lane, TARGET)

    @rule(number=st.integers(1, 3))
    def release(self, number: int) -> None:
        if TARGET in self.lanes.held:
            self.lanes.release(TARGET, number, self.now)

    @rule()
    def fall_asleep(self) -> None:
        """What was settled is committed."""
        self.lanes.fall_asleep()

    @rule(limit=st.integers(1, 3))
    def rouse_due(self, limit: int) -> None:
        """Some of those whose time has come; the core goes on in the next turn."""
        if self.lanes.asleep.due <= self.now:
            found = sorted((one.due_at, id_) for id_, one in self.disk.items() if 0 < one.due_at <= self.now)
            asleep = [id_ for _, id_ in found if self._sleeps(id_)]
            for id_ in asleep[:limit]:
                self.lanes.rouse(_copy(self.disk[id_]), self.now)

    @rule(limit=st.integers(1, 3))
    def rouse_target(self, limit: int) -> None:
        start = self.lanes.asleep.targets.get(TARGET)
        if start is not None:
            found = [one for id_, one in sorted(self.disk.items()) if id_ > start and one.due_at <= self.now][:limit]
            for one in found:
                self.lanes.rouse(_copy(one), self.now)
            if len(found) == limit:
                self.lanes.asleep.targets[TARGET] = found[-1].id
            else:
                del self.lanes.asleep.targets[TARGET]

    def _sleeps(self, id_: int) -> bool:
        one = self.disk[id_]
        return (one.lane if one.lane and not one.overtaken else f"\0{id_}") in self.lanes.asleep

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
    def what_waits_in_memory_has_a_bed(self) -> None:
        dozing = {id(lane) for lane, _ in self.lanes._dozing}
        parked = [lane for lane in self.lanes._lanes.values() if lane.parked and id(lane) not in dozing and lane.rows]
        # What was unsent is due by memory alone, and there are never more of those than were under way.
        resting = [lane for lane in parked if self.disk[lane.rows[0].id].due_at != lane.rows[0].due_at]
        assert len(parked) - len(resting) <= 1

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
            self.lanes.fall_asleep()
            self.rouse_due(100)
            self.release(100)
            self.rouse_target(100)
            if self.window.wants_rows():
                self.refill()
            for lane, one in list(self.lanes.take(5, self.now)):
                assert self.disk.pop(one.id, None) is not None, "a row was handed out twice"
                self.lanes.done(lane, self.now)
        assert not self.disk, "rows were forgotten"
        assert self.window.rows == 0
        assert not [name for name in REGISTRATIONS if name and name in self.lanes.asleep]


def _copy(one: Row) -> Row:
    return row(one.id, one.lane, registration=one.delivery.registration, due_at=one.due_at, overtaken=one.overtaken)


def test_rows_are_handed_out_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given lanes of three rows, a window of six and one bed, When anything happens in any order, Then the rules hold
    monkeypatch.setattr(module, "LANE_ROWS", 3)
    run_state_machine_as_test(
        LanesModel,
        settings=settings(
            max_examples=500,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )

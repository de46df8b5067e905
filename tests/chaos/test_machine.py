"""The core against the model of `machine.py`, in runs that hypothesis makes up."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from event_pusher import lanes
from event_pusher.abc import DELIVERED, Dead, Gone, Retry, Unknown, Unsent
from tests.chaos.machine import ENABLING, FIXED, Died, World

#: How many runs; more by the environment.
RUNS = int(os.environ.get("EVENT_PUSHER_MACHINE_RUNS", "60"))
MEMORY = Path("/dev/shm")
OUTCOMES = st.sampled_from(
    [DELIVERED, DELIVERED, Retry("not now"), Retry("wait", 3), Unknown("?"), Unsent("no"), Dead("never"), Gone("gone")]
)
ERRORS = st.sampled_from([lambda: sqlite3.OperationalError("disk I/O error"), lambda: sqlite3.OperationalError("full")])
USERS = st.lists(st.sampled_from(FIXED + ENABLING), min_size=1, max_size=8)


class CoreMachine(RuleBasedStateMachine):
    """Each rule is a thing that happens; `World` says what must hold."""

    empty: Path

    def __init__(self) -> None:
        super().__init__()
        where = str(MEMORY) if MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="ep", dir=where))
        self.world = World(self.empty, self.folder)

    def teardown(self) -> None:
        try:
            self.world.heal()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    @initialize()
    def phones(self) -> None:
        for user in ENABLING:
            self.world.enable(user)
        self.world.turn(3)

    @rule(users=USERS)
    def messages_come(self, users: list[str]) -> None:
        self.world.ring += [(user, 0) for user in users]

    @rule(number=st.integers(1, 10), times=st.integers(1, 4))
    def the_feed_tells(self, number: int, times: int) -> None:
        start = self.world.told + 1
        self.world.told = min(len(self.world.ring), self.world.told + number)
        self.world.tell(start, self.world.told + 1)
        self.world.turn(times)

    @precondition(lambda self: self.world.told)
    @rule(data=st.data())
    def the_feed_replays(self, data: st.DataObject) -> None:
        self.world.tell(data.draw(st.integers(1, self.world.told)), self.world.told + 1)
        self.world.turn(2)

    @rule(seconds=st.sampled_from([0.001, 0.03, 0.6, 2.0, 31.0]), times=st.integers(1, 3))
    def time_passes(self, seconds: float, times: int) -> None:
        self.world.turn(times, seconds)

    @rule(outcome=st.none() | OUTCOMES)
    def the_service_answers_at_once(self, outcome: object) -> None:
        self.world.answer = self.world.rig.post.answer = outcome  # type: ignore[assignment]  # one of OUTCOMES

    @precondition(lambda self: self.world.live)
    @rule(data=st.data(), outcome=OUTCOMES)
    def the_service_answers(self, data: st.DataObject, outcome: object) -> None:
        attempt = self.world.live[data.draw(st.sampled_from(sorted(self.world.live)))]
        self.world.report(attempt, outcome)  # type: ignore[arg-type]  # one of OUTCOMES
        self.world.turn(2)

    @precondition(lambda self: self.world.old and self.world.rig.post.attempts)
    @rule(data=st.data(), outcome=OUTCOMES)
    def an_answer_comes_late_or_twice(self, data: st.DataObject, outcome: object) -> None:
        attempt = self.world.old[data.draw(st.integers(0, len(self.world.old) - 1))]
        self.world.report(attempt, outcome)  # type: ignore[arg-type]  # one of OUTCOMES
        self.world.turn(2)

    @rule(up=st.booleans())
    def the_stream_is_there_or_not(self, up: bool) -> None:
        self.world.rig.post.up = up

    @rule(user=st.sampled_from(ENABLING), times=st.integers(0, 3))
    def a_phone_is_enabled(self, user: str, times: int) -> None:
        self.world.enable(user)
        self.world.turn(times)

    @rule(user=st.sampled_from(ENABLING), times=st.integers(0, 3))
    def a_phone_is_disabled(self, user: str, times: int) -> None:
        self.world.disable(user)
        self.world.turn(times)

    @rule(statement=st.integers(0, 12), error=ERRORS, after=st.booleans(), times=st.integers(1, 3))
    def the_database_fails(self, statement: int, error: object, after: bool, times: int) -> None:
        self.world.fault = (statement, error, after)  # type: ignore[assignment]  # one of ERRORS
        self.world.turn(times, seconds=1)

    @rule(statement=st.integers(0, 12), after=st.booleans(), times=st.integers(1, 3))
    def the_process_dies_at_a_statement(self, statement: int, after: bool, times: int) -> None:
        self.world.fault = (statement, Died, after)
        self.world.turn(times, seconds=0.5)

    @rule(doing=st.sampled_from(["publishing", "acknowledging"]), times=st.integers(1, 3))
    def the_process_dies(self, doing: str, times: int) -> None:
        self.world.dies = doing
        self.world.turn(times, seconds=0.5)

    @rule()
    def the_process_is_killed(self) -> None:
        self.world.die()

    @rule(times=st.integers(1, 3))
    def another_process_takes_over(self, times: int) -> None:
        self.world.disk.execute("UPDATE event_pusher_owner SET fence = fence + 1")
        self.world.taken_over = True
        self.world.turn(times, seconds=16)

    @invariant()
    def nothing_is_lost(self) -> None:
        self.world.check()


def test_the_core_keeps_its_promises_whatever_fails(empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given small lanes, so that runs reach beyond memory
    monkeypatch.setattr(lanes, "LANE_ROWS", 3)
    monkeypatch.setattr(CoreMachine, "empty", empty_database, raising=False)
    # When anything happens in any order, Then every invariant of the model holds
    run_state_machine_as_test(
        CoreMachine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=40,
            deadline=None,
            # A failure is shown as it was found: to make it shorter takes minutes.
            phases=(Phase.explicit, Phase.generate),
            derandomize=not os.environ.get("EVENT_PUSHER_MACHINE_RUNS"),
            suppress_health_check=list(HealthCheck),
        ),
    )

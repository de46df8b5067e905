"""Somebody sets the machine's clock a day on, or back: nothing expires by it, and nothing waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from event_pusher.abc import DELIVERED, Retry
from event_pusher.app import App
from event_pusher.clock import SteadyClock
from event_pusher.settings import Settings
from event_pusher.testing import ManualClock
from event_pusher.testing.factories import ALICE
from tests.unit.support import Rig, Rigs, settings

DAY = 86_400.0
both_ways = pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forwards", "backwards"])


class SteadyManualClock(ManualClock):
    """A clock of a test, as `App` uses the machine's: without its jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = ManualClock()
        self._steady = SteadyClock(self.machine)

    def now(self) -> float:
        return self._steady.now()

    def monotonic(self) -> float:
        return self.machine.monotonic()

    def advance(self, seconds: float) -> None:
        self.machine.advance(seconds)

    def jump(self, seconds: float) -> None:
        self.machine.jump(seconds)


@pytest.fixture
def make(rigs: Rigs) -> Callable[[], Rig]:
    """A core whose clock is the steady one."""
    return lambda: rigs(clock=SteadyManualClock())


def test_the_running_process_uses_the_steady_clock(folder: object, rig: Rig) -> None:
    # Given the settings of any installation
    made: Settings = settings(rig.folder)
    # When the application is made, Then its clock makes no jumps
    assert isinstance(App(made)._clock, SteadyClock)


@both_ways
def test_a_jump_is_taken_out_and_said_once(jump: float, caplog: pytest.LogCaptureFixture) -> None:
    # Given a clock that was looked at
    machine = ManualClock()
    steady = SteadyClock(machine)
    before = steady.now()
    # When the machine's jumps, and time passes
    machine.jump(jump)
    machine.advance(5)
    # Then only what really passed shows, and one line says so
    assert [steady.now() - before, steady.now() - before] == [5, 5]
    assert caplog.text.count("jumped") == 1


def test_small_corrections_are_followed() -> None:
    # When the machine's clock is put right by a second now and then
    machine = ManualClock()
    steady = SteadyClock(machine)
    for _ in range(100):
        machine.jump(1)
        assert steady.now() == machine.now()
    # Then they were no jump
    assert steady.jumped == 0


def test_the_time_that_a_machine_slept_counts() -> None:
    # Given a machine whose monotonic clock stands still while it sleeps, but which knows how long it did
    machine, slept = ManualClock(), [0.0]
    steady = SteadyClock(machine, lambda: machine.monotonic() + slept[0])
    before = steady.now()
    # When it sleeps for eight hours
    machine.jump(8 * 3600)
    slept[0] = 8 * 3600
    # Then they passed: a call of the evening is not rung in the morning
    assert steady.now() - before == 8 * 3600


def test_many_threads_see_one_jump() -> None:
    # Given threads that look at the clock all the time
    machine = ManualClock()
    steady = SteadyClock(machine)
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            steady.now()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    # When it jumps
    machine.jump(DAY)
    done.wait(0.05)
    done.set()
    for thread in threads:
        thread.join()
    # Then it is taken out once
    assert steady.jumped == DAY


@both_ways
def test_nothing_expires_and_nothing_waits_because_the_clock_was_set(make: Callable[[], Rig], jump: float) -> None:
    # Given a delivery that waits 1 s for its next attempt (a message lives for a day)
    rig = make()
    rig.post.answer = Retry("not now", 1)
    rig.give(rig.message("hello"))
    assert len(rig.post.attempts) == 1
    # When the clock is set
    rig.clock.jump(jump)
    rig.post.answer = DELIVERED
    rig.turn(5, seconds=0.05)
    assert len(rig.post.attempts) == 1, "before its time"
    rig.turn(3, seconds=1)
    # Then it goes after that second, and none of it is dead
    assert len(rig.post.attempts) == 2
    assert rig.rows() == []
    assert rig.counters["expired", "post"] == 0


def test_what_is_too_old_expires_all_the_same(make: Callable[[], Rig]) -> None:
    # Given a delivery that was not taken, and a clock that was set back
    rig = make()
    rig.post.up = False
    rig.give(rig.message("hello"))
    rig.clock.jump(-DAY)
    # When a day really passes
    rig.turn(seconds=DAY + 1)
    rig.post.up = True
    rig.turn(5)
    # Then it is expired
    assert [row["state"] for row in rig.rows()] == ["dead"]


@both_ways
def test_a_second_copy_is_known_after_the_clock_was_set(make: Callable[[], Rig], jump: float) -> None:
    # Given a message that was pushed for a session that hibernated
    rig = make()
    rig.give(rig.message("hello", state="hibernated"))
    assert rig.post.payloads == ["hello"]
    # When the clock is set, keys are swept, and the second copy comes
    rig.clock.jump(jump)
    rig.turn(seconds=601)
    rig.turn()
    rig.give(rig.message("hello", state="offline"))
    # Then it is not pushed again
    assert rig.post.payloads == ["hello"]


def test_a_clock_that_was_set_back_while_nobody_ran_makes_nothing_wait(rigs: Rigs) -> None:
    # Given a delivery that is due in a second, by a clock a day ahead
    first = rigs(clock=ManualClock(1_700_000_000 + DAY))
    first.post.answer = Retry("not now", 1)
    first.give(first.message("hello", sender=f"{ALICE}/phone"))
    first.close()
    # When the next process starts with the right one
    again = rigs(clock=ManualClock(1_700_000_000))
    again.turn(3)
    longest = max(again.parts.publishers["post"].settings.retry.schedule)
    again.turn(2, seconds=longest)
    # Then it goes within the longest wait of the schedule, not in a day
    assert again.post.payloads == ["hello"]

"""When a failed delivery is tried again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_pusher.outbox.schedule import retry_delay

SCHEDULE = (1.0, 5.0, 30.0)


class Longest(random.Random):
    """Draws the end of every range."""

    def uniform(self, a: float, b: float) -> float:
        return b


@pytest.mark.parametrize(("number", "wait"), [(1, 1.0), (2, 5.0), (3, 30.0), (4, 30.0), (1000, 30.0)])
def test_the_wait_grows_with_the_attempts_and_stays_at_the_last(number: int, wait: float) -> None:
    assert retry_delay(SCHEDULE, number, None, Longest()) == wait


@given(st.integers(1, 10), st.randoms())
def test_the_wait_is_drawn_from_nothing_to_the_schedules(number: int, draw: random.Random) -> None:
    assert 0.0 <= retry_delay(SCHEDULE, number, None, draw) <= SCHEDULE[min(number, 3) - 1]


def test_two_devices_do_not_come_back_together() -> None:
    draw = random.Random(1)
    assert retry_delay(SCHEDULE, 3, None, draw) != retry_delay(SCHEDULE, 3, None, draw)


@pytest.mark.parametrize(("asked", "wait"), [(0.0, 1.0), (-5.0, 1.0), (7.0, 7.0), (1e9, 30.0), (float("inf"), 30.0)])
def test_what_the_destination_asks_for_is_clamped(asked: float, wait: float) -> None:
    assert retry_delay(SCHEDULE, 1, asked, random.Random()) == wait

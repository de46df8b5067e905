"""Circuit breakers, by a clock that only the test moves."""

import random

import pytest

from event_pusher.breaker import FAILURES, LIMIT, WAIT, WAIT_MOST, Breaker

DRAW = random.Random(1)


def failing(breaker: Breaker, number: int, lanes: int, monotonic: float = 0.0) -> bool:
    """Let `number` attempts of `lanes` lanes fail; True when the last one opened the breaker."""
    opened = False
    for attempt in range(number):
        breaker.depart()
        opened = breaker.fail(f"lane-{attempt % lanes}", monotonic, DRAW)
    return opened


@pytest.fixture
def opened() -> Breaker:
    """A breaker that was opened at 0."""
    breaker = Breaker()
    assert failing(breaker, FAILURES, 3)
    return breaker


def test_failures_of_several_lanes_in_a_row_open_it(opened: Breaker) -> None:
    # Given a breaker that saw enough failures
    # Then nobody may go until its wait is over
    assert opened.open_until is not None
    assert opened.room(opened.open_until - 0.01) == 0


def test_one_dead_device_opens_nothing() -> None:
    # Given a target that fails for one lane, however often
    breaker = Breaker()
    failing(breaker, FAILURES * 10, 1)
    # Then it is closed
    assert breaker.closed


def test_a_success_in_between_starts_the_count_anew() -> None:
    # Given a target that fails one time fewer than it takes
    breaker = Breaker()
    failing(breaker, FAILURES - 1, 3)
    # When it succeeds once, and fails as often again
    breaker.depart()
    breaker.succeed()
    failing(breaker, FAILURES - 1, 3)
    # Then it is closed
    assert breaker.closed


def test_after_the_wait_one_probe_goes(opened: Breaker) -> None:
    # When the wait is over
    assert opened.room(WAIT) == 1
    opened.depart()
    # Then nobody goes beside the probe
    assert opened.room(WAIT) == 0


def test_each_success_lets_twice_as_many_go_until_it_is_closed(opened: Breaker) -> None:
    # Given a half-open breaker
    rooms = []
    # When attempts succeed one after the other
    while not opened.closed:
        rooms.append(opened.room(WAIT))
        opened.depart()
        opened.succeed()
    # Then 1, 2, 4 … may go
    assert rooms == [2**step for step in range(LIMIT.bit_length())]


def test_a_failed_probe_closes_the_door_for_twice_as_long(opened: Breaker) -> None:
    # Given a breaker whose probes fail
    waits = []
    now = 0.0
    for _ in range(10):
        assert opened.open_until is not None
        now = opened.open_until
        assert opened.room(now) == 1
        opened.depart()
        # When one fails
        assert opened.fail("lane", now, DRAW)
        waits.append(opened.open_until - now)
    # Then the waits grow, up to a bound, each drawn from its upper half
    for step, wait in enumerate(waits, start=1):
        most = min(WAIT * 2**step, WAIT_MOST)
        assert most / 2 <= wait <= most


def test_what_was_under_way_when_it_opened_changes_nothing(opened: Breaker) -> None:
    # Given an open breaker
    before = opened.open_until
    # When attempts that left before fail too
    assert not opened.fail("late", 0.1, DRAW)
    # Then it opens no longer
    assert opened.open_until == before


def test_an_end_without_a_verdict_gives_its_place_back(opened: Breaker) -> None:
    # Given a probe that did not leave after all
    opened.room(WAIT)
    opened.depart()
    opened.back()
    # Then another one may go
    assert opened.room(WAIT) == 1

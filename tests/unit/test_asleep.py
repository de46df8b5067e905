"""Lanes that wait on disk alone: memory stays bounded however many devices fail, and all of it goes in the end."""

from __future__ import annotations

import math

import pytest

from event_pusher import refill
from event_pusher.abc import DELIVERED, Outcome, Retry
from event_pusher.asleep import Asleep
from event_pusher.testing.factories import HOST
from tests.unit.support import Rig, Rigs, post

USERS = 300
LIMIT, BEDS = 40, 20


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refill, "REFILL_ROWS", 10)


@pytest.fixture
def crowd(rigs: Rigs) -> Rig:
    """A core with little room, and a backend that takes forty attempts at once."""
    rig = rigs(backends=(post(in_flight=40, retry={"schedule": [5]}, order_hold="1h"),))
    rig.parts.refill.window.limit, rig.parts.refill.window.beds = LIMIT, BEDS
    return rig


def in_memory(rig: Rig) -> int:
    """Rows that the core holds."""
    return len(list(rig.parts.publishers["post"].lanes.rows()))


def users(start: int = 0, end: int = USERS) -> list[str]:
    return [f"u{number}@{HOST}" for number in range(start, end)]


def work(rig: Rig, turns: int, seconds: float = 0.01) -> int:
    """Let the core turn; the most rows that it held."""
    most = 0
    for _ in range(turns):
        rig.turn(seconds=seconds)
        most = max(most, in_memory(rig))
    return most


def fail_all(rig: Rig, outcome: Outcome) -> int:
    """A message to everybody, and each attempt ends so; the most rows in memory."""
    rig.post.answer = outcome
    for start in range(0, USERS, 20):
        rig.core.inbox.put_items([rig.message(f"1 {user}", user) for user in users(start, start + 20)])
        rig.turn()
    return work(rig, 60)


def test_however_many_devices_fail_memory_holds_no_more(crowd: Rig) -> None:
    # When everybody's device fails, and waits for its next attempt
    most = fail_all(crowd, Retry("not now", 5))
    # Then memory holds what it may, and all of it is on disk
    assert most <= LIMIT + BEDS + crowd.parts.publishers["post"].settings.in_flight
    assert in_memory(crowd) <= LIMIT + BEDS
    assert len(crowd.rows()) == USERS
    assert len(crowd.parts.publishers["post"].lanes.asleep) >= USERS - LIMIT - BEDS


def test_sleeping_lanes_go_when_their_time_has_come_in_order(crowd: Rig) -> None:
    # Given devices that failed, and second messages to them
    fail_all(crowd, Retry("not now", 5))
    for start in range(0, USERS, 20):
        crowd.core.inbox.put_items([crowd.message(f"2 {user}", user) for user in users(start, start + 20)])
        crowd.turn()
    assert in_memory(crowd) <= LIMIT + BEDS
    # When they are well again and the time has come
    crowd.post.answer = DELIVERED
    crowd.post.attempts.clear()
    crowd.turn(seconds=6)
    assert work(crowd, 400, seconds=0.2) <= LIMIT + BEDS + crowd.parts.publishers["post"].settings.in_flight
    # Then both went to everybody, once, the first one first
    assert crowd.rows() == []
    for user in users():
        assert [one for one in crowd.post.payloads if one.endswith(f" {user}")] == [f"1 {user}", f"2 {user}"]
    assert len(crowd.parts.publishers["post"].lanes.asleep) == 0


def test_lanes_of_a_dead_target_sleep_and_go_when_it_is_back(crowd: Rig) -> None:
    # Given a target that fails for everybody, so that its breaker is open
    fail_all(crowd, Retry("away"))
    work(crowd, 20, seconds=1.0)
    assert crowd.parts.publishers["post"].breakers
    assert in_memory(crowd) <= LIMIT + BEDS
    # When it is back
    crowd.post.answer = DELIVERED
    crowd.post.attempts.clear()
    assert work(crowd, 200, seconds=1.0) <= LIMIT + BEDS + crowd.parts.publishers["post"].settings.in_flight
    # Then everything was delivered, once
    assert crowd.rows() == []
    assert sorted(crowd.post.payloads) == sorted(set(crowd.post.payloads))


def test_what_sleeps_is_found_by_the_next_process(crowd: Rig, rigs: Rigs) -> None:
    fail_all(crowd, Retry("not now", 5))
    crowd.close()
    again = rigs(backends=(post(retry={"schedule": [5]}),), clock=crowd.clock)
    again.parts.refill.window.limit, again.parts.refill.window.beds = LIMIT, BEDS
    assert work(again, 60) <= LIMIT + 2 * BEDS
    again.turn(seconds=6)
    work(again, 60)
    assert again.rows() == []
    assert len(again.post.payloads) == USERS


def test_a_discarded_head_lets_its_sleeping_lane_go_on(crowd: Rig) -> None:
    # Given sleeping lanes with a second message behind their head
    fail_all(crowd, Retry("not now", 5000))
    last = users()[-1]
    crowd.give(crowd.message(f"2 {last}", last))
    crowd.turn(3)
    # When an operator discards the head
    (head, _) = sorted(int(str(row["id"])) for row in crowd.rows(user=last))
    crowd.post.answer = DELIVERED
    with crowd._writer.transaction():
        crowd.parts.store.remove([head])
    crowd.core.withdraw([head], 1)
    work(crowd, 30, seconds=1.0)
    # Then the second one goes
    assert f"2 {last}" in crowd.post.payloads


def test_names_are_kept_and_let_go() -> None:
    asleep = Asleep()
    for number in range(1000):
        asleep.until(f"lane-{number}", 100.0 - number)
    asleep.until("lane-7", 50.0)
    assert (len(asleep), asleep.due) == (1000, 100.0 - 999)
    assert "lane-999" in asleep
    assert asleep.wake("lane-999")
    assert not asleep.wake("lane-999")
    assert "lane-999" not in asleep
    assert Asleep().due == math.inf

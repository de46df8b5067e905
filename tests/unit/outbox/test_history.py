"""What a row remembers of its attempts."""

from __future__ import annotations

import pytest

from event_pusher.abc import DELIVERED, Dead, Retry, Unknown
from event_pusher.outbox.history import KEPT, REASON_LENGTH, Tried, appended, read
from tests.unit.support import Rigs, post


def tried(number: int, reason: str = "no") -> Tried:
    return Tried(1000.0 + number, number, "retry", reason)


def test_an_attempt_comes_back_as_it_was_written() -> None:
    told = read(appended(None, [tried(1, 'line\nbreak "quoted" ☃')]))
    assert told == [{"at": 1001.0, "number": 1, "outcome": "retry", "reason": 'line\nbreak "quoted" ☃'}]


def test_only_the_last_ones_are_kept() -> None:
    # Given more attempts than are kept, some now and some later
    history = appended(None, [tried(number) for number in range(1, 9)])
    history = appended(history, [tried(number) for number in range(9, 16)])
    # Then the oldest are gone
    assert [one["number"] for one in read(history)] == list(range(16 - KEPT, 16))


def test_a_long_reason_is_cut() -> None:
    assert len(read(appended(None, [tried(1, "x" * 5000)]))[0]["reason"]) == REASON_LENGTH


@pytest.mark.parametrize("history", [None, "", "nonsense", "[1, 2]", "3"])
def test_what_cannot_be_read_is_left_out(history: str | None) -> None:
    assert read(history) == []


def test_attempts_and_answers_survive_a_restart(rigs: Rigs) -> None:
    # Given a delivery that failed twice, each time otherwise
    rig = rigs(backends=(post(retry={"schedule": [1.0]}),))
    rig.post.answer = Retry("wait/internal-server-error")
    rig.give(rig.message("hello"))
    rig.post.answer = Unknown("no answer")
    rig.turn(3, seconds=2.0)
    rig.close()
    # When it dies in the next life
    again = rigs(backends=(post(retry={"schedule": [1.0]}),), clock=rig.clock)
    again.post.answer = Dead("cancel/item-not-found")
    again.turn(3, seconds=2.0)
    # Then the dead letter tells all of it
    (row,) = again.rows()
    story = read(row["history"])
    assert story[0]["outcome"] == "retry"
    assert story[-1] | {"at": 0} == {
        "at": 0, "number": len(story), "outcome": "dead", "reason": "cancel/item-not-found",
    }  # fmt: skip
    assert {"unknown"} == {one["outcome"] for one in story[1:-1]}
    assert [one["number"] for one in story] == sorted(one["number"] for one in story)


def test_a_delivery_that_goes_well_reads_and_writes_no_history(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a store that must not be asked
    rig = rigs()
    monkeypatch.setattr(rig.parts.store, "_histories", lambda rows, _news: {} if not rows else pytest.fail("asked"))
    rig.post.answer = DELIVERED
    # When a delivery goes well
    rig.give(rig.message("hello"))
    rig.turn(3, seconds=0.05)
    # Then it is gone
    assert rig.rows() == []

"""What becomes of an attempt: one test for each arrow of the diagram in `event_pusher.settlement`."""

from __future__ import annotations

from typing import Any

import pytest

from event_pusher.abc import DELIVERED, Acc, Dead, Delivery, Event, Gone, Outcome, Retry, Unknown
from event_pusher.testing.factories import BOB, NOW
from tests.unit.support import SERVICE, UNSENT, Rig, Rigs, body_of, post


@pytest.fixture
def held(rigs: Rigs) -> Rig:
    """One delivery under way, and one more of its lane waiting."""
    rig = rigs(backends=(post(order_hold=30, retry={"schedule": [10, 100]}),))
    rig.post.answer = None
    rig.give(rig.message("first"), rig.message("second"))
    assert rig.post.payloads == ["first"]
    return rig


def answer(rig: Rig, outcome: Outcome) -> None:
    """Answer the last attempt, and let it be committed."""
    rig.post.report(outcome)
    rig.turn(5)


def states(rig: Rig) -> list[tuple[str, str, int]]:
    """Reason, state and attempts of each row on disk."""
    return [(one["reason"] or "", one["state"], one["attempts"]) for one in rig.rows()]


def registered(rig: Rig, number: int = 1) -> None:
    """Let Bob have registrations, and let deliveries belong to them by their text: `r1 hello`."""
    answers: list[Any] = []
    rig.give(*(rig.enable(answers, node=f"node-{n + 1}") for n in range(number)))
    assert answers == [None] * number

    def make(_acc: Acc, event: Event) -> list[Delivery]:
        body = body_of(event)
        return [Delivery(BOB, SERVICE, body.encode(), lane=body[:2], registration=int(body[1]))]

    rig.post.make = make


def test_accepted_is_waiting_then_under_way(held: Rig) -> None:
    # Given a first attempt without an outcome, Then both rows are on disk and wait
    assert states(held) == [("", "waiting", 0)] * 2
    assert held.core.in_flight == 1


def test_delivered_goes_from_disk_and_the_next_one_goes_out(held: Rig) -> None:
    # When the first is delivered
    answer(held, DELIVERED)
    # Then its row is gone and the second is under way
    assert held.post.payloads == ["first", "second"]
    assert len(held.rows()) == 1
    assert held.core.rows == 1


@pytest.mark.parametrize("outcome", [Retry("busy"), Unknown("busy")])
def test_a_failure_waits_with_its_reason_and_holds_its_lane(held: Rig, outcome: Outcome) -> None:
    # When the first fails
    answer(held, outcome)
    # Then it waits, counted, with its reason, and the second waits behind it
    assert states(held) == [("busy", "waiting", 1), ("", "waiting", 0)]
    assert held.rows()[0]["due_at"] > NOW
    assert held.post.payloads == ["first"]
    # And it goes again when its time has come
    held.turn(2, seconds=11)
    assert held.post.payloads == ["first", "first"]


def test_every_attempt_has_the_same_key_and_the_next_number(held: Rig) -> None:
    # When the first fails twice
    answer(held, Retry("busy"))
    held.turn(2, seconds=11)
    # Then both attempts say so
    assert [one.number for one in held.post.attempts] == [1, 2]
    assert len({one.key for one in held.post.attempts}) == 1


def test_unsent_costs_nothing_and_goes_again_soon(held: Rig) -> None:
    # When nothing of the first left
    answer(held, UNSENT)
    # Then the disk knows nothing of it, and it goes again with the same number
    assert states(held) == [("", "waiting", 0)] * 2
    held.turn(2, seconds=0.5)
    assert held.post.payloads == ["first", "first"]
    assert [one.number for one in held.post.attempts] == [1, 1]


def test_dead_is_kept_with_its_reason_and_the_next_one_goes_out(held: Rig) -> None:
    # When the first can never succeed
    answer(held, Dead("the topic does not exist"))
    # Then it is a dead letter, the backend may forget it, and the second is under way
    assert states(held) == [("the topic does not exist", "dead", 1), ("", "waiting", 0)]
    assert [one.payload for one in held.post.forgotten] == [b"first"]
    assert held.post.payloads == ["first", "second"]
    assert held.core.rows == 1


def test_too_old_is_expired_and_kept(rigs: Rigs) -> None:
    # Given a delivery that is worth ten seconds, and a backend that is not ready
    rig = rigs()
    rig.post.up = False
    rig.post.make = lambda *_: [Delivery(BOB, "target", b"call", ttl=10)]
    rig.give(rig.message("call"))
    # When eleven have passed
    rig.turn(seconds=11)
    rig.post.up = True
    rig.turn(5)
    # Then it was never tried, and is kept with its reason
    assert rig.post.attempts == []
    assert states(rig) == [("expired: it was not delivered in time", "dead", 0)]
    assert rig.counters["expired", "post"] == 1


def test_gone_disables_the_registration_and_discards_what_waits_for_it_in_one_commit(rig: Rig) -> None:
    # Given one under way and two waiting for one registration, and one waiting for another
    registered(rig, 2)
    rig.post.answer = None
    rig.give(rig.message("r1 a"), rig.message("r1 b"), rig.message("r1 c"), rig.message("r2 d"))
    commits = rig.counters["commits", ""]
    # When the destination is gone
    first = next(one for one in rig.post.attempts if one.delivery.registration == 1)
    rig.post.report(Gone("item-not-found"), first)
    rig.turn()
    # Then one commit disabled the registration and took out all that was for it
    assert rig.counters["commits", ""] == commits + 1
    record = rig.built.registrations.show(1)
    assert record is not None
    assert record.disabled_reason == "item-not-found"
    assert [one["registration_id"] for one in rig.rows()] == [2]
    assert rig.core.rows == 1
    rig.turn(5, seconds=1)
    assert [one.delivery.payload for one in rig.post.attempts] == [b"r1 a", b"r2 d"]


def test_gone_without_a_registration_is_dead(held: Rig) -> None:
    answer(held, Gone("no such URL"))
    assert states(held)[0] == ("no such URL", "dead", 1)


@pytest.mark.parametrize("late", [DELIVERED, Retry("busy"), Dead("no")])
def test_what_is_under_way_for_a_gone_registration_ends_without_a_trace(rig: Rig, late: Outcome) -> None:
    # Given two under way for one registration, in lanes of their own
    registered(rig)
    rig.post.make = lambda _acc, event: [
        Delivery(BOB, SERVICE, b"x", lane=event.stanza.id, registration=1)  # type: ignore[union-attr]  # messages only
    ]
    rig.post.answer = None
    rig.give(rig.message("a"), rig.message("b"))
    first, second = rig.post.attempts
    # When one is told that the registration is gone, and the other ends later
    rig.post.report(Gone("gone"), first)
    rig.turn(3)
    rig.post.report(late, second)
    rig.turn(3, seconds=1)
    # Then nothing is left, and nothing was counted twice
    assert rig.rows() == []
    assert rig.core.rows == 0
    assert rig.core.in_flight == 0
    assert rig.counters["delivered", "post"] == 0


def test_what_was_decided_in_the_turn_of_a_gone_is_not_tried(rig: Rig) -> None:
    # Given one under way for a registration
    registered(rig)
    rig.post.answer = None
    rig.give(rig.message("r1 a"))
    # When it is gone in the same turn in which another message for it comes
    rig.post.report(Gone("gone"))
    rig.give(rig.message("r1 b"))
    rig.turn(3, seconds=1)
    # Then that one is not tried
    assert rig.post.payloads == ["r1 a"]
    assert rig.rows() == []


def test_a_failing_head_steps_aside_after_order_hold(held: Rig) -> None:
    # Given a head that failed once
    answer(held, Retry("busy", after=10))
    held.turn(2, seconds=11)
    # When its next attempt would hold the lane beyond 30 s
    answer(held, Retry("busy", after=50))
    # Then the second goes ahead, and the first retries alone, marked
    assert held.post.payloads == ["first", "first", "second"]
    assert held.rows()[0]["overtaken"]
    held.post.report(DELIVERED)
    held.turn(2, seconds=51)
    assert held.post.payloads[3:] == ["first"]


def test_a_failed_commit_keeps_everything_for_the_next_one(held: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a disk that is full when the first is dead
    held.turn()
    connection = held._writer.connection
    pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    held.post.answer = DELIVERED
    held.post.report(Dead("x" * 500 + "way too long"))
    held.post.make = lambda *_: [Delivery(BOB, "target", b"y" * 20_000, lane="other")]
    held.give(held.message("big"))
    assert held.core.trouble is not None
    before = states(held)
    # When there is room again
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1000}")
    held.turn(5, seconds=1)
    # Then all of it is written
    assert before == [("", "waiting", 0)] * 2
    assert states(held) == [("x" * 500, "dead", 1)]
    assert held.core.trouble is None


@pytest.mark.parametrize(("asked", "waited"), [(1, 10), (50, 50), (9999, 100), (float("nan"), None), ("soon", None)])
def test_what_the_destination_asks_for_is_kept_within_the_schedule(held: Rig, asked: Any, waited: float | None) -> None:
    # When the destination asks to come back later
    answer(held, Retry("busy", after=asked))
    # Then it is not sooner than the first wait nor later than the last; what is no time counts for nothing
    wait = held.rows()[0]["due_at"] - held.clock.now()
    assert wait == pytest.approx(waited, abs=0.2) if waited else -0.2 <= wait <= 10


def test_an_outcome_that_is_none_lets_the_lane_go_on(held: Rig) -> None:
    # When a backend reports what is no outcome
    answer(held, "delivered, surely")  # type: ignore[arg-type]  # a stranger's mistake
    # Then it is tried again like one of which nobody knows
    assert states(held)[0] == ("the backend reported no outcome", "waiting", 1)


def test_a_reason_is_stored_whatever_it_holds(held: Rig) -> None:
    # When a reason has what databases refuse
    answer(held, Dead("bad \udc80 \x00 name\nsecond line"))
    # Then it is stored, in one line
    assert states(held)[0] == ("bad ?   name second line", "dead", 1)


def test_a_backend_that_cannot_forget_costs_nothing(held: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a backend whose forget raises
    monkeypatch.setattr(held.post, "forget", lambda _: 1 / 0)
    # When a delivery dies, Then the core goes on
    answer(held, Dead("no"))
    assert held.post.payloads == ["first", "second"]


def test_late_and_repeated_outcomes_are_counted_and_ignored(held: Rig) -> None:
    # Given a delivery that was settled
    first = held.post.attempts[0]
    answer(held, DELIVERED)
    # When its outcome comes again
    held.post.report(Dead("no"), first)
    held.turn(3)
    # Then it changes nothing
    assert held.counters["outcomes_late", "post"] == 1
    assert held.rows(state="dead") == []

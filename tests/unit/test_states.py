"""Every accepted delivery is accounted for: breakers hold it, newer ones replace it, orphans are left lying."""

from __future__ import annotations

import logging
import random

import pytest

from event_pusher.abc import DELIVERED, Acc, Dead, Delivery, Event, Gone, Retry, Unsent
from event_pusher.breaker import FAILURES
from event_pusher.testing.factories import BOB
from tests.unit.support import Post, Rig, Rigs, body_of, post

USERS = [f"user{number}@example.org" for number in range(FAILURES)]
AT_ONCE = {"retry": {"schedule": [0.001]}}


class Longest(random.Random):
    """Draws the longest wait there is."""

    def uniform(self, a: float, b: float) -> float:
        return b


def newest(_acc: Acc, event: Event) -> list[Delivery]:
    """Deliveries of which only the newest matters."""
    return [Delivery(str(event.user), "target", body_of(event).encode(), collapse_key="newest")]


def failing_for_everybody(rigs: Rigs) -> Rig:
    """A target that failed for so many users that its breaker is open."""
    rig = rigs(backends=(post(retry={"schedule": [0.001]}),))
    rig.post.answer = Retry("wait/internal-server-error")
    rig.give(*(rig.message(f"to {user}", user) for user in USERS))
    rig.turn(3)
    assert not rig.parts.publishers["post"].breakers["target"].closed
    return rig


def test_a_target_that_fails_for_everybody_is_left_alone(rigs: Rigs) -> None:
    # Given a target whose breaker opened
    rig = failing_for_everybody(rigs)
    before = len(rig.post.attempts)
    attempts = [row["attempts"] for row in rig.rows()]
    # When retries are due, and a message comes
    rig.give(rig.message("hello"))
    rig.turn(5, seconds=0.05)
    # Then nothing is tried, and no row was written again
    assert len(rig.post.attempts) == before
    assert [row["attempts"] for row in rig.rows()] == [*attempts, 0]


def test_after_a_while_one_probe_goes_and_its_success_opens_the_way_step_by_step(rigs: Rigs) -> None:
    # Given a target that left many waiting, and is well again
    rig = failing_for_everybody(rigs)
    rig.post.answer = None
    rig.post.batches.clear()
    # When the breaker's wait is over
    rig.turn(1, seconds=2.0)
    assert [len(batch) for batch in rig.post.batches] == [1]
    # Then each success lets twice as many go
    while len(rig.rows()) > 0:
        last = rig.post.batches[-1]
        for attempt in last:
            rig.post.report(DELIVERED, attempt)
        rig.turn(4)
        if rig.post.batches[-1] is last:
            break
    assert [len(batch) for batch in rig.post.batches][:2] == [1, 2]
    assert rig.rows() == []


def test_the_core_wakes_up_for_the_probe(rigs: Rigs) -> None:
    # Given a target whose breaker is open, and lanes that are due
    rig = failing_for_everybody(rigs)
    rig.turn(3, seconds=0.05)
    until = rig.parts.publishers["post"].breakers["target"].open_until
    assert until is not None
    # When there is less than a tick to go
    rig.clock.advance(until - rig.clock.monotonic() - 0.1)
    # Then the core sleeps no longer than that
    assert rig.core._patience() == pytest.approx(0.1)


def test_what_did_not_leave_says_nothing_about_the_target(rigs: Rigs) -> None:
    # Given a stream that is down
    rig = rigs(backends=(post(),))
    rig.post.answer = Unsent("the stream is down")
    # When it stays down
    rig.give(*(rig.message(f"to {user}", user) for user in USERS))
    rig.turn(5, seconds=1.0)
    # Then no breaker knows of it
    assert rig.parts.publishers["post"].breakers == {}


def test_a_newer_delivery_takes_the_place_of_one_that_waits(rigs: Rigs) -> None:
    # Given one in flight, and others that wait behind it
    rig = rigs(backends=(post(),))
    rig.post.make, rig.post.answer = newest, None
    rig.give(rig.message("1"))
    rig.give(rig.message("2"), rig.message("3"), rig.message("4"))
    rig.turn(3, seconds=0.05)
    # Then only the newest of those is kept
    assert len(rig.rows()) == 2
    # When the first is delivered
    rig.post.answer = DELIVERED
    rig.post.report(DELIVERED)
    rig.turn(5, seconds=0.05)
    # Then the newest goes, and the others are counted
    assert rig.post.payloads == ["1", "4"]
    assert rig.counters["replaced", "post"] == 2
    assert rig.core.unaccounted() == 0


def test_after_an_outage_a_device_is_woken_up_once(rigs: Rigs) -> None:
    # Given a target that fails, and a message that waits for its next try
    rig = rigs(backends=(post(retry={"schedule": [60.0]}),))
    rig.parts.settlement._draw = Longest()
    rig.post.make, rig.post.answer = newest, Retry("wait/remote-server-timeout")
    rig.give(rig.message("1"))
    rig.turn(2, seconds=0.05)
    # When more come meanwhile, and the target is well again
    for number in range(2, 40):
        rig.give(rig.message(str(number)))
    rig.post.answer = DELIVERED
    rig.turn(3, seconds=61.0)
    # Then the last one is all it gets
    assert rig.post.payloads == ["1", "39"]
    assert rig.rows() == []


def test_a_replaced_delivery_does_not_come_back_after_a_restart(rigs: Rigs) -> None:
    # Given deliveries that took each other's place while the backend was not ready
    rig = rigs(backends=(post(),))
    rig.post.make, rig.post.up = newest, False
    rig.give(rig.message("1"), rig.message("2"))
    rig.turn(3, seconds=0.05)
    # When the process starts anew
    rig.close()
    again = rigs(backends=(post(),))
    again.turn(5, seconds=0.05)
    # Then only the newest is delivered
    assert again.post.payloads == ["2"]


@pytest.mark.parametrize("outcome", [DELIVERED, Dead("no such thing"), Gone("gone"), Retry("later")])
def test_what_was_accepted_is_accounted_for_whatever_becomes_of_it(rigs: Rigs, outcome: object) -> None:
    # Given deliveries with every kind of outcome
    rig = rigs(backends=(post(),))
    rig.post.answer = outcome  # type: ignore[assignment]  # one of the outcomes
    # When they are settled
    rig.give(rig.message("1"), rig.message("2", "eve@example.org"), rig.message("3"))
    rig.turn(5, seconds=0.05)
    # Then none is missing, and the count of rows is the table's
    assert rig.counters.total("accepted") == 3
    assert rig.core.unaccounted() == 0
    assert rig.core.rows == len(rig.rows(state="waiting"))


def test_a_restart_and_an_operator_keep_the_account_straight(rigs: Rigs) -> None:
    # Given dead letters and waiting rows of a process that ended
    rig = rigs(backends=(post(),))
    rig.post.answer = Dead("no such thing")
    rig.give(rig.message("1"))
    rig.post.up = False
    rig.give(rig.message("2", "eve@example.org"))
    rig.turn(3, seconds=0.05)
    rig.close()
    # When the next one retries the dead letter
    again = rigs(backends=(post(),))
    (dead,) = again.rows(state="dead")
    again.core.call(lambda: retry(again, dead["id"]))
    again.turn(5, seconds=0.05)
    # Then both are delivered and accounted for
    assert sorted(again.post.payloads) == ["1", "2"]
    assert again.core.unaccounted() == 0
    assert again.core.rows == 0


def retry(rig: Rig, id_: int) -> None:
    """What ``event-pusher deliveries retry`` orders, on the core's thread."""
    from event_pusher.outbox.admin import OutboxAdmin  # noqa: PLC0415 - only this order needs it

    with rig._writer.transaction() as connection:
        ids = OutboxAdmin(connection).retry_chunk([id_], rig.clock.now())
    rig.core.readmit(ids)


def test_rows_of_a_backend_that_is_gone_are_left_lying(rigs: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    # Given a delivery of a backend
    rig = rigs(backends=(post("other"),))
    other = rig.built.backends["other"]
    assert isinstance(other, Post)
    other.up = False
    rig.give(rig.message("1"))
    rig.close()
    # When the next start does not enable it
    with caplog.at_level(logging.ERROR):
        again = rigs(backends=(post(),))
        again.turn(3)
    # Then the row is kept, nothing tries it, and the log says what to do
    assert len(again.rows()) == 1
    assert again.post.attempts == []
    assert "backend 'other' is not enabled" in caplog.text
    assert "deliveries discard" in caplog.text


def test_rows_of_a_format_that_is_not_read_any_more_are_left_lying(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a delivery of format 1
    rig = rigs(backends=(post(),))
    rig.post.up = False
    rig.give(rig.message("1"))
    rig.close()
    # When the backend reads format 2 only
    monkeypatch.setattr(Post, "formats", frozenset({2}))
    again = rigs(backends=(post(),))
    again.turn(3)
    # Then it is not handed the row, which is kept
    assert again.post.attempts == []
    assert len(again.rows()) == 1


def test_dead_letters_are_kept_for_their_time_and_no_longer(rigs: Rigs) -> None:
    # Given a dead letter
    rig = rigs(backends=(post(),), dead_retention="7d")
    rig.post.answer = Dead("no such thing")
    rig.give(rig.message("1"))
    rig.turn(3, seconds=0.05)
    # When six days pass, it is there
    rig.turn(1, seconds=6 * 86400.0)
    assert len(rig.rows(state="dead")) == 1
    # When the week is over, it is gone
    rig.turn(1, seconds=2 * 86400.0)
    assert rig.rows(state="dead") == []


def test_two_users_of_one_target_do_not_wait_for_each_other(rigs: Rigs) -> None:
    # Given one device that does not answer
    rig = rigs(backends=(post(),))
    rig.post.answer = None
    rig.give(rig.message("silent"))
    # When another user gets a message
    rig.post.answer = DELIVERED
    rig.give(rig.message("hello", "eve@example.org"))
    # Then it is delivered at once
    assert rig.post.payloads == ["silent", "hello"]
    assert BOB in {row["recipient"] for row in rig.rows()}


def test_what_a_backend_names_the_same_is_delivered_once_per_lane(rigs: Rigs) -> None:
    # Given a backend that names its deliveries after their text
    rig = rigs()
    rig.post.make = lambda _acc, event: [Delivery(str(event.user), "target", b"x", dedupe=body_of(event))]
    # When the same is said twice to one user, and once to another
    rig.give(rig.message("a", id="m1"), rig.message("a", id="m2"), rig.message("a", "eve@example.org"))
    rig.turn(5, seconds=0.05)
    # Then each hears it once
    assert [attempt.delivery.recipient for attempt in rig.post.attempts] == [BOB, "eve@example.org"]

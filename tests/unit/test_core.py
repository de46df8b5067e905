"""The loop: what it hands over when, a full outbox, a restart, a drain, strangers' mistakes."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from event_pusher import core as module
from event_pusher import refill
from event_pusher.abc import DELIVERED, Delivery
from event_pusher.errors import LeaseLost
from event_pusher.intake import Position
from event_pusher.testing.factories import BOB, HOST
from tests.unit.support import UNSENT, Rig, Rigs, post


def test_messages_of_one_recipient_go_in_order(rig: Rig) -> None:
    rig.give(*(rig.message(f"m{n}") for n in range(10)))
    rig.turn(20)
    assert rig.post.payloads == [f"m{n}" for n in range(10)]
    assert rig.rows() == []


def test_a_full_outbox_closes_the_intake_and_reopens_it(rigs: Rigs) -> None:
    # Given an outbox of three whose backend takes nothing
    rig = rigs(max_rows=3)
    rig.post.up = False
    rig.give(*(rig.message(f"m{n}") for n in range(3)))
    # When more comes
    rig.give(rig.message("m3"))
    rig.turn(5, seconds=1)
    # Then it is neither accepted nor acknowledged
    assert rig.core.is_full()
    assert len(rig.rows()) == 3
    assert rig.feed.acknowledged[-1].n == 3
    # And it is when there is room
    rig.post.up = True
    rig.turn(20)
    assert rig.post.payloads == ["m0", "m1", "m2", "m3"]


def test_a_restart_finds_what_waits_and_delivers_it_in_order(rigs: Rigs) -> None:
    # Given deliveries of two users that had no answer when the process died
    rig = rigs()
    rig.post.answer = None
    rig.give(*(rig.message(f"{user}{n}", f"{user}@{HOST}") for n in range(3) for user in "ab"))
    rig.crash()
    # When another process starts
    again = rigs()
    again.turn(10)
    # Then all of them go, each user's in order, with the keys of before
    assert [one for one in again.post.payloads if one[0] == "a"] == ["a0", "a1", "a2"]
    assert [one for one in again.post.payloads if one[0] == "b"] == ["b0", "b1", "b2"]
    assert {one.key for one in rig.post.attempts} <= {one.key for one in again.post.attempts}
    assert again.rows() == []


def test_more_than_memory_holds_goes_in_order_and_once(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a window of ten rows and a backend that was away while fifty came
    monkeypatch.setattr(refill, "REFILL_ROWS", 7)
    rig = rigs()
    rig.parts.refill.window.limit = 10
    rig.post.up = False
    for start in range(0, 50, 5):
        rig.give(*(rig.message(f"m{n}", f"u{n % 4}@{HOST}") for n in range(start, start + 5)))
    assert rig.parts.refill.window.rows <= 10
    # When it is back
    rig.post.up = True
    rig.turn(150)
    # Then each went once, each user's in order
    assert sorted(rig.post.payloads) == sorted(f"m{n}" for n in range(50))
    for user in range(4):
        assert [int(one[1:]) for one in rig.post.payloads if int(one[1:]) % 4 == user] == list(range(user, 50, 4))


def test_rows_of_a_backend_that_is_gone_stay(rigs: Rigs) -> None:
    # Given a delivery of a backend that is configured no more
    rig = rigs(backends=(post("old"), post()))
    for backend in rig.built.backends.values():
        backend.answer = None  # type: ignore[attr-defined]  # Post has it
    rig.give(rig.message("hello"))
    rig.crash()
    # When the process starts without it
    again = rigs()
    again.turn(10)
    # Then its row waits for its return
    assert [(one["backend"], one["state"]) for one in again.rows()] == [("old", "waiting")]


def test_acknowledged_after_256_entries_or_50_ms(rig: Rig) -> None:
    # Given one entry that was acknowledged just now
    rig.give(rig.message("m"))
    rig.turn(seconds=0.06)
    known = len(rig.feed.acknowledged)
    # When a few more come, Then they wait for the rest of the 50 ms
    rig.core.inbox.put_items([rig.message("n")])
    rig.turn(seconds=0.01)
    assert len(rig.feed.acknowledged) == known
    rig.turn(seconds=0.05)
    assert len(rig.feed.acknowledged) == known + 1
    # And 256 do not wait
    rig.core.inbox.put_items([rig.message(f"x{n}", f"u{n}@{HOST}") for n in range(256)])
    rig.turn(seconds=0.01)
    assert rig.feed.acknowledged[-1] == Position("main", "e1", 258)


def test_a_backend_that_is_not_ready_is_handed_nothing_and_keeps_nobody_busy(rig: Rig) -> None:
    # Given a delivery of which nothing left, and then a backend that is not ready
    rig.post.answer = UNSENT
    rig.give(rig.message("hello"))
    rig.post.up = False
    known = len(rig.post.attempts)
    # When its time has come
    rig.turn(3, seconds=1)
    # Then it is not handed out, and the core sleeps
    assert len(rig.post.attempts) == known
    assert rig.core._patience() == module.TICK_SECONDS
    # And it goes when the backend is ready
    rig.post.up, rig.post.answer = True, DELIVERED
    rig.turn(5)
    assert rig.rows() == []


def test_what_is_settled_waits_twenty_milliseconds_for_new_rows_to_be_committed_with(rig: Rig) -> None:
    # Given a delivery that has just been delivered
    rig.core.inbox.put_items([rig.message("one")])
    rig.turn(2, seconds=0.003)
    committed = rig.counters["commits", ""]
    assert len(rig.post.attempts) == 1
    # When another one comes
    rig.core.inbox.put_items([rig.message("two")])
    rig.turn(seconds=0.003)
    # Then one commit took both
    assert rig.counters["commits", ""] == committed + 1
    assert [row["trace"] for row in rig.rows()] == ["e1-2"]
    # And when nothing comes, it is written by itself
    rig.turn(1, seconds=0.003)
    assert len(rig.rows()) == 1
    rig.turn(1, seconds=0.02)
    assert rig.rows() == []


def test_a_backend_that_fails_to_say_whether_it_is_ready_stops_nobody_else(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given two backends, one of which raises in ready
    rig = rigs(backends=(post("broken"), post()))

    def ready() -> bool:
        raise RuntimeError("secret")

    monkeypatch.setattr(rig.built.backends["broken"], "ready", ready)
    # When a message comes
    rig.give(rig.message("hello"))
    rig.turn(5)
    # Then the other one delivers it, and the log says once what is wrong, without its words
    assert rig.post.payloads == ["hello"]
    assert [one["backend"] for one in rig.rows()] == ["broken"]
    assert caplog.text.count("RuntimeError in ready") == 1
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "wrong", [{"ttl": "60"}, {"lane": 7}, {"registration": "1"}, {"format": None}, {"collapse_key": b"x"}]
)
def test_a_delivery_that_is_not_one_costs_that_event_only(rig: Rig, wrong: dict[str, Any]) -> None:
    # Given a backend that is wrong once
    good = rig.post.make
    rig.post.make = lambda *_: [Delivery(BOB, "target", b"x", **wrong)]
    rig.give(rig.message("bad"))
    rig.post.make = good
    # When the next event comes, Then it is delivered, and both are acknowledged
    rig.give(rig.message("good"))
    rig.turn(5, seconds=0.1)
    assert rig.post.payloads == ["good"]
    assert rig.feed.acknowledged[-1].n == 2
    assert [one.reason for one in rig.built.dispatcher.decisions] == ["error", "accepted"]


def test_a_backend_that_raises_does_not_stop_the_acknowledgement(rig: Rig) -> None:
    def make(*_: object) -> list[Delivery]:
        raise KeyError("a word of the message")

    rig.post.make = make
    rig.give(rig.message("hello"))
    rig.turn(3, seconds=1)
    assert rig.feed.acknowledged[-1].n == 1


def test_a_source_that_cannot_acknowledge_stops_nobody(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.feed, "acknowledge", lambda *_: 1 / 0)
    rig.give(rig.message("one"))
    rig.give(rig.message("two"))
    rig.turn(5)
    assert rig.post.payloads == ["one", "two"]


def test_calls_run_on_the_core_and_their_errors_are_the_callers(rig: Rig) -> None:
    # Given calls of which one fails and one was given up
    good, bad = rig.core.call(lambda: 42), rig.core.call(lambda: 1 / 0)
    given_up: Future[int] = rig.core.call(lambda: 43)
    given_up.cancel()
    # When the core turns
    rig.turn()
    # Then each has its answer, and the core goes on
    assert good.result(0) == 42
    assert isinstance(bad.exception(0), ZeroDivisionError)
    assert rig.core.call(lambda: 1).done() is False


def test_a_lost_lease_ends_the_core_before_it_writes(rig: Rig) -> None:
    # Given another process took over
    rig._writer.connection.exec_driver_sql("UPDATE event_pusher_owner SET fence = fence + 1")
    # When a message comes, Then nothing is written and nothing is sent
    with pytest.raises(LeaseLost):
        rig.give(rig.message("hello"))
    assert rig.rows() == []
    assert rig.post.attempts == []


def test_a_drain_hands_nothing_out_and_waits_for_what_is_under_way(rig: Rig) -> None:
    # Given one under way and one waiting
    rig.post.answer = None
    rig.give(rig.message("one"), rig.message("two"))
    rig.core._draining.set()
    rig.turn(2)
    assert not rig.core._drained.is_set()
    # When the one under way is delivered
    rig.post.report(DELIVERED)
    rig.turn(5)
    # Then the drain is over, its row is gone, and the other waits on disk
    assert rig.core._drained.is_set()
    assert rig.post.payloads == ["one"]
    assert [one["state"] for one in rig.rows()] == ["waiting"]


def test_draining_a_core_that_does_not_run_waits_for_nothing(rig: Rig) -> None:
    assert rig.core.drain(3600) is False


def test_expired_dedupe_keys_are_swept(rig: Rig) -> None:
    # Given a message that may come again
    rig.give(rig.message("hello", state="hibernated"))
    seen = rig.parts.acceptance._seen
    assert len(seen) == 1
    # When its window is over
    rig.clock.advance(86_400)
    rig.turn(2, seconds=module.SWEEP_SECONDS)
    # Then it is forgotten, in memory and on disk
    assert len(seen) == 0
    assert rig.parts.store.load_seen(0) == {}


def test_it_runs_on_a_thread_of_its_own(rigs: Rigs) -> None:
    # Given a core with its thread
    rig = rigs()
    core = module.Core(rig.parts, rig.core.inbox)
    done = threading.Event()
    rig.post.make = lambda *_: (done.set(), [])[1]  # type: ignore[func-returns-value]  # tells and makes nothing
    core.start()
    # When a message comes, Then it is decided there
    rig.core.inbox.put_items([rig.message("hello")])
    rig.clock.advance(1)
    assert done.wait(10)
    # And it ends when it is told to
    assert core.drain(10)
    core.stop(10)
    assert core.join(0)
    assert core.fatal is None

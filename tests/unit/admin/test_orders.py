"""What an operator orders, in the core: one delivery more, dead letters that wait again, rows that are gone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from event_pusher import commits as module
from event_pusher.abc import Delivery, Retry
from event_pusher.errors import StorageError
from event_pusher.outbox.admin import OutboxAdmin
from tests.unit.support import Rig, Rigs

BODIES = [f"m{n}" for n in range(6)]


def bury(rig: Rig) -> list[int]:
    """Make dead letters of all that waits; their ids."""
    ids = [one["id"] for one in rig.rows()]
    rig.core.flush()
    with rig.built.writer.transaction():
        rows = rig.parts.store.load_ids(ids)
        rig.parts.store.bury(rows, ["refused"] * len(rows), rig.clock.now())
    rig.core.withdraw(ids, len(ids))
    return ids


def retry(rig: Rig, ids: Sequence[int]) -> None:
    """As the admin does."""
    with rig.built.writer.transaction() as connection:
        again = OutboxAdmin(connection).retry_chunk(ids, rig.clock.now())
    rig.core.readmit(again)


def bodies(rig: Rig) -> list[str]:
    """What the backend was handed."""
    return [attempt.delivery.payload.decode() for attempt in rig.post.attempts]


def test_a_delivery_that_no_event_made_is_written_and_goes(rigs: Rigs) -> None:
    # Given a running core
    rig = rigs()
    # When a delivery is enqueued
    id_ = rig.core.enqueue("post", Delivery("bob@example.org", "target", b"test", lane=""), "trace")
    # Then it is on disk, counted, and goes with the next turn
    assert [one["id"] for one in rig.rows()] == [id_]
    assert rig.core.rows == 1
    rig.turn(3, seconds=0.05)
    assert bodies(rig) == ["test"]
    assert rig.core.rows == 0


def test_its_id_is_in_the_order_of_the_others(rigs: Rigs) -> None:
    # Given messages before and after it
    rig = rigs()
    rig.give(rig.message("before"))
    rig.core.enqueue("post", Delivery("bob@example.org", "target", b"test"), "trace")
    rig.give(rig.message("after"))
    rig.turn(5, seconds=0.05)
    # Then they go in that order: it is in their lane
    assert bodies(rig) == ["before", "test", "after"]


def test_nothing_is_enqueued_while_the_database_is_in_trouble(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rigs()

    def fail(_rows: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(rig.parts.store, "insert", fail)
    for _ in range(2):
        with pytest.raises(StorageError, match="the disk is full"):
            rig.core.enqueue("post", Delivery("bob@example.org", "target", b"test"), "trace")


def test_retried_dead_letters_go_once_each_and_alone(rigs: Rigs) -> None:
    # Given dead letters of one lane
    rig = rigs()
    rig.post.up = False
    rig.give(*map(rig.message, BODIES))
    ids = bury(rig)
    assert rig.core.rows == 0
    # When they are retried
    rig.post.up = True
    retry(rig, ids)
    assert rig.core.rows == len(ids)
    rig.turn(5, seconds=0.05)
    # Then each goes once
    assert sorted(bodies(rig)) == BODIES
    assert (rig.core.rows, rig.rows()) == (0, [])


def test_retried_ones_beyond_the_window_are_not_read_twice(rigs: Rigs) -> None:
    # Given a window that is full, with more on disk
    rig = rigs()
    rig.post.up = False
    rig.give(*map(rig.message, BODIES))
    dead = bury(rig)
    rig.parts.refill.window.limit = 2
    rig.give(*(rig.message(f"new {n}", f"user{n}@example.org") for n in range(6)))
    assert rig.parts.refill.window.spilled
    # When the dead letters are retried and all is well
    retry(rig, dead)
    rig.post.up = True
    rig.turn(30, seconds=0.05)
    # Then everything went once
    assert sorted(bodies(rig)) == sorted([*BODIES, *(f"new {n}" for n in range(6))])
    assert rig.core.rows == 0


def test_after_a_restart_retried_ones_go_once(rigs: Rigs) -> None:
    # Given dead letters, and a core that starts with nothing that waits
    rig = rigs()
    rig.post.up = False
    rig.give(*map(rig.message, BODIES))
    dead = bury(rig)
    rig.close()
    rig = rigs()
    # When they are retried, and later the window overflows
    retry(rig, dead)
    rig.parts.refill.window.limit = 2
    rig.give(
        rig.message("new", "eve@example.org"), *(rig.message(f"newer {n}", f"user{n}@example.org") for n in range(4))
    )
    rig.turn(20, seconds=0.05)
    # Then each goes once
    assert sorted(bodies(rig)) == sorted([*BODIES, "new", *(f"newer {n}" for n in range(4))])


def test_a_read_that_fails_is_done_again(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a dead letter that is retried while the disk does not answer
    rig = rigs()
    rig.post.up = False
    rig.give(rig.message("late"))
    ids = bury(rig)
    rig.post.up = True

    def fail(_ids: object) -> None:
        raise StorageError("the disk does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(rig.parts.store, "load_ids", fail)
        retry(rig, ids)
        rig.turn(2)
        assert rig.core.trouble == "the disk does not answer"
    # When it answers again
    rig.turn(5, seconds=module.STALL_MOST)
    # Then it goes
    assert bodies(rig) == ["late"]


def test_a_discarded_row_that_is_under_way_ends_without_a_trace(rigs: Rigs) -> None:
    # Given an attempt without an answer yet, and one behind it
    rig = rigs()
    rig.post.answer = None
    rig.give(rig.message("one"), rig.message("two"))
    first = rig.post.attempts[0]
    # When the first is discarded, and then its answer comes
    with rig.built.writer.transaction() as connection:
        OutboxAdmin(connection).discard_chunk([first.id])
    rig.core.withdraw([first.id], 1)
    rig.post.report(Retry("too late"), first)
    rig.turn(3, seconds=0.05)
    # Then nothing comes back, and the next one goes
    assert [one["id"] for one in rig.rows()] == [rig.post.attempts[1].id]
    assert bodies(rig) == ["one", "two"]
    assert rig.core.rows == 1

"""A process that was paused past its lease: what it does when it wakes up, in the core, turn by turn."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from event_pusher.abc import DELIVERED, Retry
from event_pusher.errors import LeaseLost
from event_pusher.outbox.lease import LEASE_SECONDS
from tests.unit.support import DATABASE, Rig


def taken_over(rig: Rig) -> None:
    """Another process took the lease meanwhile."""
    with closing(sqlite3.connect(rig.folder / DATABASE)) as connection, connection:
        connection.execute("UPDATE event_pusher_owner SET fence = fence + 1")


def test_a_process_that_was_paused_publishes_nothing_when_another_took_over(rig: Rig) -> None:
    # Given a delivery that is due again in a second
    rig.post.answer = Retry("not now", 1)
    rig.give(rig.message("hello"))
    # When the process is paused past its lease, and another takes over
    taken_over(rig)
    rig.clock.advance(LEASE_SECONDS + 1)
    # Then it ends at its first turn, and nothing more is published
    with pytest.raises(LeaseLost):
        rig.turn(3)
    assert len(rig.post.attempts) == 1


def test_a_process_that_was_paused_settles_nothing_when_another_took_over(rig: Rig) -> None:
    # Given an attempt under way
    rig.post.answer = None
    rig.give(rig.message("hello"))
    # When another takes over, and the answer comes only then
    taken_over(rig)
    rig.clock.advance(LEASE_SECONDS + 1)
    rig.post.report(DELIVERED)
    with pytest.raises(LeaseLost):
        rig.turn(3)
    # Then the row is as it was, for the new owner
    assert [row["state"] for row in rig.rows()] == ["waiting"]


def test_a_process_that_was_paused_goes_on_when_nobody_took_over(rig: Rig) -> None:
    # Given a delivery that is due again in a second
    rig.post.answer = Retry("not now", 1)
    rig.give(rig.message("hello"))
    rig.post.answer = DELIVERED
    # When the process was paused, and nobody was there to take over
    rig.turn(3, seconds=LEASE_SECONDS)
    # Then it goes on
    assert rig.rows() == []


def test_nothing_is_published_while_nobody_can_say_who_owns_the_database(rig: Rig) -> None:
    # Given a delivery that is due again in a second
    rig.post.answer = Retry("not now", 1)
    rig.give(rig.message("hello"))
    # When the lease ran out and the database does not answer
    with closing(sqlite3.connect(rig.folder / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        rig.clock.advance(LEASE_SECONDS + 1)
        rig.turn(3)
        assert len(rig.post.attempts) == 1
        assert rig.core.trouble is not None
    # Then it waits until it does
    rig.turn(3, seconds=6)
    assert len(rig.post.attempts) > 1
    assert rig.core.trouble is None


def test_trouble_of_an_idle_process_is_over_when_the_database_is_well(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a process with nothing to do, whose lease could not be renewed
    with closing(sqlite3.connect(rig.folder / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        rig.turn(2, seconds=6)
        assert rig.core.trouble is not None
    # When the database answers again, Then it says so without an event
    rig.turn(3, seconds=6)
    assert rig.core.trouble is None
    assert "well again" in caplog.text

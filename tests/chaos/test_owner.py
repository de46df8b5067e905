"""Two processes over one database: who is paused, killed or stopped, and what the other one does."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from event_pusher.outbox.lease import LEASE_SECONDS
from tests.chaos.field import Field
from tests.chaos.processes import Process, Warm

#: What a busy machine may add to a time that the issue names.
SLACK = 10.0


@pytest.fixture
def field(tmp_path: Path, warm: Warm) -> Iterator[Field]:
    """A ground whose push service is well."""
    with Field(tmp_path, warm, random.Random(5)) as ground:
        ground.moods.well = True
        yield ground


@pytest.fixture
def standby(field: Field) -> Iterator[tuple[Process, Process]]:
    """The owner, which is connected, and a second process that waits to take over."""
    owner = field.start()
    field.wait_connected()
    second = field.launcher.start(field.config, field.folder / "second-log")
    field.until(lambda: "stand-by" in second.said())
    yield owner, second
    for process in (owner, second):
        process.signal(signal.SIGCONT)
        process.kill()


def test_a_stand_by_takes_over_at_once_when_the_owner_is_killed(field: Field, standby: tuple[Process, Process]) -> None:
    owner, second = standby
    # When the owner is killed while messages come
    with field.feeding(100):
        field.life += 1
        began = time.monotonic()
        owner.kill()
        # Then the other one is connected long before the lease runs out
        field.until(lambda: "started" in second.said())
        assert time.monotonic() - began < LEASE_SECONDS / 2
    field.drain()
    # And nothing is lost
    field.book.check(in_flight=100)


def test_a_paused_owner_is_replaced_within_15_s_and_does_nothing_when_it_wakes_up(
    field: Field, standby: tuple[Process, Process]
) -> None:
    owner, second = standby
    # Given work under way
    with field.feeding(100):
        field.server.wait_for(lambda: len(field.book.sent) > 20)
        # When the owner is paused
        owner.signal(signal.SIGSTOP)
        began = time.monotonic()
        field.server.drop_stream()  # the server gives up a component that does not read
        field.life += 1
        # Then the other one takes over when the lease has run out
        field.until(lambda: "started" in second.said(), LEASE_SECONDS + SLACK)
        assert time.monotonic() - began < LEASE_SECONDS + SLACK
    field.drain()
    published = len(field.book.sent)
    # And the first one, awake again, publishes nothing, says why, and ends with 1
    owner.signal(signal.SIGCONT)
    assert owner.wait() == 1
    assert "another process owns the database now; this one stops" in owner.said()
    field.write(5)
    field.drain()
    assert len(field.book.sent) == published + 10
    field.book.check(in_flight=100)

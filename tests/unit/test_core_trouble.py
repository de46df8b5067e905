"""A database that is locked, full, or refuses a value: intake pauses, nothing is lost, all goes on by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from event_pusher.abc import DELIVERED, Acc, Delivery, Event
from event_pusher.errors import StorageError
from event_pusher.intake import Refusal, Removed
from event_pusher.testing.factories import BOB, HOST
from tests.unit.support import DATABASE, Rig, Rigs, body_of, post, push

Answers = list[Refusal | None]


class Lock:
    """Another program that writes to the database."""

    def __init__(self, rig: Rig) -> None:
        self._connection = sqlite3.connect(rig.folder / DATABASE, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def locked(rig: Rig) -> Iterator[Rig]:
    """A core whose database another program holds until `rig.lock.close()`."""
    with closing(Lock(rig)) as rig.lock:  # type: ignore[attr-defined]  # for these tests
        yield rig


def test_what_is_acknowledged_is_committed(locked: Rig) -> None:
    # When a message comes while the database is locked
    locked.give(locked.message("hello"))
    locked.turn(5, seconds=0.06)
    # Then nothing is acknowledged
    assert locked.feed.acknowledged == []


def test_a_locked_database_loses_nothing_and_doubles_nothing(locked: Rig, caplog: pytest.LogCaptureFixture) -> None:
    # Given messages that come while another program holds the database
    locked.give(locked.message("one"))
    locked.give(locked.message("two"))
    assert locked.core.trouble is not None
    assert locked.post.attempts == []
    # When it lets go
    locked.lock.close()  # type: ignore[attr-defined]  # see the fixture
    locked.turn(6, seconds=1)
    # Then both go, once, and the trouble is over
    assert locked.post.payloads == ["one", "two"]
    assert locked.core.trouble is None
    assert "intake pauses" in caplog.text
    assert "well again" in caplog.text


def test_enable_is_answered_wait_while_the_database_is_locked(locked: Rig) -> None:
    # When one comes, and more before the database is tried again
    answers: Answers = []
    locked.give(locked.enable(answers), locked.message("m"), locked.enable(answers, node="node-2"))
    # Then all are told to try again, and nothing is stored
    assert [(one.error_type, one.condition) for one in answers if one] == [("wait", "internal-server-error")] * 2
    locked.lock.close()  # type: ignore[attr-defined]  # see the fixture
    locked.turn(5, seconds=1)
    assert locked.built.registrations.list_() == []
    assert locked.post.payloads == ["m"]


def test_a_removal_is_not_lost_while_the_database_is_locked(rig: Rig) -> None:
    # Given a registration, and a database that is locked when the account is removed
    answers: Answers = []
    rig.give(rig.enable(answers))
    with closing(Lock(rig)):
        rig.give(Removed("feed", HOST, BOB, rig.at()))
        assert len(rig.built.registrations.list_()) == 1
    # When it is free again, Then it is done
    rig.turn(5, seconds=1)
    assert rig.built.registrations.list_() == []


def test_a_full_disk_loses_nothing(rig: Rig) -> None:
    # Given a database that may not grow
    connection = rig._writer.connection
    pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    answers: Answers = []
    rig.post.make = lambda _acc, event: [Delivery(BOB, "t", body_of(event).encode() * 2000)]
    # When more comes than fits
    rig.give(*(rig.message(f"body-{n:04}") for n in range(30)), rig.enable(answers))
    rig.turn(3)
    # Then intake pauses, and who waits for an answer is told
    assert rig.core.trouble is not None
    assert rig.feed.acknowledged == []
    assert [one.condition for one in answers if one] == ["internal-server-error"]
    # And when there is room, it all goes on, in order
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5000}")
    rig.turn(40, seconds=1)
    assert [one.delivery.payload[:9] for one in rig.post.attempts] == [f"body-{n:04}".encode() for n in range(30)]


def test_the_core_rests_while_the_database_does(locked: Rig) -> None:
    # Given a database in trouble, with more waiting behind the batch that failed
    locked.give(locked.message("one"))
    locked.core.inbox.put_items([locked.message("two")])
    locked.turn(seconds=0.001)
    # Then the core does not turn in vain
    assert locked.core._patience() > 0


def test_a_refused_row_is_left_out_alone(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    # Given a backend whose second delivery holds what no database stores
    def make(_acc: Acc, event: Event) -> list[Delivery]:
        body = body_of(event)
        return [Delivery("bob\udc80" if body == "two" else BOB, "target", body.encode(), lane=body)]

    rig.post.make = make
    # When three come in one read
    rig.give(rig.message("one"), rig.message("two"), rig.message("three"))
    rig.turn(10, seconds=0.1)
    # Then the others are accepted and acknowledged, and the one is logged and counted
    assert sorted(rig.post.payloads) == ["one", "three"]
    assert rig.counters["rows_refused", "post"] == 1
    assert rig.feed.acknowledged[-1].n == 3
    assert rig.core.rows == 0
    assert "cannot be stored" in caplog.text
    assert rig.core.trouble is None


def test_ids_are_never_given_twice_though_a_row_was_refused(rigs: Rigs) -> None:
    # Given the very first row of a database is refused
    rig = rigs()
    rig.post.make = lambda *_: [Delivery("bob\udc80", "target", b"x"), Delivery(BOB, "target", b"y", lane="l")]
    rig.post.answer = None
    rig.give(rig.message("one"))
    first = rig.post.attempts[0].id
    rig.post.report(DELIVERED)
    rig.turn(5)
    rig.close()
    # When another process goes on, Then its ids are new
    again = rigs()
    again.give(again.message("two"))
    assert again.post.attempts[0].id > first


def test_the_core_rests_when_only_settling_failed(rig: Rig) -> None:
    # Given a delivery whose end cannot be written, and more that comes meanwhile
    rig.post.answer = None
    rig.give(rig.message("one"))
    with closing(Lock(rig)):
        rig.post.report(DELIVERED)
        rig.turn(2, seconds=0.03)
        assert rig.core.trouble is not None
        rig.core.inbox.put_items([rig.message("two")])
        rig.turn(seconds=0.0)
        # Then the core does not turn in vain
        assert rig.core._patience() > 0
    # And all is written afterwards
    rig.post.answer = DELIVERED
    rig.turn(5, seconds=1)
    assert rig.post.payloads == ["one", "two"]
    assert rig.rows() == []


def test_a_decision_that_the_database_interrupts_is_made_anew(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given push, and behind it a backend which reads from a database that is away
    rig = rigs(backends=(push(), post()))
    rig.give(rig.enable([]))

    def away(_batch: object) -> list[object]:
        raise StorageError("away")

    with monkeypatch.context() as patch:
        patch.setattr(rig.post, "push_events", away)
        rig.give(rig.message("hello"))
        assert rig.core.trouble is not None
    # When it is back, Then both make what they would have made
    rig.turn(5, seconds=1)
    assert rig.post.payloads == ["hello"]
    assert len(rig.feed.server.requests) == 1

"""Who is online: MongooseIM's rule, by sessions."""

from __future__ import annotations

from typing import Any

import pytest

from event_pusher.intake import SessionChange
from event_pusher.sessions import SessionTable
from event_pusher.testing.factories import ALICE, BOB, HOST

CAROL = "carol@other.example"


def table(*changes: tuple[Any, ...]) -> SessionTable:
    """A table after (kind, session[, priority]) of Bob's, each with the resource `tablet`."""
    made = SessionTable()
    for change in changes:
        tell(made, *change)
    return made


def tell(sessions: SessionTable, kind: Any, session: str, priority: int | None = None, user: str = BOB) -> None:
    sessions.apply(SessionChange(kind, user, "tablet", session, priority), user.rpartition("@")[2])


@pytest.mark.parametrize(
    ("changes", "online", "silent"),
    [
        ([], False, False),
        ([("session-start", "1")], True, True),
        ([("session-start", "1"), ("available", "1", 5)], True, False),
        ([("session-start", "1"), ("available", "1", None)], True, False),
        ([("session-start", "1"), ("available", "1", -1)], False, False),
        ([("session-start", "1"), ("available", "1", 5), ("unavailable", "1")], False, False),
        ([("session-start", "1"), ("session-end", "1")], False, False),
        ([("session-start", "1"), ("available", "1", 5), ("hibernation-start", "1")], True, False),
        ([("available", "1", -1), ("available", "2", 0)], True, False),
        ([("available", "1", 1), ("session-start", "2")], True, True),
        ([("session-end", "never seen")], False, False),
    ],
)
def test_online_is_who_has_a_priority_that_is_not_negative(
    changes: list[tuple[Any, ...]], online: bool, silent: bool
) -> None:
    # Given what happened to Bob's sessions, Then he is online or not; a bound one that is silent counts
    sessions = table(*changes)
    assert sessions.is_online(BOB) is online
    assert (BOB in sessions.silent) is silent


def test_a_resumed_session_with_the_same_resource_outlives_the_old_one() -> None:
    # Given a session that was resumed as a new one with the same resource
    sessions = table(("session-start", "old"), ("available", "old", 1), ("hibernation-start", "old"))
    tell(sessions, "session-start", "new")
    tell(sessions, "available", "new", 1)
    # When the old one ends
    tell(sessions, "session-end", "old")
    # Then Bob is online
    assert [one.id for one in sessions.of(BOB)] == ["new"]
    assert sessions.is_online(BOB)


def test_hibernation_is_kept_per_session() -> None:
    sessions = table(("session-start", "1"), ("hibernation-start", "1"), ("session-start", "2"))
    assert {one.id: one.hibernated for one in sessions.of(BOB)} == {"1": True, "2": False}
    tell(sessions, "hibernation-end", "1")
    assert not any(one.hibernated for one in sessions.of(BOB))


def test_a_snapshot_takes_away_what_it_does_not_name() -> None:
    # Given sessions of two users of a host and one of another host
    sessions = table(("session-start", "gone"), ("session-start", "kept"))
    tell(sessions, "session-start", "a1", user=ALICE)
    tell(sessions, "session-start", "c1", user=CAROL)
    # When a snapshot of the first host names one of them, and one ends meanwhile
    sessions.snapshot_begin(HOST)
    tell(sessions, "session-start", "kept", 3)
    tell(sessions, "session-start", "short")
    tell(sessions, "session-end", "short")
    sessions.snapshot_end(HOST)
    # Then only that one is left there, and the other host is as it was
    assert [(one.id, one.priority) for one in sessions.of(BOB)] == [("kept", 3)]
    assert sessions.of(ALICE) == []
    assert sessions.is_online(CAROL)
    assert len(sessions) == 2


def test_the_end_of_a_snapshot_that_never_began_changes_nothing() -> None:
    sessions = table(("session-start", "1"))
    sessions.snapshot_end(HOST)
    assert sessions.is_online(BOB)


@pytest.mark.parametrize(("user", "left"), [(BOB, [ALICE, CAROL]), (None, [CAROL])])
def test_a_removed_account_or_host_has_no_sessions(user: str | None, left: list[str]) -> None:
    sessions = SessionTable()
    for one in (BOB, ALICE, CAROL):
        tell(sessions, "session-start", "1", user=one)
    sessions.remove(HOST, user)
    assert [one for one in (BOB, ALICE, CAROL) if sessions.is_online(one)] == left
    assert sessions.silent == set(left)

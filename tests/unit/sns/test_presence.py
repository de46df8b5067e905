"""Presence by the real table of sessions: what a consumer believes in the end is how it is."""

from __future__ import annotations

from typing import Any

import pytest

from event_pusher.events import Event, UserStatusEvent
from event_pusher.intake import SessionChange
from event_pusher.jid import Jid
from event_pusher.sessions import SessionTable
from event_pusher.testing import acc
from event_pusher.testing.factories import BOB, HOST
from tests.unit.sns.support import backend, decide

Step = tuple[Any, ...]


class Feed:
    """A table of sessions, and a backend that decides by it, a batch at a time as the core does."""

    def __init__(self) -> None:
        self.sessions = SessionTable()
        self.sns = backend(tools={"sessions": self.sessions})
        self.told: list[bool] = []

    def batch(self, *steps: Step) -> None:
        """(kind, session[, priority]) of Bob's: first all of them reach the table, then they are decided."""
        events: list[Event] = []
        for kind, session, *priority in steps:
            change = SessionChange(kind, BOB, session, session, priority[0] if priority else None)
            self.sessions.apply(change, HOST)
            if kind in ("available", "unavailable"):
                jid = Jid.parse(f"{BOB}/{session}")
                events.append(UserStatusEvent(jid, "online" if kind == "available" else "offline"))
        for event in events:
            self.told += [said["present"] for _, said in decide(self.sns, event, acc())]


@pytest.mark.parametrize(
    ("steps", "present"),
    [
        ([("available", "a"), ("unavailable", "a")], False),
        ([("available", "a"), ("available", "b"), ("unavailable", "a")], True),
        ([("available", "a"), ("available", "b"), ("unavailable", "a"), ("unavailable", "b")], False),
        ([("available", "a"), ("unavailable", "a"), ("available", "b")], True),
        ([("available", "a", -1), ("available", "b", 5), ("unavailable", "b")], True),
        ([("session-start", "s"), ("available", "a"), ("unavailable", "a"), ("session-end", "s")], False),
        ([("available", "a"), ("hibernation-start", "a"), ("available", "b"), ("unavailable", "b")], True),
    ],
    ids=["one", "one of two", "both", "another", "a negative priority", "a silent session", "one that waits"],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_the_last_word_is_how_it_is(steps: list[Step], present: bool, size: int) -> None:
    # Given Bob's sessions come and go, When the core takes in these events, so many at a time
    feed = Feed()
    for start in range(0, len(steps), size):
        feed.batch(*steps[start : start + size])
    # Then what was told last is how it is
    assert feed.told[-1] is present
    assert feed.sessions.is_available(BOB) is present


def test_nobody_hears_that_a_user_went_who_did_not() -> None:
    # Given Bob is there with two sessions
    feed = Feed()
    feed.batch(("available", "a"), ("available", "b"))
    # When one goes
    feed.batch(("unavailable", "a"))
    # Then nothing is told
    assert feed.told == [True, True]

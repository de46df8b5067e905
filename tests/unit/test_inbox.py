"""Lists go in from any thread and come out all at once."""

from __future__ import annotations

import threading
from typing import Any

from event_pusher.abc import DELIVERED, Delivery
from event_pusher.inbox import Inbox
from event_pusher.intake import Occurrence
from event_pusher.testing import attempt
from event_pusher.testing.factories import BOB, HOST

NOTHING: tuple[list[Any], ...] = ([], [], [])
PUBLISHER: Any = object()


def test_nothing_is_nothing() -> None:
    assert tuple(Inbox().take(0)) == NOTHING


def test_everything_comes_out_sorted_and_in_order() -> None:
    # Given mail of all kinds
    inbox = Inbox()
    first, second = [Occurrence("feed", HOST)], [Occurrence("other", HOST)]
    outcomes = [(attempt(Delivery(BOB, "t", b"x")), DELIVERED)]
    calls: list[str] = []
    inbox.put_items(first)
    inbox.put_call(lambda: calls.append("a"))
    inbox.put_items(second)
    inbox.put_outcomes(PUBLISHER, outcomes)
    inbox.put_call(lambda: calls.append("b"))
    # When it is taken
    mail = inbox.take(0)
    for call in mail.calls:
        call()
    # Then each kind is in its order, and nothing is left
    assert mail.items == [first, second]
    assert mail.outcomes == [(PUBLISHER, outcomes)]
    assert calls == ["a", "b"]
    assert tuple(inbox.take(0)) == NOTHING


def test_who_waits_is_woken_by_the_first() -> None:
    # Given somebody who waits for a long time
    inbox, got = Inbox(), []
    waiting = threading.Thread(target=lambda: got.append(inbox.take(60)))
    waiting.start()
    # When something comes, Then the wait is over
    inbox.put_items([Occurrence("feed", HOST)])
    waiting.join(30)
    assert len(got[0].items) == 1


def test_each_threads_order_is_kept() -> None:
    # Given eight threads that hand in at once
    inbox = Inbox()

    def hand_in(name: str) -> None:
        for n in range(100):
            inbox.put_items([Occurrence(name, str(n))])

    threads = [threading.Thread(target=hand_in, args=(str(n),)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    # When all is taken, Then nothing is missing and each one's order is kept
    items: list[Any] = [item for batch in inbox.take(0).items for item in batch]
    for name in range(8):
        assert [int(one.host) for one in items if one.source == str(name)] == list(range(100))

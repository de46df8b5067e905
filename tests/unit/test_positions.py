"""Where each feed stands: accepted once, acknowledged in time."""

from __future__ import annotations

import pytest

from event_pusher.intake import FeedLost, FeedStarted, Position
from event_pusher.positions import ACK_ENTRIES, ACK_SECONDS, IDLE_SECONDS, Positions

HOST = "example.org"


class Told:
    """Positions, and what was acknowledged."""

    def __init__(self, *loaded: Position) -> None:
        self.positions = Positions([("feed", HOST, one) for one in loaded])
        self.acknowledged: list[int] = []

    def take(self, n: int, epoch: str = "e1", now: float = 0.0, feed: str = "main") -> bool:
        return self.positions.take("feed", HOST, Position(feed, epoch, n), now)

    def commit(self) -> None:
        self.positions.committed(self.positions.dirty())

    def acknowledge(self, now: float) -> float | None:
        return self.positions.acknowledge(now, lambda _source, _host, position: self.acknowledged.append(position.n))


def test_an_entry_is_taken_once() -> None:
    told = Told()
    assert [told.take(n) for n in (1, 2, 2, 1, 3)] == [True, True, False, False, True]


def test_what_was_committed_before_a_restart_is_not_taken_again() -> None:
    told = Told(Position("main", "e1", 7))
    assert [told.take(n) for n in (6, 7, 8)] == [False, False, True]


def test_a_new_epoch_begins_anew() -> None:
    told = Told(Position("main", "e1", 7))
    assert told.take(1, "e2")
    told.commit()
    assert told.positions.all() == [("feed", HOST, Position("main", "e2", 1))]


def test_feeds_of_one_host_do_not_mix() -> None:
    told = Told()
    assert told.take(1)
    assert told.take(1, feed="other")


def test_only_what_changed_is_written() -> None:
    told = Told(Position("main", "e1", 7))
    assert told.positions.dirty() == []
    told.take(8)
    assert told.positions.dirty() == [("feed", HOST, Position("main", "e1", 8))]
    told.commit()
    assert told.positions.dirty() == []


def test_a_commit_of_an_older_epoch_says_nothing_about_the_new_one() -> None:
    # Given an entry that is being written when the server starts anew
    told = Told()
    told.take(5)
    written = told.positions.dirty()
    told.take(1, "e2")
    # When the commit is done, Then the new one's entry is still to be written
    told.positions.committed(written)
    assert told.positions.dirty() == [("feed", HOST, Position("main", "e2", 1))]


def test_nothing_is_acknowledged_before_its_commit() -> None:
    told = Told()
    told.take(1, now=1.0)
    assert told.acknowledge(9.0) is None
    assert told.acknowledged == []
    told.commit()
    told.acknowledge(9.0)
    assert told.acknowledged == [1]


def test_few_entries_wait_for_50_ms() -> None:
    # Given an acknowledgement at second 1
    told = Told()
    told.take(1)
    told.commit()
    told.acknowledge(1.0)
    # When another entry is committed right behind it
    told.take(2)
    told.commit()
    # Then it waits, and it is said until when
    assert told.acknowledge(1.0 + ACK_SECONDS / 2) == pytest.approx(1.0 + ACK_SECONDS)
    assert told.acknowledged == [1]
    assert told.acknowledge(1.0 + ACK_SECONDS) is None
    assert told.acknowledged == [1, 2]


def test_256_entries_do_not_wait() -> None:
    told = Told()
    told.take(1)
    told.commit()
    told.acknowledge(1.0)
    told.take(1 + ACK_ENTRIES)
    told.commit()
    told.acknowledge(1.001)
    assert told.acknowledged == [1, 257]


@pytest.mark.parametrize(("entries", "seconds", "due"), [(1, 0.5, False), (1, IDLE_SECONDS, True), (256, 0.0, True)])
def test_a_position_alone_is_committed_when_there_are_many_or_time_passed(
    entries: int, seconds: float, due: bool
) -> None:
    told = Told()
    for n in range(1, entries + 1):
        told.take(n, now=5.0)
    assert told.positions.commit_due(5.0 + seconds) is due


def test_a_known_feed_in_a_new_epoch_is_a_gap(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(Position("main", "e1", 7))
    told.positions.started(FeedStarted("feed", HOST, "main", "e2", 1, 2, 0))
    assert told.positions.gaps == 1
    assert "started anew" in caplog.text


def test_an_unknown_feed_or_the_same_epoch_is_none() -> None:
    told = Told(Position("main", "e1", 7))
    told.positions.started(FeedStarted("feed", HOST, "other", "e9", 1, 2, 0))
    told.positions.started(FeedStarted("feed", HOST, "main", "e1", 1, 8, 0))
    assert (told.positions.gaps, told.positions.lost) == (0, 0)


def test_what_was_lost_is_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    # Given a feed that says at its start that three entries are gone, and then which
    told = Told(Position("main", "e1", 7))
    told.positions.started(FeedStarted("feed", HOST, "main", "e1", 11, 20, 3))
    told.positions.told_lost(FeedLost("feed", HOST, "main", "e1", 8, 10))
    # Then they are counted once
    assert told.positions.lost == 3
    assert caplog.text.count("3 events are lost") == 1

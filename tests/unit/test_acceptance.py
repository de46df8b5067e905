"""From what a source hands in to rows on disk: nothing is lost, nothing is doubled, nothing goes before its commit."""

from __future__ import annotations

import pytest

from event_pusher.abc import Attempt, Delivery
from event_pusher.intake import Disable, FeedLost, FeedStarted, Occurrence, Position, Refusal, Removed
from event_pusher.testing import unacked_message_event
from event_pusher.testing.factories import BOB, HOST
from tests.unit.support import EPOCH, FEED, SERVICE, Rig, Rigs, body_of, push

Answers = list[Refusal | None]


@pytest.fixture
def pushing(rigs: Rigs) -> Rig:
    """The push backend over a server that answers at once."""
    return rigs(backends=(push(),))


def published(rig: Rig) -> int:
    """How many publishes left."""
    return len(rig.feed.server.requests)


def test_enable_then_a_message_in_one_read_pushes(pushing: Rig) -> None:
    # When both come in one read
    answers: Answers = []
    pushing.give(pushing.enable(answers), pushing.message("hello"))
    # Then the message is decided by what was stored
    assert answers == [None]
    assert published(pushing) == 1


def test_a_message_then_enable_in_one_read_does_not(pushing: Rig) -> None:
    answers: Answers = []
    pushing.give(pushing.message("hello"), pushing.enable(answers))
    assert answers == [None]
    assert published(pushing) == 0


@pytest.mark.parametrize("node", ["node-1", None])
def test_what_was_accepted_before_a_disable_in_the_same_read_is_not_tried(pushing: Rig, node: str | None) -> None:
    # Given a registration
    answers: Answers = []
    pushing.give(pushing.enable(answers))
    # When a message and then the disable come in one read
    pushing.give(pushing.message("hello"), Disable(BOB, SERVICE, node, answers.append))
    # Then nothing is pushed and nothing is left
    assert answers == [None, None]
    assert published(pushing) == 0
    assert pushing.rows() == []
    assert pushing.core.rows == 0


@pytest.mark.parametrize("user", [BOB, None])
def test_a_removed_account_or_host_loses_registrations_and_what_waits(pushing: Rig, user: str | None) -> None:
    # Given a registration with a delivery that waits
    answers: Answers = []
    pushing.feed.server.up = False
    pushing.give(pushing.enable(answers), pushing.message("hello"))
    assert len(pushing.rows()) == 1
    # When the account, or its host, is removed
    pushing.give(Removed("feed", HOST, user, pushing.at()))
    pushing.feed.server.up = True
    # Then a new account of that name gets nothing of it
    pushing.give(pushing.message("again"))
    pushing.turn(3, seconds=1)
    assert published(pushing) == 0
    assert pushing.rows() == []
    assert pushing.built.registrations.list_() == []


def test_no_more_registrations_than_allowed(rigs: Rigs) -> None:
    # Given an account that may have one
    rig = rigs(backends=(push(max_registrations=1),))
    answers: Answers = []
    # When it enables a second one, Then it is told so
    rig.give(rig.enable(answers, node="a"), rig.enable(answers, node="b"))
    assert answers[0] is None
    assert answers[1] is not None
    assert answers[1].condition == "resource-constraint"


def test_no_attempt_before_its_row_is_on_disk(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a backend that looks at the disk when it publishes
    seen: list[set[int]] = []
    rig.post.answer = None
    publish = rig.post.publish_many

    def look(attempts: list[Attempt], report: object) -> None:
        seen.append({one.id for one in attempts} - {one["id"] for one in rig.rows()})
        publish(attempts, report)  # type: ignore[arg-type]  # as it was given

    monkeypatch.setattr(rig.post, "publish_many", look)
    # When messages come, Then each was there before
    rig.give(*(rig.message(f"m{n}", f"u{n}@{HOST}") for n in range(20)))
    assert seen
    assert not set().union(*seen)


def test_deliveries_and_position_are_in_one_commit(rig: Rig) -> None:
    # Given a backend that answers nothing
    rig.post.answer = None
    commits = rig.counters["commits", ""]
    # When a message is accepted
    rig.give(rig.message("hello"))
    # Then one commit wrote both
    assert rig.counters["commits", ""] == commits + 1
    assert rig.parts.store.load_positions() == [("feed", HOST, Position(FEED, EPOCH, 1))]
    assert len(rig.rows()) == 1


def test_a_replay_adds_nothing(rig: Rig) -> None:
    first = rig.message("hello")
    rig.give(first)
    rig.give(first)
    assert rig.post.payloads == ["hello"]
    assert rig.counters["events_replayed", "feed"] == 1


def test_a_replay_after_a_restart_adds_nothing(rigs: Rigs) -> None:
    # Given a message that was accepted before a crash
    rig = rigs()
    first = rig.message("hello")
    rig.give(first)
    rig.turn(5)
    rig.crash()
    # When the feed replays it and goes on
    again = rigs()
    again.give(first, again.message("next"))
    # Then only the new one is pushed
    assert again.post.payloads == ["next"]


def test_what_was_not_pushed_before_is_no_copy(pushing: Rig) -> None:
    # Given a message that waits in a broken session, for which the default plugin pushes nothing
    answers: Answers = []
    pushing.give(pushing.enable(answers))
    pushing.give(pushing.message("hello", state="hibernated"))
    assert published(pushing) == 0
    # When the session dies and it comes as offline, Then it is pushed
    pushing.give(pushing.message("hello"))
    assert published(pushing) == 1


def test_a_copy_of_what_was_pushed_for_a_broken_session_is_not_pushed_again(rigs: Rigs) -> None:
    # Given a backend that delivers unacknowledged messages at once
    rig = rigs()
    rig.post.make = lambda _acc, event: [Delivery(BOB, "target", body_of(event).encode())]
    rig.give(rig.event(unacked_message_event("hello", id="m7")))
    # When the session dies, here after a restart, and the message comes again as offline
    rig.turn(5)
    rig.close()
    again = rigs()
    again.give(again.message("hello", id="m7"), again.message("hello", id="m8"))
    # Then only what was not pushed yet is pushed
    assert again.post.payloads == ["hello"]
    assert [one.reason for one in again.built.dispatcher.decisions] == ["duplicate", "accepted"]


def test_an_answer_that_cannot_be_given_stops_nothing(pushing: Rig) -> None:
    # Given a source whose stream is gone
    def broken(_refusal: Refusal | None) -> None:
        raise OSError("no stream")

    enable = pushing.enable([])
    enable.reply = broken
    # When it enables, Then the core goes on
    pushing.give(enable, pushing.message("hello"))
    assert published(pushing) == 1


def test_an_entry_without_an_event_moves_the_position(rig: Rig) -> None:
    rig.give(Occurrence("feed", HOST, rig.at()))
    rig.turn(3, seconds=1)
    assert rig.feed.acknowledged == [Position(FEED, EPOCH, 1)]


def test_what_the_feed_lost_is_counted(rig: Rig) -> None:
    rig.give(FeedLost("feed", HOST, FEED, EPOCH, 5, 9), FeedStarted("feed", HOST, FEED, EPOCH, 1, 2, 0))
    assert rig.built.positions.lost == 5

"""When two messages are copies of one."""

from __future__ import annotations

import pytest

from event_pusher.events import ChatEvent, Event, State
from event_pusher.idempotency import Seen, comes_again, delivery_key, may_be_copy, message_key
from event_pusher.testing import chat_event, unacked_message_event, user_status_event
from event_pusher.testing.factories import ALICE, BOB

SID = "urn:xmpp:sid:0"


def stanza_id(value: str, by: str = BOB) -> str:
    return f"<stanza-id xmlns='{SID}' by='{by}' id='{value}'/>"


def origin_id(value: str) -> str:
    return f"<origin-id xmlns='{SID}' id='{value}'/>"


def key(event: Event) -> bytes | None:
    assert isinstance(event, ChatEvent)
    return message_key(event)


def test_the_servers_id_names_the_message_whatever_else_differs() -> None:
    first = chat_event("one", id="a", extra=stanza_id("s1") + origin_id("o1"))
    assert key(first) == key(chat_event("two", id="b", extra=stanza_id("s1") + origin_id("o2")))
    assert key(first) != key(chat_event("one", id="a", extra=stanza_id("s2") + origin_id("o1")))


def test_an_id_that_somebody_else_put_there_is_not_trusted() -> None:
    # Given two messages into which the sender wrote the same foreign id
    one, two = (chat_event("m", id=id_, extra=stanza_id("s1", ALICE)) for id_ in "ab")
    # Then they are two
    assert key(one) != key(two)


def test_one_id_at_two_recipients_is_two_messages() -> None:
    assert key(chat_event(extra=origin_id("o1"))) != key(chat_event(recipient=ALICE, extra=origin_id("o1")))


def test_without_the_servers_id_the_origins_and_the_sender_name_it() -> None:
    first = chat_event("one", id="a", sender=f"{ALICE}/phone", extra=origin_id("o1"))
    # A different resource is the same sender; another sender is not
    assert key(first) == key(chat_event("two", id="b", sender=f"{ALICE}/desk", extra=origin_id("o1")))
    assert key(first) != key(chat_event("one", id="a", sender="eve@example.org/x", extra=origin_id("o1")))


@pytest.mark.parametrize(("changed", "same"), [({}, True), ({"id": "b"}, False), ({"sender": f"{ALICE}/desk"}, False)])
def test_else_sender_id_and_body_name_it(changed: dict[str, str], same: bool) -> None:
    given = {"body": "one", "id": "a", "sender": f"{ALICE}/phone"}
    assert (key(chat_event(**given)) == key(chat_event(**(given | changed)))) is same  # type: ignore[arg-type]  # texts
    assert key(chat_event("two", id="a")) != key(chat_event("one", id="a"))


def test_without_any_id_nothing_is_a_copy() -> None:
    assert key(chat_event(id="")) is None
    assert key(chat_event(id="", extra=stanza_id(""))) is None


def test_an_unacknowledged_message_and_its_offline_copy_share_a_key() -> None:
    assert message_key(unacked_message_event("hi", id="m7")) == key(chat_event("hi", id="m7"))


def test_parts_do_not_run_into_each_other() -> None:
    message = b"m"
    assert delivery_key(message, "ab", "c") != delivery_key(message, "a", "bc")
    assert len(delivery_key(message, "push", "1")) == 16


@pytest.mark.parametrize(
    ("state", "again", "copy"),
    [("hibernated", True, True), ("offline", False, True), ("online", False, False), (None, False, False)],
)
def test_which_events_may_have_copies(state: State | None, again: bool, copy: bool) -> None:
    event = chat_event(state=state)
    assert (comes_again(event), may_be_copy(event)) == (again, copy)


def test_unacknowledged_ones_come_again_and_presence_never() -> None:
    assert comes_again(unacked_message_event())
    assert not may_be_copy(user_status_event())


def test_a_key_is_remembered_for_its_window() -> None:
    seen = Seen({}, window=60)
    assert seen.add(b"k", 100.0) == 160.0
    seen.expire(159.9)
    assert b"k" in seen
    seen.expire(160.0)
    assert b"k" not in seen


def test_what_was_loaded_expires_in_its_turn() -> None:
    seen = Seen({b"late": 20.0, b"soon": 10.0}, window=60)
    seen.expire(15.0)
    assert b"soon" not in seen
    assert b"late" in seen


def test_beyond_the_limit_the_oldest_goes() -> None:
    seen = Seen({}, window=60, limit=2)
    for name in (b"a", b"b", b"c"):
        seen.add(name, 0.0)
    assert [name in seen for name in (b"a", b"b", b"c")] == [False, True, True]


def test_what_was_not_committed_is_forgotten() -> None:
    seen = Seen({}, window=60)
    seen.add(b"k", 0.0)
    seen.discard(b"k")
    assert len(seen) == 0

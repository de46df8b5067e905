"""What is said to RabbitMQ: routing keys and JSON as the model's (its tests 89 to 105), and the frame of the outbox."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_pusher.abc import Event
from event_pusher.testing import acc, chat_event, make_tools, unacked_message_event, user_status_event
from event_pusher_rabbit.backend import RabbitBackend
from event_pusher_rabbit.settings import RabbitSettings
from event_pusher_rabbit.wire import Message, message_of, pack, unpack

ALL = RabbitSettings.model_validate(
    {"presence_exchange": {}, "chat_msg_exchange": {}, "groupchat_msg_exchange": {"sent_topic": "said"}}
)
ROOM = "room@conference.example.org"


def made(event: Event, settings: RabbitSettings = ALL) -> Message:
    message = message_of(settings, acc(), event)
    assert message is not None
    return message


@pytest.mark.parametrize(("status", "present"), [("online", True), ("offline", False)])
def test_a_presence_tells_the_full_jid_in_lower_case(status: Any, present: bool) -> None:
    message = made(user_status_event("bob@example.org/Tablet", status))

    assert (message.exchange, message.routing_key) == ("presence", "bob@example.org")
    assert json.loads(message.body) == {"user_id": "bob@example.org/tablet", "present": present}


@pytest.mark.parametrize(
    ("event", "exchange", "key"),
    [
        (chat_event(direction="in"), "chat_msg", "alice@example.org.chat_msg_sent"),
        (chat_event(direction="out"), "chat_msg", "bob@example.org.chat_msg_recv"),
        (chat_event(type="groupchat", direction="in", recipient=ROOM), "groupchat_msg", "alice@example.org.said"),
        (
            chat_event(type="groupchat", sender=f"{ROOM}/alice"),
            "groupchat_msg",
            "bob@example.org.groupchat_msg_recv",
        ),
    ],
    ids=["chat in", "chat out", "groupchat in", "groupchat out"],
)
def test_a_message_is_routed_by_whose_it_is_and_which_way_it_goes(event: Event, exchange: str, key: str) -> None:
    message = made(event)

    assert (message.exchange, message.routing_key) == (exchange, key)


def test_a_message_names_both_in_lower_case_and_keeps_its_text() -> None:
    message = made(chat_event("Grüße ☕", sender="alice@example.org/Phone", recipient="bob@example.org/PC"))

    assert json.loads(message.body) == {
        "from_user_id": "alice@example.org/phone",
        "to_user_id": "bob@example.org/pc",
        "message": "Grüße ☕",
    }


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (chat_event(""), "no-body"),
        (chat_event("", type="groupchat", extra="<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"), "no-body"),
        (chat_event(type="normal"), "type"),
        (chat_event(type="headline"), "type"),
        (unacked_message_event(), "kind"),
    ],
    ids=["no body", "marker", "normal", "headline", "unacked"],
)
def test_what_is_no_message_of_a_chat_is_skipped_with_a_reason(event: Event, reason: str) -> None:
    accumulator = acc()

    assert list(RabbitBackend(ALL, make_tools()).push_event(accumulator, event)) == []
    assert accumulator.skipped == reason


@pytest.mark.parametrize(
    "event", [user_status_event(), chat_event(), chat_event(type="groupchat")], ids=["presence", "chat", "groupchat"]
)
def test_a_stream_without_a_section_is_off(event: Event) -> None:
    assert message_of(RabbitSettings(), acc(), event) is None


def test_metadata_is_merged_in_and_wins() -> None:
    accumulator = acc()
    accumulator.metadata = {"present": "unknown", "session_count": 0}

    message = message_of(ALL, accumulator, user_status_event("bob@example.org/pc"))

    assert message is not None
    assert json.loads(message.body) == {"user_id": "bob@example.org/pc", "present": "unknown", "session_count": 0}


def test_a_host_with_exchanges_of_its_own_publishes_to_them() -> None:
    # Given a host with another name for its exchange
    special = RabbitSettings.model_validate({"chat_msg_exchange": {"name": "theirs"}})
    backend = RabbitBackend(ALL, make_tools(host_settings={"other.example": special}))
    # When a message of that host comes, and one of another
    (theirs,) = backend.push_event(acc(host="other.example"), chat_event())
    (ours,) = backend.push_event(acc(), chat_event())
    # Then each goes its own way
    assert (theirs.target, ours.target) == ("theirs", "chat_msg")


names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(names, names, st.integers(0, 2**40), st.binary(max_size=100))
def test_what_was_packed_is_unpacked(exchange: str, key: str, time: int, body: bytes) -> None:
    message = Message(exchange, key, time, body)

    assert unpack(pack(message)) == message


def test_a_payload_of_the_first_format_can_still_be_read() -> None:
    payload = b'chat_msg\0bob@example.org.chat_msg_recv\x001700000000\0{"message": "a\\u0000b"}'

    assert unpack(payload) == Message(
        "chat_msg", "bob@example.org.chat_msg_recv", 1_700_000_000, b'{"message": "a\\u0000b"}'
    )


@pytest.mark.parametrize("payload", [b"", b"chat_msg\0key\0body", b"chat_msg\0key\0noon\0{}", b"\xff\0key\x001\0{}"])
def test_what_is_no_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them will do
        unpack(payload)

"""What a consumer of a real RabbitMQ gets: the model's exchanges, routing keys and JSON (its tests 85 to 105)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rabbit_pusher import ALL, Make, make_pusher, rabbit_options
from rabbitmq import RabbitMq, rabbitmq, vhost

from event_pusher.abc import DELIVERED
from event_pusher.testing import acc, attempt, chat_event, user_status_event

__all__ = ["make_pusher", "rabbit_options", "rabbitmq", "vhost"]  # fixtures, found by their names

pytestmark = pytest.mark.servers

ROOM = "room@conference.example.org"

# --- exchanges ------------------------------------------------------------------------------------------------------


def test_exchanges_are_declared_at_the_start(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # Given exchanges of a type of their own, one of them durable
    exchanges = {name: {"type": "headers", "durable": name == "presence_exchange"} for name in ALL}
    # When the backend connects
    make(**exchanges)
    # Then they are there, as they were described
    assert rabbitmq.exchanges(vhost) == {
        "presence": ("headers", True),
        "chat_msg": ("headers", False),
        "groupchat_msg": ("headers", False),
    }


def test_an_exchange_without_a_section_is_not_declared(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # When only the presence exchange is configured
    make(presence_exchange={})
    # Then there is no other
    assert rabbitmq.exchanges(vhost) == {"presence": ("topic", False)}


def test_messages_of_a_stream_that_is_off_make_nothing(make: Make) -> None:
    # Given a backend with the presence exchange alone
    pusher = make(presence_exchange={})
    # When a message is sent
    made = pusher.publish(chat_event(direction="in", state=None))
    # Then there is nothing to publish
    assert made == []


# --- what a consumer gets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirms", [True, False])
@pytest.mark.parametrize(("status", "present"), [("online", True), ("offline", False)])
def test_presence_is_published_under_the_bare_jid(
    make: Make, rabbitmq: RabbitMq, vhost: str, status: Any, present: bool, confirms: bool
) -> None:
    # Given a consumer of Bob's presence
    pusher = make(presence_exchange={}, confirms_enabled=confirms)
    rabbitmq.bind(vhost, "q", ("presence", "bob@example.org"))
    # When a session of his comes or goes
    outcome = pusher.outcome(user_status_event("bob@example.org/Tablet", status))
    # Then the consumer is told, with the full JID in lower case
    (got,) = rabbitmq.read(vhost, "q", 1)
    assert outcome == DELIVERED
    assert got.key == "bob@example.org"
    assert json.loads(got.body) == {"user_id": "bob@example.org/tablet", "present": present}


CHAT = {"from_user_id": "alice@example.org/phone", "to_user_id": "bob@example.org/pc", "message": "Grüße, Bob ☕"}


@pytest.mark.parametrize(
    ("direction", "key"),
    [("in", "alice@example.org.chat_msg_sent"), ("out", "bob@example.org.chat_msg_recv")],
)
def test_a_chat_message_is_published_for_its_sender_and_its_recipient(
    make: Make, rabbitmq: RabbitMq, vhost: str, direction: Any, key: str
) -> None:
    # Given a consumer of everything
    pusher = make(**ALL)
    rabbitmq.bind(vhost, "q", ("chat_msg", "#"))
    # When a message goes from Alice to Bob
    event = chat_event(
        "Grüße, Bob ☕", sender="alice@example.org/Phone", recipient="bob@example.org/PC", direction=direction
    )
    pusher.outcome(event)
    # Then its key is that of whose event it is, its body is the same
    (got,) = rabbitmq.read(vhost, "q", 1)
    assert got.key == key
    assert json.loads(got.body) == CHAT


@pytest.mark.parametrize(
    ("direction", "sender", "recipient", "key"),
    [
        ("in", "alice@example.org/phone", ROOM, "alice@example.org.groupchat_msg_sent"),
        ("out", f"{ROOM}/alice", "bob@example.org/pc", "bob@example.org.groupchat_msg_recv"),
    ],
)
def test_a_rooms_message_goes_to_the_rooms_exchange(
    make: Make, rabbitmq: RabbitMq, vhost: str, direction: Any, sender: str, recipient: str, key: str
) -> None:
    # Given a consumer of the rooms' exchange
    pusher = make(**ALL)
    rabbitmq.bind(vhost, "q", ("groupchat_msg", "#"))
    # When a message goes to a room, or from it to an occupant
    pusher.outcome(chat_event("hello all", sender=sender, recipient=recipient, type="groupchat", direction=direction))
    # Then it is addressed like the stanza
    (got,) = rabbitmq.read(vhost, "q", 1)
    assert got.key == key
    assert json.loads(got.body) == {"from_user_id": sender, "to_user_id": recipient, "message": "hello all"}


def test_what_event_plugins_add_is_in_the_body_and_wins(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # Given metadata, as the model's filter adds it, and a key of the body's own
    pusher = make(presence_exchange={})
    rabbitmq.bind(vhost, "q", ("presence", "#"))
    accumulator = acc()
    accumulator.metadata = {"timestamp": 1_700_000_000_000_000, "session_count": 0, "present": "ask later"}
    # When a presence is published
    pusher.outcome(user_status_event("bob@example.org/pc", "offline"), accumulator)
    # Then it is merged in
    (got,) = rabbitmq.read(vhost, "q", 1)
    added = accumulator.metadata
    assert json.loads(got.body) == {"user_id": "bob@example.org/pc"} | added


def test_a_message_is_persistent_and_says_what_it_is(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # Given a consumer
    pusher = make(**ALL)
    rabbitmq.bind(vhost, "q", ("chat_msg", "#"))
    # When one delivery is tried twice
    (first,) = pusher.publish(chat_event(), acc(received_at=1_700_000_000.9))
    pusher.backend.publish_many([attempt(first.delivery, number=2, id=first.id)], pusher.reports)
    # Then both carry the same id, the time of the event, and what makes them safe to keep
    for got in rabbitmq.read(vhost, "q", 2):
        properties = got.properties
        assert properties.content_type == "application/json"
        assert properties.delivery_mode == 2
        assert properties.message_id == first.key
        assert properties.timestamp == 1_700_000_000


def test_a_large_message_arrives_whole(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # Given a text longer than a frame
    pusher, text = make(**ALL), "long " * 100_000
    rabbitmq.bind(vhost, "q", ("chat_msg", "#"))
    # When it is published
    pusher.outcome(chat_event(text))
    # Then nothing of it is missing
    (got,) = rabbitmq.read(vhost, "q", 1)
    assert json.loads(got.body)["message"] == text

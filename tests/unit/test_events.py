"""Stanzas, events, the accumulator, and the JSON of an event."""

import dataclasses
import json

import pytest
from lxml import etree

from event_pusher.events import Acc, ChatEvent, Stanza, to_json
from event_pusher.notification import Notification
from event_pusher.registration import Registration
from event_pusher.testing import acc, chat_event, message, unacked_message_event, user_status_event

# --- stanzas ------------------------------------------------------------------------------------------------------


def test_a_stanza_knows_its_body_id_and_type() -> None:
    stanza = Stanza.parse("<message xmlns='jabber:client' id='i' type='chat'><body>Hi &amp; bye</body></message>")

    assert (stanza.body, stanza.id, stanza.type) == ("Hi & bye", "i", "chat")


def test_what_a_stanza_lacks_is_empty() -> None:
    stanza = Stanza.parse("<message xmlns='jabber:client'/>")

    assert (stanza.body, stanza.id, stanza.type) == ("", "", "")


def test_the_body_of_a_forwarded_message_is_not_its_own() -> None:
    inner = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>no</body></message></forwarded>"

    assert message("", extra=inner).body == ""


def test_stanzas_are_equal_when_their_bytes_are() -> None:
    assert message("one") == message("one")
    assert hash(message("one")) == hash(message("one"))
    assert message("one") != message("two")


def test_has_asks_for_a_direct_child_of_a_namespace() -> None:
    stanza = message(extra="<store xmlns='urn:xmpp:hints'/><a xmlns='urn:a'><b xmlns='urn:b'/></a>")

    assert stanza.has("store", "urn:xmpp:hints")
    assert not stanza.has("no-store", "urn:xmpp:hints")
    assert not stanza.has("b", "urn:b")


def test_the_element_is_a_copy_that_may_be_changed() -> None:
    stanza = message("one")

    stanza.element().clear()

    assert stanza.element().findtext("{jabber:client}body") == "one"


def test_a_stanza_does_not_show_its_text() -> None:
    assert "one" not in repr(message("one"))


@pytest.mark.parametrize("hidden", ["<!ENTITY x SYSTEM 'file:///etc/hostname'>", "<!ENTITY x 'expanded'>"])
def test_entities_are_not_expanded(hidden: str) -> None:
    text = f"<!DOCTYPE m [{hidden}]><message xmlns='jabber:client'><body>&x;</body></message>"

    assert Stanza.parse(text).body == ""


def test_what_is_no_xml_is_refused() -> None:
    with pytest.raises(etree.XMLSyntaxError):
        Stanza.parse("<message>")


# --- events -------------------------------------------------------------------------------------------------------


def test_an_event_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        chat_event().state = "online"  # type: ignore[misc]  # the test is that it cannot be done


def test_whose_event_it_is() -> None:
    assert str(chat_event(direction="out").user) == "bob@example.org"
    assert str(chat_event(direction="in").user) == "alice@example.org"
    assert str(user_status_event().user) == "bob@example.org"
    assert str(unacked_message_event().user) == "bob@example.org"


def test_events_do_not_show_what_was_written() -> None:
    assert "secret plan" not in repr(chat_event("secret plan"))
    assert "secret plan" not in repr(unacked_message_event("secret plan"))


# --- the accumulator ----------------------------------------------------------------------------------------------

ONE = Registration(1, "bob@example.org", "push.example.net", "n1")
TWO = Registration(2, "bob@example.org", "push.example.net", "n2")


def collecting() -> tuple[Acc, list[tuple[Registration, Notification]]]:
    travelling, enqueued = acc(), list[tuple[Registration, Notification]]()
    travelling.collect(lambda registration, notification: enqueued.append((registration, notification)))
    return travelling, enqueued


def test_deliver_enqueues_the_prepared_notification_for_each_service() -> None:
    # Given what prepare_notification answered
    travelling, enqueued = collecting()
    travelling.notification = Notification((("message-count", "1"),))
    # When a plugin delivers
    travelling.deliver([ONE, TWO])
    # Then each service has it, and the accumulator knows
    assert enqueued == [(ONE, travelling.notification), (TWO, travelling.notification)]
    assert travelling.published == [ONE, TWO]


def test_deliver_takes_another_notification() -> None:
    travelling, enqueued = collecting()
    travelling.notification = Notification()
    other = Notification((("message-count", "9"),))

    assert travelling.deliver([ONE], other) is travelling
    assert enqueued == [(ONE, other)]


def test_deliver_without_a_notification_delivers_nothing() -> None:
    travelling, enqueued = collecting()

    travelling.deliver([ONE])

    assert enqueued == []
    assert travelling.published == []


def test_deliver_outside_the_push_backend_delivers_nothing() -> None:
    travelling = acc()
    travelling.notification = Notification()

    travelling.deliver([ONE])

    assert travelling.published == []


def test_the_last_reason_to_skip_counts() -> None:
    travelling = acc()
    travelling.skip("type")
    travelling.skip("plugin")

    assert travelling.skipped == "plugin"


# --- JSON ---------------------------------------------------------------------------------------------------------


def test_the_json_of_a_chat_event() -> None:
    event = chat_event("Hi", id="m1", session="s1")
    assert isinstance(event, ChatEvent)

    assert json.loads(to_json(acc("a1", received_at=5.0), event)) == {
        "version": 1,
        "id": "a1",
        "host": "example.org",
        "received_at": 5.0,
        "kind": "chat",
        "user": "bob@example.org",
        "type": "chat",
        "direction": "out",
        "state": "offline",
        "from": "alice@example.org/phone",
        "to": "bob@example.org",
        "session": "s1",
        "message_id": "m1",
        "body": "Hi",
    }


def test_the_json_of_a_status_event() -> None:
    said = json.loads(to_json(acc(), user_status_event("bob@example.org/tablet", "offline")))

    assert (said["kind"], said["jid"], said["status"]) == ("user_status", "bob@example.org/tablet", "offline")
    assert "body" not in said


def test_the_json_of_an_unacked_message() -> None:
    said = json.loads(to_json(acc(), unacked_message_event("Hi")))

    assert (said["kind"], said["type"], said["to"], said["body"]) == (
        "unacked_message",
        "chat",
        "bob@example.org/tablet",
        "Hi",
    )


def test_the_json_can_leave_out_what_was_written() -> None:
    assert "body" not in json.loads(to_json(acc(), chat_event("Hi"), body=False))


def test_metadata_comes_last_and_wins() -> None:
    travelling = acc()
    travelling.metadata.update(tenant="t1", host="other")

    said = json.loads(to_json(travelling, chat_event()))

    assert (said["tenant"], said["host"]) == ("t1", "other")

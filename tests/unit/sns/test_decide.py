"""What becomes of each event: MongooseIM's tests of its sns backend (sections 5.7 and 5.8), by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from event_pusher.abc import ChatEvent, Delivery, Event, Jid, NoSettings, UserStatusEvent
from event_pusher.errors import SettingsError
from event_pusher.events import MessageType
from event_pusher.testing import acc, chat_event, unacked_message_event, user_status_event
from event_pusher.testing.factories import ALICE, BOB
from event_pusher_sns.plugin import Attribute, SnsPlugin
from event_pusher_sns.settings import SnsSettings
from tests.unit.sns.support import MUC, PM, PRESENCE, ROOM, SECTION, backend, decide, notice_of, plugins, sent


class Masked(SnsPlugin[NoSettings]):
    """Names nobody, and says what it was told."""

    def user_guid(self, jid: Jid) -> str:
        return f"guid-of-{jid.local}"

    def message_attributes(self, topic_arn: str, event: UserStatusEvent | ChatEvent) -> Mapping[str, Attribute]:
        said = (
            f"{event.jid} {event.status}" if isinstance(event, UserStatusEvent) else f"{event.type} {event.stanza.id}"
        )
        return {"topic": topic_arn.rpartition(":")[2], "said": said, "version": 2, "test": True}


class Binary(SnsPlugin[NoSettings]):
    """Sends bytes beside the message."""

    def message_attributes(self, topic_arn: str, event: UserStatusEvent | ChatEvent) -> Mapping[str, Attribute]:
        return {"raw": b"\x00"}


@pytest.mark.parametrize(
    "text",
    ["hi", "Zażółć gęślą jaźń ☕", "👩‍👩‍👧 أهلا", 'quotes " and \\ and \n'],
    ids=["ascii", "latin", "emoji", "quotes"],
)
def test_handles_unicode_messages(text: str) -> None:
    assert decide(backend(), sent(text)) == [(PM, {"from_user_id": ALICE, "to_user_id": BOB, "message": text})]


def test_forwards_chat_messages_to_pm_topic() -> None:
    assert [topic for topic, _ in decide(backend(), sent())] == [PM]


def test_forwards_groupchat_messages_to_muc_topic() -> None:
    # When Alice writes to a room
    said = decide(backend(), sent("hi", recipient=ROOM, type="groupchat"))
    # Then it goes to the topic of rooms, and the room is whom it is to
    assert said == [(MUC, {"from_user_id": ALICE, "to_user_id": ROOM, "message": "hi"})]


@pytest.mark.parametrize("kind", sorted({*get_args(MessageType)} - {"chat", "groupchat"}))
def test_does_not_forward_other_messages(kind: MessageType) -> None:
    assert decide(backend(), sent("hi", type=kind)) == []


def test_does_not_forward_what_users_receive() -> None:
    events: list[Event] = [chat_event("hi", direction="out"), unacked_message_event("hi")]

    assert [decide(backend(), event) for event in events] == [[], []]


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-east-1", "aws"),
        ("ap-southeast-2", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
    ],
)
def test_creates_proper_sns_topic_arn(region: str, partition: str) -> None:
    assert [topic for topic, _ in decide(backend(region=region), sent())] == [
        f"arn:{partition}:sns:{region}:123456789012:pm"
    ]


def test_forwards_online_presence_to_presence_topic() -> None:
    # When a session becomes available
    said = decide(backend(online=(BOB,)), user_status_event(f"{BOB}/tablet", "online"))
    # Then its user, without resource, is told to be present
    assert said == [(PRESENCE, {"user_id": BOB, "present": True})]


def test_forwards_offline_presence_to_presence_topic() -> None:
    said = decide(backend(), user_status_event(f"{BOB}/tablet", "offline"))

    assert said == [(PRESENCE, {"user_id": BOB, "present": False})]


def test_a_user_is_not_told_to_be_gone_while_another_session_is_there() -> None:
    # Given Bob is still there with another session, When one goes
    about = acc()
    said = decide(backend(online=(BOB,)), user_status_event(f"{BOB}/tablet", "offline"), about)
    # Then nothing is told, and `explain` can say why
    assert said == []
    assert about.skipped == "online"


def test_does_not_forward_messages_without_body() -> None:
    # When Alice's client says that she is typing
    about = acc()
    event = sent("", extra="<composing xmlns='http://jabber.org/protocol/chatstates'/>")
    # Then nothing is told
    assert decide(backend(), event, about) == []
    assert about.skipped == "no-body"


def test_forwards_a_body_without_text() -> None:
    assert [said["message"] for _, said in decide(backend(), sent("", extra="<body/>"))] == [""]


def test_a_body_of_another_namespace_is_none() -> None:
    assert decide(backend(), sent("", extra="<body xmlns='http://www.w3.org/1999/xhtml'>hi</body>")) == []


@pytest.mark.parametrize(("stream", "kind"), [("pm_messages_topic", "chat"), ("muc_messages_topic", "groupchat")])
def test_does_not_forward_messages_when_topic_is_unset(stream: str, kind: MessageType) -> None:
    unset: dict[str, Any] = {stream: None}

    assert decide(backend(**unset), sent(type=kind)) == []


@pytest.mark.parametrize("status", ["online", "offline"])
def test_does_not_forward_presences_when_topic_is_unset(status: str) -> None:
    event = user_status_event(status="online" if status == "online" else "offline")

    assert decide(backend(presence_updates_topic=None), event) == []


def test_calls_callback_module_to_get_user_id() -> None:
    # Given a plugin that names users otherwise
    sns = backend(Masked)
    # Then presence and messages use its names
    assert decide(sns, user_status_event())[0][1]["user_id"] == "guid-of-bob"
    assert decide(sns, sent())[0][1] == {
        "from_user_id": "guid-of-alice",
        "to_user_id": "guid-of-bob",
        "message": "hi",
    }


def test_calls_callback_module_to_retrieve_attributes_for_presence() -> None:
    (delivery,) = _deliveries(user_status_event(f"{BOB}/tablet", "online"))

    assert notice_of(delivery).attributes["said"] == {"DataType": "String", "StringValue": f"{BOB}/tablet online"}
    assert notice_of(delivery).attributes["topic"] == {"DataType": "String", "StringValue": "presence"}


def test_calls_callback_module_to_retrieve_attributes_for_message() -> None:
    (delivery,) = _deliveries(sent(id="m7"))

    assert notice_of(delivery).attributes["said"] == {"DataType": "String", "StringValue": "chat m7"}


def test_attributes_have_the_types_of_sns() -> None:
    (delivery,) = _deliveries(sent())

    attributes = notice_of(delivery).entry(0, "k")["MessageAttributes"]
    assert attributes["version"] == {"DataType": "Number", "StringValue": "2"}
    assert attributes["test"] == {"DataType": "String", "StringValue": "true"}


def test_an_attribute_may_be_bytes() -> None:
    (delivery,) = backend(Binary).push_event(acc(), sent())

    attributes = notice_of(delivery).entry(0, "k")["MessageAttributes"]
    assert attributes == {"raw": {"DataType": "Binary", "BinaryValue": b"\x00"}}


def test_a_plugin_that_changes_nothing_leaves_it_to_the_next() -> None:
    # Given a plugin that overrides nothing, before one that masks
    sns = backend(SnsPlugin, Masked)
    # Then the one behind it is asked
    assert decide(sns, sent())[0][1]["from_user_id"] == "guid-of-alice"


def test_metadata_is_in_what_is_told() -> None:
    # Given an event plugin that wrote something about the event
    about = acc()
    about.metadata["session_count"] = 0
    # Then it is told too
    assert decide(backend(), user_status_event(), about)[0][1] == {
        "user_id": BOB,
        "present": True,
        "session_count": 0,
    }


def test_what_is_told_of_a_user_goes_in_the_order_in_which_it_happened() -> None:
    # When Bob comes and goes, and Alice comes
    sns = backend()
    made = [*sns.push_event(acc(), user_status_event()), *sns.push_event(acc(), user_status_event(status="offline"))]
    other = list(sns.push_event(acc(), user_status_event(f"{ALICE}/phone")))
    # Then Bob's two share a lane, which is (recipient, target), and Alice's does not
    assert {(one.lane, one.recipient, one.target) for one in made} == {(None, BOB, PRESENCE)}
    assert other[0].recipient == ALICE


def test_a_host_may_have_topics_and_plugins_of_its_own() -> None:
    # Given a host with another topic and another plugin
    special = SnsSettings.model_validate(SECTION | {"pm_messages_topic": "theirs"})
    tools = {"host_settings": {"example.org": special}, "host_plugins": {"example.org": plugins(Masked)}}
    sns = backend(tools=tools)
    # Then its users are told of there
    ((topic, said),) = decide(sns, sent())
    assert (topic.rpartition(":")[2], said["from_user_id"]) == ("theirs", "guid-of-alice")
    # And those of other hosts are not
    ((topic, said),) = decide(sns, sent(sender="carol@other.example/r"))
    assert (topic, said["from_user_id"]) == (PM, "carol@other.example")


def test_workers_cannot_differ_between_hosts() -> None:
    special = SnsSettings.model_validate(SECTION | {"pool_size": 7})

    with pytest.raises(SettingsError, match="cannot differ between hosts"):
        backend(tools={"host_settings": {"example.org": special}})


def _deliveries(event: ChatEvent | UserStatusEvent) -> list[Delivery]:
    return list(backend(Masked).push_event(acc(), event))

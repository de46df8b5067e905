"""When the push backend makes a notification: the table of MongooseIM's default plugin, and the options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from event_pusher.abc import BackendTools, Delivery, Event, NoSettings, PublishOptions, Registration, StanzaSender
from event_pusher.events import MessageType, State
from event_pusher.testing import (
    InMemoryRegistrations,
    RecordingStanzas,
    acc,
    chat_event,
    make_chain,
    make_tools,
    unacked_message_event,
    user_status_event,
)
from event_pusher.testing.factories import ALICE, BOB
from event_pusher_push.backend import PushBackend
from event_pusher_push.settings import PushSettings
from event_pusher_push_defaults.plugin import DefaultsPlugin
from tests.unit.push.wire_reader import read

ROOM = "room@muclight.example.org"


class Phone:
    """Bob's registrations, and the push backend that asks for them."""

    def __init__(self, **options: object) -> None:
        self.registrations = InMemoryRegistrations()
        self.stanzas: StanzaSender = RecordingStanzas()
        self.tools: BackendTools = make_tools(
            registrations=self.registrations,
            stanzas=self.stanzas,
            plugins=make_chain((DefaultsPlugin, NoSettings())),
        )
        self.backend = PushBackend(PushSettings.model_validate(options), self.tools)

    def enable(self, node: str = "node-1", options: PublishOptions = (), user: str = BOB) -> int:
        return self.registrations.enable(user, node=node, options=options).id

    def hear(self, event: Event) -> list[Delivery]:
        """What one event makes."""
        self.acc = acc()
        return list(self.backend.push_event(self.acc, event))


@pytest.fixture
def phone() -> Phone:
    """A phone that is enabled."""
    phone = Phone()
    phone.enable()
    return phone


@pytest.mark.parametrize(
    ("type_", "body", "state", "pushes", "reason"),
    [
        ("chat", "hi", "offline", True, None),
        ("groupchat", "hi", "offline", True, None),
        ("chat", "hi", "online", False, "online"),
        ("groupchat", "hi", "online", False, "online"),
        ("chat", "hi", "hibernated", False, "online"),
        ("chat", "hi", None, False, "online"),
        ("chat", "", "offline", False, "no-body"),
        ("groupchat", "", "offline", False, "no-body"),
        ("normal", "hi", "offline", False, "type"),
        ("headline", "hi", "offline", False, "type"),
    ],
)
def test_what_is_pushed(
    phone: Phone, type_: MessageType, body: str, state: State | None, pushes: bool, reason: str | None
) -> None:
    # When a message of this kind is handed to Bob, Then it is pushed or not, and the reason is said
    assert bool(phone.hear(chat_event(body, type=type_, state=state))) is pushes
    assert phone.acc.skipped == reason


def test_what_a_user_sends_is_not_pushed(phone: Phone) -> None:
    assert phone.hear(chat_event(direction="in", sender=f"{BOB}/phone", recipient=ALICE, state=None)) == []


def test_an_unacknowledged_message_is_not_pushed_by_default(phone: Phone) -> None:
    assert phone.hear(unacked_message_event()) == []


def test_a_change_of_presence_is_not_pushed(phone: Phone) -> None:
    assert phone.hear(user_status_event(status="offline")) == []
    assert phone.acc.skipped == "kind"


def test_nothing_is_pushed_to_one_who_never_enabled() -> None:
    phone = Phone()
    assert phone.hear(chat_event()) == []
    assert phone.acc.skipped == "no-registration"


@pytest.mark.parametrize("type_", ["chat", "groupchat"])
def test_nothing_is_pushed_after_disabling(phone: Phone, type_: MessageType) -> None:
    phone.registrations.disable(1)
    assert phone.hear(chat_event(type=type_)) == []


def test_every_registration_gets_it_in_a_lane_of_its_own(phone: Phone) -> None:
    phone.enable("node-2")
    made = phone.hear(chat_event())
    assert [(one.lane, one.registration, one.target, one.recipient) for one in made] == [
        ("1", 1, "push.example.net", BOB),
        ("2", 2, "push.example.net", BOB),
    ]
    assert [one.id for one in phone.acc.published] == [1, 2]


def test_what_this_very_message_was_pushed_to_is_left_out(phone: Phone) -> None:
    # Given two devices of which one was pushed to for this stanza
    phone.enable("node-2")
    stanza = acc()
    stanza.published.append(phone.registrations.for_users([BOB])[BOB][0])
    # Then the other one gets it
    assert [one.registration for one in phone.backend.push_event(stanza, chat_event())] == [2]


def test_a_batch_looks_registrations_up_once(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a store that counts
    asked: list[list[str]] = []
    look_up = phone.registrations.for_users

    def counting(users: Sequence[str]) -> Mapping[str, Sequence[Registration]]:
        asked.append(list(users))
        return look_up(users)

    monkeypatch.setattr(phone.registrations, "for_users", counting)
    # When a batch is decided
    phone.backend.push_events([(acc(), chat_event()), (acc(), chat_event(state="online")), (acc(), chat_event())])
    # Then Bob is looked up once
    assert asked == [[BOB]]


def test_the_fields_of_a_chat_message(phone: Phone) -> None:
    # When Alice writes
    (made,) = phone.hear(chat_event("OH, HAI!", sender="Alice@Example.ORG/Phone"))
    # Then count, bare sender in lower case, body, in this order
    assert read(made.payload).fields == [
        ("message-count", "1"),
        ("last-message-sender", ALICE),
        ("last-message-body", "OH, HAI!"),
    ]


def test_the_sender_in_a_room_is_the_occupant(phone: Phone) -> None:
    (made,) = phone.hear(chat_event("Heyah!", type="groupchat", sender=f"{ROOM}/{BOB}"))
    assert dict(read(made.payload).fields)["last-message-sender"] == f"{ROOM}/{BOB}"


@pytest.mark.parametrize("type_", ["chat", "groupchat"])
def test_publish_options_come_from_the_registration(type_: MessageType) -> None:
    phone = Phone()
    phone.enable(options=(("field1", "value1"), ("field2", "value2")))
    (made,) = phone.hear(chat_event(type=type_))
    assert read(made.payload).options == [("field1", "value1"), ("field2", "value2")]


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("none", []),
        ("marker", [("message-count", "1"), ("last-message-body", "New message")]),
        ("sender", [("message-count", "1"), ("last-message-sender", ALICE), ("last-message-body", "New message")]),
        ("full", [("message-count", "1"), ("last-message-sender", ALICE), ("last-message-body", "hi")]),
    ],
)
def test_content_says_what_is_revealed(content: str, fields: list[tuple[str, str]]) -> None:
    phone = Phone(content=content)
    phone.enable()
    (made,) = phone.hear(chat_event("hi"))
    assert read(made.payload).fields == fields


def test_only_users_are_pushed_to() -> None:
    # Given a canary
    phone = Phone(only_users=[ALICE.upper()])
    phone.enable()
    phone.enable(user=ALICE)
    # Then it is pushed to, and nobody else
    assert phone.hear(chat_event()) == []
    assert phone.acc.skipped == "only-users"
    assert len(phone.hear(chat_event(sender=BOB, recipient=ALICE))) == 1


def test_a_dry_run_decides_and_sends_nothing() -> None:
    phone = Phone(dry_run=True)
    phone.enable()
    assert phone.hear(chat_event()) == []
    assert phone.acc.skipped == "dry-run"

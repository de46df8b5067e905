"""Events as a source would make them; everything that a test does not name has a plain value."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final, Literal, get_args
from xml.sax.saxutils import escape, quoteattr

from event_pusher.abc import Attempt, Delivery
from event_pusher.events import (
    Acc,
    ChatEvent,
    Direction,
    Event,
    MessageType,
    Stanza,
    State,
    UnackedMessageEvent,
    UserStatusEvent,
)
from event_pusher.jid import Jid

HOST: Final = "example.org"
ALICE: Final = f"alice@{HOST}"
BOB: Final = f"bob@{HOST}"
#: What nothing may print.
BODY: Final = "Wherefore art thou?"
#: 2023-11-14T22:13:20Z
NOW: Final = 1_700_000_000.0

_ids = count(1)
_BOB = Jid("bob", HOST)


def acc(id: str = "acc-1", host: str = HOST, received_at: float = NOW) -> Acc:  # noqa: A002 - as in Acc
    """Make the accumulator of one stanza."""
    return Acc(id, host, received_at)


def message(
    body: str = BODY,
    *,
    sender: str = f"{ALICE}/phone",
    recipient: str = BOB,
    type: str = "chat",  # noqa: A002 - XMPP's name
    id: str = "m1",  # noqa: A002 - XMPP's name
    extra: str = "",
) -> Stanza:
    """Make a message stanza; `extra` is XML that stands behind the body."""
    attributes = {"from": sender, "to": recipient, "type": type, "id": id}
    head = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items() if value)
    text = f"<body>{escape(body)}</body>" if body else ""
    return Stanza.parse(f"<message xmlns='jabber:client'{head}>{text}{extra}</message>")


def chat_event(
    body: str = BODY,
    *,
    sender: str = f"{ALICE}/phone",
    recipient: str = BOB,
    type: MessageType = "chat",  # noqa: A002 - the event's name
    direction: Direction = "out",
    state: State | None = "offline",
    session: str | None = None,
    id: str = "m1",  # noqa: A002 - XMPP's name
    extra: str = "",
) -> ChatEvent:
    """Make a message from Alice that is handed to Bob, who is offline."""
    stanza = message(body, sender=sender, recipient=recipient, type=type, id=id, extra=extra)
    return ChatEvent(type, direction, Jid.parse(sender), Jid.parse(recipient), stanza, state, session)


def user_status_event(jid: str = f"{BOB}/tablet", status: Literal["online", "offline"] = "online") -> UserStatusEvent:
    """Make a session come or go."""
    return UserStatusEvent(Jid.parse(jid), status)


def unacked_message_event(
    body: str = BODY,
    *,
    sender: str = f"{ALICE}/phone",
    recipient: str = f"{BOB}/tablet",
    session: str | None = "s1",
    id: str = "m1",  # noqa: A002 - XMPP's name
    extra: str = "",
) -> UnackedMessageEvent:
    """Make a session of Bob's lose its connection with a message of Alice's unacknowledged."""
    stanza = message(body, sender=sender, recipient=recipient, id=id, extra=extra)
    return UnackedMessageEvent(Jid.parse(recipient), Jid.parse(sender), stanza, session)


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a kind that a later release may bring."""

    kind: ClassVar[str] = "unknown"

    user: Jid = _BOB


def one_of_each() -> list[Event]:
    """Make an event of every kind, type, direction and state there is, with and without a body."""
    chats: list[Event] = [
        chat_event(body, type=type_, direction="out", state=state)
        for type_ in get_args(MessageType)
        for state in (None, *get_args(State))
        for body in (BODY, "")
    ]
    sent: list[Event] = [
        chat_event(body, type=type_, direction="in", state=None)
        for type_ in get_args(MessageType)
        for body in (BODY, "")
    ]
    others: list[Event] = [user_status_event(), user_status_event(status="offline"), unacked_message_event()]
    return chats + sent + others


def attempt(delivery: Delivery, number: int = 1, *, deadline: float = float("inf"), id: int | None = None) -> Attempt:  # noqa: A002 - as in Attempt
    """Make the try of a delivery that the publisher would hand out."""
    id_ = next(_ids) if id is None else id
    return Attempt(id_, number, f"key-{id_}", delivery, deadline)

"""
What happened: three kinds of event, the stanza behind them, and the accumulator that travels with it.

The kinds, their fields and their names are MongooseIM's (``mod_event_pusher_events``): ``in`` is what
the server took in from a local client, ``out`` what it hands out to a local recipient.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from event_pusher.jid import Jid
    from event_pusher.notification import Notification
    from event_pusher.registration import Registration

#: Version of the JSON that `to_json` writes; grows only by adding keys.
JSON_VERSION: Final = 1

MessageType = Literal["chat", "groupchat", "headline", "normal"]
Direction = Literal["in", "out"]
#: How the recipient stood when the server handed the message over.
State = Literal["online", "hibernated", "offline"]


def hardened_parser() -> etree.XMLParser:
    """A parser for one stanza that expands no entity, opens no file and keeps libxml2's limits."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


class Stanza:
    """
    One stanza, a value around its XML; two are equal when their bytes are.

    `xml` is the serialised element; `body` the text of its first ``<body/>`` ("" without one);
    `id` and `type` its attributes ("" when absent). The text never shows in `repr`.
    """

    __slots__ = ("_element", "_xml", "body", "id", "type")

    def __init__(self, xml: bytes, *, body: str = "", id: str = "", type: str = "") -> None:  # noqa: A002 - XMPP's names
        self._xml = xml
        self._element: etree._Element | None = None
        self.body = body
        self.id = id
        self.type = type

    @classmethod
    def parse(cls, xml: bytes | str) -> Stanza:
        """Read a stanza from its XML. Raises `lxml.etree.XMLSyntaxError`."""
        data = xml.encode() if isinstance(xml, str) else xml
        return cls.from_element(etree.fromstring(data, hardened_parser()))

    @classmethod
    def from_element(cls, element: etree._Element, body: str | None = None) -> Stanza:
        """
        Take a stanza from an element, of which a copy is kept; it is serialised when somebody wants the XML.

        `body` is the text of its ``<body/>``, for who has looked already.
        """
        if body is None:
            tag = element.tag
            body = element.findtext(f"{tag[: tag.rfind('}') + 1]}body") or ""
        get = element.get
        stanza = cls(b"", body=body, id=get("id") or "", type=get("type") or "")
        stanza._element = copy(element)
        return stanza

    @property
    def xml(self) -> bytes:
        """The serialised element, in UTF-8."""
        element = self._element
        if element is not None:
            self._xml = etree.tostring(element, encoding="utf-8", with_tail=False)
            self._element = None  # last: whoever asks meanwhile finds one of the two
        return self._xml

    def element(self) -> etree._Element:
        """Parse a fresh copy, which the caller may change."""
        return etree.fromstring(self.xml, hardened_parser())

    def has(self, name: str, namespace: str) -> bool:
        """Whether the stanza has a direct child ``<name xmlns='namespace'/>``."""
        if namespace.encode() not in self.xml:
            return False
        return self.element().find(f"{{{namespace}}}{name}") is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stanza) and other.xml == self.xml

    def __hash__(self) -> int:
        return hash(self.xml)

    def __repr__(self) -> str:
        return f"<Stanza type={self.type!r} id={self.id!r}>"


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """
    A message on its way in (from a local client) or out (to a local account).

    `state` and `session` tell, for direction ``out``, how the recipient stood and which session it was;
    None where the server did not say.
    """

    kind: ClassVar[str] = "chat"

    type: MessageType
    direction: Direction
    sender: Jid
    recipient: Jid
    stanza: Stanza
    state: State | None = None
    session: str | None = None

    @property
    def user(self) -> Jid:
        """Whose event it is: the sender's (``in``) or the recipient's (``out``) bare JID."""
        return (self.sender if self.direction == "in" else self.recipient).bare


@dataclass(frozen=True, slots=True)
class UserStatusEvent:
    """A session (full JID) became available or went away."""

    kind: ClassVar[str] = "user_status"

    jid: Jid
    status: Literal["online", "offline"]

    @property
    def user(self) -> Jid:
        """The account's bare JID."""
        return self.jid.bare


@dataclass(frozen=True, slots=True)
class UnackedMessageEvent:
    """A session (full JID `recipient`) lost its connection with this message unacknowledged (XEP-0198)."""

    kind: ClassVar[str] = "unacked_message"

    recipient: Jid
    sender: Jid
    stanza: Stanza
    session: str | None = None

    @property
    def user(self) -> Jid:
        """The account's bare JID."""
        return self.recipient.bare


Event = ChatEvent | UserStatusEvent | UnackedMessageEvent


class Acc:
    """
    The accumulator: travels with ONE stanza through event plugins, backends and their plugins.

    `id` names the stanza in logs and traces, `host` is the domain it belongs to, `received_at` the UTC
    second it reached us. What event plugins put into `metadata` reaches the payload of every backend.
    `published` lists the registrations which this very message was enqueued for; `notification` is
    what `PushPlugin.prepare_notification` answered.
    """

    __slots__ = ("_enqueue", "host", "id", "metadata", "notification", "published", "received_at", "skipped")

    def __init__(self, id: str, host: str, received_at: float) -> None:  # noqa: A002 - a trace id is called id
        self.id = id
        self.host = host
        self.received_at = received_at
        self.metadata: dict[str, str | int | float | bool] = {}
        self.published: list[Registration] = []
        self.notification: Notification | None = None
        self.skipped: str | None = None
        self._enqueue: Callable[[Registration, Notification], None] | None = None

    def deliver(self, services: Sequence[Registration], notification: Notification | None = None) -> Acc:
        """
        Enqueue `notification` (default: the prepared one) once for each of `services`.

        Only the push backend hands out an accumulator that can do this, while it asks its plugins.
        """
        what = notification or self.notification
        if what is None or self._enqueue is None:
            return self
        for registration in services:
            self._enqueue(registration, what)
            self.published.append(registration)
        return self

    def skip(self, reason: str) -> None:
        """Say why nothing is delivered, for ``event-pusher explain``; the last word counts."""
        self.skipped = reason

    def collect(self, enqueue: Callable[[Registration, Notification], None] | None) -> None:
        """Hand what `deliver` enqueues to `enqueue`, until the next call (used by the push backend)."""
        self._enqueue = enqueue

    def __repr__(self) -> str:
        return f"<Acc {self.id} host={self.host}>"


def to_json(acc: Acc, event: Event, *, body: bool = True) -> bytes:
    """
    Write the documented, versioned JSON of an event (docs/event-json.md); metadata comes last and wins.

    Without `body` there is no key ``body``: what a person wrote stays out.
    """
    fields = _as_dict(acc, event)
    if not body:
        fields.pop("body", None)
    return json.dumps(fields | acc.metadata, ensure_ascii=False).encode()


def _as_dict(acc: Acc, event: Event) -> dict[str, Any]:
    head: dict[str, Any] = {
        "version": JSON_VERSION,
        "id": acc.id,
        "host": acc.host,
        "received_at": acc.received_at,
        "kind": event.kind,
        "user": str(event.user),
    }
    match event:
        case UserStatusEvent():
            return head | {"jid": str(event.jid), "status": event.status}
        case UnackedMessageEvent():
            message: dict[str, str | None] = {"type": event.stanza.type or "normal"}
        case ChatEvent():
            message = {"type": event.type, "direction": event.direction, "state": event.state}
    return (
        head
        | message
        | {
            "from": str(event.sender),
            "to": str(event.recipient),
            "session": event.session,
            "message_id": event.stanza.id,
            "body": event.stanza.body,
        }
    )

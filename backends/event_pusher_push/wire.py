"""What is sent: the publish of XEP-0357 section 7 as bytes, and what an answer to it means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from event_pusher.abc import (
    DELIVERED,
    Dead,
    Gone,
    IqAnswer,
    Notification,
    Outcome,
    PublishOptions,
    Registration,
    Retry,
    Unknown,
    Unsent,
)

#: The text that stands for a message's body where `content` hides it; gateways read a body as "important".
MARKER = "New message"
#: The fields which tell nobody anything about the conversation.
_COUNTS = frozenset({"message-count", "pending-subscription-count"})
#: What XML 1.0 section 2.2 does not allow, even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: What an XML parser turns into a blank or a line feed, unless it is a reference.
_BLANKS = {ord("\t"): "&#9;", ord("\n"): "&#10;", ord("\r"): "&#13;"}
_SPECIAL = re.compile(f"[&<>'\r]|{_ILLEGAL.pattern}")
_ITEM = b"<item>"


def render(registration: Registration, notification: Notification) -> bytes:
    """Write ``<pubsub/>`` with the publish and, if the registration has some, its publish-options."""
    head, tail = _around(registration.node, registration.options)
    summary = _fields(notification.fields)
    form = f"{_SUMMARY_HEAD}{summary}</x>" if summary else ""
    if notification.extra:
        return f"{head}{form}".encode() + notification.extra + tail.encode()
    return f"{head}{form}{tail}".encode()


def with_item_id(payload: bytes, key: str) -> bytes:
    """Name the item of a rendered publish, so that a service can tell a repetition."""
    return payload.replace(_ITEM, b"<item id='%b'>" % _escape(key).encode(), 1)


def with_metadata(notification: Notification, metadata: Mapping[str, str | float]) -> Notification:
    """Add what event plugins said as fields of the summary; they come last and win, and `reveal` judges them too."""
    fields = tuple((name, value) for name, value in notification.fields if name not in metadata)
    said = tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in metadata.items()
    )
    return replace(notification, fields=fields + said)


def reveal(notification: Notification, content: str) -> Notification:
    """
    Cut `notification` down to what `content` allows.

    ``none``: nothing at all. ``marker``: counts, and `MARKER` in place of a body. ``sender``: also who sent it.
    ``full``: everything. XML beside the form (`Notification.extra`) goes with ``full`` only.
    """
    if content == "full":
        return notification
    if content == "none":
        return Notification(priority=notification.priority)
    allowed = _COUNTS | {"last-message-sender"} if content == "sender" else _COUNTS
    fields = tuple(
        (name, MARKER if name == "last-message-body" else value)
        for name, value in notification.fields
        if name in allowed or name == "last-message-body"
    )
    return Notification(fields, notification.priority)


def outcome_of_answer(answer: IqAnswer) -> Outcome:
    """
    Tell what became of a publish (XEP-0357 section 7, error handling).

    An error of type ``cancel`` disables the registration, as in MongooseIM; every other error is passing trouble. A
    ``remote-server-timeout`` that the host itself made (`by`) means that nobody knows.
    """
    match answer.type:
        case "result":
            return DELIVERED
        case "unsent":
            return Unsent(answer.text or "the stream to the XMPP server is down")
        case "lost" | "fatal":
            lost = answer.type == "lost"
            return Unknown("the stream broke before the answer") if lost else Dead(answer.text)
    name = f"{answer.error_type or 'no type'}/{answer.condition or 'no condition'}"
    if answer.condition == "remote-server-timeout" and answer.by:
        return Unknown(f"{name}: no answer from the push service")
    if answer.error_type == "cancel":
        return Gone(name)
    return Retry(name)


def _escape(text: str) -> str:
    # Most texts are plain, and these five questions are cheaper than an expression.
    if text.isprintable() and "&" not in text and "<" not in text and ">" not in text and "'" not in text:
        return text
    if _SPECIAL.search(text) is None:
        return text
    text = _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("'", "&apos;")
        .replace("\r", "&#13;")
    )


def _fields(fields: Sequence[tuple[str, str]]) -> str:
    return "".join([f"{_field_head(name)}{_escape(value)}</value></field>" for name, value in fields])


@lru_cache(maxsize=1024)
def _field_head(name: str) -> str:
    return f"<field var='{_attribute(name)}'><value>"


def _attribute(text: str) -> str:
    """A parser turns blanks of other kinds in an attribute into spaces (XML 1.0 section 3.3.3)."""
    return _escape(text).replace("\n", "&#10;").replace("\t", "&#9;")


_SUMMARY_HEAD = (
    "<x xmlns='jabber:x:data' type='submit'>"
    "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>"
)


@lru_cache(maxsize=2048)
def _around(node: str, options: PublishOptions) -> tuple[str, str]:
    """What stands before and behind the notification's parts."""
    return (
        f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{_attribute(node)}'><item>"
        "<notification xmlns='urn:xmpp:push:0'>"
    ), f"</notification></item></publish>{_options(options)}</pubsub>"


def _options(options: PublishOptions) -> str:
    if not options:
        return ""
    return (
        "<publish-options><x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
        f"{_fields(options)}</x></publish-options>"
    )

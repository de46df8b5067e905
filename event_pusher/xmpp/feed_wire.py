"""The feed's elements, one by one: what `feed` reads them with, and what we say back as bytes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from event_pusher.events import Stanza
from event_pusher.intake import Position
from event_pusher.jid import Jid
from event_pusher.xmpp import names
from event_pusher.xmpp.stanzas import attributes

if TYPE_CHECKING:
    from lxml import etree

VERSION: Final = "0"
_FEED: Final = f"{{{names.FEED}}}"
_FORWARDED: Final = f"{{{names.FORWARD}}}forwarded"
_DELAY: Final = f"{{{names.DELAY}}}delay"
_MESSAGE: Final = f"{{{names.CLIENT}}}message"
#: An event's time may be this many seconds ahead of ours; beyond, the server's clock is wrong and ours counts.
_AHEAD: Final = 5.0
_BODY: Final = f"{{{names.CLIENT}}}body"


class BadEvent(Exception):  # noqa: N818 - never leaves `feed`
    """An event that says nothing usable; its text is the reason, from a short list, without content."""


def resume(
    component: str, host: str, consumer: str, position: Position | None, *, kinds: str, bodies: bool, window: int
) -> bytes:
    """Build the ``<resume/>`` for `host`; `position` is the last entry that is committed, None at the first start."""
    told = attributes(
        version=VERSION,
        consumer=consumer,
        feed=position.feed if position else None,
        epoch=position.epoch if position else None,
        n=position.n if position else None,
        kinds=kinds or None,
        bodies="yes" if bodies else "no",
        window=window,
    )
    return _message(component, host, f"<resume xmlns='{names.FEED}'{told}/>")


def ack(component: str, host: str, consumer: str, position: Position) -> bytes:
    """Build the ``<ack/>``: all up to `position` is committed."""
    told = attributes(feed=position.feed, epoch=position.epoch, n=position.n, consumer=consumer)
    return _message(component, host, f"<ack xmlns='{names.FEED}'{told}/>")


def place_of(message: etree._Element, hosts: Collection[str]) -> tuple[str, Position] | None:
    """Whose entry this is, of a stanza that may be half read: (host, position), None when it does not show."""
    host = message.get("from")
    if host is None or host not in hosts or not len(message) or not str(message[0].tag).startswith(_FEED):
        return None
    get = message[0].get
    feed, epoch, n = get("feed"), get("epoch"), number(get("n"))
    return (host, Position(feed, epoch, n)) if feed and epoch and n >= 0 else None


def _message(component: str, host: str, child: str) -> bytes:
    return f"<message{attributes(from_=component, to=host)}>{child}</message>".encode()


def inner_message(message: etree._Element) -> tuple[etree._Element, str | None]:
    """The message inside ``<forwarded/>`` and the stamp of its ``<delay/>``."""
    forwarded = message[1] if len(message) > 1 else None
    if forwarded is None or forwarded.tag != _FORWARDED or not len(forwarded):
        raise BadEvent("without a forwarded message")
    inner = forwarded[-1]
    if inner.tag != _MESSAGE:
        raise BadEvent("without a forwarded message")
    first = forwarded[0]
    return inner, first.get("stamp") if first.tag == _DELAY else None


def stamp_of(message: etree._Element) -> str | None:
    delay = message.find(f"{_FORWARDED}/{_DELAY}")
    return delay.get("stamp") if delay is not None else None


def received_at(stamp: str | None, now: float) -> float:
    """UTC seconds of a ``<delay/>``'s `stamp`, never far ahead of `now`; `now` where it says nothing."""
    if not stamp:
        return now
    try:
        # A second has many stanzas: its date is worked out once.
        return min(_second(stamp[:19], stamp[-1:]) + float(f"0{stamp[19:-1]}"), now + _AHEAD)
    except (ValueError, OverflowError):
        return _moment(stamp, now)


@lru_cache(maxsize=64)
def _second(text: str, zone: str) -> float:
    """UTC seconds of ``2026-11-22T16:29:48`` and ``Z``. Raises `ValueError` for every other form."""
    if zone != "Z":
        raise ValueError(zone)
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _moment(stamp: str, now: float) -> float:
    """UTC seconds of any ISO date that has a zone, never far ahead; `now` for everything else."""
    try:
        moment = datetime.fromisoformat(stamp)
        return min(moment.timestamp(), now + _AHEAD) if moment.tzinfo is not None else now
    except (ValueError, OverflowError):
        return now


def stanza_of(inner: etree._Element) -> Stanza:
    body = ""
    for child in inner:
        if child.tag == _BODY:
            body = child.text or ""
            break
    return Stanza.from_element(inner, body)


def sender_of(inner: etree._Element) -> Jid:
    sender = inner.get("from")
    if not sender:
        raise BadEvent("with a message that has no from")
    return Jid.parse(sender)


def user_of(told: etree._Element) -> Jid:
    user = told.get("user")
    if not user:
        raise BadEvent("without a user")
    return Jid.parse(user)


def full_jid(told: etree._Element) -> Jid:
    user, resource = told.get("user"), told.get("resource")
    if not user:
        raise BadEvent("without a user")
    return Jid.parse(f"{user}/{resource}" if resource else user)


def number(text: str | None) -> int:
    """A number of the feed; -1 when it is none. Long ones are refused: the database has 64 bits."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else -1  # noqa: PLR2004 - 10^18


def priority_of(text: str | None) -> int | None:
    try:
        return max(-128, min(127, int(text))) if text else None
    except ValueError:
        return None

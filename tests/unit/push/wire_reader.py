"""Reads what the push backend writes, as a push service does."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from event_pusher.events import hardened_parser

PUBSUB = "{http://jabber.org/protocol/pubsub}"
FORM = "{jabber:x:data}"
PUSH = "{urn:xmpp:push:0}"


@dataclass(frozen=True)
class Publish:
    """One publish: node, item id, the summary's fields, publish-options (None = there is no such element)."""

    node: str
    item: str | None
    fields: list[tuple[str, str]]
    options: list[tuple[str, str]] | None
    extra: list[str]


def read(payload: bytes) -> Publish:
    """Parse a ``<pubsub/>``; both forms are of type submit and of the right FORM_TYPE, or it fails."""
    pubsub = etree.fromstring(payload, hardened_parser())
    assert pubsub.tag == f"{PUBSUB}pubsub"
    (publish,) = pubsub.findall(f"{PUBSUB}publish")
    (item,) = publish
    (notification,) = item
    assert notification.tag == f"{PUSH}notification"
    summary = notification.find(f"{FORM}x")
    options = pubsub.find(f"{PUBSUB}publish-options")
    return Publish(
        publish.get("node", ""),
        item.get("id"),
        [] if summary is None else _fields(summary, "urn:xmpp:push:summary"),
        None if options is None else _fields(options[0], "http://jabber.org/protocol/pubsub#publish-options"),
        [str(child.tag) for child in notification if child is not summary],
    )


def _fields(form: etree._Element, kind: str) -> list[tuple[str, str]]:
    assert form.tag == f"{FORM}x"
    assert form.get("type") == "submit"
    first, *rest = form
    assert (first.get("var"), first.get("type"), first.findtext(f"{FORM}value")) == ("FORM_TYPE", "hidden", kind)
    return [(field.get("var", ""), field.findtext(f"{FORM}value") or "") for field in rest]

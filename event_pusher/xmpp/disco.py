"""What the component says of itself: XEP-0030, XEP-0092, XEP-0199."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import event_pusher
from event_pusher.intake import Refusal
from event_pusher.xmpp import names
from event_pusher.xmpp.delegation import features
from event_pusher.xmpp.stanzas import attributes, iq_error, iq_result

if TYPE_CHECKING:
    from lxml import etree

_INFO: Final = f"{{{names.DISCO_INFO}}}query"
_OWN: Final = (names.DISCO_INFO, names.PING, names.VERSION)
_NO_NODE: Final = Refusal("cancel", "item-not-found", "there is no such node")
_NOTHING: Final = Refusal("cancel", "service-unavailable", "this component does not serve that")


def answer(iq: etree._Element) -> bytes:
    """Answer any IQ of type get or set that nobody else takes."""
    child = next(iter(iq), None)
    if child is None or iq.get("type") != "get":
        return iq_error(iq, _NOTHING)
    if child.tag == f"{{{names.PING}}}ping":
        return iq_result(iq)
    if child.tag == f"{{{names.VERSION}}}query":
        version = f"<name>event-pusher</name><version>{event_pusher.__version__}</version>"
        return iq_result(iq, f"<query xmlns='{names.VERSION}'>{version}</query>")
    if child.tag == _INFO:
        return _info(iq, child.get("node"))
    return iq_error(iq, _NOTHING)


def _info(iq: etree._Element, node: str | None) -> bytes:
    if not node:
        listed = "<identity category='component' type='generic' name='event-pusher'/>"
        return iq_result(iq, f"<query xmlns='{names.DISCO_INFO}'>{listed}{_features(_OWN)}</query>")
    found = features(node)
    if found is None:
        return iq_error(iq, _NO_NODE)
    return iq_result(iq, f"<query xmlns='{names.DISCO_INFO}'{attributes(node=node)}>{_features(found)}</query>")


def _features(found: tuple[str, ...]) -> str:
    return "".join(f"<feature{attributes(var=feature)}/>" for feature in found)

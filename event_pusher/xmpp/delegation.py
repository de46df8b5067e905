"""
XEP-0355, both versions of its namespace: IQs that a server hands on, and their answers.

The outer answer is always a result, the inner one mirrors ``from``, ``to``, ``id`` as it came: ejabberd loses outer
errors and compares the inner addresses; Prosody leaves ``to`` out and then wants no ``from``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from event_pusher.xmpp import names
from event_pusher.xmpp.stanzas import attributes, error_xml

if TYPE_CHECKING:
    from lxml import etree

    from event_pusher.intake import Refusal

_FORWARDED: Final = f"{{{names.FORWARD}}}forwarded"
_IQ: Final = f"{{{names.CLIENT}}}iq"


@dataclass(frozen=True, slots=True)
class Envelope:
    """
    What is needed to answer a delegated IQ; no element, so any thread may.

    `namespace` is the request's version of XEP-0355; the rest are attributes of the outer and the inner IQ.
    """

    namespace: str
    host: str
    component: str
    outer_id: str
    sender: str | None
    to: str | None
    inner_id: str

    def answer(self, refusal: Refusal | None) -> bytes:
        """Build the answer: a result, or with `refusal` an error inside the outer result."""
        mirrored = attributes(id=self.inner_id, from_=self.to, to=self.sender)
        inner = (
            f"<iq xmlns='{names.CLIENT}' type='result'{mirrored}/>"
            if refusal is None
            else f"<iq xmlns='{names.CLIENT}' type='error'{mirrored}>{error_xml(refusal)}</iq>"
        )
        outer = attributes(id=self.outer_id, from_=self.component, to=self.host)
        return (
            f"<iq type='result'{outer}><delegation xmlns='{self.namespace}'>"
            f"<forwarded xmlns='{names.FORWARD}'>{inner}</forwarded></delegation></iq>"
        ).encode()


def unwrap(iq: etree._Element) -> tuple[Envelope, etree._Element] | None:
    """Read a delegated IQ: envelope and inner ``<iq/>``; None when it is none or lacks what the answer needs."""
    delegation = next(iter(iq), None)
    if delegation is None:
        return None
    namespace, _, name = str(delegation.tag)[1:].partition("}")
    inner = delegation.find(f"{_FORWARDED}/{_IQ}")
    if namespace not in names.DELEGATION or name != "delegation" or inner is None:
        return None
    outer_id, inner_id = iq.get("id"), inner.get("id")
    host, component = iq.get("from"), iq.get("to")
    if not (outer_id and inner_id and host and component):
        return None
    envelope = Envelope(namespace, host, component, outer_id, inner.get("from"), inner.get("to"), inner_id)
    return envelope, inner


def features(node: str) -> tuple[str, ...] | None:
    """
    What a server's disco query of `node` is answered (XEP-0355 section 7); None: the node is not of this kind.

    The host itself gets no feature (XEP-0357 wants it on accounts), the accounts (``:bare:``) get push.
    """
    for namespace in names.DELEGATION:
        if node == f"{namespace}::{names.PUSH}":
            return ()
        if node == f"{namespace}:bare:{names.PUSH}":
            return (names.PUSH,)
    return None

"""``<enable/>`` and ``<disable/>`` (XEP-0357 sections 5 and 6): requests become items for the core, or refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from event_pusher.errors import InvalidJid
from event_pusher.intake import Disable, Enable, Refusal, Reply
from event_pusher.jid import Jid
from event_pusher.xmpp import names
from event_pusher.xmpp.forms import BadForm, read_publish_options

if TYPE_CHECKING:
    from lxml import etree

_PUSH: Final = f"{{{names.PUSH}}}"
#: A node is opaque, but it is a key of the database's.
MAX_NODE_BYTES: Final = 1024


class _Refused(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, error_type: str, condition: str, text: str) -> None:
        self.refusal = Refusal(error_type, condition, text)
        super().__init__(text)


def read_request(iq: etree._Element, host: str, reply: Reply) -> Enable | Disable | Refusal:
    """Read the inner IQ that the server of `host` handed on. A refusal's text says exactly what is wrong."""
    try:
        user = _account(iq, host)
        child = _child(iq)
        if child.tag == f"{_PUSH}enable":
            return _enable(child, user, reply)
        return _disable(child, user, reply)
    except _Refused as refused:
        return refused.refusal


def _child(iq: etree._Element) -> etree._Element:
    if iq.get("type") != "set":
        raise _Refused("cancel", "not-allowed", "push is enabled and disabled by an IQ of type set")
    if len(iq) != 1:
        raise _bad(f"the IQ must have exactly one child, it has {len(iq)}")
    if iq[0].tag not in (f"{_PUSH}enable", f"{_PUSH}disable"):
        raise _bad(f"the child must be <enable/> or <disable/> of {names.PUSH}")
    return iq[0]


def _account(iq: etree._Element, host: str) -> Jid:
    """Whose registrations these are: both servers hand on requests for other accounts, so this is asked here."""
    sender, to = iq.get("from"), iq.get("to")
    try:
        user = Jid.parse(sender or "").bare
        account = Jid.parse(to) if to is not None else user
    except InvalidJid:
        raise _bad("the IQ has no valid from or to") from None
    if account != user or not user.local or user.domain != Jid.parse(host).domain:
        raise _Refused("auth", "forbidden", "push can be enabled and disabled for one's own account only")
    return user


def _enable(child: etree._Element, user: Jid, reply: Reply) -> Enable:
    service, node = _service(child, user), child.get("node")
    if not node:
        raise _bad("the node attribute is missing" if node is None else "the node attribute is empty")
    _check_node(node)
    try:
        options = read_publish_options(child)
    except BadForm as error:
        raise _bad(str(error)) from None
    return Enable(str(user), service, node, options, reply)


def _disable(child: etree._Element, user: Jid, reply: Reply) -> Disable:
    node = child.get("node")
    service = _service(child, None)
    if node == "":
        raise _bad("the node attribute is empty; leave it out to disable every node of the service")
    if node is not None:
        _check_node(node)
    return Disable(str(user), service, node, reply)


def _service(child: etree._Element, user: Jid | None) -> str:
    text = child.get("jid")
    if not text:
        raise _bad("the jid attribute is missing" if text is None else "the jid attribute is empty")
    try:
        service = Jid.parse(text).bare
    except InvalidJid:
        raise _bad("the jid attribute is not a JID") from None
    if service == user:
        raise _bad("the jid attribute names the account itself; it must be a push service")
    return str(service)


def _check_node(node: str) -> None:
    if len(node.encode()) > MAX_NODE_BYTES:
        raise _bad(f"the node attribute has more than {MAX_NODE_BYTES} bytes")


def _bad(text: str) -> _Refused:
    return _Refused("modify", "bad-request", text)

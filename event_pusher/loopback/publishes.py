"""What push services inside the loopback server get, and what they answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from event_pusher.intake import Refusal
from event_pusher.xmpp import names
from event_pusher.xmpp.stanzas import attributes, error_xml, iq_error, iq_result

if TYPE_CHECKING:
    from lxml import etree

_PUBSUB: Final = f"{{{names.PUBSUB}}}"
_FORM: Final = f"{{{names.DATA_FORMS}}}x"
_FIELD: Final = f"{{{names.DATA_FORMS}}}field"
_VALUE: Final = f"{{{names.DATA_FORMS}}}value"
_PUBSUB_ELEMENT: Final = f"{_PUBSUB}pubsub"
_RELAY: Final = f"{{{names.FEED}}}publish"
_INNER: Final = f"{{{names.CLIENT}}}iq"
_PING: Final = f"{{{names.PING}}}ping"
_NOTIFICATION: Final = f"{{{names.PUSH}}}notification"

#: A handler's answer: nothing for now; `LoopbackServer.answer` or `time_out` follows, or never.
HOLD: Final = "hold"
#: None = result, (type, condition) = error (RFC 6120 8.3), `HOLD` = no answer yet.
Verdict = tuple[str, str] | Literal["hold"] | None


#: Builds the answering IQ from the type ("result", "error"), the ``<error/>``, and whether the host itself gave up.
Reply = Callable[[str, str, bool], bytes]


@dataclass(slots=True)
class Publish:
    """
    One publish: the `node` and `item_id`, the summary form's fields, the publish options, `sender` = the IQ's from.

    `at` is the monotonic second it came; both forms are without FORM_TYPE and never show in `repr`.
    """

    service: str
    sender: str
    node: str
    item_id: str
    summary: dict[str, str] = field(default_factory=dict, repr=False)
    options: dict[str, str] = field(default_factory=dict, repr=False)
    at: float = field(default_factory=time.monotonic)
    reply: Reply | None = field(default=None, repr=False)


#: Called on the server's reader thread; may call the server.
Handler = Callable[[Publish], Verdict]


class PushService:
    """A push service: `publishes` holds all it got, in order. With ``parse=False`` it only counts (`count`)."""

    def __init__(self, jid: str, handler: Handler | None, *, parse: bool) -> None:
        self.jid = jid
        self.handler = handler
        self.parse = parse
        self.count = 0
        self.publishes: list[Publish] = []

    def take(self, pubsub: etree._Element | None, sender: str, reply: Reply) -> Verdict:
        """Take the ``<pubsub/>`` of an IQ; give what to answer."""
        publish = pubsub.find(f"{_PUBSUB}publish") if pubsub is not None else None
        if pubsub is None or publish is None or not publish.get("node"):
            return ("modify", "bad-request")
        self.count += 1
        item = publish.find(f"{_PUBSUB}item")
        got = Publish(self.jid, sender, publish.get("node") or "", (item.get("id") if item is not None else "") or "")
        if self.parse:
            got.summary = _fields(item.find(f"{_NOTIFICATION}/{_FORM}") if item is not None else None)
            got.options = _fields(pubsub.find(f"{_PUBSUB}publish-options/{_FORM}"))
            got.reply = reply
            self.publishes.append(got)
        return self.handler(got) if self.handler is not None else None


def _fields(form: etree._Element | None) -> dict[str, str]:
    if form is None:
        return {}
    fields = {each.get("var") or "": each.findtext(_VALUE) or "" for each in form.iterfind(_FIELD)}
    fields.pop("FORM_TYPE", None)
    return fields


class Services:
    """Every push service, and the way to them: from the host (relayed) or from the component itself."""

    def __init__(self, domain: str, component: str, send: Callable[[bytes], object]) -> None:
        self._domain = domain
        self._component = component
        self._send = send
        self._by_jid: dict[str, PushService] = {}

    def add(self, jid: str, handler: Handler | None, *, parse: bool) -> PushService:
        """Have a push service at `jid`."""
        service = self._by_jid[jid] = PushService(jid, handler, parse=parse)
        return service

    def asked(self, iq: etree._Element) -> Sequence[bytes]:
        """Give the answers to a request of the component's; none when a handler holds it."""
        if len(iq) == 1 and iq[0].tag == _PING:
            return [iq_result(iq)]
        if iq.get("to") != self._domain:
            return self._publish(iq, self._component, _direct(iq))
        inner = iq.find(f"{_RELAY}/{_INNER}")
        if inner is None or not inner.get("to"):
            return [iq_error(iq, Refusal("modify", "bad-request", "not a relayed publish"))]
        return self._publish(inner, self._domain, self._relayed(iq, inner))

    def settle(self, publish: Publish, verdict: Verdict) -> None:
        """Answer a held publish."""
        if publish.reply is not None:
            self._send(_written(verdict, publish.reply))

    def time_out(self, publish: Publish) -> None:
        """Give up on a held publish, as the host does."""
        if publish.reply is not None:
            error = error_xml(Refusal("wait", "remote-server-timeout", "no answer in time"))
            by_host = error.replace("<error ", f"<error{attributes(by=self._domain)} ", 1)
            self._send(publish.reply("error", by_host, True))

    def _publish(self, iq: etree._Element, sender: str, reply: Reply) -> Sequence[bytes]:
        service = self._by_jid.get(iq.get("to") or "")
        if service is None:
            return [_written(("cancel", "remote-server-not-found"), reply)]
        verdict = service.take(iq.find(_PUBSUB_ELEMENT), sender, reply)
        return [] if verdict == HOLD else [_written(verdict, reply)]

    def _relayed(self, outer: etree._Element, inner: etree._Element) -> Reply:
        head = attributes(id=outer.get("id"), from_=self._domain, to=self._component)
        identifier, service = inner.get("id"), inner.get("to")

        def reply(kind: str, child: str, by_host: bool) -> bytes:
            told = attributes(type=kind, id=identifier, from_=self._domain if by_host else service, to=self._domain)
            answer = f"<iq xmlns='{names.CLIENT}'{told}>{child}</iq>"
            return f"<iq type='result'{head}><publish xmlns='{names.FEED}'>{answer}</publish></iq>".encode()

        return reply


def _direct(iq: etree._Element) -> Reply:
    head = attributes(id=iq.get("id"), from_=iq.get("to"), to=iq.get("from"))
    return lambda kind, child, by_host: f"<iq type='{kind}'{head}>{child}</iq>".encode()


def _written(verdict: Verdict, reply: Reply) -> bytes:
    if verdict is None or verdict == HOLD:
        return reply("result", "", False)
    error_type, condition = verdict
    return reply("error", error_xml(Refusal(error_type, condition, "said the push service")), False)

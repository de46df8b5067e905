"""A push service (XEP-0357) that, like p2, knows a device by the domain which publishes to it: slixmpp's component."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from inbox import TIMEOUT, Inbox
from people import PUBLISH_OPTIONS, PUSH, Loop, dismiss
from slixmpp import ComponentXMPP
from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from wire import STANZAS

PUBSUB = "http://jabber.org/protocol/pubsub"
SUMMARY = "urn:xmpp:push:summary"
_FORM = "{jabber:x:data}x"


@dataclass(frozen=True)
class Notice:
    """One publish, as it came. `options` None = there was no publish-options element."""

    sender: str
    node: str
    item: str
    fields: Mapping[str, str]
    options: Mapping[str, str] | None
    request: str = field(repr=False, default="")

    @property
    def body(self) -> str:
        """The message's text."""
        return self.fields.get("last-message-body", "")


class PushService:
    """
    Answers publishes, and keeps those that it took in `notices` and those that it refused in `refusals`.

    An item that it took before is a repetition: it is answered alike, and kept in `repetitions`.

    `trusted`: the only domain whose publishes it knows a device for; None = anybody's.
    """

    def __init__(self, loop: Loop, jid: str, port: int, trusted: str | None) -> None:
        self.jid = jid
        self.notices: Inbox[Notice] = Inbox()
        self.refusals: Inbox[Notice] = Inbox()
        self.repetitions: Inbox[Notice] = Inbox()
        self._taken: set[str] = set()
        self._loop = loop
        self._port = port
        self._trusted = trusted
        self._verdicts: dict[str, deque[str]] = {}
        self._component: ComponentXMPP | None = None

    def connect(self) -> "PushService":
        """Come up, and return when the server has accepted it."""
        self._loop.run(self._connect())
        return self

    def disconnect(self) -> None:
        """Go away; nothing happens when it is."""
        self._loop.run(self._disconnect())

    def refuse(self, node: str, *errors: tuple[str, str]) -> None:
        """Answer the next publishes to `node` with these errors (type, condition), one each."""
        verdicts = deque(f"<error type='{kind}'><{name} xmlns='{STANZAS}'/></error>" for kind, name in errors)
        self._loop.call(lambda: self._verdicts.update({node: verdicts}))

    def hold(self, node: str) -> None:
        """Leave the next publish to `node` without an answer; see `answer`."""
        self._loop.call(lambda: self._verdicts.update({node: deque([""])}))

    def answer(self, notice: Notice, error: str = "") -> None:
        """Answer a publish."""
        self._loop.call(lambda: self._answer(notice, error))

    def notice(self, node: str, body: str | None = None, timeout: float = TIMEOUT) -> Notice:
        """The next publish to `node` (with this text) that it took."""
        return self.notices.take(lambda one: one.node == node and body in (None, one.body), timeout)

    def refusal(self, node: str) -> Notice:
        """The next publish to `node` that it refused or left without an answer."""
        return self.refusals.take(lambda one: one.node == node)

    async def _connect(self) -> None:
        # slixmpp is typed but for this constructor
        component = ComponentXMPP(self.jid, "secret", "127.0.0.1", self._port)  # type: ignore[no-untyped-call]
        publish = MatchXPath(f"{{jabber:component:accept}}iq/{{{PUBSUB}}}pubsub")
        component.register_handler(Callback("publish", publish, self._published))
        self._component = component
        component.connect()
        await component.wait_until("session_start", TIMEOUT)

    async def _disconnect(self) -> None:
        component, self._component = self._component, None
        if component is not None:
            await component.disconnect()
            await dismiss(component)

    def _published(self, iq: StanzaBase) -> None:
        if iq.xml.get("type") != "set":
            return
        notice = read(iq.xml)
        verdict = self._verdict(notice)
        if verdict is not None:
            self.refusals.put(notice)
        elif notice.item in self._taken:
            self.repetitions.put(notice)
        else:
            self._taken.add(notice.item)
            self.notices.put(notice)
        if verdict != "":
            self._answer(notice, verdict or "")

    def _answer(self, notice: Notice, error: str) -> None:
        assert self._component is not None, f"{self.jid} is away"
        kind = "error" if error else "result"
        self._component.send_raw(
            f"<iq type='{kind}' id='{notice.request}' from='{self.jid}' to='{notice.sender}'>{error}</iq>"
        )

    def _verdict(self, notice: Notice) -> str | None:
        """None = taken, "" = no answer, else an error."""
        if self._trusted not in (None, notice.sender):
            return f"<error type='cancel'><item-not-found xmlns='{STANZAS}'/></error>"
        waiting = self._verdicts.get(notice.node)
        return waiting.popleft() if waiting else None


def read(iq: Element) -> Notice:
    """Read a publish; whatever XEP-0357 section 7 does not allow fails."""
    publish = iq.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish")
    assert publish is not None
    items = publish.findall(f"{{{PUBSUB}}}item")
    assert len(items) == 1
    summary = items[0].find(f"{{{PUSH}}}notification/{_FORM}")
    options = iq.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish-options")
    return Notice(
        sender=iq.get("from", ""),
        node=publish.get("node", ""),
        item=items[0].get("id", ""),
        fields=_fields(summary, SUMMARY),
        options=None if options is None else _fields(options.find(_FORM), PUBLISH_OPTIONS),
        request=iq.get("id", ""),
    )


def _fields(form: Element | None, form_type: str) -> Mapping[str, str]:
    assert form is not None
    assert form.get("type") == "submit"
    names = [one.get("var", "") for one in form]
    assert len(set(names)) == len(names), names
    found = {one.get("var", ""): one.findtext("{jabber:x:data}value") or "" for one in form}
    assert found.pop("FORM_TYPE") == form_type
    return found

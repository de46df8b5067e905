"""
IQs to push services: bytes from templates, answers read back.

``publish_as = "host"``: the host sends the IQ from its own domain (docs/feed-protocol.md, "Publish as host");
``"component"``: it goes from the component's domain, for a host without our module.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from event_pusher.abc import IqAnswer, IqRequest
from event_pusher.xmpp import names
from event_pusher.xmpp.answers import AnswerTo, OpenIq, OpenIqs, same, tell
from event_pusher.xmpp.stanzas import escape, read_error
from event_pusher.xmpp.suspects import Probe, Suspects

if TYPE_CHECKING:
    from lxml import etree

_PUBLISH: Final = f"{{{names.FEED}}}publish"
_IQ: Final = f"{{{names.CLIENT}}}iq"
#: The host's own timeout ends this much before ours, so that its word comes in time.
_HOST_SHARE: Final = 0.8

_RESULT: Final = IqAnswer("result")

PublishAs = Literal["host", "component"]


class IqSender:
    """
    The source's `abc.StanzaSender`: any thread sends, the reader thread brings the answers.

    `send` queues bytes and says whether they can leave; `is_open`: there is a stream; `full`: too many wait.
    """

    def __init__(
        self,
        component: str,
        hosts: Collection[str],
        publish_as: PublishAs,
        table: OpenIqs,
        send: Callable[[bytes], bool],
        is_open: Callable[[], bool],
        full: Callable[[], bool],
        counters: MutableMapping[str, int],
    ) -> None:
        self._component = component
        self._hosts = frozenset(hosts)
        self._relayed = publish_as == "host"
        self._table = table
        self._send = send
        self._open = is_open
        self._full = full
        self._counters = counters
        self._asked = min(hosts)
        self._suspects = Suspects(table.clock, counters, self._launch, self._ping, send)

    def ready(self) -> bool:
        """Whether a request could leave now (`abc.StanzaSender`)."""
        return self._open() and not self._full() and not self._suspects.busy

    def request(self, requests: Sequence[IqRequest], timeout: float, answer: AnswerTo) -> None:
        """
        Send a batch; never blocks (`abc.StanzaSender`).

        "unsent" comes at once: no stream, a full one, a service with too many open IQs, a host that is not ours, a
        suspect (`Suspects`) that has the stream to itself.
        """
        wanted = [request for request in requests if request.host in self._hosts]
        unsent = [request.token for request in requests if request.host not in self._hosts]
        if self._full():
            unsent, wanted = [request.token for request in requests], []
        if suspects := self._suspects.pick(wanted):
            wanted = [request for request in wanted if request not in suspects]
            if not self._suspects.hold(suspects, timeout, answer):
                unsent += [request.token for request in suspects]
        ids = self._table.enter([(host, to, token) for host, to, _, token in wanted], timeout, answer)
        parts: list[bytes] = []
        for request, identifier in zip(wanted, ids, strict=True):
            if identifier is None:
                unsent.append(request.token)
            else:
                parts.append(self._build(request, identifier.encode(), timeout))
        if parts and not self._suspects.unless_busy(b"".join(parts)):
            entries = [self._table.take(identifier) for identifier in ids if identifier is not None]
            unsent += [entry.token for entry in entries if entry is not None]
            parts = []
        self._counters["requests_sent"] = self._counters.get("requests_sent", 0) + len(parts)
        if unsent:
            self._counters["requests_unsent"] = self._counters.get("requests_unsent", 0) + len(unsent)
            answer([(token, IqAnswer("unsent")) for token in unsent])

    def read(self, iqs: Sequence[etree._Element]) -> None:
        """Match results and errors, and tell who asked (on the reader thread)."""
        told: list[tuple[OpenIq, IqAnswer]] = []
        for iq in iqs:
            identifier = iq.get("id") or ""
            if identifier == self._suspects.awaited and same(iq.get("from") or "", self._asked):
                self._suspects.answered(identifier)
                continue
            entry = self._table.peek(identifier)
            if entry is None:
                continue
            answer = self._relayed_answer(iq, entry) if self._relayed else _direct_answer(iq, entry)
            if answer is None:
                self._table.forged()
            elif self._table.take(identifier) is not None:
                if self._suspects.awaited is not None:
                    self._suspects.answered(identifier)
                told.append((entry, answer))
        if told:
            tell(told)
        self._table.prune()

    def lost(self, condition: str) -> None:
        """The stream broke. Relayed answers come on the next one; direct ones never."""
        for probe, answer in self._suspects.lost(condition, self._table.next_stream()):
            if probe.id is None or self._table.take(probe.id) is not None:
                probe.answer([(probe.request.token, answer)])
        if not self._relayed:
            self._table.lose()

    def host_restarted(self, host: str) -> None:
        """The host's module began anew and knows nothing of what it was asked."""
        if self._relayed:
            self._table.lose(host)

    def _launch(self, probe: Probe, following: bytes) -> bool:
        """Send one suspect and what follows it."""
        request = probe.request
        wanted = [(request.host, request.to, request.token)]
        [probe.id] = self._table.enter(wanted, probe.timeout, probe.answer)
        if probe.id is None:
            return self._send(following)
        if self._send(self._build(request, probe.id.encode(), probe.timeout) + following):
            return True
        self._table.take(probe.id)
        return False

    def _ping(self, identifier: str) -> bytes:
        to, sender = escape(self._asked), escape(self._component)
        return f"<iq type='get' id='{identifier}' from='{sender}' to='{to}'><ping xmlns='{names.PING}'/></iq>".encode()

    def _build(self, request: IqRequest, identifier: bytes, timeout: float) -> bytes:
        if not self._relayed:
            head, tail = _direct(self._component, request.to)
            return b"%b%b%b%b</iq>" % (head, identifier, tail, request.payload)
        head, middle = _relay(self._component, request.host, request.to, max(1, int(timeout * _HOST_SHARE)))
        return b"%b%b%b%b'>%b</iq></publish></iq>" % (head, identifier, middle, identifier, request.payload)

    def _relayed_answer(self, iq: etree._Element, entry: OpenIq) -> IqAnswer | None:
        """Unwrap the answer; None = not from whom was asked."""
        if not same(iq.get("from") or "", entry.host):
            return None
        if iq.get("type") == "error":
            # The host itself did not relay: no module, not our component, a refused shape. That says nothing
            # about the push service, so it is no verdict: it waits, and `by` names the host.
            condition, _, text, _ = read_error(iq)
            self._counters["relays_refused"] = self._counters.get("relays_refused", 0) + 1
            return IqAnswer("error", condition, "wait", text, entry.host)
        publish = iq[0] if len(iq) else None
        inner = publish[0] if publish is not None and publish.tag == _PUBLISH and len(publish) else None
        if inner is None or inner.tag != _IQ:
            return IqAnswer("error", "undefined-condition", "wait", "the host's answer holds none", entry.host)
        sender = inner.get("from") or entry.host
        if sender == entry.service and inner.get("type") == "result":  # nearly all
            return _RESULT
        by_host = inner.get("type") == "error" and same(sender, entry.host)
        return _answer(inner) if by_host or same(sender, entry.service) else None


@lru_cache(maxsize=8192)
def _relay(component: str, host: str, to: str, timeout: int) -> tuple[bytes, bytes]:
    return b"<iq type='set' id='", (
        f"' from='{escape(component)}' to='{escape(host)}'><publish xmlns='{names.FEED}' timeout='{timeout}'>"
        f"<iq xmlns='{names.CLIENT}' type='set' to='{escape(to)}' id='"
    ).encode()


@lru_cache(maxsize=8192)
def _direct(component: str, to: str) -> tuple[bytes, bytes]:
    return b"<iq type='set' id='", f"' from='{escape(component)}' to='{escape(to)}'>".encode()


def _direct_answer(iq: etree._Element, entry: OpenIq) -> IqAnswer | None:
    return _answer(iq) if same(iq.get("from") or "", entry.service) else None


def _answer(iq: etree._Element) -> IqAnswer:
    if iq.get("type") == "result":
        return _RESULT
    condition, error_type, text, by = read_error(iq)
    return IqAnswer("error", condition, error_type, text, by)

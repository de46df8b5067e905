"""The loopback server itself: it listens, hands on what clients ask, and keeps push services."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final

from lxml import etree

from event_pusher.abc import IqAnswer
from event_pusher.loopback.host import Host
from event_pusher.loopback.link import Link, stream_error
from event_pusher.loopback.publishes import Handler, Publish, PushService, Services, Verdict
from event_pusher.xmpp import names
from event_pusher.xmpp.stanzas import attributes, escape, read_error

if TYPE_CHECKING:
    from typing import Self

_INNER: Final = f"{{{names.CLIENT}}}iq"
_MESSAGE: Final = f"{{{names.COMPONENT}}}message"
_DELEGATED: Final = f"{{{names.DELEGATION[1]}}}delegation/{{{names.FORWARD}}}forwarded/{_INNER}"


class LoopbackServer(Host):
    """
    An XMPP server of one `domain` that serves one `component`. A context manager; all methods are thread-safe.

    Users are bare JIDs. What happens before the component is connected waits in the ring (`ring_bytes` at most).
    `sent`: also tell the sender's side of each message.
    """

    def __init__(
        self,
        domain: str = "example.org",
        component: str = "push.example.org",
        secret: str = "secret",  # noqa: S107 - never leaves this machine
        *,
        ring_bytes: int = 32_000_000,
        sent: bool = False,
    ) -> None:
        super().__init__(domain, component, ring_bytes, sent=sent)
        self._secret = secret
        self._link: Link | None = None
        self._links: set[Link] = set()
        self._services = Services(domain, component, self.inject)
        self._exchanges: dict[str, bytes | None] = {}
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._acceptor = threading.Thread(target=self._accept, name="loopback-acceptor", daemon=True)

    # --- the server's life ------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``, for the source's ``server``."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> Self:
        """Accept components."""
        self._acceptor.start()
        return self

    def close(self) -> None:
        """End everything; called twice is fine."""
        with self._changed:
            self._closed = True
            links = list(self._links)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._acceptor.ident is not None:
            self._acceptor.join(5.0)
        for link in links:
            link.drop()
            link.join(5.0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_connected(self, timeout: float = 10.0) -> bool:
        """Wait until the component is connected and resumed."""
        return self.wait_for(lambda: self._link is not None and bool(self.ring.consumer), timeout)

    @property
    def connected(self) -> bool:
        """Whether the component is connected."""
        return self._link is not None

    def drop_stream(self) -> None:
        """Cut the component's connection without a word; it will come back."""
        with self._changed:
            link = self._leave()
        if link is not None:
            link.drop()
            link.join(5.0)

    def end_stream(self, condition: str = "system-shutdown") -> None:
        """Close the component's stream with a stream error."""
        with self._changed:
            link = self._leave()
        if link is not None:
            link.finish(stream_error(condition))

    def restart(self) -> None:
        """Start anew, as after a crash: a new epoch, no session, an empty ring; open publishes are forgotten."""
        with self._changed:
            link = self._leave()
            self._begin()
        if link is not None:
            link.drop()
            link.join(5.0)

    def inject(self, data: bytes) -> bool:
        """Send raw bytes to the component; False when it is not connected."""
        link = self._link
        return link is not None and link.send(data)

    # --- requests of clients ----------------------------------------------------------------------------------

    def enable(
        self,
        user: str,
        service: str | None,
        node: str | None,
        options: Mapping[str, str] | None = None,
        *,
        to: str | None = None,
        timeout: float = 10.0,
    ) -> IqAnswer:
        """A client's ``<enable/>`` to its own account (or `to`), and what it is answered."""
        form = ""
        if options is not None:
            kind = f"<field var='FORM_TYPE' type='hidden'><value>{names.PUBLISH_OPTIONS}</value></field>"
            fields = "".join(
                f"<field{attributes(var=k)}><value>{escape(v)}</value></field>" for k, v in options.items()
            )
            form = f"<x xmlns='{names.DATA_FORMS}' type='submit'>{kind}{fields}</x>"
        told = attributes(jid=service, node=node)
        return self.delegate(user, f"<enable xmlns='{names.PUSH}'{told}>{form}</enable>", to=to, timeout=timeout)

    def disable(
        self, user: str, service: str | None, node: str | None = None, *, to: str | None = None, timeout: float = 10.0
    ) -> IqAnswer:
        """A client's ``<disable/>``, and what it is answered."""
        told = attributes(jid=service, node=node)
        return self.delegate(user, f"<disable xmlns='{names.PUSH}'{told}/>", to=to, timeout=timeout)

    def delegate(
        self,
        user: str,
        child: str,
        *,
        to: str | None = None,
        type: str = "set",  # noqa: A002 - XMPP's name
        timeout: float = 10.0,
    ) -> IqAnswer:
        """Hand on an IQ of `user` with this child in the envelope of XEP-0355, and read the inner answer."""
        account, _, resource = user.partition("/")
        number = f"e{next(self._numbers)}"
        head = attributes(type=type, id="inner", from_=f"{account}/{resource or 'loopback'}", to=to or account)
        envelope = (
            f"<delegation xmlns='{names.DELEGATION[1]}'><forwarded xmlns='{names.FORWARD}'>"
            f"<iq xmlns='{names.CLIENT}'{head}>{child}</iq></forwarded></delegation>"
        )
        answer = self.exchange("set", number, envelope, timeout)
        if answer is None:
            return IqAnswer("error", "service-unavailable", "cancel", "the component is away", self.domain)
        inner = etree.fromstring(answer).find(_DELEGATED)
        if inner is None:
            return IqAnswer("error", "undefined-condition", "", "the answer holds no IQ", self.domain)
        if inner.get("type") == "result":
            return IqAnswer("result")
        return IqAnswer("error", *read_error(inner))

    def exchange(
        self,
        type: str,  # noqa: A002 - XMPP's name
        id: str,  # noqa: A002 - XMPP's name
        payload: str,
        timeout: float = 10.0,
        *,
        sender: str | None = None,
    ) -> bytes | None:
        """Send the component any IQ (from the domain, or `sender`); give the answer's XML, None when none came."""
        head = attributes(type=type, id=id, from_=sender or self.domain, to=self.component)
        with self._changed:
            self._exchanges[id] = None
            if not self.inject(f"<iq{head}>{payload}</iq>".encode()):
                del self._exchanges[id]
                return None
            self._changed.wait_for(lambda: self._exchanges[id] is not None or self._link is None, timeout)
            return self._exchanges.pop(id)

    # --- push services ----------------------------------------------------------------------------------------

    def push_service(self, jid: str, handler: Handler | None = None, *, parse: bool = True) -> PushService:
        """Have a push service at `jid`; without a handler it takes everything. ``parse=False`` only counts: faster."""
        return self._services.add(jid, handler, parse=parse)

    def answer(self, publish: Publish, verdict: Verdict = None) -> None:
        """Answer a publish whose handler said `HOLD`."""
        self._services.settle(publish, verdict)

    def time_out(self, publish: Publish) -> None:
        """Let the host give up on a publish whose handler said `HOLD`."""
        self._services.time_out(publish)

    # --- the connection ---------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(sock, self.component, self._secret, self._opened, self._read, self._ended)
            with self._changed:
                if self._closed:
                    sock.close()
                    return
                self._links.add(link)
            link.start()

    def _opened(self, link: Link) -> None:
        with self._changed:
            former = self._leave()
            self._link = link
            self._changed.notify_all()
        if former is not None:
            former.finish(stream_error("conflict"))

    def _leave(self) -> Link | None:
        link, self._link = self._link, None
        self.ring.leave()
        self._changed.notify_all()
        return link

    def _ended(self, link: Link) -> None:
        with self._changed:
            self._links.discard(link)
            if self._link is link:
                self._leave()
            self._changed.notify_all()

    def _read(self, link: Link, stanzas: Sequence[etree._Element]) -> None:
        answers: list[bytes] = []
        with self._changed:
            if self._link is not link:
                return
            for stanza in stanzas:
                if stanza.tag == _MESSAGE:
                    self._told(stanza, link.send)
                elif stanza.get("type") in ("result", "error"):
                    self._exchanged(stanza)
        for stanza in stanzas:
            if stanza.tag != _MESSAGE and stanza.get("type") in ("get", "set"):
                answers += self._services.asked(stanza)
        if answers:
            link.send(b"".join(answers))
        with self._changed:
            self._changed.notify_all()

    def _exchanged(self, iq: etree._Element) -> None:
        identifier = iq.get("id") or ""
        if identifier in self._exchanges:
            self._exchanges[identifier] = etree.tostring(iq, encoding="utf-8")

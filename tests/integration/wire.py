"""Raw XMPP for tests: one thread reads, the test waits for what it expects and never sleeps.

``Component`` is an XEP-0114 component, ``Client`` a client with SASL PLAIN, bind and, when asked,
XEP-0198. Plain TCP only. What a test sends is a string, what it gets is an ElementTree element.
"""

import base64
import contextlib
import hashlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self, cast
from xml.etree.ElementTree import Element, XMLPullParser, tostring

STREAMS = "http://etherx.jabber.org/streams"
CLIENT = "jabber:client"
COMPONENT = "jabber:component:accept"
SM = "urn:xmpp:sm:3"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
PING = "urn:xmpp:ping"
DISCO = "http://jabber.org/protocol/disco#info"
TIMEOUT = 10.0

Predicate = Callable[[Element], bool]
_ids = itertools.count(1)


def new_id(prefix: str = "t") -> str:
    """An id that no other stanza of this test run has."""
    return f"{prefix}{next(_ids)}"


def local(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


def condition(stanza: Element) -> tuple[str, str] | None:
    """``(type, condition)`` of the stanza's own error."""
    error = stanza.find("{*}error")
    if error is None:
        return None
    names = [local(child) for child in error if child.tag.startswith(f"{{{STANZAS}}}")]
    return error.get("type", ""), next((name for name in names if name != "text"), "")


def has_id(identifier: str) -> Predicate:
    """Matches the stanza with this id."""
    return lambda element: element.get("id") == identifier


def new_parser() -> "XMLPullParser[Element]":
    """A parser for one stream; a stream restart needs another."""
    return XMLPullParser(events=("start", "end"))


class ClosedError(AssertionError):
    """The stream ended while the test waited for something on it."""


class Stream:
    """A socket, a reading thread, and an inbox in the order of arrival."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.address = (host, port)
        self.inbox: list[Element] = []
        self.closed = False
        self.hung_up = False  # by this end
        self.handled = 0  # stanzas received since <enable/>, for XEP-0198
        self.acking = True  # answer <r/>; a test that wants unacknowledged messages says False
        self._news = threading.Condition()
        self._parser = new_parser()
        self._depth = 0
        self._root: Element | None = None
        self._write = threading.Lock()
        self._socket = socket.create_connection(self.address, timeout=TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(None)
        threading.Thread(target=self._read, daemon=True).start()

    @contextlib.contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        """A stream that does not come about leaves no socket open: nobody has it to close it."""
        try:
            yield
        except BaseException:
            self._socket.close()
            raise

    def send(self, xml: str) -> None:
        """Write the text as it is."""
        with self._write:
            self._socket.sendall(xml.encode())

    def expect(self, predicate: Predicate, timeout: float = TIMEOUT) -> Element:
        """Take the first matching element out of the inbox, waiting for it when need be."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for index, element in enumerate(self.inbox):
                    if predicate(element):
                        return self.inbox.pop(index)
                if self.closed:
                    raise ClosedError(f"stream closed; inbox: {self.inbox_text()}")
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise AssertionError(f"not within {timeout} s; inbox: {self.inbox_text()}")

    def wait_closed(self, timeout: float = TIMEOUT) -> None:
        """Return when the other end has closed the stream."""
        with self._news:
            assert self._news.wait_for(lambda: self.closed, timeout), "the stream is still open"

    def waiting(self, predicate: Predicate) -> list[Element]:
        """The matching elements that are in the inbox now; they stay there."""
        with self._news:
            return [element for element in self.inbox if predicate(element)]

    def clear(self) -> None:
        """Forget what came so far."""
        with self._news:
            self.inbox.clear()

    def inbox_text(self) -> str:
        """The inbox as XML, for messages."""
        return "\n".join(tostring(element, "unicode") for element in self.inbox) or "(empty)"

    def iq(self, kind: str, to: str | None, payload: str, sender: str | None = None) -> Element:
        """Send an IQ and return its answer."""
        identifier = new_id("iq")
        address = f" to='{to}'" if to else ""
        address += f" from='{sender}'" if sender else ""
        self.send(f"<iq type='{kind}' id='{identifier}'{address}>{payload}</iq>")
        return self.expect(has_id(identifier))

    def features(self, to: str | None) -> list[str]:
        """The features in the disco#info answer of the address."""
        answer = self.iq("get", to, f"<query xmlns='{DISCO}'/>")
        return [feature.get("var", "") for feature in answer.iter(f"{{{DISCO}}}feature")]

    def close(self) -> None:
        """End the stream in order and wait until the other end has done the same."""
        self.hung_up = True
        try:
            self.send("</stream:stream>")
            self.wait_closed(2)
        except (OSError, AssertionError):
            pass
        self._socket.close()

    def abort(self) -> None:
        """Cut the connection with a TCP RST, as a lost network does sooner or later."""
        self.hung_up = True
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The reading thread holds the descriptor in recv(): without a shutdown it would stay open.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        self._socket.close()

    def header(self, namespace: str, to: str, version: str = "") -> Element:
        """Open a stream (again) and return the other end's root element."""
        self._parser, self._depth = new_parser(), 0
        self.send(
            f"<?xml version='1.0'?><stream:stream xmlns='{namespace}' {version} xmlns:stream='{STREAMS}' to='{to}'>"
        )
        return self.expect(lambda element: element.tag == f"{{{STREAMS}}}stream")

    def _read(self) -> None:
        try:
            while data := self._socket.recv(65536):
                self._parser.feed(data)
                for event, element in self._parser.read_events():  # type: ignore[misc]
                    self._on_event(str(event), cast(Element, element))
        except (OSError, SyntaxError):
            pass
        with self._news:
            self.closed = True
            self._news.notify_all()

    def _on_event(self, event: str, element: Element) -> None:
        if event == "start":
            self._depth += 1
            if self._depth == 1:
                self._root = element
                self._arrived(element)
            return
        self._depth -= 1
        if self._depth == 1:
            if self._root is not None:
                self._root.remove(element)
            self._arrived(element)

    def _arrived(self, element: Element) -> None:
        if local(element) in ("message", "presence", "iq"):
            self.handled += 1
        if element.tag == f"{{{SM}}}r":
            if self.acking:
                self.send(f"<a xmlns='{SM}' h='{self.handled}'/>")
            return
        with self._news:
            self.inbox.append(element)
            self._news.notify_all()


class Component(Stream):
    """A component that is connected when the constructor returns."""

    def __init__(self, jid: str, port: int, secret: str = "secret") -> None:
        super().__init__(port)
        self.jid = jid
        with self._closed_on_failure():
            self._shake_hands(secret)

    def _shake_hands(self, secret: str) -> None:
        root = self.header(COMPONENT, self.jid)
        digest = hashlib.sha1((root.get("id", "") + secret).encode()).hexdigest()
        self.send(f"<handshake>{digest}</handshake>")
        answer = self.expect(lambda element: local(element) in ("handshake", "error"))
        assert local(answer) == "handshake", tostring(answer, "unicode")

    def iq(self, kind: str, to: str | None, payload: str, sender: str | None = None) -> Element:
        """Send an IQ, as the component itself unless told, and return its answer."""
        return super().iq(kind, to, payload, sender or self.jid)

    def message(self, to: str, payload: str, sender: str | None = None, attrs: str = "") -> None:
        """Send a message, as the component itself unless told."""
        self.send(f"<message from='{sender or self.jid}' to='{to}' {attrs}>{payload}</message>")


class Client(Stream):
    """A client that is logged in and bound when the constructor returns."""

    def __init__(
        self,
        user: str,
        domain: str,
        port: int,
        resource: str = "r1",
        *,
        password: str = "pw",
        priority: int | None = 0,
        bind: bool = True,
    ) -> None:
        super().__init__(port)
        self.bare = f"{user}@{domain}"
        self.full = f"{self.bare}/{resource}"
        self.sm_id = ""
        with self._closed_on_failure():
            self._login(user, domain, password)
            if bind:
                self._bind(resource)
                if priority is not None:
                    self.presence(priority)

    def presence(self, priority: int = 0) -> None:
        """Become available and wait until the server has said so."""
        self.send(f"<presence><priority>{priority}</priority></presence>")
        self.expect(lambda e: local(e) == "presence" and e.get("from") == self.full and not e.get("type"))

    def enable_sm(self, *, resume: bool = True, acking: bool = True, seconds: int | None = None) -> Self:
        """Switch XEP-0198 on; ``acking=False`` never answers the server's ``<r/>``."""
        self.acking = acking
        wanted = " resume='true'" if resume else ""
        wanted += f" max='{seconds}'" if seconds is not None else ""
        self.send(f"<enable xmlns='{SM}'{wanted}/>")
        answer = self.expect(lambda e: e.tag in (f"{{{SM}}}enabled", f"{{{SM}}}failed"))
        assert local(answer) == "enabled", tostring(answer, "unicode")
        self.handled = 0
        self.sm_id = answer.get("id", "")
        return self

    def resume_sm(self, previous: "Client", handled: int | None = None) -> Element:
        """Resume the session of a client that lost its connection; needs ``bind=False``."""
        count = previous.handled if handled is None else handled
        self.send(f"<resume xmlns='{SM}' previd='{previous.sm_id}' h='{count}'/>")
        answer = self.expect(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))
        assert local(answer) == "resumed", tostring(answer, "unicode")
        self.full, self.sm_id, self.handled = previous.full, previous.sm_id, count
        return answer

    def message(self, to: str, body: str, attrs: str = "type='chat'") -> str:
        """Send a message with a body and return its id."""
        identifier = new_id("m")
        self.send(f"<message to='{to}' id='{identifier}' {attrs}><body>{body}</body></message>")
        return identifier

    def _login(self, user: str, domain: str, password: str) -> None:
        self._open(domain)
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{token}</auth>")
        answer = self.expect(lambda e: local(e) in ("success", "failure"))
        assert local(answer) == "success", tostring(answer, "unicode")
        self._open(domain)

    def _open(self, domain: str) -> None:
        self.header(CLIENT, domain, "version='1.0'")
        self.expect(lambda element: local(element) == "features")

    def _bind(self, resource: str) -> None:
        wanted = f"<bind xmlns='{BIND}'><resource>{resource}</resource></bind>"
        answer = self.iq("set", None, wanted)
        assert answer.get("type") == "result", tostring(answer, "unicode")

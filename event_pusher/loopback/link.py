"""One connection of a component to the loopback server: XEP-0114 from the server's side."""

from __future__ import annotations

import hashlib
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from event_pusher.errors import StreamError
from event_pusher.xmpp import names
from event_pusher.xmpp.parser import StreamParser
from event_pusher.xmpp.transport import Transport

if TYPE_CHECKING:
    from lxml import etree

_HANDSHAKE: Final = f"{{{names.COMPONENT}}}handshake"
_MAX_STANZA_BYTES: Final = 4_000_000


class Link:
    """Reads in a thread of its own and never waits for the peer to read."""

    def __init__(
        self,
        sock: socket.socket,
        component: str,
        secret: str,
        on_open: Callable[[Link], None],
        on_stanzas: Callable[[Link, Sequence[etree._Element]], None],
        on_closed: Callable[[Link], None],
    ) -> None:
        self._transport = Transport(sock)
        self._component = component
        self._secret = secret
        self._on_open = on_open
        self._on_stanzas = on_stanzas
        self._on_closed = on_closed
        self._thread = threading.Thread(target=self._run, name="loopback-reader", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def send(self, data: bytes) -> bool:
        """Queue bytes for the component."""
        return self._transport.send(data)

    def drop(self) -> None:
        """Cut the connection, without a word."""
        self._transport.abort()

    def finish(self, last: bytes) -> None:
        """Send what is queued, then `last`, then end."""
        self._transport.finish(last, 5.0)

    def join(self, timeout: float) -> None:
        """Wait for the reader, unless this is it."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._serve()
        except (OSError, StreamError):
            pass  # the peer went, or spoke what is no XMPP: the connection ends either way
        finally:
            self._on_closed(self)
            self._transport.close()

    def _serve(self) -> None:
        parser = StreamParser(_MAX_STANZA_BYTES)
        identifier = secrets.token_hex(8)
        digest = hashlib.sha1((identifier + self._secret).encode()).hexdigest()  # noqa: S324 - XEP-0114's
        greeted = admitted = False
        while data := self._transport.read():
            stanzas = parser.feed(data)
            if parser.header is not None and not greeted:
                greeted = True
                self._greet(parser.header.get("to", ""), identifier)
            if stanzas and not admitted:
                if stanzas[0].tag != _HANDSHAKE or (stanzas.pop(0).text or "") != digest:
                    raise self._refuse("not-authorized")
                self._transport.send(b"<handshake/>")  # waits in the queue until the server knows of us
                admitted = True
                self._on_open(self)
                self._transport.start("loopback")
            if stanzas:
                self._on_stanzas(self, stanzas)
            if parser.ended:
                self._transport.finish(b"</stream:stream>", 5.0)
                return

    def _greet(self, domain: str, identifier: str) -> None:
        self._transport.write(
            f"<?xml version='1.0'?><stream:stream xmlns='{names.COMPONENT}' xmlns:stream='{names.STREAMS}' "
            f"from='{self._component}' id='{identifier}'>".encode()
        )
        if domain != self._component:
            raise self._refuse("host-unknown")

    def _refuse(self, condition: str) -> StreamError:
        self._transport.write(stream_error(condition))
        return StreamError(condition)


def stream_error(condition: str) -> bytes:
    """Write a stream error and the stream's end."""
    return (f"<stream:error><{condition} xmlns='{names.STREAM_ERRORS}'/></stream:error></stream:stream>").encode()

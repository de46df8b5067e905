"""
One component stream (XEP-0114): a reader thread that waits for nothing but its socket, and one writer.

The stream comes back by itself, with full-jitter back-off; who uses it hears of each opening, of the stanzas of each
read, and of each end.
"""

from __future__ import annotations

import hashlib
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from xml.sax.saxutils import quoteattr

from event_pusher.errors import StreamError
from event_pusher.xmpp import names
from event_pusher.xmpp.parser import MAX_STANZA_BYTES, BrokenStream, StreamParser
from event_pusher.xmpp.transport import Transport

if TYPE_CHECKING:
    from lxml import etree

_ERROR: Final = f"{{{names.STREAMS}}}error"
_HANDSHAKE: Final = f"{{{names.COMPONENT}}}handshake"
_CURES: Final = {
    "not-authorized": "the component's secret is wrong: write the same one here (secret) and in the server",
    "conflict": "another process is connected as this component: stop it, one at a time is served",
    "host-unknown": "the server has no such component: add what `event-pusher setup` wrote to its configuration",
}


class Listener(Protocol):
    """Who uses a stream; all of it is called on the reader thread and must not wait."""

    def on_open(self) -> None:
        """The server took us; what is sent now is the first that it reads."""

    def on_stanzas(self, stanzas: Sequence[etree._Element]) -> None:
        """What one read finished, in order; no element may leave this thread."""

    def on_closed(self, error: StreamError, suspect: etree._Element | None) -> None:
        """An open stream ended; `suspect` is what was read of a stanza that broke it."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """
    `address` of the server, `domain` of the component, `ping_to` (whom to ask after `silence` seconds without a byte).

    `patience`: seconds for connecting, for the handshake, for the answer to a ping, for a write without progress.
    """

    address: tuple[str, int]
    domain: str
    ping_to: str
    max_stanza_bytes: int = MAX_STANZA_BYTES
    silence: float = 60.0
    patience: float = 20.0


def full_jitter(attempt: int) -> float:
    """Seconds before attempt number `attempt` (from 0): 0 to 1, 2, 4 … 60."""
    return random.uniform(0.0, min(60.0, 2.0 ** min(attempt, 6)))  # noqa: S311 - spreads load, keeps no secret


class Stream:
    """A component stream that reconnects until it is closed. `send` may be called from any thread."""

    def __init__(
        self,
        options: StreamOptions,
        secret: Callable[[], str],
        listener: Listener,
        log: logging.Logger,
        counters: MutableMapping[str, int],
        backoff: Callable[[int], float] = full_jitter,
    ) -> None:
        self.options = options
        self.state = "closed"
        self.error: StreamError | None = None
        self._secret = secret
        self._listener = listener
        self._log = log
        self._counters = counters
        self._backoff = backoff
        self._transport: Transport | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # --- any thread -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name=f"stream-{self.options.domain}", daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> bool:
        """Queue `data`, whole stanzas; never blocks. False: there is no open stream, nothing will leave."""
        transport = self._transport
        return self.state == "open" and transport is not None and transport.send(data)

    @property
    def full(self) -> bool:
        """Whether more than 8 MB wait for the socket."""
        transport = self._transport
        return transport is not None and transport.full

    @property
    def queued(self) -> int:
        """Bytes that wait for the socket."""
        transport = self._transport
        return transport.queued if transport is not None else 0

    def close(self, timeout: float) -> None:
        """End the stream: what is queued goes out, then ``</stream:stream>``; within `timeout` seconds."""
        until = time.monotonic() + timeout
        self._stop.set()
        transport = self._transport
        if transport is not None:
            transport.finish(b"</stream:stream>" if self.state == "open" else b"", timeout)
        if self._thread is not None:
            self._thread.join(max(0.0, until - time.monotonic()))
            transport = self._transport
            if self._thread.is_alive() and transport is not None:
                transport.abort()
                self._thread.join(1.0)

    def health(self) -> str | None:
        """None while the stream is open, else why it is not."""
        if self.state == "open":
            return None
        host, port = self.options.address
        return f"{self.state}, {host}:{port}" + (f", {self.error}" if self.error is not None else "")

    # --- the reader thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            began = time.monotonic()
            self._one_stream()
            attempt = 0 if time.monotonic() - began > 2 * self.options.silence else attempt
            if self._stop.wait(self._backoff(attempt)):
                break
            attempt += 1
        self.state = "closed"

    def _one_stream(self) -> None:
        self.state = "connecting"
        parser = StreamParser(self.options.max_stanza_bytes)
        opened = False
        try:
            self._transport = transport = Transport.connect(self.options.address, self.options.patience)
            if self._stop.is_set():  # close() came before there was a transport to end
                return
            stanzas = self._handshake(transport, parser)
            transport.start(self.options.domain)
            self.state, self.error, opened = "open", None, True
            self._log.info("%s is connected to %s:%d", self.options.domain, *self.options.address)
            self._count("streams_opened")
            self._listener.on_open()
            self._read(transport, parser, stanzas)
        except StreamError as error:
            self._ended(error, parser, opened=opened)
        except OSError as error:
            self._ended(_from_os(error), parser, opened=opened)
        except Exception as error:  # noqa: BLE001 - a reader that ends in silence is an outage; this one is logged
            self._log.exception("the reader of %s failed; the stream is opened again", self.options.domain)
            self._ended(StreamError("internal-server-error", type(error).__name__), parser, opened=opened)
        finally:
            if self._transport is not None:
                self._transport.close()
            self._transport = None

    def _handshake(self, transport: Transport, parser: StreamParser) -> list[etree._Element]:
        """XEP-0114 section 3; gives the stanzas that came in the same read."""
        domain = quoteattr(self.options.domain)
        transport.write(
            f"<?xml version='1.0'?><stream:stream xmlns='{names.COMPONENT}' "
            f"xmlns:stream='{names.STREAMS}' to={domain}>".encode()
        )
        stanzas: list[etree._Element] = []
        until = time.monotonic() + self.options.patience
        said = False
        while not stanzas:
            if not said and parser.header is not None:
                digest = hashlib.sha1((parser.header.get("id", "") + self._reveal()).encode()).hexdigest()  # noqa: S324 - XEP-0114's
                transport.write(f"<handshake>{digest}</handshake>".encode())
                said = True
            data = transport.read()
            if data is None or time.monotonic() > until:
                raise StreamError("connection-timeout", "the server did not answer the handshake")
            stanzas = self._parse(parser, data)
        if stanzas[0].tag != _HANDSHAKE:
            raise StreamError("undefined-condition", "the server did not answer the handshake with a handshake")
        return stanzas[1:]

    def _reveal(self) -> str:
        try:
            return self._secret()
        except ValueError as error:
            raise StreamError("not-authorized", str(error)) from None

    def _read(self, transport: Transport, parser: StreamParser, stanzas: list[etree._Element]) -> None:
        pinged = False
        transport.wait_at_most(self.options.silence)
        while True:
            if stanzas:
                self._hand_over(stanzas)
            data = transport.read()
            if data is None and pinged:
                raise StreamError("connection-timeout", "the server is silent and did not answer a ping")
            if data is None:
                transport.send(self._ping())
                self._count("pings_sent")
            if pinged != (data is None):
                pinged = not pinged
                transport.wait_at_most(self.options.patience if pinged else self.options.silence)
            try:
                stanzas = self._parse(parser, data) if data is not None else []
            except BrokenStream as error:
                self._hand_over(error.stanzas)
                raise

    def _hand_over(self, stanzas: list[etree._Element]) -> None:
        self._count("stanzas_read", len(stanzas))
        self._listener.on_stanzas(stanzas)

    def _parse(self, parser: StreamParser, data: bytes) -> list[etree._Element]:
        if not data:
            raise StreamError("connection-lost", "the server closed the connection")
        stanzas = parser.feed(data)
        for stanza in stanzas:
            if stanza.tag == _ERROR:
                raise BrokenStream(_stream_error(stanza), stanzas[: stanzas.index(stanza)])
        if parser.ended:
            raise BrokenStream(StreamError("closed", "the server ended the stream"), stanzas)
        return stanzas

    def _ended(self, error: StreamError, parser: StreamParser, *, opened: bool) -> None:
        self.state, self.error = "connecting", error
        if not self._stop.is_set():
            cure = _CURES.get(error.condition)
            self._count("streams_lost" if opened else "streams_refused")
            level = logging.ERROR if cure is not None or error.condition in _OURS else logging.WARNING
            self._log.log(level, "the stream of %s: %s%s", self.options.domain, error, f" ({cure})" if cure else "")
        if opened:
            suspect = parser.open_stanza() if error.condition in _OURS else None
            if error.condition in _OURS:
                self._count("stanzas_refused")
            self._listener.on_closed(error, suspect)

    def _ping(self) -> bytes:
        to, sender = quoteattr(self.options.ping_to), quoteattr(self.options.domain)
        return f"<iq type='get' id='ping' from={sender} to={to}><ping xmlns='{names.PING}'/></iq>".encode()

    def _count(self, name: str, by: int = 1) -> None:
        self._counters[name] = self._counters.get(name, 0) + by


#: What the parser says of a stanza; a server's own stream error never carries a suspect.
_OURS: Final = frozenset({"not-well-formed", "restricted-xml", "policy-violation", "unsupported-stanza-type"})


def _stream_error(element: etree._Element) -> StreamError:
    """RFC 6120 4.9: the defined condition and the server's text."""
    condition, text = "undefined-condition", ""
    for child in element:
        space, _, name = str(child.tag)[1:].partition("}")
        if space == names.STREAM_ERRORS and name == "text":
            text = (child.text or "")[:200]
        elif space == names.STREAM_ERRORS:
            condition = name
    return StreamError(condition, text)


def _from_os(error: OSError) -> StreamError:
    if isinstance(error, (TimeoutError, BlockingIOError)):
        return StreamError("connection-timeout", "the server does not answer")
    if isinstance(error, socket.gaierror):
        return StreamError("connection-failed", "the server's name cannot be resolved")
    return StreamError("connection-failed", error.strerror or type(error).__name__)

"""
A RabbitMQ that is none: enough of AMQP 0-9-1 on loopback for one publisher, and it misbehaves when told to.

For what a real broker cannot be brought to do at will: refuse a message, answer for many at once, fall silent.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pika import frame, spec
from pika.amqp_object import Method

#: What becomes of a message; "hold" = nothing is said, "return" = it comes back and is then confirmed.
Verdict = Literal["ack", "nack", "return", "hold"]
_CAPABILITIES = {
    "capabilities": {"publisher_confirms": True, "basic.nack": True, "connection.blocked": True},
    "product": "a double",
}


@dataclass
class Received:
    """A message that was published."""

    exchange: str
    key: str
    mandatory: bool
    tag: int
    channel: int
    properties: Any
    size: int
    body: bytes = b""


@dataclass
class _Channel:
    confirming: bool = False
    tag: int = 0
    partial: Received | None = None
    method: Any = None


@dataclass
class Peer:
    """One connection of a client."""

    sock: socket.socket
    channels: dict[int, _Channel] = field(default_factory=dict)

    def say(self, channel: int, method: Method) -> None:
        """Send one method."""
        with contextlib.suppress(OSError):
            self.sock.sendall(frame.Method(channel, method).marshal())

    def give_back(self, message: Received) -> None:
        """Send a `basic.return`."""
        method = spec.Basic.Return(312, "NO_ROUTE", message.exchange, message.key)
        header = frame.Header(message.channel, len(message.body), message.properties)
        body = frame.Body(message.channel, message.body).marshal() if message.body else b""
        with contextlib.suppress(OSError):
            self.sock.sendall(frame.Method(message.channel, method).marshal() + header.marshal() + body)


def eventually(predicate: Callable[[], object], timeout: float = 10.0) -> bool:
    """Wait for what tells nobody that it happened: `Backend.ready` is asked, as the core does."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


class AmqpBroker:
    """A context manager; all methods are thread-safe."""

    def __init__(self) -> None:
        self.verdict: Callable[[Received], Verdict] = lambda _message: "ack"
        self.messages: list[Received] = []
        self.declared: list[tuple[str, str, bool]] = []
        #: Exchanges that may not be declared: name → reply text.
        self.refusals: dict[str, str] = {}
        self.connections = 0
        #: A silent one takes connections and bytes, and says nothing.
        self.silent = False
        self._changed = threading.Condition()
        self._peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._away = False
        self._accept_thread = threading.Thread(target=self._accept, name="double-acceptor", daemon=True)

    def __enter__(self) -> Self:
        self._accept_thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything; twice is fine."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accept_thread.join(5.0)
        self.drop()
        for thread in self._threads:
            thread.join(5.0)

    def wait_for(self, predicate: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Wait until `predicate` holds; asked again at each thing that happens here."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)

    def leave(self) -> None:
        """Cut all connections, and every new one at once."""
        self._away = True
        self.drop()

    def come_back(self) -> None:
        """Take connections again."""
        self._away = False

    def drop(self) -> None:
        """Cut all connections."""
        with self._changed:
            peers = list(self._peers)
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)

    def block(self, reason: str = "low on memory") -> None:
        """Say that nothing is taken any more."""
        self._say_all(spec.Connection.Blocked(reason))

    def unblock(self) -> None:
        """Say that messages are taken again."""
        self._say_all(spec.Connection.Unblocked())

    def close_channels(self, code: int, text: str) -> None:
        """Close each channel that publishes."""
        with self._changed:
            for peer in self._peers:
                for number, channel in peer.channels.items():
                    if channel.confirming:
                        peer.say(number, spec.Channel.Close(code, text, 60, 40))

    def confirm(self, tag: int, *, multiple: bool = False, nack: bool = False) -> None:
        """Answer for a message that is held, or for all up to it."""
        method = spec.Basic.Nack(tag, multiple) if nack else spec.Basic.Ack(tag, multiple)
        with self._changed:
            for peer in self._peers:
                for number, channel in peer.channels.items():
                    if channel.confirming:
                        peer.say(number, method)

    def give_back(self, message: Received) -> None:
        """Return a message that is held."""
        with self._changed:
            for peer in self._peers:
                peer.give_back(message)

    def later(self, seconds: float, what: Callable[[], None]) -> threading.Timer:
        """Do something after a while."""
        timer = threading.Timer(seconds, what)
        timer.start()
        return timer

    # --- inside -------------------------------------------------------------------------------------------------

    def _say_all(self, method: Method) -> None:
        with self._changed:
            for peer in self._peers:
                peer.say(0, method)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._away:
                sock.close()
                continue
            with self._changed:
                peer = Peer(sock)
                self._peers.append(peer)
                self.connections += 1
                self._threads.append(threading.Thread(target=self._serve, args=(peer,), daemon=True))
                self._threads[-1].start()
                self._changed.notify_all()

    def _serve(self, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            for one in _frames(peer.sock):
                if not self.silent:
                    with self._changed:
                        self._handle(peer, one)
                        self._changed.notify_all()
        with self._changed:
            self._peers.remove(peer)
            peer.sock.close()
            self._changed.notify_all()

    def _handle(self, peer: Peer, one: Any) -> None:
        match one:
            case frame.ProtocolHeader():
                start = spec.Connection.Start(0, 9, _CAPABILITIES, "PLAIN", "en_US")
                peer.say(0, start)
            case frame.Method():
                self._method(peer, one.channel_number, one.method)
            case frame.Header():
                self._header(peer, one)
            case frame.Body():
                message = peer.channels[one.channel_number].partial
                assert message is not None
                message.body += one.fragment
                self._complete(peer, message)

    def _method(self, peer: Peer, number: int, method: Any) -> None:
        match method:
            case spec.Connection.StartOk():
                peer.say(0, spec.Connection.Tune(100, 131072, 0))
            case spec.Connection.Open():
                peer.say(0, spec.Connection.OpenOk())
            case spec.Connection.Close():
                peer.say(0, spec.Connection.CloseOk())
            case spec.Channel.Open():
                peer.channels[number] = _Channel()
                peer.say(number, spec.Channel.OpenOk())
            case spec.Channel.Close():
                peer.say(number, spec.Channel.CloseOk())
            case spec.Confirm.Select():
                peer.channels[number].confirming = True
                peer.say(number, spec.Confirm.SelectOk())
            case spec.Exchange.Declare():
                self._declare(peer, number, method)
            case spec.Basic.Publish():
                peer.channels[number].method = method

    def _declare(self, peer: Peer, number: int, method: Any) -> None:
        self.declared.append((method.exchange, method.type, method.durable))
        if method.exchange in self.refusals:
            peer.say(number, spec.Channel.Close(406, self.refusals[method.exchange], 40, 10))
        else:
            peer.say(number, spec.Exchange.DeclareOk())

    def _header(self, peer: Peer, one: Any) -> None:
        channel = peer.channels[one.channel_number]
        channel.tag += 1
        method = channel.method
        channel.partial = Received(
            method.exchange,
            method.routing_key,
            method.mandatory,
            channel.tag,
            one.channel_number,
            one.properties,
            one.body_size,
        )
        self._complete(peer, channel.partial)

    def _complete(self, peer: Peer, message: Received) -> None:
        if len(message.body) < message.size:
            return
        self.messages.append(message)
        if not peer.channels[message.channel].confirming:
            return
        verdict = self.verdict(message)
        if verdict == "return":
            peer.give_back(message)
        if verdict == "nack":
            peer.say(message.channel, spec.Basic.Nack(message.tag))
        elif verdict != "hold":
            peer.say(message.channel, spec.Basic.Ack(message.tag))


def _frames(sock: socket.socket) -> Iterator[Any]:
    data = b""
    while more := sock.recv(65536):
        data += more
        while True:
            used, one = frame.decode_frame(data)
            if one is None:
                break
            data = data[used:]
            yield one

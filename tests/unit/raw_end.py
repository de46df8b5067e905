"""A server's end of a component stream as bare as can be: it reads, or does not; it writes what it is told to."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Sequence

HOST, COMPONENT, SERVICE = "example.org", "push.example.org", "app.example.org"
PLACE = "xmlns='urn:event-pusher:feed:0' feed='raw' epoch='e1'"
_PUBLISH = re.compile(
    rb"<iq type='set' id='([^']+)'[^>]*><publish [^>]*><iq [^>]* id='([^']+)'>.*?m:(\d+):.*?</iq></publish></iq>",
    re.DOTALL,
)
_ACK = re.compile(rb"<ack [^>]*?\bn='(\d+)'[^>]*></message>|<ack [^>]*?\bn='(\d+)'")
_PING = re.compile(rb"<iq type='get'[^>]*? id='([^']+)'[^>]*><ping [^>]*/></iq>")
_OPEN = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' id='raw'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='push.example.org'>"
)


def event(n: int, number: int, user: str, size: int) -> bytes:
    """Entry `n`: a message to `user`, who is offline."""
    return (
        f"<message from='{HOST}' to='{COMPONENT}'><event {PLACE} n='{n}' kind='received' state='offline' user='{user}'"
        " resource='' session='' stored='true'/><forwarded xmlns='urn:xmpp:forward:0'>"
        f"<message xmlns='jabber:client' from='alice@{HOST}/phone' to='{user}' type='chat' id='r{n}'>"
        f"<body>m:{number}:{'x' * size}</body></message></forwarded></message>"
    ).encode()


class RawEnd:
    """One connection at a time. `reading` cleared = it reads nothing, not even of who connects anew."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        # Little goes into the kernel's own buffers.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._peer: socket.socket | None = None
        self._writing = threading.Lock()
        self.reading, self.resumed = threading.Event(), threading.Event()
        self.reading.set()
        self.published: list[int] = []
        self.acked = self.n = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def flood(self, users: Sequence[str], number: int, size: int) -> None:
        """Write so many events, whatever credit there is; returns when the other end has taken them."""
        for first in range(0, number, 100):
            parts = []
            for index in range(first, min(first + 100, number)):
                self.n += 1
                parts.append(event(self.n, index, users[index % len(users)], size))
            self.write(b"".join(parts))

    def write(self, data: bytes) -> None:
        assert self._peer is not None
        with self._writing:
            self._peer.sendall(data)

    def close(self) -> None:
        self.reading.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._peer is not None:
            self._peer.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                self._peer, _ = self._listener.accept()
            except OSError:
                return
            self._peer.settimeout(60)
            try:
                self._converse(self._peer)
            except OSError:
                pass
            finally:
                self._peer.close()

    def _converse(self, peer: socket.socket) -> None:
        inbound, greeted = b"", False
        while True:
            self.reading.wait()
            data = peer.recv(1 << 18)
            if not data:
                return
            inbound += data
            if not greeted and b"<stream:stream" in inbound:
                inbound, greeted = b"", True
                self.write(_OPEN)
            elif b"</handshake>" in inbound:
                inbound = inbound.partition(b"</handshake>")[2]
                self.write(b"<handshake/>")
            inbound = self._take(inbound)

    def _take(self, inbound: bytes) -> bytes:
        cut = max(inbound.rfind(b"</iq>") + 5, inbound.rfind(b"</message>") + 10)
        if cut < 10 or inbound.endswith(b"</iq></publish>"):
            return inbound
        if inbound[cut:].startswith(b"</publish>"):
            cut = inbound.rfind(b"</publish></iq>", 0, cut) + 15
            if cut < 15:
                return inbound
        whole = inbound[:cut]
        if b"<resume " in whole:
            self._resumed()
        for found in _ACK.finditer(whole):
            self.acked = max(self.acked, int(found[1] or found[2]))
        answers = [f"<iq type='result' id='{one[1].decode()}' from='{HOST}'/>" for one in _PING.finditer(whole)]
        for found in _PUBLISH.finditer(whole):
            self.published.append(int(found[3]))
            answers.append(
                f"<iq type='result' id='{found[1].decode()}' from='{HOST}'><publish xmlns='urn:event-pusher:feed:0'>"
                f"<iq xmlns='jabber:client' type='result' from='{SERVICE}'/></publish></iq>"
            )
        if answers:
            self.write("".join(answers).encode())
        return inbound[cut:]

    def _resumed(self) -> None:
        head = f"<message from='{HOST}' to='{COMPONENT}'>"
        self.write(
            f"{head}<feed xmlns='urn:event-pusher:feed:0' version='0' feed='raw' epoch='e1' first='{self.n + 1}'"
            f" next='{self.n + 1}' lost='0' server='raw'/></message>{head}<snapshot-begin {PLACE} n='{self.n + 1}'/>"
            f"</message>{head}<snapshot-end {PLACE} n='{self.n + 2}' count='0'/></message>".encode()
        )
        self.n += 2
        self.resumed.set()

"""
Both ends of a real XMPP server in one process: a component that writes messages, and a push service that counts.

    python tests/benchmarks/peer_end.py DOMAIN PORT USERS

A line of JSON ``{"events": N}`` starts a phase: N messages, to everybody in turn, as fast as the server reads them, and
a ping behind them. A line of JSON answers when the ping was answered and all N publishes have come: the seconds to
either, and what came twice. One thread, one selector: it reads while it writes.
"""

from __future__ import annotations

import hashlib
import json
import re
import selectors
import socket
import sys
import time
from collections import deque
from typing import Any

SECRET = "secret"
#: The components: the one that writes, the push service.
WRITER, SERVICE = "other", "app"
STUCK_SECONDS = 60.0
_AT_ONCE = 20
_TOKEN = re.compile(rb"m:(\d{9})")
_ID, _FROM, _TO = (re.compile(rb" %b=['\"]([^'\"]*)['\"]" % name) for name in (b"id", b"from", b"to"))
_SET = re.compile(rb" type=['\"](?:set|get)['\"]")


class Link:
    """One component's stream, open when it is made."""

    def __init__(self, jid: str, port: int) -> None:
        self.jid = jid
        self.outbound: deque[bytes] = deque()
        self.inbound = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(
            b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%b'>"
            % jid.encode()
        )
        opening = self._until(rb"<stream:stream[^>]*>")
        found = _ID.search(opening)
        assert found is not None, opening
        digest = hashlib.sha1(found[1] + SECRET.encode()).hexdigest()
        self.socket.sendall(f"<handshake>{digest}</handshake>".encode())
        self._until(rb"<handshake ?/>")
        self.socket.setblocking(False)

    def flush(self) -> None:
        """Write what the socket takes."""
        while self.outbound:
            data = self.outbound.popleft()
            try:
                done = self.socket.send(data)
            except BlockingIOError:
                done = 0
            if done < len(data):
                self.outbound.appendleft(data[done:])
                return

    def read(self) -> bytes:
        """What has come, after what was left."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return self.inbound
        if not data:
            sys.exit(f"the server closed the stream of {self.jid}")
        return self.inbound + data

    def _until(self, pattern: bytes) -> bytes:
        data = b""
        while not re.search(pattern, data):
            more = self.socket.recv(4096)
            if not more:
                sys.exit(f"the server does not take {self.jid}: {data.decode(errors='replace')}")
            data += more
        return data


class PeerEnd:
    """The two links, and the phase."""

    def __init__(self, domain: str, port: int, users: int) -> None:
        self.domain, self.users = domain, users
        self.writer, self.service = (Link(f"{name}.{domain}", port) for name in (WRITER, SERVICE))
        self.selector = selectors.DefaultSelector()
        for link in (self.writer, self.service):
            self.selector.register(link.socket, selectors.EVENT_READ, link)
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)
        self.made = self.events = self.base = self.again = self.errors = 0
        self.seen: set[int] = set()
        self.started = self.handled_at = self.last_at = self.heard = 0.0

    def serve(self) -> None:
        """Until standard input ends."""
        print(json.dumps({"connected": True}), flush=True)
        while self._turn():
            pass

    def _turn(self) -> bool:
        self._make()
        for link in (self.writer, self.service):
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.outbound else 0)
            self.selector.modify(link.socket, wanted, link)
        busy = self.events > 0
        ready = self.selector.select(STUCK_SECONDS if busy else None)
        for key, mask in ready:
            if key.data is None:
                line = sys.stdin.readline()
                if not line:
                    return False
                self._begin(json.loads(line))
                continue
            if mask & selectors.EVENT_READ:
                self._read(key.data)
            key.data.flush()
        self._finish(stuck=busy and time.monotonic() - max(self.heard, self.started) > STUCK_SECONDS)
        return True

    def _begin(self, told: dict[str, Any]) -> None:
        self.base, self.events, self.made = self.base + self.made, told["events"], 0
        self.seen.clear()
        self.started, self.handled_at, self.last_at = time.monotonic(), 0.0, 0.0

    def _make(self) -> None:
        if self.made >= self.events or len(self.writer.outbound) > 1:
            return
        jid = self.writer.jid
        parts = [
            f"<message type='chat' from='s@{jid}/r' to='u{number % self.users}@{self.domain}'"
            f" id='b{self.base + number}'><body>m:{self.base + number:09d}</body></message>"
            for number in range(self.made, min(self.events, self.made + _AT_ONCE))
        ]
        self.made += len(parts)
        if self.made == self.events:
            parts.append(
                f"<iq type='get' id='behind' from='s@{jid}/r' to='{self.domain}'><ping xmlns='urn:xmpp:ping'/></iq>"
            )
        self.writer.outbound.append("".join(parts).encode())
        self.writer.flush()

    def _read(self, link: Link) -> None:
        data = link.read()
        self.heard = time.monotonic()
        if link is self.writer:
            # An answer may be cut anywhere: its tail is kept.
            self.errors += data.count(b"<error", len(link.inbound))
            link.inbound = data[-1000:]
            if _ID_BEHIND.search(data) and not self.handled_at and self.made == self.events:
                self.handled_at, link.inbound = self.heard, b""
            return
        *whole, link.inbound = data.split(b"</iq>")
        answers = [answer for part in whole if (answer := self._asked(part))]
        if answers:
            link.outbound.append(b"".join(answers))

    def _asked(self, part: bytes) -> bytes:
        start = part.rfind(b"<iq ")
        head = part[start : part.find(b">", start)]
        if start < 0 or not _SET.search(head):
            return b""
        token = _TOKEN.search(part, start)
        if token is not None:
            number = int(token[1])
            if number < self.base or number in self.seen:
                self.again += 1
            self.seen.add(number)
            self.last_at = self.heard
        identifier, sender, to = (pattern.search(head) for pattern in (_ID, _FROM, _TO))
        assert identifier is not None, head
        assert sender is not None, head
        assert to is not None, head
        return b"<iq type='result' id='%b' to='%b' from='%b'/>" % (identifier[1], sender[1], to[1])

    def _finish(self, *, stuck: bool) -> None:
        if not self.events or not (stuck or (self.handled_at and len(self.seen) >= self.events)):
            return
        told: dict[str, Any] = {
            "seconds": self.last_at - self.started,
            "handled_s": self.handled_at - self.started,
            "again": self.again,
            "errors": self.errors,
        }
        if stuck:
            told |= {"missing": self.events - len(self.seen), "expected": self.events}
        self.events = 0
        print(json.dumps(told), flush=True)


_ID_BEHIND = re.compile(rb"<iq [^>]*\bid=['\"]behind['\"][^>]*>")

if __name__ == "__main__":
    PeerEnd(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])).serve()

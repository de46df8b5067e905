"""
A receiver of webhooks in a process of its own, as cheap as Python allows: HTTP/1.1, connections kept, 204.

    python tests/benchmarks/sink.py [SECONDS]

With SECONDS, each answer comes so much later. A line of JSON on standard input asks: ``await`` so many (since the last
answer) are waited for, and told with the seconds of the first and the last, and how many came twice.
"""

from __future__ import annotations

import heapq
import json
import re
import selectors
import socket
import sys
import time

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_ID = re.compile(rb'"id": "([^"]+)"')
_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Sink:
    """The state of all connections."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.selector = selectors.DefaultSelector()
        self.inbound: dict[socket.socket, bytes] = {}
        self.later: list[tuple[float, int, socket.socket]] = []
        self.ids: set[bytes] = set()
        self.again = self.number = self.awaited = 0
        self.first = self.last = 0.0

    def serve(self) -> None:
        """Until standard input ends."""
        print(json.dumps({"port": self.listener.getsockname()[1]}), flush=True)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            patience = max(0.0, self.later[0][0] - time.monotonic()) if self.later else None
            for key, _ in self.selector.select(patience):
                if key.fileobj == sys.stdin:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self.awaited = json.loads(line)["await"]
                elif key.fileobj is self.listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]  # nothing else is registered
            self._answer_late()
            if self.awaited and len(self.ids) >= self.awaited:
                self._tell()

    def _accept(self) -> None:
        peer, _ = self.listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inbound[peer] = b""
        self.selector.register(peer, selectors.EVENT_READ)

    def _read(self, peer: socket.socket) -> None:
        try:
            data = peer.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.selector.unregister(peer)
            del self.inbound[peer]
            peer.close()
            return
        inbound = self.inbound[peer] + data
        while (end := inbound.find(b"\r\n\r\n") + 4) >= 4:
            length = _LENGTH.search(inbound, 0, end)
            size = int(length[1]) if length else 0
            if len(inbound) < end + size:
                break
            self._take(peer, inbound[end : end + size])
            inbound = inbound[end + size :]
        self.inbound[peer] = inbound

    def _take(self, peer: socket.socket, body: bytes) -> None:
        found = _ID.search(body)
        self.last = time.monotonic()
        self.first = self.first or self.last
        if found is None or found[1] in self.ids:
            self.again += 1
        else:
            self.ids.add(found[1])
        if self.delay:
            self.number += 1
            heapq.heappush(self.later, (self.last + self.delay, self.number, peer))
        else:
            peer.send(_ANSWER)

    def _answer_late(self) -> None:
        while self.later and self.later[0][0] <= time.monotonic():
            peer = heapq.heappop(self.later)[2]
            if peer in self.inbound:
                peer.send(_ANSWER)

    def _tell(self) -> None:
        print(json.dumps({"first": self.first, "last": self.last, "twice": self.again}), flush=True)
        self.awaited, self.first, self.again = 0, 0.0, 0
        self.ids.clear()


if __name__ == "__main__":
    Sink(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0).serve()

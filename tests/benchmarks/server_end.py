"""
The driver's process: an XMPP server's end of one component stream, as cheap as Python allows.

It speaks docs/feed-protocol.md with prepared bytes, answers every publish at once, and takes the time of each. One
thread, one selector: it reads while it writes, so that the two ends can never wait for each other. A line of JSON on
standard input starts a phase ``{"events": N, "rate": R}`` (R = 0: as fast as credit allows); a line of JSON answers.
With ``"enables": E``, so many clients a second enable push meanwhile, and the answer tells how long each took.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from collections import deque
from typing import Any

HOST, COMPONENT, SERVICE = "example.test", "push.example.test", "service.example.test"
FEED, EPOCH = "bench", "epoch-1"
_PUBLISH = re.compile(rb"<iq type='set' id='([^']+)'[^>]*><publish.{60,400}? id='([^']+)'>.*?m:(\d+):(\d+)<", re.DOTALL)
_ACK = re.compile(rb"<ack [^>]*?\bn='(\d+)'")
_WINDOW = re.compile(rb"<resume [^>]*?\bwindow='(\d+)'")
_PING = re.compile(rb"<iq type='get'[^>]*? id='([^']+)'")
_ENABLED = re.compile(rb"<iq [^>]*?\bid='enable-(\d+)'")
_ENDS = (b"</publish></iq>", b"</message>", b"</delegation></iq>", b"</iq>")


def event(n: int, sequence: int, user: str) -> bytes:
    """One `received` entry for `user`, who is offline; the body tells when it was made."""
    return (
        f"<message from='{HOST}' to='{COMPONENT}'><event xmlns='urn:event-pusher:feed:0' feed='{FEED}' epoch='{EPOCH}'"
        f" n='{n}' kind='received' state='offline' user='{user}' resource='' session='' stored='true'/>"
        "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-22T16:29:48.853338Z'/>"
        f"<message xmlns='jabber:client' from='alice@{HOST}/phone' to='{user}' type='chat' id='b{n}'>"
        f"<body>m:{sequence}:{time.monotonic_ns()}</body></message></forwarded></message>"
    ).encode()


def enable(number: int) -> bytes:
    """An ``<enable/>`` of a client, handed on to the component (XEP-0355)."""
    user = f"client{number}@{HOST}"
    return (
        f"<iq type='set' id='enable-{number}' from='{HOST}' to='{COMPONENT}'><delegation xmlns='urn:xmpp:delegation:2'>"
        f"<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='set' id='inner' from='{user}/r'"
        f" to='{user}'><enable xmlns='urn:xmpp:push:0' jid='{SERVICE}' node='n'/></iq></forwarded></delegation></iq>"
    ).encode()


class ServerEnd:
    """The state of the one connection."""

    def __init__(self, users: int) -> None:
        self.users = [f"user{number}@{HOST}" for number in range(users)]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.selector = selectors.DefaultSelector()
        self.inbound = b""
        self.outbound: deque[bytes] = deque()
        self.sent = self.acked = self.window = 0
        self.open = False
        self.phase: dict[str, Any] | None = None
        self.asked: dict[int, float] = {}
        self.enabled: list[float] = []

    def serve(self) -> None:
        """Until standard input ends."""
        print(json.dumps({"port": self.listener.getsockname()[1]}), flush=True)
        self.peer, _ = self.listener.accept()
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer.setblocking(False)
        self.selector.register(self.peer, selectors.EVENT_READ, "peer")
        self.selector.register(sys.stdin, selectors.EVENT_READ, "stdin")
        while self._turn():
            pass

    def _turn(self) -> bool:
        self._make_events()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.outbound else 0)
        self.selector.modify(self.peer, wanted, "peer")
        for key, mask in self.selector.select(self._patience()):
            if key.data == "stdin":
                line = sys.stdin.readline()
                if not line:
                    return False
                self._begin(json.loads(line))
            else:
                if mask & selectors.EVENT_READ and not self._read():
                    return False
                if mask & selectors.EVENT_WRITE:
                    self._write()
        return True

    def _patience(self) -> float | None:
        phase = self.phase
        if phase is None or not phase["rate"] or phase["made"] >= phase["events"]:
            return None
        due: float = phase["started"] + phase["made"] / phase["rate"]
        return max(0.0, due - time.monotonic())

    def _begin(self, phase: dict[str, Any]) -> None:
        self.asked, self.enabled = {}, []
        self.phase = phase | {"made": 0, "started": time.monotonic(), "latencies": {}, "again": 0}

    def _make_events(self) -> None:
        phase = self.phase
        if phase is None or not self.window:
            return
        self._make_enables(phase)
        room = self.window - (self.sent - self.acked)
        due = phase["events"] - phase["made"]
        if phase["rate"]:
            due = min(due, int((time.monotonic() - phase["started"]) * phase["rate"]) + 1 - phase["made"])
        if sum(map(len, self.outbound)) > 1 << 20:
            return
        made = []
        for _ in range(min(room, due, 200)):
            self.sent += 1
            made.append(event(self.sent, phase["made"], self.users[phase["made"] % len(self.users)]))
            phase["made"] += 1
        if made:
            self.outbound.append(b"".join(made))
            self._write()

    def _make_enables(self, phase: dict[str, Any]) -> None:
        due = int((time.monotonic() - phase["started"]) * phase.get("enables", 0))
        while len(self.asked) < due:
            number = len(self.asked)
            self.asked[number] = time.monotonic()
            self.outbound.append(enable(number))

    def _write(self) -> None:
        while self.outbound:
            data = self.outbound.popleft()
            try:
                done = self.peer.send(data)
            except BlockingIOError:
                done = 0
            if done < len(data):
                self.outbound.appendleft(data[done:])
                return

    def _read(self) -> bool:
        try:
            data = self.peer.recv(1 << 18)
        except BlockingIOError:
            return True
        if not data:
            return False
        self.inbound += data
        if not self.open:
            self._handshake()
            return True
        cut = max(self.inbound.rfind(end) + len(end) if end in self.inbound else 0 for end in _ENDS[:3])
        whole, self.inbound = self.inbound[:cut], self.inbound[cut:]
        if b"type='get'" in self.inbound and self.inbound.endswith(_ENDS[3]):
            whole, self.inbound = whole + self.inbound, b""
        self._take(whole)
        return True

    def _handshake(self) -> None:
        if b"<handshake" in self.inbound and b"</handshake>" in self.inbound:
            self.inbound = self.inbound.partition(b"</handshake>")[2]
            self.outbound.append(b"<handshake/>")
            self.open = True
        elif b"stream:stream" in self.inbound and b"<handshake" not in self.inbound and not self.outbound:
            self.inbound = b""
            self.outbound.append(
                b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' id='bench'"
                b" xmlns:stream='http://etherx.jabber.org/streams' from='push.example.test'>"
            )
        self._write()

    def _take(self, whole: bytes) -> None:
        now = time.monotonic_ns()
        if b"<resume " in whole and (found := _WINDOW.search(whole)):
            self._resumed(int(found[1]))
        for found in _ACK.finditer(whole):
            self.acked = max(self.acked, int(found[1]))
        for found in _ENABLED.finditer(whole):
            self.enabled.append((time.monotonic() - self.asked[int(found[1])]) * 1000)
        answers = []
        for found in _PUBLISH.finditer(whole):
            answers.append(
                b"<iq type='result' id='%b' from='example.test' to='push.example.test'><publish"
                b" xmlns='urn:event-pusher:feed:0'><iq xmlns='jabber:client' type='result' id='%b'"
                b" from='service.example.test' to='example.test'/></publish></iq>" % (found[1], found[2])
            )
            self._published(int(found[3]), now - int(found[4]))
        answers += [
            b"<iq type='result' id='%b' from='example.test' to='push.example.test'/>" % found[1]
            for found in _PING.finditer(whole)
        ]
        if answers:
            self.outbound.append(b"".join(answers))
            self._write()

    def _resumed(self, window: int) -> None:
        head = f"<message from='{HOST}' to='{COMPONENT}'>"
        place = f"xmlns='urn:event-pusher:feed:0' feed='{FEED}' epoch='{EPOCH}'"
        self.sent = 2
        self.outbound.append(
            f"{head}<feed xmlns='urn:event-pusher:feed:0' version='0' feed='{FEED}' epoch='{EPOCH}' first='1' next='1'"
            f" lost='0' server='bench'/></message>{head}<snapshot-begin {place} n='1'/></message>"
            f"{head}<snapshot-end {place} n='2' count='0'/></message>".encode()
        )
        self._write()
        self.window = window
        print(json.dumps({"resumed": True}), flush=True)

    def _published(self, sequence: int, nanoseconds: int) -> None:
        phase = self.phase
        if phase is None:
            return
        if sequence in phase["latencies"]:
            phase["again"] += 1
        phase["latencies"][sequence] = nanoseconds
        if len(phase["latencies"]) == phase["events"]:
            self._finish(phase)

    def _finish(self, phase: dict[str, Any]) -> None:
        took = time.monotonic() - phase["started"]
        sorted_ = sorted(phase["latencies"].values())
        at = {name: sorted_[min(len(sorted_) - 1, int(len(sorted_) * share))] / 1e6 for name, share in
              {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}.items()}  # fmt: skip
        self.phase = None
        told = {"seconds": took, "again": phase["again"], "enables_ms": sorted(self.enabled)}
        print(json.dumps(told | at), flush=True)


if __name__ == "__main__":
    ServerEnd(int(sys.argv[1])).serve()

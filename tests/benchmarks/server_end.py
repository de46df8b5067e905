"""
The driver's process: an XMPP server's end of one component stream, as cheap as Python allows.

It speaks docs/feed-protocol.md with prepared bytes, answers every publish at once, and takes the time of each. One
thread, one selector: it reads while it writes, so that the two ends can never wait for each other. A line of JSON on
standard input starts a phase; a line of JSON answers when all of it has arrived:

``events`` to make, ``rate`` a second (0: as fast as credit allows), ``copies`` of each that must arrive (1),
``enables`` a second beside them (0); ``first`` sequence number when the deliveries exist already, ``expect`` of them.
With ``expect`` 0 the phase ends when all events are acknowledged: what they make goes elsewhere.

What is due and has no credit waits, as in a server's ring; `backlog` is the most that did. A notification is known by
its item's id: one that comes again is counted in `again` whenever it comes.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from array import array
from collections import deque
from typing import Any

import end_wire as wire

#: Most events in one write: what is read meanwhile must not wait.
_AT_ONCE = 200
_PENDING = 1 << 20
#: Who is silent for so long while something is expected has lost it.
STUCK_SECONDS = 30.0


class Phase:
    """What one phase is to do, and has done."""

    def __init__(self, base: int, told: dict[str, Any]) -> None:
        self.events: int = told.get("events", 0)
        self.rate: float = told.get("rate", 0)
        self.enables: float = told.get("enables", 0)
        self.expected = told.get("expect", self.events) * told.get("copies", 1)
        self.base = told.get("first", base)
        self.making = "first" not in told
        self.made = self.backlog = self.outstanding = 0
        self.started, self.cpu = time.monotonic(), time.process_time()
        self.first_at = self.late = 0.0
        self.written = array("q")
        self.latencies = array("q")
        self.asked: list[float] = []
        self.enabled: list[float] = []

    def due(self, now: float) -> int:
        """How many events should have been made and were not."""
        if not self.making:
            return 0
        if not self.rate:
            return self.events - self.made
        due = min(self.events, int((now - self.started) * self.rate) + 1) - self.made
        if due > 0:
            self.backlog = max(self.backlog, due)
            self.late = max(self.late, now - self.started - self.made / self.rate)
        return due

    def figures(self) -> dict[str, Any]:
        """What it came to."""
        seconds, ordered = time.monotonic() - self.started, sorted(self.latencies)
        at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6 for name, share in
              (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)) if ordered}  # fmt: skip
        return at | {
            "seconds": seconds,
            "drain_s": max(0.0, seconds - self.events / self.rate) if self.rate else 0.0,
            "backlog": self.backlog,
            "late_ms": self.late * 1000,
            "outstanding": self.outstanding,
            "first_at": self.first_at,
            "driver_cpu_s": time.process_time() - self.cpu,
            "enables_ms": sorted(self.enabled),
        }


class ServerEnd:
    """The state of the one connection."""

    def __init__(self, users: int) -> None:
        self.users = users
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.selector = selectors.DefaultSelector()
        self.inbound = b""
        self.outbound: deque[bytes] = deque()
        self.sent = self.acked = self.window = 0
        self.sequence = self.again = 0
        self.heard = 0.0
        self.items: set[bytes] = set()
        self.open = False
        self.phase: Phase | None = None

    def serve(self) -> None:
        """Until standard input ends, or the other end does."""
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
        ready = self.selector.select(self._patience())
        if not ready:
            self._is_stuck()
        for key, mask in ready:
            if key.data == "stdin":
                line = sys.stdin.readline()
                if not line:
                    return False
                self._told(json.loads(line))
            else:
                if mask & selectors.EVENT_READ and not self._read():
                    return False
                if mask & selectors.EVENT_WRITE:
                    self._write()
        return True

    def _told(self, told: dict[str, Any]) -> None:
        if "totals" in told:
            print(json.dumps({"again": self.again, "window": self.window}), flush=True)
        else:
            self.phase = Phase(self.sequence, told)
            self.items.clear()

    def _patience(self) -> float | None:
        phase = self.phase
        if phase is None:
            return None
        if not phase.rate or phase.made >= phase.events or self.sent - self.acked >= self.window:
            return STUCK_SECONDS
        return max(0.0, phase.started + phase.made / phase.rate - time.monotonic())

    def _is_stuck(self) -> None:
        """Nothing has come for a long time: what has not come by now is lost."""
        phase = self.phase
        if phase is not None and time.monotonic() - max(self.heard, phase.started) >= STUCK_SECONDS:
            told = {"missing": phase.expected - len(self.items), "expected": phase.expected, "again": self.again}
            print(json.dumps(told), flush=True)
            self.phase = None

    def _make_events(self) -> None:
        phase = self.phase
        if phase is None or not self.window:
            return
        if phase.enables:
            self._make_enables(phase)
        due = phase.due(time.monotonic())
        room = self.window - (self.sent - self.acked)
        if sum(map(len, self.outbound)) > _PENDING:
            return
        count = min(room, due, _AT_ONCE)
        if count > 0:
            stamp = wire.stamp()
            made = [self._event(stamp) for _ in range(count)]
            phase.written.extend([time.monotonic_ns()] * count)
            phase.made += count
            phase.outstanding = max(phase.outstanding, self.sent - self.acked)
            self.outbound.append(b"".join(made))
            self._write()

    def _event(self, stamp: bytes) -> bytes:
        self.sent += 1
        sequence, self.sequence = self.sequence, self.sequence + 1
        return wire.event(self.sent, sequence, wire.pick(sequence, self.users), stamp)

    def _make_enables(self, phase: Phase) -> None:
        due = int((time.monotonic() - phase.started) * phase.enables)
        while len(phase.asked) < due:
            self.outbound.append(wire.enable(len(phase.asked)))
            phase.asked.append(time.monotonic())

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
        except ConnectionError:
            return False
        if not data:
            return False
        self.heard = time.monotonic()
        self.inbound += data
        if not self.open:
            self._handshake()
            return True
        whole, self.inbound = wire.whole(self.inbound)
        self._take(whole)
        return True

    def _handshake(self) -> None:
        if b"<handshake" in self.inbound and b"</handshake>" in self.inbound:
            self.inbound = self.inbound.partition(b"</handshake>")[2]
            self.outbound.append(b"<handshake/>")
            self.open = True
        elif b"stream:stream" in self.inbound and b"<handshake" not in self.inbound and not self.outbound:
            self.inbound = b""
            self.outbound.append(wire.HEADER)
        self._write()

    def _take(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if b"<resume " in data and (found := wire.WINDOW.search(data)):
            self.outbound.append(wire.RESUMED)
            self.sent, self.window = 2, int(found[1])
            print(json.dumps({"resumed": True}), flush=True)
        for found in wire.ACK.finditer(data):
            self.acked = max(self.acked, int(found[1]))
        self._all_acknowledged()
        answers = [wire.result(found[1]) for found in wire.PING.finditer(data)]
        for found in wire.PUBLISH.finditer(data):
            answers.append(wire.published(found[1], found[2]))
            self._published(found[3], int(found[4]), now)
        for found in wire.ENABLED.finditer(data):
            if self.phase is not None and int(found[1]) < len(self.phase.asked):
                self.phase.enabled.append((time.monotonic() - self.phase.asked[int(found[1])]) * 1000)
        if answers:
            self.outbound.append(b"".join(answers))
        if self.outbound:
            self._write()

    def _all_acknowledged(self) -> None:
        phase = self.phase
        if phase is not None and not phase.expected and phase.made >= phase.events and self.acked >= self.sent:
            self.phase = None
            print(json.dumps(phase.figures()), flush=True)

    def _published(self, item: bytes, sequence: int, now: int) -> None:
        phase = self.phase
        if phase is None or item in self.items or sequence < phase.base:
            self.again += 1
            return
        phase.first_at = phase.first_at or now / 1e9
        self.items.add(item)
        if phase.making:
            phase.latencies.append(now - phase.written[sequence - phase.base])
        if len(self.items) == phase.expected:
            self.phase = None
            print(json.dumps(phase.figures()), flush=True)


if __name__ == "__main__":
    ServerEnd(int(sys.argv[1])).serve()

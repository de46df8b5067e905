"""The ring: numbered entries, kept until they are acknowledged, bounded by bytes; and the credit of one consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Send = Callable[[bytes], object]


class Ring:
    """
    The same rules as in the servers' modules; whoever uses it holds a lock.

    `lost` writes what tells a gap, `snapshot` adds the snapshot's entries when a consumer has got what was there at
    its resume.
    """

    def __init__(self, limit: int, lost: Callable[[int, int], bytes], snapshot: Callable[[], None]) -> None:
        self.first = 1
        self.next = 1
        self.acked = 0
        self.dropped = 0
        self.consumer = ""
        self._limit = limit
        self._lost = lost
        self._snapshot = snapshot
        self._entries: deque[bytes] = deque()
        self._bytes = 0
        self._send: Send | None = None
        self._window = 0
        self._sent = 0
        self._gap = 0  # entries behind `acked` that were never on the wire
        self._mark: int | None = None
        self._pumping = False

    def add(self, head: bytes, tail: bytes) -> int:
        """Append ``head + number + tail``; give the number."""
        number = self.next
        entry = b"%b%d%b" % (head, number, tail)
        self._entries.append(entry)
        self._bytes += len(entry)
        self.next += 1
        self.pump()
        while self._bytes > self._limit and self._entries:
            self.dropped += 1
            self._drop()
        return number

    def resume(self, consumer: str, window: int, position: int | None, send: Send) -> int:
        """Serve this consumer from now on; give how many entries behind `position` are gone. Nothing is sent yet."""
        if position is not None and not 0 <= position < self.next:
            position = None
        lost = max(0, self.first - position - 1) if position is not None else 0
        if position is not None:
            self._free(position)
        self.consumer, self._send, self._window = consumer, send, window
        self._sent = position if position is not None else self.first - 1
        self.acked = max(self.acked, self._sent)
        self._gap = 0
        self._mark = self.next
        return lost

    def leave(self) -> None:
        """The consumer is gone."""
        self._send = None

    def ack(self, consumer: str, number: int) -> bool:
        """Everything up to `number` is committed; False when it is not this consumer's to say."""
        if consumer != self.consumer or self._send is None or number > self._sent:
            return False
        self._free(number)
        if self._sent == number:
            self._gap = 0
        self.pump()
        return True

    def pump(self) -> None:
        """Send what the credit allows."""
        if self._pumping:
            return
        self._pumping = True
        while self._send is not None:
            if self._mark is not None and self._sent + 1 >= self._mark:
                self._mark = None
                self._snapshot()
            elif self._sent + 1 >= self.next or self._sent - self.acked - self._gap >= self._window:
                break
            elif self._sent + 1 < self.first:
                self._send(self._lost(self._sent + 1, self.first - 1))
                self._gap += self.first - 1 - self._sent
                self._sent = self.first - 1
            else:
                self._sent += 1
                self._send(self._entries[self._sent - self.first])
        self._pumping = False

    def _free(self, number: int) -> None:
        self.acked = max(self.acked, number)
        while self._entries and self.first <= number:
            self._drop()

    def _drop(self) -> None:
        self._bytes -= len(self._entries.popleft())
        self.first += 1

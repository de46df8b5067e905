"""What was told to stop: a receiver that answers 410 wants no more of a recipient's events of a kind."""

from __future__ import annotations

import threading

from event_pusher.abc import Clock

#: (handler, recipient, kind of event).
Stream = tuple[str, str, str]


class Stopped:
    """
    Remembers streams until their time is over. Thread-safe.

    In memory alone: after a restart the first request of a stream asks the receiver again, and is told again.
    """

    def __init__(self, clock: Clock, most: int = 100_000) -> None:
        self._clock = clock
        self._most = most
        self._until: dict[Stream, float] = {}
        self._lock = threading.Lock()

    def add(self, stream: Stream, seconds: float) -> bool:
        """Stop `stream` for so long; False when it was stopped already. Beyond `most`, the oldest go on."""
        with self._lock:
            new = stream not in self
            self._until.pop(stream, None)
            self._until[stream] = self._clock.monotonic() + seconds
            while len(self._until) > self._most:
                del self._until[next(iter(self._until))]
            return new

    def __contains__(self, stream: Stream) -> bool:
        until = self._until.get(stream)
        return until is not None and until > self._clock.monotonic()

    def __len__(self) -> int:
        return len(self._until)

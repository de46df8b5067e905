"""Requests under way: none outlives its time, whatever the other end sends byte by byte, nor the backend's close."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from event_pusher.errors import NothingSent
from event_pusher_http.guard import Network

#: So often the watch looks.
TICK = 0.1


@dataclass(slots=True, eq=False)
class Flight:
    """
    One request under way, on one thread. `left`: bytes of it may have left; `cut`: its connection was shut.

    `allowed`: None lets it connect anywhere, else the guard does, and these networks though they are private.
    """

    give_up_at: float
    allowed: tuple[Network, ...] | None = None
    left: bool = False
    connecting: bool = False
    cut: bool = False
    connection: Any = None
    sock: Any = None

    def shut(self) -> None:
        """Shut the connection, from another thread: whoever waits for it fails at once."""
        self.cut = True
        sock = self.sock or getattr(self.connection, "sock", None)
        raw = getattr(sock, "socket", sock)  # TLS inside TLS: urllib3 wraps
        if isinstance(raw, socket.socket):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(raw, socket.SHUT_RDWR)  # ssl's own shutdown is not for other threads


class _Here(threading.local):
    flight: Flight | None = None


_here = _Here()


def flight_here() -> Flight | None:
    """The request that this thread is busy with."""
    return _here.flight


class Watch:
    """Knows every flight; a thread of its own shuts those whose time is over."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._flights: set[Flight] = set()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        with self._changed:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._look, name=f"{self._name}-watch", daemon=True)
                self._thread.start()

    @contextlib.contextmanager
    def over(self, flight: Flight) -> Any:
        """Watch over the `flight` of this thread. Raises `NothingSent` after `close`."""
        with self._changed:
            if self._closed:
                raise NothingSent("the backend is closed")
            self._flights.add(flight)
            if len(self._flights) == 1:
                self._changed.notify_all()
        _here.flight = flight
        try:
            yield flight
        finally:
            _here.flight = None
            with self._changed:
                self._flights.discard(flight)
                if self._closed:
                    self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Let no flight begin; those under way end within `timeout` seconds or are shut."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._flights, timeout)
            for flight in self._flights:
                flight.shut()
            thread = self._thread
        if thread is not None:
            thread.join(1.0)

    def _look(self) -> None:
        with self._changed:
            while not self._closed:
                self._changed.wait(TICK if self._flights else None)
                now = time.monotonic()
                for flight in self._flights:
                    if flight.give_up_at <= now and not flight.cut:
                        flight.shut()

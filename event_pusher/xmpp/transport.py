"""The socket under a stream: blocking reads for one thread, one writing thread that joins what is queued."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from typing import Final

READ_BYTES: Final = 131_072
#: More than this in the queue = the stream is full.
FULL_BYTES: Final = 8_000_000
#: Joined for one write at most.
_WRITE_BYTES: Final = 262_144


class Transport:
    """A connected socket: `send` queues from any thread; `read` is the reader's; `write` goes before `start`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._ready = threading.Condition(threading.Lock())
        self._finishing = False
        self._dead = False
        self._writer: threading.Thread | None = None

    @classmethod
    def connect(cls, address: tuple[str, int], timeout: float) -> Transport:
        """Connect, without Nagle's delay and with TCP keep-alive. Raises `OSError`."""
        sock = socket.create_connection(address, timeout)
        sock.settimeout(None)  # from here on the kernel's own timeouts: a Python one would serve both directions
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(timeout))
        transport = cls(sock)
        transport.wait_at_most(timeout)
        return transport

    def wait_at_most(self, seconds: float) -> None:
        """Let `read` give None after so many seconds."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(seconds))

    def read(self) -> bytes | None:
        """Give what is there, b"" at the end, None when nothing came in time. Raises `OSError`."""
        try:
            return self._socket.recv(READ_BYTES)
        except (BlockingIOError, TimeoutError):
            return None

    def write(self, data: bytes) -> None:
        """Write at once, before there is a writer. Raises `OSError`."""
        self._socket.sendall(data)

    def start(self, name: str) -> None:
        """Start the writer."""
        self._writer = threading.Thread(target=self._write, name=f"sender-{name}", daemon=True)
        self._writer.start()

    def send(self, data: bytes) -> bool:
        """Queue `data`; False when nothing more goes out."""
        with self._ready:
            if self._dead or self._finishing:
                return False
            self._parts.append(data)
            if not self._size:
                self._ready.notify()
            self._size += len(data)
        return True

    @property
    def queued(self) -> int:
        """Bytes that wait."""
        return self._size

    @property
    def full(self) -> bool:
        """Whether more than `FULL_BYTES` wait."""
        return self._size > FULL_BYTES

    def finish(self, last: bytes, timeout: float) -> None:
        """Let the writer send what is queued, then `last`, and end; the peer's bytes are still read."""
        with self._ready:
            if last and not self._dead:
                self._parts.append(last)
                self._size += len(last)
            self._finishing = True
            self._ready.notify()
        if self._writer is not None:
            self._writer.join(timeout)
        else:
            self.abort()

    def abort(self) -> None:
        """Drop everything, now. `read` gives b"" or raises."""
        with self._ready:
            self._dead = True
            self._ready.notify()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the socket; for the reader, who is the last to use it."""
        self.abort()
        if self._writer is not None:
            self._writer.join(1.0)
        self._socket.close()

    def _write(self) -> None:
        try:
            while (data := self._next()) is not None:
                self._socket.sendall(data)
            with self._ready:
                ended = not self._dead
            if ended:
                self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            with self._ready:
                self._dead = True
                self._parts.clear()
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes the reader, which tells what happened

    def _next(self) -> bytes | None:
        with self._ready:
            while not self._parts:
                if self._finishing or self._dead:
                    return None
                self._ready.wait()
            if self._dead:
                return None
            parts = [self._parts.popleft()]
            size = len(parts[0])
            while self._parts and size + len(self._parts[0]) <= _WRITE_BYTES:
                parts.append(self._parts.popleft())
                size += len(parts[-1])
            self._size -= size
            return b"".join(parts) if len(parts) > 1 else parts[0]


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("ll", whole, int((seconds - whole) * 1e6))

"""A TCP proxy on loopback that does to a connection what networks do."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

#: What it can do. "garbage" goes to both sides; "half-close" ends one direction of each connection.
Pair = tuple[socket.socket, socket.socket]
FAULTS = ("delay", "cut", "black hole", "half-close", "garbage", "trickle")


class Proxy:
    """Hands bytes on to `target`; what `fail` says holds for all connections, until `heal`."""

    def __init__(self, target: tuple[str, int], draw: random.Random) -> None:
        self._target = target
        self._draw = draw
        self._fault = ""
        self._healed = threading.Event()
        self._pairs: set[Pair] = set()
        self._ended: set[Pair] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.faulted = 0

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def fail(self, fault: str) -> None:
        """Do `fault` to what is open and to what comes, until `heal`."""
        assert fault in FAULTS
        self._healed.clear()
        self._fault = fault
        if fault == "cut":
            self.cut()
        elif fault == "half-close":
            for _, server in list(self._pairs):
                with suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
        elif fault == "garbage":
            for pair in list(self._pairs):
                for one in pair:
                    with suppress(OSError):
                        one.send(self._draw.randbytes(200))

    def heal(self) -> None:
        """As it should be; bytes that a black hole took are gone, so those connections go with them."""
        black = self._fault == "black hole"
        self._fault = ""
        self._healed.set()
        if black:
            self.cut()

    def cut(self) -> None:
        """End every connection, without a word."""
        for pair in list(self._pairs):
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._fault == "cut":
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._pairs.add((client, server))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._hand_on, args=(one, other, (client, server)), daemon=True).start()

    def _hand_on(self, one: socket.socket, other: socket.socket, pair: Pair) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                self._send(other, data)
        for end in pair:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            last = pair in self._ended
            self._ended.add(pair)
            self._pairs.discard(pair)
        if last:  # the other direction has ended, too
            for end in pair:
                end.close()

    def _send(self, other: socket.socket, data: bytes) -> None:
        fault = self._fault
        self.faulted += bool(fault)
        if fault == "black hole":
            return
        if fault == "delay":
            self._healed.wait(0.3)
        if fault == "trickle":
            for byte in data[:100]:
                other.sendall(bytes((byte,)))
            data = data[100:]
        other.sendall(data)

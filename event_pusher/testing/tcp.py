"""A destination on loopback that speaks over TCP, line by line unless told otherwise."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from io import BufferedIOBase
from socketserver import StreamRequestHandler, TCPServer, ThreadingTCPServer
from typing import Final

from event_pusher.abc import BackendTools
from event_pusher.testing.worlds import World

_POLL: Final = 0.02
#: Nobody is held longer, whatever a test forgets.
_LONGEST_STALL: Final = 60.0


class LoopbackWorld(World):
    """What the worlds on loopback share: a port that stays, connections that can be cut, answers that can wait."""

    def __init__(self, tools: BackendTools | None = None) -> None:
        super().__init__(tools)
        self.port = 0
        self.refusing = False
        self._taken: list[bytes] = []
        self._flowing = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server: TCPServer | None = None
        self.come_back()

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``; it stays the same."""
        return f"127.0.0.1:{self.port}"

    def make_server(self) -> TCPServer:
        """Make a server that listens at `port`; its handler calls `opened`, `take` and `ended`."""
        raise NotImplementedError

    # --- what a contract asks of it -----------------------------------------------------------------------------------

    def received(self) -> Sequence[bytes]:
        with self._lock:
            return list(self._taken)

    def discard(self) -> None:
        with self._lock:
            self._taken.clear()

    def go_away(self) -> bool:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        with self._lock:
            cut = list(self._sockets)
        for one in cut:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        return True

    def come_back(self) -> bool:
        self.refusing = False
        self._flowing.set()
        if self._server is None:
            self._server = self.make_server()
            self.port = self._server.server_address[1]
            serve = self._server.serve_forever
            threading.Thread(target=serve, args=(_POLL,), name="world", daemon=True).start()
        return True

    def stall(self) -> bool:
        self._flowing.clear()
        return True

    def refuse(self) -> bool:
        self.refusing = True
        return True

    def close(self) -> None:
        self._flowing.set()
        self.go_away()

    # --- what its handlers tell it ------------------------------------------------------------------------------------

    def opened(self, sock: socket.socket) -> None:
        """Remember a connection, so that it can be cut."""
        with self._lock:
            self._sockets.add(sock)

    def ended(self, sock: socket.socket) -> None:
        """Forget a connection."""
        with self._lock:
            self._sockets.discard(sock)

    def take(self, payload: bytes) -> bool:
        """Something arrived; True = say yes, False = say no. Waits while the world stalls."""
        accepted = not self.refusing
        if accepted:
            with self._lock:
                self._taken.append(payload)
        self._flowing.wait(_LONGEST_STALL)
        return accepted


class TcpWorld(LoopbackWorld):
    """
    A destination that answers each line with ``ok`` or ``no``. Override `read` and `answer` for another protocol, or
    `converse` for one with more than questions and answers.

    A backend under contract gets `port`; what it sends is what `received` tells, without the end of the line.
    """

    def read(self, stream: BufferedIOBase) -> bytes | None:
        """Read one payload from a connection; None = it ended."""
        line = stream.readline()
        return line.removesuffix(b"\n") if line.endswith(b"\n") else None

    def answer(self, payload: bytes, *, accepted: bool) -> bytes:
        """What is answered to `payload`."""
        return b"ok\n" if accepted else b"no\n"

    def converse(self, stream: BufferedIOBase, write: Callable[[bytes], object]) -> None:
        """Serve one connection until it ends: `take` each payload, and `write` what is answered."""
        while (payload := self.read(stream)) is not None:
            write(self.answer(payload, accepted=self.take(payload)))

    def make_server(self) -> TCPServer:
        return _TcpServer(("127.0.0.1", self.port), self)


class _TcpServer(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], world: TcpWorld) -> None:
        self.world = world
        super().__init__(address, _TcpHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


class _TcpHandler(StreamRequestHandler):
    server: _TcpServer
    disable_nagle_algorithm = True

    def handle(self) -> None:
        world = self.server.world
        world.opened(self.connection)
        try:
            world.converse(self.rfile, self.wfile.write)
        finally:
            world.ended(self.connection)

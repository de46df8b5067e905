"""A receiver of webhooks on loopback: what it got, and how it answers."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PATIENCE = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Got:
    """One request; names of headers in lower case; `connection` counts the connections."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `raw` replaces all of it, and `close` hangs up behind it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    close: bool = False


class Sink:
    """
    Takes requests on a port of its own. A context manager.

    `answer` says what each is answered; `hold` keeps all answers back until `let_go`.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Got] = []
        self.answer: Callable[[Got], Reply] = lambda got: Reply()
        self.at_once = 0
        self.most_at_once = 0
        self.connections = 0
        self.changed = threading.Condition()
        self._context = context
        self._going = threading.Event()
        self._going.set()
        self._sockets: set[socket.socket] = set()
        self._server: _Server | None = None
        self.port = 0
        self.come_back()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def come_back(self) -> None:
        """Listen, on the port of before."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.sink = self
        self.port = self._server.server_address[1]
        if self._context is not None:
            self._server.context = self._context
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="sink", daemon=True).start()

    def go_away(self) -> None:
        """Refuse connections, and cut those that are."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        self.cut()

    def cut(self) -> None:
        """Cut every connection."""
        with self.changed:
            sockets = list(self._sockets)
        for one in sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def hold(self) -> None:
        """Answer nothing until `let_go`."""
        self._going.clear()

    def let_go(self) -> None:
        """Answer what was held."""
        self._going.set()

    def wait_for(self, number: int) -> list[Got]:
        """Wait until so many requests came."""
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.requests) >= number, PATIENCE)
            assert came, f"only {len(self.requests)} of {number} requests came"
            return list(self.requests)

    def close(self) -> None:
        """End; twice is fine."""
        self.let_go()
        self.go_away()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- for the handler --------------------------------------------------------------------------------------------

    def opened(self, sock: socket.socket) -> int:
        with self.changed:
            self._sockets.add(sock)
            self.connections += 1
            return self.connections

    def ended(self, sock: socket.socket) -> None:
        with self.changed:
            self._sockets.discard(sock)

    def take(self, got: Got) -> Reply:
        with self.changed:
            self.requests.append(got)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.changed.notify_all()
        self._going.wait(PATIENCE)
        reply = self.answer(got)
        with self.changed:
            self.at_once -= 1
        return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    sink: Sink
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.number = self.server.sink.opened(self.connection)

    def finish(self) -> None:
        self.server.sink.ended(self.connection)
        with contextlib.suppress(OSError):
            super().finish()
        with contextlib.suppress(OSError):
            self.connection.close()

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.sink.take(Got(self.command, self.path, headers, body, self.number))
        with contextlib.suppress(OSError):
            self._say(reply)
        if reply.close:
            self.close_connection = True

    do_POST = do_PUT = do_PATCH = _take  # noqa: N815 - http.server's names

    def _say(self, reply: Reply) -> None:
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

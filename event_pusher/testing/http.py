"""A destination on loopback that speaks HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from event_pusher.testing.tcp import LoopbackWorld


class HttpWorld(LoopbackWorld):
    """
    Takes every POST, PUT and PATCH with 204, or refuses it with 503. Override `answer` for other answers.

    `received` tells what `payload_of` makes of the requests: their bodies.
    """

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://{self.address}"

    def payload_of(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """What a request delivers; the names of `headers` are in lower case."""
        return body

    def answer(self, payload: bytes, *, accepted: bool) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer."""
        return (204 if accepted else 503), {}, b""

    def make_server(self) -> TCPServer:
        return _HttpServer(("127.0.0.1", self.port), self)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], world: HttpWorld) -> None:
        self.world = world
        super().__init__(address, _HttpHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.world.opened(self.connection)

    def finish(self) -> None:
        self.server.world.ended(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def _take(self) -> None:
        world = self.server.world
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        payload = world.payload_of(self.path, headers, body)
        status, more, said = world.answer(payload, accepted=world.take(payload))
        self.send_response(status)
        for name, value in {**more, "Content-Length": str(len(said))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_PUT = do_PATCH = _take  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

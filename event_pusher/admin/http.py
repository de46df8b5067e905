"""The listener: HTTP/1.1 over a unix socket that only its owner may use, or over loopback TCP."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from event_pusher.errors import SettingsError

log = logging.getLogger(__name__)

UNIX = "unix:"
#: A command's arguments are small.
MAX_BODY = 1_000_000
#: So often is asked whether the address has become free (a stand-by takes it over with the database).
RETRY_SECONDS = 0.5


class Answer(NamedTuple):
    """What a request is answered."""

    status: int
    type: str
    body: bytes


Respond = Callable[[str, str, bytes], Answer]


class AdminServer:
    """Serves `respond` (method, path, body) at `listen`, in threads of its own; "" = nowhere."""

    def __init__(self, listen: str, respond: Respond) -> None:
        self.listen = listen
        self._respond = respond
        self._server: ThreadingHTTPServer | None = None
        self._closing = threading.Event()
        self._waiter: threading.Thread | None = None

    def start(self) -> None:
        """Listen; if another process does there, take over when it ends. Raises `SettingsError`."""
        if not self.listen or self._open():
            return
        log.warning("another process listens at %s ([admin] listen); this one will when that one ends", self.listen)
        self._waiter = threading.Thread(target=self._wait, name="admin-waiter", daemon=True)
        self._waiter.start()

    @property
    def is_listening(self) -> bool:
        """Whether requests are taken."""
        return self._server is not None

    def close(self) -> None:
        """Listen no more; called twice is fine."""
        self._closing.set()
        if self._waiter is not None:
            self._waiter.join(2.0)
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _wait(self) -> None:
        while not self._closing.wait(RETRY_SECONDS):
            try:
                if self._open():
                    log.info("admin commands are taken at %s now", self.listen)
                    return
            except SettingsError as error:
                log.error("%s", error)  # noqa: TRY400 - the line says it all
                return

    def _open(self) -> bool:
        """Bind and serve; False while another process has the address."""
        try:
            server = _bind(self.listen, self._respond)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise SettingsError(
                [f"admin.listen: cannot listen at {self.listen}: {_cure(error, self.listen)}"]
            ) from None
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.2,), name="admin", daemon=True).start()
        return True


def _bind(listen: str, respond: Respond) -> ThreadingHTTPServer:
    handler: type[_Handler] = type("Handler", (_Handler,), {"respond": staticmethod(respond)})
    if listen.startswith(UNIX):
        return _UnixServer(listen.removeprefix(UNIX), handler)
    host, _, port = listen.rpartition(":")
    handler.guarded = True
    host = host.strip("[]")
    return (_Tcp6Server if ":" in host else _TcpServer)((host, int(port)), handler)


def _cure(error: OSError, listen: str) -> str:
    said = error.strerror or type(error).__name__
    if error.errno == errno.ENOENT:
        return f"there is no folder {Path(listen.removeprefix(UNIX)).parent}; make it, or set another path"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{said}; run as the user who owns the folder, or set another path"
    return f"{said}; set another address"


class _TcpServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Tcp6Server(_TcpServer):
    address_family = socket.AF_INET6


class _UnixServer(_TcpServer):
    """The socket has mode 0600 before anybody can connect; one that nobody serves any more is replaced."""

    address_family = socket.AF_UNIX
    allow_reuse_address = False

    def __init__(self, path: str, handler: type[_Handler]) -> None:
        self._inode = 0
        self._path = Path(path)
        super().__init__(path, handler)  # type: ignore[arg-type]  # typeshed knows TCP's addresses only

    def server_bind(self) -> None:
        if _is_stale(self._path):
            self._path.unlink(missing_ok=True)
        self.socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._inode = self._path.stat().st_ino
        self.server_name, self.server_port = "localhost", 0

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = self.socket.accept()
        return connection, ("unix", 0)

    def server_close(self) -> None:
        super().server_close()
        try:
            # Another process may have put its own there.
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except OSError:
            pass


def _is_stale(path: Path) -> bool:
    """Whether `path` is a socket that nobody listens at. Raises `OSError` EADDRINUSE when somebody does."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return False
    if not is_socket:
        raise OSError(errno.EEXIST, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except FileNotFoundError:
            return False
        except OSError:
            pass  # it is busy, so somebody is there
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "event-pusher"
    sys_version = ""
    timeout = 30
    #: On TCP: a browser that was lured here must not be obeyed.
    guarded = False
    respond: Respond

    def do_GET(self) -> None:
        self._do(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            self._answer(error_answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes"))
            self.close_connection = True
            return
        self._do(self.rfile.read(int(length)))

    def _do(self, body: bytes) -> None:
        if self.guarded and not self._from_here():
            answer = error_answer(HTTPStatus.FORBIDDEN, "only programs of this machine may ask, by a loopback name")
        else:
            answer = self.respond(self.command, self.path, body)
        self._answer(answer)

    def _from_here(self) -> bool:
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        return "Origin" not in self.headers and _is_loopback(host.strip("[]"))

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        log.debug("admin: %s", format % args)


def json_answer(value: object, status: int = HTTPStatus.OK) -> Answer:
    """Answer with JSON."""
    return Answer(status, "application/json", json.dumps(value, ensure_ascii=False, default=str).encode() + b"\n")


def error_answer(status: int, text: str) -> Answer:
    """Answer with what went wrong."""
    return json_answer({"error": text}, status)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

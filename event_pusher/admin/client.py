"""The command line's end of the control socket."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from event_pusher.admin.http import UNIX
from event_pusher.errors import EventPusherError

#: A command may wait for the core, and the core for its database.
TIMEOUT = 40.0


class NobodyListensError(EventPusherError):
    """No process listens at the address: none runs here."""


class RefusedError(EventPusherError):
    """The running process answered that it cannot; its words."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Remote:
    """The process that listens at `listen`."""

    def __init__(self, listen: str, timeout: float = TIMEOUT) -> None:
        self._listen = listen
        self._timeout = timeout

    def call(self, name: str, **arguments: Any) -> Any:
        """Give a command. Raises `NobodyListensError`, `RefusedError`."""
        status, body = self.request("POST", f"/commands/{name}", json.dumps(arguments).encode())
        try:
            told = json.loads(body)
        except ValueError:
            told = {"error": f"what listens at {self._listen} is not event-pusher; set another [admin] listen"}
        if status != http.client.OK:
            raise RefusedError(told.get("error", f"the running process answered {status}; look at its log"))
        return told

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Make one request; status and body. Raises `NobodyListensError`, `RefusedError`."""
        if not self._listen:
            raise NobodyListensError('[admin] listen is "": nobody can be asked; set an address')
        connection = self._connection()
        try:
            connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionRefusedError, FileNotFoundError):
            raise NobodyListensError(f"no process listens at {self._listen}; start `event-pusher run`") from None
        except PermissionError:
            raise RefusedError(
                f"{self._listen} belongs to another user; run the command as the user who runs event-pusher"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise RefusedError(
                f"the process at {self._listen} does not answer ({type(error).__name__}); look at its log"
            ) from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._listen.startswith(UNIX):
            return _UnixConnection(self._listen.removeprefix(UNIX), self._timeout)
        host, _, port = self._listen.rpartition(":")
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=self._timeout)

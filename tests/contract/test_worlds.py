"""The worlds on loopback that the kit brings, with the shortest backend for each: a stranger's first day."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterable
from typing import Any, ClassVar

from event_pusher.abc import Acc, Attempt, Backend, BackendSettings, Delivery, Event
from event_pusher.errors import TemporaryPublishError, UnknownOutcome
from event_pusher.testing import BackendContract, HttpWorld, TcpWorld, World


class PortSettings(BackendSettings):
    port: int


class Poster(Backend[PortSettings]):
    """A connection for each attempt."""

    Settings = PortSettings
    closed = False

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        if isinstance(event, Event):
            yield Delivery(str(event.user), "world", f"{acc.id} {event.kind}".encode())

    def timeout(self, attempt: Attempt) -> float:
        return max(0.01, min(5.0, attempt.deadline - self.tools.clock.monotonic() - 0.5))


class LineBackend(Poster):
    """Writes a line, reads a line."""

    def publish(self, attempt: Attempt) -> None:
        try:
            sock = socket.create_connection(("127.0.0.1", self.settings.port), self.timeout(attempt))
        except OSError:
            raise TemporaryPublishError("nobody is there") from None
        with sock, sock.makefile("rb") as stream:
            try:
                sock.sendall(attempt.delivery.payload + b"\n")
                answer = stream.readline()
            except OSError:
                raise UnknownOutcome("no answer") from None
        if answer != b"ok\n":
            raise TemporaryPublishError("it was refused")


class PostBackend(Poster):
    """Posts."""

    def publish(self, attempt: Attempt) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.port, timeout=self.timeout(attempt))
        try:
            connection.request("POST", "/", attempt.delivery.payload)
            status = connection.getresponse().status
        except ConnectionRefusedError:
            raise TemporaryPublishError("nobody is there") from None
        except (OSError, http.client.HTTPException):
            raise UnknownOutcome("no answer") from None
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise TemporaryPublishError(f"it answered {status}")


class OnLoopback(BackendContract):
    world_class: ClassVar[type[TcpWorld | HttpWorld]]
    endurance_seconds = 0.5
    _port = 9

    def make_world(self) -> World:
        world = self.world_class()
        self._port = world.port
        return world

    def options(self) -> dict[str, Any]:
        return {"port": self._port}


class TestLineBackend(OnLoopback):
    backend_class = LineBackend
    world_class = TcpWorld


class TestPostBackend(OnLoopback):
    backend_class = PostBackend
    world_class = HttpWorld


def say(world: TcpWorld, line: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", world.port), 5.0) as sock, sock.makefile("rb") as stream:
        sock.sendall(line)
        return stream.readline()


def test_a_world_comes_back_at_the_same_port() -> None:
    # Given a world that went away
    world = TcpWorld()
    port = world.port
    world.go_away()
    # When it comes back
    world.come_back()
    # Then it is where it was, and takes
    assert (world.port, say(world, b"hello\n"), world.received()) == (port, b"ok\n", [b"hello"])
    world.close()


def test_what_a_world_refuses_has_not_arrived() -> None:
    world = TcpWorld()
    world.refuse()
    assert (say(world, b"hello\n"), world.received()) == (b"no\n", [])
    world.close()


def test_what_a_stalled_world_took_is_answered_when_it_comes_back() -> None:
    # Given a line that a stalled world took
    world = TcpWorld()
    world.stall()
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(say(world, b"hello\n")))
    asking.start()
    # When it comes back
    world.come_back()
    asking.join(5.0)
    # Then the answer is there
    assert answers == [b"ok\n"]
    world.close()

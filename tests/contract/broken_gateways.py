"""Gateways that break one duty each; `test_contract.py` runs this and looks at what fails."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, ClassVar, cast

from pydantic import ConfigDict

from event_pusher.abc import Attempt, Gateway, GatewaySettings, Notification, Registration
from event_pusher.errors import PermanentPublishError, TemporaryPublishError, UnknownOutcome
from event_pusher.testing import GatewayContract, TcpWorld, World


class Line(Gateway[Any]):
    """Sends one line for each notification, over a connection of its own."""

    port: ClassVar[int] = 0

    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        device = dict(registration.options).get("device_id", "")
        if not device.replace("-", "").isalnum():
            raise PermanentPublishError("the options name no device")
        self.send(f"{device} {len(notification.fields)}\n", attempt.deadline)

    def send(self, line: str, deadline: float) -> None:
        left = max(0.01, min(1.0, deadline - self.tools.clock.monotonic()))
        try:
            with contextlib.closing(socket.create_connection(("127.0.0.1", self.port), timeout=left)) as sock:
                sock.sendall(line.encode())
                said = sock.recv(10)
        except ConnectionRefusedError:
            raise TemporaryPublishError("nobody is there") from None
        except OSError:
            raise UnknownOutcome("no answer") from None
        if said != b"ok\n":
            raise TemporaryPublishError("it said no")


class Contract(GatewayContract):
    endurance_seconds = 0.3

    def make_world(self) -> World:
        world = TcpWorld()
        cast("Any", self.gateway_class).port = world.port
        return world

    def registered(self) -> tuple[tuple[str, str], ...]:
        return (("device_id", "device-number-1"),)


class TestGoodGateway(Contract):
    gateway_class = Line


class TrustsOptions(Line):
    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        device = dict(registration.options)["device_id"]
        super().publish(attempt, registration, notification)
        assert device


class TestTrustsOptions(Contract):
    gateway_class = TrustsOptions


class TellsTheDevice(Line):
    def send(self, line: str, deadline: float) -> None:
        try:
            super().send(line, deadline)
        except TemporaryPublishError as error:
            raise TemporaryPublishError(f"{line}: {error}") from None

    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        try:
            super().publish(attempt, registration, notification)
        except PermanentPublishError as error:
            raise PermanentPublishError(f"{registration.options}: {error}") from None


class TestTellsTheDevice(Contract):
    gateway_class = TellsTheDevice


class LaxGatewaySettings(GatewaySettings):
    model_config = ConfigDict(extra="ignore")


class TakesAnyGatewayKey(Line):
    Settings = LaxGatewaySettings


class TestTakesAnyGatewayKey(Contract):
    gateway_class = TakesAnyGatewayKey


class NeedsASender(Line):
    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        assert notification.get("last-message-sender")
        super().publish(attempt, registration, notification)


class TestNeedsASender(Contract):
    gateway_class = NeedsASender
    patience = 1.0


class SendsAfterItsEnd(Line):
    """What fails is kept, and sent when somebody is there, whatever was reported."""

    def send(self, line: str, deadline: float) -> None:
        try:
            super().send(line, deadline)
        except TemporaryPublishError:
            threading.Thread(target=self._later, args=(line,), daemon=True).start()
            raise

    def _later(self, line: str) -> None:
        for _ in range(100):
            time.sleep(0.01)
            with contextlib.suppress(TemporaryPublishError, UnknownOutcome):
                return super().send(line, self.tools.clock.monotonic() + 1)
        return None


class TestSendsAfterItsEnd(Contract):
    gateway_class = SendsAfterItsEnd

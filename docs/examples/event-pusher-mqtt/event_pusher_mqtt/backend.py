"""
The `mqtt` backend: each message to a user becomes a publish of QoS 1 under ``PREFIX/user@domain``.

paho keeps what it could not send and sends it when it has reconnected, and again what was not acknowledged. Both were
reported as failed by then, and the core tries them again: everybody would hear them twice. So no client of ours ever
reconnects. It lives as long as its connection, and its queue dies with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from event_pusher.abc import (
    DELIVERED,
    Acc,
    Attempt,
    Backend,
    BackendSettings,
    BackendTools,
    ChatEvent,
    Delivery,
    Event,
    Report,
    Retry,
    Secret,
    Unknown,
)
from event_pusher.events import to_json

Waiting = dict[int, tuple[Attempt, Report]]


class MqttSettings(BackendSettings):
    """``[backends.mqtt]``: the broker, who we are there, and what stands before the user in a topic."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: Secret | None = None
    prefix: str = "event-pusher"
    connect_timeout: float = 5.0


class Connection:
    """A connection and its client, from CONNECT to the end; whatever waits then has an unknown outcome."""

    def __init__(self, settings: MqttSettings) -> None:
        self.alive = True
        self._lock = threading.Lock()
        self._accepted = threading.Event()
        self._waiting: Waiting = {}
        self._early: dict[int, ReasonCode] = {}
        self._client = Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
        )
        self._client.on_connect, self._client.on_disconnect = self._connected, self._ended
        self._client.on_publish = self._confirmed
        self._client.connect_timeout = settings.connect_timeout
        if settings.username is not None:
            self._client.username_pw_set(settings.username, settings.password.reveal() if settings.password else None)
        self._client.connect(settings.host, settings.port)
        self._client.loop_start()
        self.alive = self._accepted.wait(settings.connect_timeout) and self.alive

    def publish(self, topic: str, attempt: Attempt, report: Report) -> None:
        """Hand it to the client. Its acknowledgement may be quicker than we are, and so may the end."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho does not say
        properties.UserProperty = ("key", attempt.key)
        # Not under the lock: the client calls back under one of its own, which `publish` wants, too.
        sent = self._client.publish(topic, attempt.delivery.payload, qos=1, properties=properties)
        with self._lock:
            code = self._early.pop(sent.mid, None)
            unsent = not self.alive or sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS
            if code is None and not unsent:
                self._waiting[sent.mid] = attempt, report
                return
        report([(attempt, _outcome(code) if code is not None else Unknown("the connection ended"))])

    def close(self) -> None:
        """Let go of the client, and of what it has not sent."""
        self._client.disconnect()
        self._end()
        self._client.loop_stop()

    def _connected(self, _: Client, __: Any, flags: ConnectFlags, code: ReasonCode, ___: Properties | None) -> None:
        if code.is_failure:
            self._end()
        self._accepted.set()

    def _confirmed(self, _: Client, __: Any, mid: int, code: ReasonCode, ___: Properties | None) -> None:
        with self._lock:
            attempt, report = self._waiting.pop(mid, (None, None))
            if attempt is None or report is None:
                self._early[mid] = code
                return
        report([(attempt, _outcome(code))])

    def _ended(self, _: Client, __: Any, flags: DisconnectFlags, code: ReasonCode, ___: Properties | None) -> None:
        self._end()

    def _end(self) -> None:
        with self._lock:
            self.alive, waiting, self._waiting = False, self._waiting, {}
        self._accepted.set()
        for attempt, report in waiting.values():
            report([(attempt, Unknown("the connection ended before the acknowledgement"))])


class MqttBackend(Backend[MqttSettings]):
    """Publishes without waiting; each acknowledgement (PUBACK) is reported when it comes."""

    Settings = MqttSettings
    max_batch = 100

    def __init__(self, settings: MqttSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self._connecting = threading.Lock()
        self._connection: Connection | None = None
        self._closed = False

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        if isinstance(event, ChatEvent) and event.direction == "out" and event.stanza.body:
            # A topic may not have the wildcards + and #, and / would make levels of it.
            topic = f"{self.settings.prefix}/{quote(str(event.user), safe='@')}"
            yield Delivery(recipient=str(event.user), target=topic, payload=to_json(acc, event))

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        connection = self._connected()
        if connection is None:
            report([(attempt, Retry("no connection to the broker")) for attempt in attempts])
            return
        for attempt in attempts:
            connection.publish(attempt.delivery.target, attempt, report)

    def close(self, timeout: float) -> None:
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def health(self) -> str | None:
        connection = self._connection
        return None if connection is not None and connection.alive else "not connected to the broker"

    def _connected(self) -> Connection | None:
        """The connection that there is, else a new one."""
        with self._connecting:
            if self._closed or (self._connection is not None and self._connection.alive):
                return self._connection
            former, self._connection = self._connection, None
            if former is not None:
                former.close()
            try:
                connection = Connection(self.settings)
            except OSError:
                return None
            if connection.alive:
                self._connection = connection
            else:
                connection.close()
            return self._connection


def _outcome(code: ReasonCode) -> Any:
    return Retry(f"the broker refused it: {code.getName()}") if code.is_failure else DELIVERED

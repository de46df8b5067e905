"""
Push without PubSub: which registrations a gateway serves, what waits for it, and the threads that ask it.

A gateway's own threads, so that one which hangs takes no worker from the publishes that go through the XMPP server;
and a bounded number of attempts, so that it does not take all that may be in flight.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from event_pusher.abc import (
    DELIVERED,
    Attempt,
    Clock,
    Gateway,
    Notification,
    Outcome,
    Registration,
    Report,
    Retry,
    Unsent,
    outcome_of,
)
from event_pusher_push.settings import PushSettings

#: `Delivery.format` of what waits for a gateway.
FORMAT: Final = 2
#: Attempts that wait for each thread of a gateway; what is beyond goes back unsent.
WAITING: Final = 4
_OF_EACH_HOST: Final = "@HOST@"


class VirtualHosts:
    """``virtual_pubsub_hosts`` as they hold for one host's users: domain → gateway."""

    def __init__(self, settings: PushSettings, gateways: Mapping[str, Gateway[Any]]) -> None:
        hosts = settings.virtual_pubsub_hosts
        only = next(iter(gateways.values()), None)
        served = {host: gateways.get(hosts[host]) if isinstance(hosts, dict) else only for host in hosts}
        self.served = {host: gateway for host, gateway in served.items() if gateway is not None}

    def gateway(self, service: str, user: str) -> Gateway[Any] | None:
        """The gateway that serves `service` for `user` (bare JIDs); None = a push service on the network."""
        domain, own = service.rpartition("@")[2], user.rpartition("@")[2]
        if (found := self.served.get(domain)) is not None:
            return found
        return self.served.get(domain.removesuffix(own) + _OF_EACH_HOST) if domain.endswith(f".{own}") else None


def pack(registration: Registration, notification: Notification) -> bytes:
    """Write what waits for a gateway; XML beside the form (`Notification.extra`) is of no use to one."""
    return json.dumps(
        {
            "node": registration.node,
            "options": registration.options,
            "fields": notification.fields,
            "priority": notification.priority,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode("utf-8", "replace")


def unpack(attempt: Attempt) -> tuple[Registration, Notification]:
    """Read what `pack` wrote."""
    told, to = json.loads(attempt.delivery.payload), attempt.delivery
    options = tuple((name, value) for name, value in told["options"])
    registration = Registration(to.registration or 0, to.recipient, to.target, told["node"], options)
    return registration, Notification(tuple((name, value) for name, value in told["fields"]), told["priority"])


class Relay:
    """Hands attempts to gateways, each of which has threads of its own."""

    def __init__(self, name: str, gateways: Mapping[str, Gateway[Any]], clock: Clock) -> None:
        self._clock = clock
        self._desks = {id(one): _Desk(f"{name}-{key}", one, clock) for key, one in gateways.items()}

    def publish(self, wanted: Sequence[tuple[Attempt, Gateway[Any] | None]], report: Report) -> None:
        """Have each attempt published by its gateway; never blocks. None: the configuration names none any more."""
        for attempt, gateway in wanted:
            if gateway is None:
                why = f"no gateway serves {attempt.delivery.target} any more; name one in virtual_pubsub_hosts"
                report([(attempt, Retry(why))])
            else:
                self._desks[id(gateway)].publish(attempt, report)

    def start(self) -> None:
        """Start the gateways."""
        for desk in self._desks.values():
            desk.gateway.start()

    def close(self, timeout: float) -> None:
        """Close the gateways within `timeout` seconds; what is under way is left to end by itself."""
        until = time.monotonic() + timeout
        for desk in self._desks.values():
            desk.close(max(0.0, until - time.monotonic()))

    def health(self) -> str | None:
        """What is not well, of all of them."""
        return "; ".join(told for desk in self._desks.values() if (told := desk.gateway.health())) or None


class _Desk:
    def __init__(self, name: str, gateway: Gateway[Any], clock: Clock) -> None:
        self.gateway = gateway
        self._clock = clock
        self._most = gateway.settings.workers * (1 + WAITING)
        self._taken = self._running = 0
        self._changed = threading.Condition()
        self._closed = False
        self._pool = ThreadPoolExecutor(gateway.settings.workers, thread_name_prefix=name)

    def publish(self, attempt: Attempt, report: Report) -> None:
        with self._changed:
            free = self._taken < self._most and not self._closed
            if free:
                self._taken += 1
                self._pool.submit(self._work, attempt, report)
        if not free:
            report([(attempt, Unsent("the gateway has as many notifications under way as it may"))])

    def close(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        with self._changed:
            self._closed = True
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._changed.wait_for(lambda: not self._running, timeout)
        self.gateway.close(max(0.0, until - time.monotonic()))

    def _work(self, attempt: Attempt, report: Report) -> None:
        """On a thread of the gateway's."""
        with self._changed:
            self._running += 1
            late = self._closed or self._clock.monotonic() >= attempt.deadline
        outcome: Outcome = DELIVERED
        try:
            if late:
                outcome = Unsent("it was not the gateway's turn in time")
            else:
                self.gateway.publish(attempt, *unpack(attempt))
        except Exception as error:  # noqa: BLE001 - a stranger's gateway may raise anything; it is an outcome
            outcome = outcome_of(error)
        finally:
            with self._changed:
                self._taken -= 1
                self._running -= 1
                self._changed.notify_all()
        report([(attempt, outcome)])

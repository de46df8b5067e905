"""The thread that owns the connection: it keeps one open, and tells what is wrong while it cannot."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence

from event_pusher.abc import Attempt, Clock, Report, Unsent
from event_pusher_rabbit.confirms import Rules
from event_pusher_rabbit.desk import Batch, Desk, outcomes
from event_pusher_rabbit.parameters import connection_parameters, describe
from event_pusher_rabbit.session import Session, Task
from event_pusher_rabbit.settings import Exchange, RabbitSettings

#: After a failure the next try waits about so long, twice as long each time, and so long at most.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
#: A connection that held so long was a good one: the waits begin anew.
GOOD_SECONDS = 10.0
#: For so long after a message came back, `health` says so.
RETURN_SECONDS = 120.0
#: What of a close's time is for the confirms; the rest is for cutting the connection.
_FLUSH_SHARE = 0.8

# pika writes what it connects with, each frame, and every failed try; what matters is told here instead.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class RabbitConnection:
    """A connection that comes back. All methods are thread-safe; none but `close` waits."""

    def __init__(
        self, settings: RabbitSettings, exchanges: Sequence[Exchange], clock: Clock, log: logging.Logger
    ) -> None:
        mandatory = {one.name: settings.mandatory if one.mandatory is None else one.mandatory for one in exchanges}
        rules = Rules(mandatory, settings.unroutable_for, settings.confirms_enabled)
        self._settings = settings
        self._log = log
        self._desk = Desk()
        self._task = Task(exchanges, rules, clock, log, self._desk, self._returned, self._up)
        self._closing = threading.Event()
        self._session: Session | None = None
        self._trouble: str | None = "not connected yet"
        self._returns: dict[str, float] = {}
        self._draw = random.Random()  # noqa: S311 - jitter hides nothing
        self._thread = threading.Thread(target=self._run, name="rabbit-io", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        if not self._closing.is_set():
            self._thread.start()

    def ready(self) -> bool:
        """Whether a message could leave now."""
        return self._desk.is_open

    def submit(self, attempts: Sequence[Attempt], report: Report) -> None:
        """Have `attempts` published in this order; each is reported when RabbitMQ has confirmed it."""
        if not self._desk.put(Batch(attempts, report)):
            report(outcomes(attempts, Unsent("there is no connection to RabbitMQ that takes messages")))

    def health(self) -> str | None:
        """None when all is well, else one line."""
        if self._trouble is not None:
            return self._trouble
        session, now = self._session, time.monotonic()
        told = list(session.refused.values()) if session is not None else []
        if session is not None and session.blocked:
            told.append(f"RabbitMQ takes no messages now: {session.blocked}")
        told += [
            f'messages come back from the exchange "{name}": bind a queue to it for them, or set mandatory = false'
            for name, at in list(self._returns.items())
            if now - at < RETURN_SECONDS
        ]
        return "; ".join(told) or None

    def close(self, timeout: float) -> None:
        """Wait for the confirms that are outstanding, `timeout` seconds at most, and let go."""
        deadline = time.monotonic() + timeout
        self._closing.set()
        if not self._thread.is_alive():
            return
        if (session := self._session) is not None:
            session.call(Session.finish)
        self._thread.join(timeout * _FLUSH_SHARE)
        if (session := self._session) is not None:
            session.call(Session.abort)
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _returned(self, exchange: str) -> None:
        now = time.monotonic()
        if now - self._returns.get(exchange, -RETURN_SECONDS) >= RETURN_SECONDS:
            self._log.warning('messages come back from the exchange "%s": no queue is bound for them', exchange)
        self._returns[exchange] = now

    # --- the I/O thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        brokers, failures = self._settings.brokers(), 0
        while not self._closing.is_set():
            host, port = brokers[failures % len(brokers)]
            held = self._serve(host, port)
            failures = 0 if held > GOOD_SECONDS else failures + 1
            # The next host is tried at once; only when none was good it waits.
            if failures % len(brokers) == 0:
                self._closing.wait(self._wait_after(failures // len(brokers)))

    def _wait_after(self, rounds: int) -> float:
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(rounds, 10))
        return self._draw.uniform(longest / 2, longest)

    def _serve(self, host: str, port: int) -> float:
        """Connect and serve until it is over; returns for how many seconds it was up."""
        session: Session | None = None
        try:
            session = self._session = Session(connection_parameters(self._settings, host, port), self._task)
            # `close` sets the flag and then looks for a session: one of the two sees the other.
            error = session.run(self._closing.is_set)
            why = "closed" if error is None else describe(self._settings, error)
        except (ValueError, OSError) as error:
            # A secret's or a certificate's file: the text is ours, or the system's.
            why = str(error)
        except Exception as error:  # noqa: BLE001 - a fault of pika's or ours costs a connection, not the thread
            why = f"{type(error).__name__} in the connection"
        self._session = None
        if not self._closing.is_set():
            self._say(f"no connection to RabbitMQ at {host}:{port}: {why}")
        return 0.0 if session is None or session.up_since is None else time.monotonic() - session.up_since

    def _up(self) -> None:
        self._trouble = None
        self._log.info("connected to RabbitMQ")

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._log.warning("%s", trouble)
        self._trouble = trouble

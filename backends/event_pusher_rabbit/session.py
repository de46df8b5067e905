"""
One connection to RabbitMQ from its beginning to its end, on the I/O thread.

::

    connecting ──▶ declaring ──▶ confirm channel ──▶ up ◀──▶ blocked (the broker is short of something)
                       ▲                              │
                       └── the broker closed the channel: those without a confirm are unknown
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pika import SelectConnection, exceptions
from pika.adapters.select_connection import IOLoop

from event_pusher.abc import Attempt, Clock, Outcome, Report
from event_pusher_rabbit.confirms import Confirms, Rules
from event_pusher_rabbit.desk import Desk
from event_pusher_rabbit.settings import Exchange
from event_pusher_rabbit.topology import Declaring

if TYPE_CHECKING:
    import pika
    from pika.channel import Channel
    from pika.connection import Connection

#: A refused exchange is declared again after so many seconds.
RECHECK_SECONDS = 30.0
_ACCESS_REFUSED = 403
_GONE = "the connection to RabbitMQ is gone"
_NAMED = re.compile(r"exchange '([^']*)'")
_TOO_LARGE = re.compile(r"larger than configured max size (\d+)")


class Task(NamedTuple):
    """What every session of one backend shares."""

    exchanges: Sequence[Exchange]
    rules: Rules
    clock: Clock
    log: logging.Logger
    desk: Desk
    on_return: Callable[[str], None]
    on_up: Callable[[], None]


class Session:
    """`run` it once. `call` is for any thread, the rest is the I/O thread's; flags may be read by all."""

    def __init__(self, parameters: pika.ConnectionParameters, task: Task) -> None:
        self._task = task
        self._parameters = parameters
        self._loop = IOLoop()
        self._lock = threading.Lock()
        self._ended = False
        self._connection: SelectConnection | None = None
        self._confirms: Confirms | None = None
        self._answers: list[tuple[Report, Attempt, Outcome]] = []
        self._finishing = False
        self._recheck_due = False
        self._error: BaseException | None = None
        self.up_since: float | None = None
        self.blocked = ""
        #: Exchanges that the broker refused: name → why.
        self.refused: dict[str, str] = {}

    def run(self, cancelled: Callable[[], bool]) -> BaseException | None:
        """Connect, unless it is `cancelled`, and serve until the connection is over; returns why."""
        try:
            if cancelled():
                return None
            connection = SelectConnection(
                self._parameters, self._opened, self._over, self._over, custom_ioloop=self._loop
            )
            self._connection = connection
            connection.add_on_connection_blocked_callback(self._block)
            connection.add_on_connection_unblocked_callback(self._unblock)
            self._loop.start()
        finally:
            self._stop_publishing(_GONE)
            with self._lock:
                self._ended = True
                self._loop.close()
        return self._error

    def call(self, method: Callable[[Session], None]) -> None:
        """Have `method` called on the I/O thread; nothing happens when the session is over."""
        with self._lock:
            if not self._ended:
                self._loop.add_callback_threadsafe(lambda: method(self))

    def finish(self) -> None:
        """Send what was taken, wait for its confirms, then close."""
        self._finishing = True
        self._drain()
        self._task.desk.shut("the backend is closing")
        self._close_if_done()

    def abort(self) -> None:
        """Cut the connection, without a word."""
        if self._connection is not None and not self._connection.is_closed:
            # pika has no public way to cut a connection whose peer is silent.
            self._connection._terminate_stream(exceptions.ConnectionClosedByClient(200, "closed"))  # type: ignore[attr-defined]  # noqa: SLF001 - see above

    # --- the connection -------------------------------------------------------------------------------------------

    def _opened(self, connection: Connection) -> None:
        if self._finishing:
            self._close_if_done()
        else:
            self._declare(self._task.exchanges, self._open_channel)

    def _over(self, connection: Connection, error: BaseException | str) -> None:
        self._error = error if isinstance(error, BaseException) else exceptions.AMQPConnectionError(error)
        self._loop.stop()

    def _block(self, connection: Connection, frame: pika.frame.Method[pika.spec.Connection.Blocked]) -> None:
        self.blocked = str(frame.method.reason) or "no reason given"
        self._task.log.warning("RabbitMQ takes no messages now: %s", self.blocked)
        self._task.desk.shut("RabbitMQ blocks the connection")

    def _unblock(self, connection: Connection, frame: pika.frame.Method[pika.spec.Connection.Unblocked]) -> None:
        self.blocked = ""
        self._task.log.info("RabbitMQ takes messages again")
        self._open_desk()

    # --- topology -------------------------------------------------------------------------------------------------

    def _declare(self, exchanges: Sequence[Exchange], then: Callable[[], None]) -> None:
        def done(refused: dict[str, str]) -> None:
            for reason in set(refused.values()) - set(self.refused.values()):
                self._task.log.warning("%s; its messages wait", reason)
            for exchange in exchanges:
                self.refused.pop(exchange.name, None)
            self.refused.update(refused)
            self._recheck_later()
            then()

        assert self._connection is not None
        Declaring(self._connection, exchanges, done).go_on()

    def _recheck_later(self) -> None:
        if self.refused and not self._recheck_due:
            self._recheck_due = True
            self._loop.call_later(RECHECK_SECONDS, self._recheck)

    def _recheck(self) -> None:
        self._recheck_due = False
        if self._connection is not None and self._connection.is_open and not self._finishing:
            self._declare([one for one in self._task.exchanges if one.name in self.refused], lambda: None)

    # --- the channel that publishes -------------------------------------------------------------------------------

    def _open_channel(self) -> None:
        assert self._connection is not None
        if not self._finishing:
            self._connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        task = self._task
        confirms = Confirms(channel, task.rules, task.clock, self._answer, task.on_return)
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(confirms.returned)

        def go(*_frame: object) -> None:
            self._confirms = confirms
            if self.up_since is None:
                self.up_since = time.monotonic()
                task.on_up()
            self._open_desk()

        if task.rules.confirms:
            channel.confirm_delivery(confirms.confirmed, go)
        else:
            go()

    def _channel_closed(self, channel: Channel, error: Exception) -> None:
        if not isinstance(error, exceptions.ChannelClosedByBroker):
            self._stop_publishing(_GONE)
            return
        limit = _TOO_LARGE.search(error.reply_text)
        self._stop_publishing(
            "RabbitMQ closed the channel before it confirmed", None if limit is None else int(limit[1])
        )
        if self._finishing:
            return
        named = _NAMED.search(error.reply_text)

        def then() -> None:
            if named and error.reply_code == _ACCESS_REFUSED:
                # Without this every message to it would close the channel again. Its text may name a user.
                self.refused[named[1]] = f'no permission to write to the exchange "{named[1]}"'
                self._recheck_later()
            self._open_channel()

        self._declare(self._task.exchanges, then)

    def _open_desk(self) -> None:
        if self._confirms is not None and not self.blocked and not self._finishing:
            self._task.desk.open(lambda: self._loop.add_callback_threadsafe(self._drain))

    def _drain(self) -> None:
        confirms = self._confirms
        if confirms is None:
            return
        for batch in self._task.desk.take():
            for attempt in batch.attempts:
                confirms.publish(attempt, batch.report, self.refused)

    def _stop_publishing(self, reason: str, largest: int | None = None) -> None:
        self._task.desk.shut(reason)
        confirms, self._confirms = self._confirms, None
        if confirms is not None:
            confirms.lost(reason, largest)
        self._flush()

    # --- outcomes -------------------------------------------------------------------------------------------------

    def _answer(self, report: Report, attempt: Attempt, outcome: Outcome) -> None:
        """Keep it until what was read from the socket is worked on: one report for many confirms."""
        if not self._answers:
            self._loop.add_callback(self._flush)
        self._answers.append((report, attempt, outcome))

    def _flush(self) -> None:
        answers, self._answers = self._answers, []
        start = 0
        for end in range(1, len(answers) + 1):
            report = answers[start][0]
            if end == len(answers) or answers[end][0] is not report:
                report([(attempt, outcome) for _, attempt, outcome in answers[start:end]])
                start = end
        self._close_if_done()

    def _close_if_done(self) -> None:
        connection = self._connection
        if not self._finishing or self._confirms or self._answers or connection is None:
            return
        if not (connection.is_closing or connection.is_closed):
            connection.close()

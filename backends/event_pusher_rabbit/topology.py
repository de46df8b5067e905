"""
The exchanges, declared anew on every connection: a broker that came back empty has none.

A refused declaration closes its channel, so each has a channel of its own and harms nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pika import exceptions

from event_pusher_rabbit.settings import Exchange

if TYPE_CHECKING:
    from pika.channel import Channel
    from pika.connection import Connection


class Declaring:
    """Declares `exchanges` in turn, then calls `done` with those that were refused (name → why)."""

    def __init__(
        self, connection: Connection, exchanges: Sequence[Exchange], done: Callable[[dict[str, str]], None]
    ) -> None:
        self._connection = connection
        self._waiting = list(exchanges)
        self._done = done
        self._refused: dict[str, str] = {}

    def go_on(self) -> None:
        """Declare the next one."""
        if not self._connection.is_open:
            return
        if not self._waiting:
            self._done(self._refused)
            return
        exchange = self._waiting.pop(0)
        self._connection.channel(on_open_callback=lambda channel: self._declare(channel, exchange))

    def _declare(self, channel: Channel, exchange: Exchange) -> None:
        channel.add_on_close_callback(lambda _channel, error: self._closed(exchange, error))
        channel.exchange_declare(
            exchange.name,
            exchange.type,  # type: ignore[arg-type]  # the stubs know RabbitMQ's own types only; pika takes any
            durable=exchange.durable,
            callback=lambda _frame: channel.close(),
        )

    def _closed(self, exchange: Exchange, error: Exception) -> None:
        if isinstance(error, exceptions.ChannelClosedByBroker):
            self._refused[exchange.name] = f'the exchange "{exchange.name}" was refused: {error.reply_text}'
        self.go_on()

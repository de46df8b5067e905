"""
Publishing on one channel, and what the broker says to each message.

Only the I/O thread comes here. A message that no queue is bound for comes back (`basic.return`) before it is confirmed,
so a confirm tells the end of both stories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pika import BasicProperties, exceptions, spec

from event_pusher.abc import DELIVERED, Attempt, Clock, Dead, Outcome, Report, Retry, Unknown, Unsent
from event_pusher_rabbit.settings import SHORT_STRING_BYTES
from event_pusher_rabbit.wire import Message, unpack

if TYPE_CHECKING:
    from pika.channel import Channel
    from pika.frame import Method

_PERSISTENT = 2


class Rules(NamedTuple):
    """How messages are published: `mandatory` by exchange, `unroutable_for` in seconds."""

    mandatory: Mapping[str, bool]
    unroutable_for: float
    confirms: bool


class _Sent(NamedTuple):
    attempt: Attempt
    report: Report
    message: Message


class Confirms:
    """The messages of one channel that have no confirm yet."""

    def __init__(
        self,
        channel: Channel,
        rules: Rules,
        clock: Clock,
        answer: Callable[[Report, Attempt, Outcome], None],
        on_return: Callable[[str], None],
    ) -> None:
        self._channel = channel
        self._rules = rules
        self._clock = clock
        self._answer = answer
        self._on_return = on_return
        self._sent: dict[int, _Sent] = {}
        self._returned: dict[str, int] = {}
        self._tag = 0

    def __len__(self) -> int:
        return len(self._sent)

    def publish(self, attempt: Attempt, report: Report, refused: Mapping[str, str]) -> None:
        """Send one message, unless its exchange is one of `refused` (name → why); what it comes to is answered."""
        try:
            message = unpack(attempt.delivery.payload)
        except ValueError:
            self._answer(report, attempt, Dead("its payload is not one of this backend's"))
            return
        outcome = self._send(message, attempt, refused)
        if outcome is not None:
            self._answer(report, attempt, outcome)
        else:
            # The broker counts like this too: from 1, what was sent on this channel since confirms are on.
            self._tag += 1
            self._sent[self._tag] = _Sent(attempt, report, message)

    def confirmed(self, frame: Method[spec.Basic.Ack | spec.Basic.Nack]) -> None:
        """The broker answers for one message, or for all up to it."""
        method = frame.method
        nacked = isinstance(method, spec.Basic.Nack)
        for tag in self._up_to(method.delivery_tag) if method.multiple else (method.delivery_tag,):
            sent = self._sent.pop(tag, None)
            if sent is not None:
                self._answer(sent.report, sent.attempt, self._outcome(sent, nacked=nacked))

    def returned(self, channel: Channel, method: spec.Basic.Return, properties: BasicProperties, body: bytes) -> None:
        """A message comes back: no queue is bound for it. Its confirm follows."""
        if self._rules.confirms:
            key: str = properties.message_id or ""  # always ours
            self._returned[key] = self._returned.get(key, 0) + 1
        self._on_return(method.exchange or "")

    def lost(self, reason: str, largest: int | None = None) -> None:
        """
        The channel is gone: nobody knows what became of those without a confirm.

        But what has more than `largest` bytes would close every channel.
        """
        sent, self._sent = self._sent, {}
        for one in sent.values():
            too_large = largest is not None and len(one.message.body) > largest
            dead = Dead(f"RabbitMQ takes {largest} bytes at most, it has {len(one.message.body)}")
            self._answer(one.report, one.attempt, dead if too_large else Unknown(reason))

    def _send(self, message: Message, attempt: Attempt, refused: Mapping[str, str]) -> Outcome | None:
        """None = it is on its way, and a confirm will come."""
        mandatory = self._rules.mandatory.get(message.exchange)
        if mandatory is None:
            return Dead(f'the exchange "{message.exchange}" is not configured any more')
        if message.exchange in refused:
            return Retry(refused[message.exchange])
        if len(message.routing_key.encode()) > SHORT_STRING_BYTES:
            return Dead(f"its routing key is longer than AMQP's {SHORT_STRING_BYTES} bytes")
        properties = BasicProperties(
            content_type="application/json",
            delivery_mode=_PERSISTENT,
            message_id=attempt.key,
            timestamp=message.time,
        )
        try:
            self._channel.basic_publish(message.exchange, message.routing_key, message.body, properties, mandatory)
        except (exceptions.AMQPChannelError, exceptions.AMQPConnectionError) as error:
            # pika encodes the whole message before it sends a byte of it.
            return Unsent(f"the channel did not take it: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001 - what pika cannot encode is dead alone, not with the connection
            return Dead(f"it cannot be written as AMQP: {type(error).__name__}")
        return None if self._rules.confirms else DELIVERED

    def _outcome(self, sent: _Sent, *, nacked: bool) -> Outcome:
        key = sent.attempt.key
        returns = self._returned.pop(key, 0)
        if not returns:
            return Retry("RabbitMQ did not take it (nack)") if nacked else DELIVERED
        if returns > 1:  # an earlier attempt of the same delivery is still to be confirmed
            self._returned[key] = returns - 1
        reason = f'no queue is bound for it at the exchange "{sent.message.exchange}"'
        if self._clock.now() - sent.message.time > self._rules.unroutable_for:
            return Dead(reason)
        return Retry(reason)

    def _up_to(self, last: int) -> list[int]:
        # They were put in by rising numbers.
        tags = []
        for tag in self._sent:
            if tag > last:
                break
            tags.append(tag)
        return tags

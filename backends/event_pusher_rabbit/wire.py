"""What is sent: the model's routing keys and JSON, and the frame in which they wait in the outbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from event_pusher.abc import Acc, ChatEvent, Event, UserStatusEvent
from event_pusher_rabbit.settings import ChatExchange, GroupchatExchange, RabbitSettings

_SEPARATOR = b"\0"


class Message(NamedTuple):
    """One message to an exchange; `time` is the UTC second at which its event reached us."""

    exchange: str
    routing_key: str
    time: int
    body: bytes


def message_of(settings: RabbitSettings, acc: Acc, event: Event) -> Message | None:
    """Make what `event` says to RabbitMQ; None when no exchange is for it."""
    match event:
        case UserStatusEvent():
            if settings.presence_exchange is None:
                return None
            told = {"user_id": str(event.jid).lower(), "present": event.status == "online"}
            return _message(settings.presence_exchange.name, str(event.user), acc, told)
        case ChatEvent():
            exchange = _exchange_of(settings, event)
            if exchange is None or not event.stanza.body:
                return None
            topic = exchange.sent_topic if event.direction == "in" else exchange.recv_topic
            told = {
                "from_user_id": str(event.sender).lower(),
                "to_user_id": str(event.recipient).lower(),
                "message": event.stanza.body,
            }
            return _message(exchange.name, f"{event.user}.{topic}", acc, told)
    return None


def why_not(event: Event) -> str:
    """Why `message_of` made nothing of `event`: a reason of ``event-pusher explain``."""
    if not isinstance(event, ChatEvent):
        return "kind"
    if event.type not in ("chat", "groupchat"):
        return "type"
    return "kind" if event.stanza.body else "no-body"


def pack(message: Message) -> bytes:
    """
    Write `message` as the payload of a delivery (format 1).

    Exchange, routing key and time, each closed by a NUL, which none of them can hold; then the body as it is.
    """
    return _SEPARATOR.join(
        (message.exchange.encode(), message.routing_key.encode(), b"%d" % message.time, message.body)
    )


def unpack(payload: bytes) -> Message:
    """Read what `pack` wrote. Raises `ValueError`."""
    exchange, key, time, body = payload.split(_SEPARATOR, 3)
    return Message(exchange.decode(), key.decode(), int(time), body)


def _exchange_of(settings: RabbitSettings, event: ChatEvent) -> ChatExchange | GroupchatExchange | None:
    if event.type == "chat":
        return settings.chat_msg_exchange
    return settings.groupchat_msg_exchange if event.type == "groupchat" else None


def _message(exchange: str, key: str, acc: Acc, told: Mapping[str, object]) -> Message:
    body = json.dumps({**told, **acc.metadata}, ensure_ascii=False).encode()
    return Message(exchange, key, int(acc.received_at), body)

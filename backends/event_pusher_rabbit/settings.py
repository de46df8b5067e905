"""The section ``[backends.rabbit]``: MongooseIM's options (``mod_event_pusher_rabbit``, ``outgoing_pools.rabbit``)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from event_pusher.abc import BackendSettings, RetrySettings, Secret, Section
from event_pusher.options import Duration

#: AMQP's short strings are that long at most; routing keys, exchanges and types are such (4.2.5.3).
SHORT_STRING_BYTES = 255
_PORTED = re.compile(r"(?P<host>[^:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


def _is_short(value: str) -> str:
    if not value.isprintable():
        raise ValueError("it has a character that cannot be printed")
    if len(value.encode()) > SHORT_STRING_BYTES:
        raise ValueError(f"AMQP takes {SHORT_STRING_BYTES} bytes at most")
    return value


def _is_absolute(value: str) -> str:
    if not Path(value).is_absolute():
        raise ValueError("write the whole path of the file, from / on")
    return value


ShortString = Annotated[str, Field(min_length=1), AfterValidator(_is_short)]
AbsolutePath = Annotated[str, Field(min_length=1), AfterValidator(_is_absolute)]


class Exchange(Section):
    """An exchange, as it is declared; `mandatory` says for this one what the backend's own says for all."""

    name: ShortString
    type: ShortString = "topic"
    durable: bool = False
    mandatory: bool | None = None


class PresenceExchange(Exchange):
    """Who comes and goes."""

    name: ShortString = "presence"


class ChatExchange(Exchange):
    """Messages of one to one."""

    name: ShortString = "chat_msg"
    sent_topic: ShortString = "chat_msg_sent"
    recv_topic: ShortString = "chat_msg_recv"


class GroupchatExchange(Exchange):
    """Messages of rooms."""

    name: ShortString = "groupchat_msg"
    sent_topic: ShortString = "groupchat_msg_sent"
    recv_topic: ShortString = "groupchat_msg_recv"


class Tls(Section):
    """
    TLS to the broker; whose certificates are believed, and who we are.

    `verify_mode` "peer" checks the broker's certificate and name, "none" neither.
    """

    verify_mode: Literal["peer", "none"] = "peer"
    cacertfile: AbsolutePath | None = None
    certfile: AbsolutePath | None = None
    keyfile: AbsolutePath | None = None
    password: Secret | None = None
    server_name_indication: str | None = None


class RabbitSettings(BackendSettings):
    """
    Options of the rabbit backend; an exchange section that is missing turns its stream off.

    `host` may be a list, each with a port of its own (``"mq1:5673"``): the next one is tried when one is away.
    `mandatory`: what no queue is bound for comes back, and is tried again for `unroutable_for`; then it is a dead
    letter. `confirms_enabled` false gives up the broker's word for speed: a crash of either side loses messages.
    """

    presence_exchange: PresenceExchange | None = None
    chat_msg_exchange: ChatExchange | None = None
    groupchat_msg_exchange: GroupchatExchange | None = None

    host: str | tuple[str, ...] = "localhost"
    port: int | None = Field(default=None, ge=1, le=65535)
    username: str = Field(default="guest", min_length=1)
    password: Secret = Secret(text="guest")
    virtual_host: str = Field(default="/", min_length=1)
    tls: Tls | None = None
    heartbeat: Duration = Field(default=30.0, ge=0, le=3600)
    connect_timeout: Duration = Field(default=10.0, gt=0)

    confirms_enabled: bool = True
    mandatory: bool = True
    unroutable_for: Duration = 3600.0
    retry: RetrySettings = RetrySettings(schedule=(1.0, 5.0, 30.0, 60.0))

    @field_validator("host")
    @classmethod
    def _are_hosts(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for host in (value,) if isinstance(value, str) else value:
            match = _PORTED.fullmatch(host)
            if match is None or not 0 < int(match["port"] or 1) < 65536:  # noqa: PLR2004 - TCP's ports
                raise ValueError('a host is a name or an address, with a port of its own or without: "mq1:5673"')
        if not value:
            raise ValueError("name one host at least")
        return value

    @model_validator(mode="after")
    def _exchanges_differ(self) -> RabbitSettings:
        seen: dict[str, Exchange] = {}
        for one in self.exchanges():
            other = seen.setdefault(one.name, one)
            if (other.type, other.durable, other.mandatory) != (one.type, one.durable, one.mandatory):
                raise ValueError(f'the exchange "{one.name}" is there twice with other options')
        return self

    def exchanges(self) -> tuple[Exchange, ...]:
        """Those that are on."""
        all_ = (self.presence_exchange, self.chat_msg_exchange, self.groupchat_msg_exchange)
        return tuple(one for one in all_ if one is not None)

    def brokers(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each broker, in order."""
        usual = self.port or (5671 if self.tls else 5672)
        hosts = (self.host,) if isinstance(self.host, str) else self.host
        matches = [_PORTED.fullmatch(host) for host in hosts]
        return tuple((m["host"].strip("[]"), int(m["port"] or usual)) for m in matches if m is not None)

"""``[sources.component]``: what the component source can be told."""

from __future__ import annotations

import ipaddress

from pydantic import Field, field_validator, model_validator

from event_pusher.errors import InvalidJid
from event_pusher.jid import Jid
from event_pusher.options import Secret, Section
from event_pusher.xmpp.parser import MAX_STANZA_BYTES
from event_pusher.xmpp.publish import PublishAs


class ComponentSettings(Section):
    """
    ``[sources.component]``.

    `domain`: the component's. `server`: "HOST:PORT" of the server's component listener. `hosts`: the domains
    that are served; nobody else is believed. `publish_as`: from whose domain notifications go out. `window`:
    entries that may be on their way. `kinds`: which events the hosts shall tell (empty: all). `bodies`: False =
    message texts do not leave the server.
    """

    type: str | None = None
    domain: str
    server: str = "127.0.0.1:5347"
    secret: Secret
    hosts: tuple[str, ...] = Field(min_length=1)
    allow_plaintext: bool = False
    publish_as: PublishAs = "host"
    window: int = Field(default=1000, ge=1, le=100_000)
    max_stanza_bytes: int = Field(default=MAX_STANZA_BYTES, ge=10_000, le=10_000_000)
    open_per_service: int = Field(default=1000, ge=1, le=100_000)
    kinds: tuple[str, ...] = ()
    bodies: bool = True

    @field_validator("domain", "hosts")
    @classmethod
    def _domains(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return _domain(value) if isinstance(value, str) else tuple(map(_domain, value))

    @field_validator("kinds")
    @classmethod
    def _words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(kind.replace("-", "").isalpha() for kind in value):
            raise ValueError('kinds are names such as "received"')
        return value

    @model_validator(mode="after")
    def _safe(self) -> ComponentSettings:
        host, _ = self.address
        if self.domain in self.hosts:
            raise ValueError("domain is the component's own and cannot be one of hosts")
        if len(set(self.hosts)) != len(self.hosts):
            raise ValueError("hosts names a domain twice")
        if not self.allow_plaintext and not _is_loopback(host):
            raise ValueError(
                f"server = {self.server!r} is not on this machine and XEP-0114 is not encrypted: "
                "use a tunnel, or set allow_plaintext = true if the network between them is yours alone"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """`server`, apart. Raises `ValueError`."""
        host, _, port = self.server.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise ValueError('server must be "HOST:PORT", for instance "127.0.0.1:5347"')
        return host.removeprefix("[").removesuffix("]"), int(port)


def _domain(text: str) -> str:
    try:
        jid = Jid.parse(text)
    except InvalidJid as error:
        raise ValueError(str(error)) from None
    if jid.local or jid.resource:
        raise ValueError(f"{text!r} is not a domain")
    return jid.domain


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

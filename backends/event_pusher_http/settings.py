"""The section ``[backends.http]``: MongooseIM's ``handlers`` of ``mod_event_pusher_http``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from event_pusher.abc import BackendSettings, Wpool
from event_pusher.options import Duration, Secret, Section

EventKind = Literal["chat", "user_status", "unacked_message"]

#: RFC 9110 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What the connection itself writes.
OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
#: An attempt must have its outcome so much before the core stops waiting for it.
MARGIN = 2.0


def masked(url: str) -> str:
    """`url` as it may be shown: without user and password, and without what its query says."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path or '/'}{'?…' if parts.query else ''}"


def _checked_url(value: str, what: str) -> SplitResult:
    if not value.isascii() or any(char <= " " or char == "\x7f" for char in value):
        raise ValueError(f"{what} has no blanks, and other letters than ASCII are written as xn--… or %XX")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f'{what} must look like "https://host/path" or "http://host:8080/path"')
    return parts


class TlsSettings(Section):
    """
    ``tls`` of a handler. Without `ca` (PEM), the system's certificates are trusted; with it, those alone.

    `certificate` and `key` (files; the key may stand in the certificate's) are shown to a server that asks for them.
    `server_name` is the name that the server's certificate must have, where it is not the URL's.
    """

    verify: bool = True
    ca: Secret | None = None
    certificate: Secret | None = None
    key: Secret | None = None
    key_password: Secret | None = None
    server_name: str | None = None

    @field_validator("certificate", "key")
    @classmethod
    def _is_file(cls, value: Secret | None) -> Secret | None:
        if value is not None and value.file is None:
            raise ValueError('must be { file = "NAME" }')
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> TlsSettings:
        if self.certificate is None and (self.key or self.key_password):
            raise ValueError("key and key_password are of no use without certificate")
        return self


class HandlerSettings(Section):
    """
    One of ``handlers``: where requests go, which plugins decide and write them, and how they are carried.

    `name` is what waiting requests remember their handler by; without it, method, URL (masked) and plugins are.
    `events` are the kinds that the plugins are asked about. `secrets` sign (``standard_webhooks``). `untrusted`: the
    URL comes from a user, so private addresses are refused but for `allow_networks`. `gone_for`: how long a recipient's
    events of a kind are left out after a 410.
    """

    url: str = Field(repr=False)
    name: str | None = Field(default=None, min_length=1)
    callback_module: tuple[str, ...] = ("defaults",)
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    events: frozenset[EventKind] = frozenset({"chat"})
    headers: dict[str, Secret] = Field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    connect_timeout: Duration = Field(default=5.0, gt=0)
    read_timeout: Duration = Field(default=15.0, gt=0)
    concurrency: int = Field(default=10, ge=1)
    tls: TlsSettings = TlsSettings()
    proxy: Secret | None = None
    untrusted: bool = False
    allow_networks: tuple[str, ...] = ()
    gone_for: Duration = 86400.0
    max_response: int = Field(default=65536, ge=0)

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if _checked_url(value, "a URL").fragment:
            raise ValueError("a URL that is asked has no fragment (#…)")
        return value

    @field_validator("callback_module", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, Secret]) -> dict[str, Secret]:
        lower = [name.lower() for name in value]
        for name in value:
            if not _TOKEN.fullmatch(name):
                raise ValueError("the name of a header is made of letters, digits and -")
            if name.lower() in OWN_HEADERS:
                raise ValueError(f"{name} is written by the connection itself")
            if lower.count(name.lower()) > 1:
                raise ValueError(f"{name} stands there more than once")
        return value

    @field_validator("allow_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError('a network is written like "10.1.0.0/16" or "fd00:1::/64"') from None
        return value

    @model_validator(mode="after")
    def _is_of_use(self) -> HandlerSettings:
        if "tls" in self.model_fields_set and self.url.lower().startswith("http:"):
            raise ValueError("tls is of no use with http://")
        if self.allow_networks and not self.untrusted:
            raise ValueError("allow_networks is of no use without untrusted = true: every network is allowed")
        return self

    @property
    def target(self) -> str:
        """Where it goes, as metrics and logs say it."""
        return masked(self.url)

    @property
    def key(self) -> str:
        """What waiting requests remember their handler by."""
        return self.name or f"{self.method} {self.target} {'+'.join(self.callback_module) or 'defaults'}"

    @property
    def login(self) -> tuple[str, str] | None:
        """The user and the password of the URL, None without."""
        parts = urlsplit(self.url)
        return None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))

    @property
    def address(self) -> str:
        """The URL without user and password: what is asked."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class HttpSettings(BackendSettings):
    """Options of the HTTP backend; more workers than other backends have, as each waits for an answer."""

    wpool: Wpool = Wpool(workers=40)
    handlers: tuple[HandlerSettings, ...] = ()

    @model_validator(mode="after")
    def _go_together(self) -> HttpSettings:
        known: dict[str, int] = {}
        for number, one in enumerate(self.handlers):
            if one.key in known:
                other = known[one.key]
                raise ValueError(f"handlers[{other}] and handlers[{number}] are the same; give each a name of its own")
            known[one.key] = number
            if one.connect_timeout + one.read_timeout > self.publish_timeout - MARGIN:
                raise ValueError(
                    f"handlers[{number}]: connect_timeout and read_timeout together must be at least {MARGIN:g} s "
                    f"shorter than publish_timeout, which is {self.publish_timeout:g} s"
                )
        return self

    def plugin_chains(self) -> Iterable[tuple[tuple[str | int, ...], tuple[str, ...]]]:
        """Each handler names its own."""
        return [(("handlers", n, "callback_module"), one.callback_module) for n, one in enumerate(self.handlers)]


def proxy_url(value: Secret) -> str:
    """Read a proxy's URL. Raises `ValueError`, which never quotes it."""
    url = value.reveal()
    _checked_url(url, "the URL of a proxy")
    return url

"""One handler's connections: urllib3's pools, without its retries and redirects, and with ours to watch and guard."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from event_pusher.errors import TemporaryPublishError, UnknownOutcome
from event_pusher_http import guard
from event_pusher_http.settings import HandlerSettings, TlsSettings, proxy_url
from event_pusher_http.watch import Flight, flight_here

#: The status has said it all: so long is waited for the rest, for the connection's sake.
FINISH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    retry_after: str | None


class _Lines:
    """What http.client reads the head of an answer from; `ended`: the other end hung up in it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.ended = False

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(limit)
        self.ended = self.ended or not line
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Response(http.client.HTTPResponse):
    """An answer whose head is whole: http.client takes one that breaks off for one that ends."""

    def begin(self) -> None:
        lines = _Lines(self.fp)
        self.fp: Any = lines
        super().begin()
        if lines.ended:
            self.close()
            raise http.client.RemoteDisconnected("hung up in the middle of the headers")
        self.fp = lines._file  # noqa: SLF001 - its own


class _Watched(HTTPConnection):
    """A connection that tells the flight of its thread what it is about."""

    response_class = _Response

    def _new_conn(self) -> socket.socket:
        flight = flight_here()
        if flight is None or flight.allowed is None or self.proxy is not None:
            return super()._new_conn()
        try:
            infos = guard.resolve(self.host, self.port, flight.allowed)
            timeout = self.timeout if isinstance(self.timeout, (int, float)) else None
            return guard.connect(infos, timeout, self.socket_options or ())
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "no connection in time") from error
        except OSError as error:
            raise NewConnectionError(self, "no connection") from error

    def connect(self) -> None:
        flight = flight_here()
        if flight is None:
            super().connect()
            return
        flight.connection, flight.connecting = self, True
        try:
            super().connect()
        finally:
            flight.connecting = False

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        flight = flight_here()
        if flight is not None and not flight.connecting:  # what is said to a proxy before is not the request
            flight.sock, flight.left = self.sock, True
        super().send(data)


class _WatchedTls(_Watched, HTTPSConnection):
    """The same inside TLS."""

    def connect(self) -> None:
        super().connect()
        self.is_verified = True  # or the operator said verify = false, and need not be warned at each request


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class Client:
    """Sends the requests of one handler. Thread-safe. Raises `ValueError` for TLS files that cannot be used."""

    def __init__(self, settings: HandlerSettings) -> None:
        self._settings = settings
        self._address = settings.address
        self._manager = _manager(settings)

    def send(self, flight: Flight, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request over a connection that `flight` watches. Raises `PublishError`."""
        settings = self._settings
        try:
            response = self._manager.urlopen(
                settings.method,
                self._address,
                body=body,
                headers=dict(headers),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=settings.connect_timeout, read=settings.read_timeout),
            )
        except (HTTPError, OSError, http.client.HTTPException, ValueError) as error:
            why = f"no answer within {settings.read_timeout:g} s" if flight.cut else _describe(error, settings)
            if flight.left:
                raise UnknownOutcome(why) from None
            raise TemporaryPublishError(why) from None
        answer = Answer(response.status, response.headers.get("retry-after"))
        flight.give_up_at = min(flight.give_up_at, time.monotonic() + FINISH_SECONDS)
        _finish(response, settings.max_response)
        return answer

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        self._manager.clear()


def _finish(response: BaseHTTPResponse, cap: int) -> None:
    """Read to the end, so that the connection may be used again; one with more to say than `cap` bytes is closed."""
    with contextlib.suppress(HTTPError, OSError, http.client.HTTPException, ValueError):
        if len(response.read(cap + 1)) <= cap:
            response.release_conn()
            return
    response.close()


def _manager(settings: HandlerSettings) -> urllib3.PoolManager:
    options: dict[str, Any] = {"num_pools": 2, "maxsize": settings.concurrency, "block": False}
    if urlsplit(settings.url).scheme == "https":
        options["ssl_context"] = _context(settings.tls)
        if settings.tls.server_name:
            options |= {"server_hostname": settings.tls.server_name, "assert_hostname": settings.tls.server_name}
    manager = _proxied(settings, options) if settings.proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


def _proxied(settings: HandlerSettings, options: dict[str, Any]) -> urllib3.PoolManager:
    assert settings.proxy is not None
    parts = urlsplit(proxy_url(settings.proxy))
    headers = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=login)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(where, proxy_headers=headers, **options)


def _context(tls: TlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=tls.ca.reveal() if tls.ca else None)
        if tls.certificate is not None:
            password = tls.key_password.reveal() if tls.key_password else ""
            # A function: with None, OpenSSL would ask at the terminal.
            context.load_cert_chain(tls.certificate.path(), tls.key.path() if tls.key else None, lambda: password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise ValueError(f"tls: the certificates or the key cannot be used: {reason}") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _describe(error: Exception, settings: HandlerSettings) -> str:
    """Say it in our words: theirs quote URLs."""
    match error:
        case ProxyError():
            said = f"the proxy: {_describe(error.original_error, settings)}"
        case NameResolutionError():
            said = "the host's name cannot be looked up"
        case NewConnectionError():
            said = f"no connection: {_errno(error.__cause__)}"
        case ConnectTimeoutError():
            said = f"no connection within {settings.connect_timeout:g} s"
        case ReadTimeoutError():
            said = f"no answer within {settings.read_timeout:g} s"
        case SSLError() | ssl.SSLError():
            said = f"TLS: {_tls_reason(error)}"
        case _:
            said = f"the connection broke: {type(error).__name__}"
    return said


def _errno(cause: object) -> str:
    return (getattr(cause, "strerror", None) if isinstance(cause, OSError) else None) or type(cause).__name__


def _tls_reason(error: Exception) -> str:
    inner = error if isinstance(error, ssl.SSLError) else next(iter(error.args), None)
    said = getattr(inner, "verify_message", None) or getattr(inner, "reason", None) or type(error).__name__
    return str(said).lower().replace("_", " ")


def _is_not_ours(_record: logging.LogRecord) -> bool:
    return flight_here() is None


# They log whole URLs, whose queries may be secrets.
for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.poolmanager", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_is_not_ours)

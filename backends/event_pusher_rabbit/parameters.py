"""How to connect, for pika; and its errors in words that help, without a secret in them."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pika
from pika import exceptions
from pika.adapters.utils import connection_workflow as workflow

from event_pusher_rabbit.settings import RabbitSettings, Tls

#: What an error says, the settings at hand; the first that fits counts.
_WORDS: tuple[tuple[type[BaseException], Callable[[RabbitSettings, Any], str]], ...] = (
    (exceptions.ProbableAuthenticationError, lambda our, _: _refused(our)),
    (exceptions.AuthenticationError, lambda our, _: _refused(our)),
    (
        exceptions.ProbableAccessDeniedError,
        lambda our, _: f'the virtual host "{our.virtual_host}" is not there, or closed to the user "{our.username}"',
    ),
    (
        exceptions.IncompatibleProtocolError,
        lambda *_: "what answers there does not speak AMQP 0-9-1; check the port, and tls",
    ),
    (
        exceptions.ConnectionClosedByBroker,
        lambda _, error: f"RabbitMQ closed the connection: {error.reply_code} {error.reply_text}",
    ),
    (exceptions.AMQPHeartbeatTimeout, lambda *_: "RabbitMQ was not heard of for two heartbeats"),
    (ssl.SSLCertVerificationError, lambda _, error: f"the broker's certificate is not good: {error.verify_message}"),
    (ssl.SSLError, lambda _, error: f"TLS failed: {error.reason or 'no reason given'}"),
    (socket.gaierror, lambda *_: "its name cannot be resolved"),
    (workflow.AMQPConnectorStackTimeout, lambda *_: "no answer in time"),
    (TimeoutError, lambda *_: "no answer in time"),
    (OSError, lambda _, error: error.strerror or "the connection broke"),
    (exceptions.StreamLostError, lambda *_: "the connection broke"),
    # What pika makes of its own time limit.
    (exceptions.ConnectionOpenAborted, lambda *_: "no answer in time"),
)


def connection_parameters(settings: RabbitSettings, host: str, port: int) -> pika.ConnectionParameters:
    """Read the secrets and put together how to reach one broker. Raises `ValueError`, `OSError`."""
    secured: dict[str, Any] = {} if settings.tls is None else {"ssl_options": _tls(settings.tls, host)}
    return pika.ConnectionParameters(
        host=host,
        port=port,
        virtual_host=settings.virtual_host,
        credentials=pika.PlainCredentials(settings.username, settings.password.reveal(), erase_on_connect=True),
        heartbeat=math.ceil(settings.heartbeat),
        connection_attempts=1,
        socket_timeout=settings.connect_timeout,
        stack_timeout=2 * settings.connect_timeout,
        client_properties={"connection_name": "event-pusher"},
        **secured,
    )


def describe(settings: RabbitSettings, error: BaseException) -> str:
    """Say in one line why there is no connection."""
    causes = list(_causes(error))
    for kind, words in _WORDS:
        for cause in causes:
            if isinstance(cause, kind):
                return words(settings, cause)
    return type(error).__name__


def _refused(settings: RabbitSettings) -> str:
    return f'the user "{settings.username}" was refused; check username and password'


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what pika wrapped in it, the innermost first: it puts causes into arguments."""
    for inner in (*getattr(error, "exceptions", ()), *error.args, getattr(error, "exception", None)):
        if isinstance(inner, BaseException):
            yield from _causes(inner)
    yield error


def _tls(tls: Tls, host: str) -> pika.SSLOptions:
    context = ssl.create_default_context(cafile=tls.cacertfile)
    if tls.verify_mode == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certfile is not None:
        password = None if tls.password is None else tls.password.reveal()
        context.load_cert_chain(tls.certfile, tls.keyfile, password)
    return pika.SSLOptions(context, tls.server_name_indication or host)

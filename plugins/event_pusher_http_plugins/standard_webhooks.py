"""Standard Webhooks 1.0.0 (https://www.standardwebhooks.com): the JSON of events in its envelope, signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from event_pusher.abc import Acc, Event, Secret
from event_pusher.errors import TemporaryPublishError
from event_pusher_http.plugin import HandlerSettings
from event_pusher_http_plugins.json import JsonPlugin, JsonSettings

_PREFIX = "whsec_"
#: What the standard asks of a secret, in bytes.
_LENGTHS = range(24, 65)


class StandardWebhooksSettings(JsonSettings):
    """``[plugins.http.standard_webhooks]``: `secrets` sign for every handler that has none of its own."""

    secrets: tuple[Secret, ...] = ()


class StandardWebhooksPlugin(JsonPlugin):
    """
    The body is ``{"type", "timestamp", "data"}``; ``data`` is what the plugin ``json`` would send.

    ``webhook-id`` is the delivery's key, the same on every attempt; timestamp and signatures are each attempt's own.
    Every secret makes a signature, so a receiver may go from one to the next whenever it likes.
    """

    Settings = StandardWebhooksSettings
    settings: StandardWebhooksSettings

    def check(self, opts: HandlerSettings) -> None:
        """Refuse to go unsigned."""
        if not self._secrets(opts):
            raise ValueError('standard_webhooks needs secrets = ["whsec_…"] to sign with')
        for secret in self._secrets(opts):
            _key(secret)
        super().check(opts)

    def body_of(self, acc: Acc, event: Event) -> bytes:
        data = super().body_of(acc, event).decode()
        when = datetime.fromtimestamp(acc.received_at, UTC).isoformat(timespec="milliseconds")
        timestamp = when.replace("+00:00", "Z")
        return f'{{"type": {json.dumps(event.kind)}, "timestamp": "{timestamp}", "data": {data}}}'.encode()

    def attempt_headers(self, key: str, now: float, body: bytes, opts: HandlerSettings) -> Mapping[str, str]:
        timestamp = str(int(now))
        signed = f"{key}.{timestamp}.".encode() + body
        try:
            keys = [_key(secret) for secret in self._secrets(opts)]
        except ValueError as error:  # its text was written for people, and quotes nothing
            raise TemporaryPublishError(str(error)) from None
        return {
            **super().attempt_headers(key, now, body, opts),
            "webhook-id": key,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(_signature(one, signed) for one in keys),
        }

    def _secrets(self, opts: HandlerSettings) -> tuple[Secret, ...]:
        return opts.secrets or self.settings.secrets


def _key(secret: Secret) -> bytes:
    text = secret.reveal().removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a signing secret is {_PREFIX} and base64") from None
    if len(key) not in _LENGTHS:
        raise ValueError(f"a signing secret holds {_LENGTHS[0]} to {_LENGTHS[-1]} bytes, as base64")
    return key


def _signature(key: bytes, signed: bytes) -> str:
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"

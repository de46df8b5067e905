"""
MongoosePush's REST API, ``POST /v3/notification/{device_id}``, as MongooseIM's ``mod_push_service_mongoosepush`` does.

The client's publish options name the device (`device_id`), and `service`, ``apns`` or ``fcm``. What MongoosePush would
refuse of the other options is left out, for it would refuse every notification.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

import urllib3
from pydantic import Field, field_validator
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from event_pusher.abc import Attempt, Gateway, GatewaySettings, GatewayTools, Notification, Registration, Secret
from event_pusher.errors import (
    DestinationGone,
    NothingSent,
    PermanentPublishError,
    PublishError,
    TemporaryPublishError,
    UnknownOutcome,
)
from event_pusher.options import Duration

#: An attempt must have its outcome so many seconds before the core stops waiting for it.
_MARGIN: Final = 1.0
#: Trouble of MongoosePush or of the provider behind it; every other refusal is of this very notification.
_PASSING: Final = frozenset({408, 425, 429, *range(500, 600)})
_GONE: Final = 410


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda value: value if value in words else None


#: Options at the top of a request, each as MongoosePush wants it; None = it would refuse it.
_OPTIONS: Final[Mapping[str, Callable[[str], object]]] = {
    "mode": _one_of("prod", "dev"),
    "priority": _one_of("normal", "high"),
    "topic": str,
    "mutable_content": {"true": True, "1": True, "false": False, "0": False}.get,
    "time_to_live": lambda value: int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None,  # noqa: PLR2004 - fits 32 bits
}


class MongoosePushSettings(GatewaySettings):
    """
    ``[gateways.mongoosepush]``: `url` of MongoosePush, without a path; `api_version` as MongooseIM has it.

    `timeout`: seconds until an answer. `ca`: a certificate (PEM) to trust in place of the system's. `title` stands
    where `content` hides who wrote, or what: MongoosePush takes no alert without title and body.
    """

    url: str = "https://localhost:8443"
    api_version: Literal["v2", "v3"] = "v3"
    timeout: Duration = Field(default=20.0, gt=0)
    ca: Secret | None = None
    title: str = Field(default="New message", min_length=1)

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or "@" in value:
            raise ValueError('must look like "https://host:8443", without a path')
        return value.rstrip("/")


class MongoosePushGateway(Gateway[MongoosePushSettings]):
    """One request for each notification, over connections that are kept."""

    Settings = MongoosePushSettings

    def __init__(self, settings: MongoosePushSettings, tools: GatewayTools) -> None:
        super().__init__(settings, tools)
        given: dict[str, Any] = {"ca_cert_data": settings.ca.reveal()} if settings.ca else {}
        self._closed = False
        self._http = urllib3.PoolManager(num_pools=1, maxsize=settings.workers, **given)

    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        """Send one notification. Raises `PublishError`."""
        options = dict(registration.options)
        device, service = options.get("device_id"), options.get("service")
        # A path of dots would lead elsewhere.
        if not device or not device.strip(".") or service not in ("apns", "fcm"):
            raise PermanentPublishError("the publish options lack device_id, or a service that is apns or fcm")
        path = f"/{self.settings.api_version}/notification/{quote(device, safe='')}"
        self._post(path, self._body(service, options, notification), attempt.deadline)

    def close(self, timeout: float) -> None:
        """Let go of the connections, and make none any more."""
        self._closed = True
        self._http.clear()

    def _body(self, service: str, options: Mapping[str, str], notification: Notification) -> bytes:
        told: dict[str, Any] = {"service": service, "priority": notification.priority}
        for name, read in _OPTIONS.items():
            if (value := read(options[name]) if name in options else None) is not None:
                told[name] = value
        fields: dict[str, Any] = dict(notification.fields)
        if (count := fields.pop("message-count", "")).isdigit():
            fields["message-count"] = int(count)
        if options.get("silent") == "true":
            told["data"] = fields
        else:
            told["alert"] = self._alert(fields, options)
        return json.dumps(told).encode()

    def _alert(self, fields: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
        sender = fields.get("last-message-sender") or self.settings.title
        alert = {"title": sender, "tag": sender, "body": fields.get("last-message-body") or self.settings.title}
        alert |= {"badge": fields["message-count"]} if "message-count" in fields else {}
        return alert | {name: options[name] for name in ("click_action", "sound") if options.get(name)}

    def _post(self, path: str, body: bytes, deadline: float) -> None:
        left = min(self.settings.timeout, deadline - self.tools.clock.monotonic() - _MARGIN)
        if left <= 0 or self._closed:
            raise NothingSent("no time was left to wait for an answer")
        _here.quiet = True
        try:
            answer = self._http.request(
                "POST",
                self.settings.url + path,
                body=body,
                headers={"content-type": "application/json", "user-agent": "event-pusher"},
                timeout=urllib3.Timeout(total=left),
                retries=False,
                redirect=False,
            )
        except (NewConnectionError, ConnectTimeoutError):
            raise TemporaryPublishError("no connection to MongoosePush") from None
        except (HTTPError, OSError) as error:  # their texts quote the path, and so the device
            raise UnknownOutcome(f"no answer from MongoosePush ({type(error).__name__})") from None
        finally:
            _here.quiet = False
        trouble = _judged(answer.status, answer.headers.get("retry-after", ""))
        if trouble is not None:
            raise trouble


#: urllib3 logs paths, and ours hold device ids.
_here = threading.local()
logging.getLogger("urllib3.connectionpool").addFilter(lambda _record: not getattr(_here, "quiet", False))


def _judged(status: int, retry_after: str) -> PublishError | None:
    """What a status means; None = it was taken."""
    said = f"MongoosePush answered {status}"
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110 15.3
        return None
    if status == _GONE:
        return DestinationGone(f"{said}: the device is not registered any more")
    if status in _PASSING:
        return TemporaryPublishError(said, float(retry_after) if retry_after.isdigit() else None)
    return PermanentPublishError(said)

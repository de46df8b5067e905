"""The section ``[backends.sns]``: MongooseIM's option names (``mod_event_pusher_sns``), and what it does not have."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from event_pusher.abc import BackendSettings
from event_pusher.options import RetrySettings, Secret

#: MongooseIM's defaults.
POOL_SIZE: Final = 100
RETRY_COUNT: Final = 2
RETRY_TIME_MS: Final = 50
#: Quick retries wait so long at most; behind them comes the common schedule, which ends there too.
_LONGEST_WAIT: Final = 3600.0
_MOST_WORKERS: Final = 10_000

_REGION: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_TOPIC: Final = re.compile(r"(?=.{1,256}\Z)[A-Za-z0-9_-]+(\.fifo)?")


class SnsSettings(BackendSettings):
    """
    Options of the sns backend.

    A topic that is not set turns its stream off. Without `access_key_id` and `secret_access_key` the credentials come
    from where boto3 looks: environment, profile, the role of the machine. `sns_host` is a host or a URL, by default
    AWS's of the `region`. `pool_size` is ``wpool.workers`` by its old name; `publish_retry_count` quick retries, from
    `publish_retry_time_ms` on and each twice as late, come before the common ``retry.schedule``.
    """

    region: str
    account_id: str
    presence_updates_topic: str | None = None
    pm_messages_topic: str | None = None
    muc_messages_topic: str | None = None
    plugin_module: str | tuple[str, ...] = "defaults"
    sns_host: str | None = None
    allow_plaintext: bool = False
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    pool_size: int = Field(default=POOL_SIZE, ge=1, le=_MOST_WORKERS, strict=True)
    publish_retry_count: int = Field(default=RETRY_COUNT, ge=0, le=100, strict=True)
    publish_retry_time_ms: int = Field(default=RETRY_TIME_MS, ge=0, le=3_600_000, strict=True)

    @property
    def endpoint_url(self) -> str | None:
        """The URL of `sns_host`; None leaves it to boto3."""
        if self.sns_host is None:
            return None
        return self.sns_host if "://" in self.sns_host else f"https://{self.sns_host}"

    @model_validator(mode="before")
    @classmethod
    def _pool_size_is_workers(cls, raw: Any) -> Any:
        wpool = raw.get("wpool", {}) if isinstance(raw, dict) else None
        if not isinstance(wpool, dict):
            return raw
        if "workers" in wpool and "pool_size" in raw:
            raise ValueError("pool_size and wpool.workers are the same thing: keep one of them")
        size = raw.get("pool_size", POOL_SIZE)
        if not _is_whole(size, 1, _MOST_WORKERS):
            return raw  # the field says what is wrong with it
        return raw | {"wpool": {"workers": size} | wpool}

    @model_validator(mode="before")
    @classmethod
    def _quick_retries_come_first(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        given = [name for name in ("publish_retry_count", "publish_retry_time_ms") if name in raw]
        if "retry" in raw:
            if given:
                raise ValueError(f"{given[0]} makes a part of retry.schedule: keep one of them")
            return raw
        count, base = raw.get("publish_retry_count", RETRY_COUNT), raw.get("publish_retry_time_ms", RETRY_TIME_MS)
        if not (_is_whole(count, 0, 100) and _is_whole(base, 0, 3_600_000)):
            return raw  # as above
        quick = [min(max(base, 1) * 2**number / 1000, _LONGEST_WAIT) for number in range(count)]
        return raw | {"retry": {"schedule": (*quick, *RetrySettings().schedule)}}

    @field_validator("region")
    @classmethod
    def _is_region(cls, value: str) -> str:
        if not _REGION.fullmatch(value):
            raise ValueError('must be the name of an AWS region, such as "eu-west-1"')
        return value

    @field_validator("account_id")
    @classmethod
    def _is_account(cls, value: str) -> str:
        if not _ACCOUNT.fullmatch(value):
            raise ValueError('must be the 12 digits of an AWS account, as a text: "123456789012"')
        return value

    @field_validator("presence_updates_topic", "pm_messages_topic", "muc_messages_topic")
    @classmethod
    def _is_topic(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("arn:"):
            raise ValueError("must be the topic's name alone: its ARN is made of region, account_id and name")
        if value is not None and not _TOPIC.fullmatch(value):
            raise ValueError("a topic's name is made of at most 256 letters, digits, - and _, and may end with .fifo")
        return value

    @field_validator("sns_host")
    @classmethod
    def _is_host(cls, value: str | None) -> str | None:
        if value is None:
            return None
        fault = 'must be a host ("sns.eu-west-1.amazonaws.com") or a URL with a host and nothing behind it'
        try:
            parts = urlsplit(value if "://" in value else f"https://{value}")
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise ValueError(fault) from None
        if not sound or "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> SnsSettings:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together: set both, or none for boto3's own chain")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id and secret_access_key")
        return self

    @model_validator(mode="after")
    def _messages_are_not_sent_in_the_clear(self) -> SnsSettings:
        parts = urlsplit(self.endpoint_url or "")
        if parts.scheme == "http" and not self.allow_plaintext and not _is_loopback(parts.hostname or ""):
            raise ValueError("sns_host is http:// and not this machine: use https://, or set allow_plaintext = true")
        return self


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

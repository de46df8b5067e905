"""boto3, kept at arm's length: imported when it is needed, one request per call, and quiet about what it sends."""

from __future__ import annotations

import importlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from event_pusher import abc
from event_pusher.abc import Outcome, Retry, Unknown
from event_pusher.errors import NothingSent, PluginError, PublishError
from event_pusher_sns.wire import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from event_pusher_sns.settings import SnsSettings

#: What a request may take: the shares of `publish_timeout`, and so many seconds at most.
_CONNECT_SHARE, _CONNECT_MOST = 1 / 8, 5.0
_READ_SHARE, _READ_MOST = 1 / 3, 15.0
_TOO_MANY, _SERVER = 429, 500
#: They write requests, signatures and bodies to the debug log.
_TALKATIVE: Final = ("boto3", "botocore")
_CURE: Final = "the sns backend needs boto3: pip install 'event-pusher[sns]'"

_NO_CREDENTIALS: Final = "there are no credentials: set access_key_id and secret_access_key, or AWS's environment"

_Credentials = tuple[str, str, str | None] | None


class SnsClient:
    """
    One boto3 client, for one section; made anew when the credentials in the options have changed.

    Thread-safe. It never repeats a request: that is the outbox's business.
    """

    def __init__(self, settings: SnsSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._made_for: _Credentials = None
        self._client: Any = None
        self._closed = False
        self.connect_timeout = min(settings.publish_timeout * _CONNECT_SHARE, _CONNECT_MOST)
        self.read_timeout = min(settings.publish_timeout * _READ_SHARE, _READ_MOST)

    def open(self) -> None:
        """Make the client. Raises `PluginError` without boto3, and what boto3 has against the options."""
        self._get()

    def publish_batch(self, topic: str, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Publish, once. Raises what boto3 raises; `outcome_of` knows what it means."""
        answer: dict[str, Any] = self._get().publish_batch(TopicArn=topic, PublishBatchRequestEntries=list(entries))
        return answer

    def close(self) -> None:
        """Let the connections go; what is under way ends by itself."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _get(self) -> Any:
        credentials = self._credentials()
        with self._lock:
            if self._closed:
                raise NothingSent("the backend is closed")
            if self._client is None or credentials != self._made_for:
                former, self._client = self._client, self._make(credentials)
                self._made_for = credentials
                if former is not None:
                    former.close()
            return self._client

    def _credentials(self) -> _Credentials:
        key, secret, token = (
            self._settings.access_key_id,
            self._settings.secret_access_key,
            self._settings.session_token,
        )
        if key is None or secret is None:
            return None
        return key.reveal(), secret.reveal(), token.reveal() if token is not None else None

    def _make(self, credentials: _Credentials) -> Any:
        boto3, config = load_boto3()
        key, secret, token = credentials or (None, None, None)
        session = boto3.session.Session(
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            region_name=self._settings.region,
        )
        return session.client(
            "sns",
            endpoint_url=self._settings.endpoint_url,
            config=config.Config(
                connect_timeout=self.connect_timeout,
                read_timeout=self.read_timeout,
                max_pool_connections=self._settings.wpool.workers,
                retries={"total_max_attempts": 1, "mode": "standard"},
                tcp_keepalive=True,
                user_agent_extra="event-pusher",
            ),
        )


def load_boto3() -> tuple[Any, Any]:
    """Import boto3, and botocore's configuration. Raises `PluginError` with the line that installs it."""
    try:
        boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
    except ModuleNotFoundError as error:
        raise PluginError(_CURE) from error
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)
    return boto3, config


def outcome_of(error: Exception) -> Outcome:
    """Tell what an exception of `SnsClient.publish_batch` means; its text is left out, for it may hold anything."""
    errors: Any = importlib.import_module("botocore.exceptions")
    if isinstance(error, PublishError):
        return abc.outcome_of(error)
    if isinstance(error, errors.ClientError):
        return _refusal(error)
    name = type(error).__name__
    if isinstance(error, errors.HTTPClientError) and not isinstance(error, errors.ConnectionError):
        return Unknown(f"no answer from SNS: {name}")
    if isinstance(error, errors.ParamValidationError):
        return verdict(name, sender_fault=True)
    kinds = {
        errors.ConnectionError: f"SNS cannot be reached: {name}",
        errors.NoCredentialsError: _NO_CREDENTIALS,
        errors.PartialCredentialsError: _NO_CREDENTIALS,
        PluginError: str(error),
        ValueError: "a secret of the section cannot be read",
    }
    return Retry(next((why for kind, why in kinds.items() if isinstance(error, kind)), f"{name} in publish"))


def _refusal(error: Any) -> Outcome:
    told = error.response.get("Error", {})
    response = error.response.get("ResponseMetadata", {})
    status = response.get("HTTPStatusCode", _SERVER)
    seconds = response.get("HTTPHeaders", {}).get("retry-after", "")
    after = float(seconds) if seconds.isascii() and seconds.isdigit() else None
    code = told.get("Code") or str(status)
    if status == _TOO_MANY:
        return Retry(f"SNS: {code}", after)
    return verdict(code, sender_fault=status < _SERVER, after=after)

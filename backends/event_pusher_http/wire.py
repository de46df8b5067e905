"""What is stored of a request, and what an answer to it means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from event_pusher.errors import DestinationGone, PermanentPublishError, PublishError, TemporaryPublishError
from event_pusher_http.settings import OWN_HEADERS

#: The receiver says that this very request can never be taken: sending the same bytes again is of no use.
PAYLOAD_FAULTS = frozenset({400, 406, 411, 413, 414, 415, 417, 422, 431})
_SUCCESS = range(200, 300)
_REDIRECTS = range(300, 400)
_GONE = 410

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: RFC 9110 5.5, without what is obsolete.
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
#: More seconds than any schedule waits.
_LONG_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Letter:
    """A request as it waits: format 1 is one line of JSON, and the body behind it."""

    handler: str
    host: str
    kind: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def pack(self) -> bytes:
        """Write it. Raises `ValueError` for a header that HTTP does not allow."""
        headers = {checked_name(name): checked_value(name, value) for name, value in self.headers.items()}
        head = {"handler": self.handler, "host": self.host, "kind": self.kind, "headers": headers}
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + self.body

    @classmethod
    def unpack(cls, payload: bytes) -> Letter:
        """Read what `pack` wrote."""
        head, _, body = payload.partition(b"\n")
        return cls(**json.loads(head), body=body)


def checked_name(name: str) -> str:
    """The name of a header, in lower case. Raises `ValueError`."""
    if not _HEADER.fullmatch(name) or name.lower() in OWN_HEADERS:
        raise ValueError("a plugin gave a header whose name HTTP or the connection does not allow")
    return name.lower()


def checked_value(name: str, value: str) -> str:
    """The value of a header. Raises `ValueError`, which never quotes it."""
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of the header {name} has characters that HTTP does not allow")
    return value.strip()


def judge(status: int, retry_after: str | None, now: float) -> PublishError | None:
    """Tell what a status means: None = delivered; see docs/http.md for the table."""
    if status in _SUCCESS:
        return None
    said = f"HTTP {status}{_phrase(status)}"
    if status == _GONE:
        return DestinationGone(said)
    if status in PAYLOAD_FAULTS:
        return PermanentPublishError(said)
    if status in _REDIRECTS:
        return TemporaryPublishError(f"{said}: redirects are refused, correct the handler's url")
    return TemporaryPublishError(said, seconds_of(retry_after, now))


def seconds_of(retry_after: str | None, now: float) -> float | None:
    """Read ``Retry-After`` (RFC 9110 10.2.3): seconds, or a date; None when it says neither."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:_LONG_DIGITS])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _phrase(status: int) -> str:
    """Ours, as the server's may say anything."""
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""

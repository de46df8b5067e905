"""What is sent: MongooseIM's JSON, the entry of a PublishBatch around it, and what an answer to it means."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from event_pusher.abc import Dead, Outcome, Retry
from event_pusher_sns.plugin import Attribute

#: PublishBatch takes so many entries, and so many bytes in all; one entry alone may have as many.
MAX_ENTRIES: Final = 10
MAX_BYTES: Final = 256 * 1024

_T = TypeVar("_T")
_FIFO: Final = ".fifo"
#: What a MessageGroupId and a MessageDeduplicationId are made of: letters, digits and punctuation of ASCII.
_PLAIN: Final = re.compile(r"[!-~]{1,128}")
_PARTITIONS: Final = {"cn": "aws-cn", "us-gov": "aws-us-gov", "us-iso": "aws-iso", "us-isob": "aws-iso-b"}
#: Too much at once, in the words of the services behind SNS.
_THROTTLING: Final = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|LimitExceeded|SlowDown", re.IGNORECASE)
#: What the operator can cure while the deliveries wait; KMS's codes begin with its name.
_CURABLE: Final = {
    "AccessDenied": "the credentials may not publish to the topic",
    "AccessDeniedException": "the credentials may not publish to the topic",
    "AuthorizationError": "the credentials may not publish to the topic",
    "AuthorizationErrorException": "the credentials may not publish to the topic",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "IncompleteSignature": "the credentials are not usable",
    "InvalidAccessKeyId": "the access key is unknown",
    "InvalidClientTokenId": "the access key is unknown",
    "InvalidSecurity": "the credentials are not usable",
    "MissingAuthenticationToken": "the credentials are not usable",
    "NotFound": "there is no such topic",
    "NotFoundException": "there is no such topic",
    "OptInRequired": "the account is not signed up for SNS",
    "RequestExpired": "this machine's clock is wrong",
    "ResourceNotFoundException": "there is no such topic",
    "SignatureDoesNotMatch": "the secret access key is wrong",
    "UnrecognizedClientException": "the access key is unknown",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """
    All that is needed to publish once; a delivery's payload.

    `message` is the JSON text, `attributes` are as SNS wants them but for bytes, which are base64. `group`: whose
    notices stay in order, for a FIFO topic; None for any other.
    """

    message: str = field(repr=False)
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    group: str | None = None

    def pack(self) -> bytes:
        """Write it down (format 1)."""
        parts = {"message": self.message, "attributes": self.attributes, "group": self.group}
        return json.dumps({name: part for name, part in parts.items() if part}, ensure_ascii=False).encode()

    @classmethod
    def unpack(cls, payload: bytes) -> Notice:
        """Read what `pack` wrote. Raises `ValueError`."""
        try:
            parts = json.loads(payload)
            return cls(parts["message"] + "", dict(parts.get("attributes", {})), parts.get("group"))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError("its payload is not readable") from None

    def entry(self, number: int, key: str) -> dict[str, Any]:
        """Make the entry of a PublishBatch; `key` lets a FIFO topic tell a repetition."""
        entry: dict[str, Any] = {"Id": str(number), "Message": self.message}
        if self.attributes:
            entry["MessageAttributes"] = {name: _decoded(value) for name, value in self.attributes.items()}
        if self.group is not None:
            entry |= {"MessageGroupId": self.group, "MessageDeduplicationId": plain(key)}
        return entry

    @property
    def size(self) -> int:
        """The bytes that SNS counts."""
        texts = [name + "".join(value.values()) for name, value in self.attributes.items()]
        return len(self.message.encode()) + sum(len(text.encode()) for text in texts)


def topic_arn(region: str, account: str, topic: str) -> str:
    """Name a topic as SNS does."""
    prefix = region[: region.rindex("-", 0, region.rindex("-"))]
    return f"arn:{_PARTITIONS.get(prefix, 'aws')}:sns:{region}:{account}:{topic}"


def presence(user_id: str, *, present: bool) -> dict[str, Any]:
    """MongooseIM's notice of a user's presence."""
    return {"user_id": user_id, "present": present}


def message(from_user_id: str, to_user_id: str, body: str) -> dict[str, Any]:
    """MongooseIM's notice of a message."""
    return {"from_user_id": from_user_id, "to_user_id": to_user_id, "message": body}


def notice(
    topic: str, user: str, fields: Mapping[str, Any], metadata: Mapping[str, Any], attributes: Mapping[str, Attribute]
) -> Notice:
    """Put together what is published to `topic` about `user`; metadata comes last and wins."""
    return Notice(
        json.dumps({**fields, **metadata}, ensure_ascii=False),
        {name: _encoded(value) for name, value in attributes.items()},
        plain(user) if topic.endswith(_FIFO) else None,
    )


def plain(text: str) -> str:
    """Keep `text` if SNS takes it as a group or a deduplication id, else answer with its digest."""
    return text if _PLAIN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


def split(sized: Sequence[tuple[_T, int]]) -> Iterator[list[_T]]:
    """Cut what goes to one topic into what one request may hold, in order; the numbers are bytes."""
    part: list[_T] = []
    total = 0
    for one, size in sized:
        if part and (len(part) == MAX_ENTRIES or total + size > MAX_BYTES):
            yield part
            part, total = [], 0
        part.append(one)
        total += size
    if part:
        yield part


def verdict(code: str, *, sender_fault: bool, after: float | None = None) -> Outcome:
    """Tell what an error of SNS means; its text is left out, for it may quote what was sent."""
    if _THROTTLING.search(code):
        return Retry(f"SNS: {code}", after)
    if code in _CURABLE:
        return Retry(f"SNS: {code}: {_CURABLE[code]}", after)
    if sender_fault and not code.startswith("KMS"):
        return Dead(f"SNS refused it: {code}")
    return Retry(f"SNS: {code}", after)


def _encoded(value: Attribute) -> dict[str, str]:
    match value:
        case bool():
            return {"DataType": "String", "StringValue": "true" if value else "false"}
        case int() | float():
            return {"DataType": "Number", "StringValue": str(value)}
        case bytes():
            return {"DataType": "Binary", "BinaryValue": base64.b64encode(value).decode()}
        case str():
            return {"DataType": "String", "StringValue": value}
    raise TypeError("an attribute is a text, a number, bytes or a bool")


def _decoded(value: Mapping[str, str]) -> dict[str, str | bytes]:
    return {name: base64.b64decode(text) if name == "BinaryValue" else text for name, text in value.items()}

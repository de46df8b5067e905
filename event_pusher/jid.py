"""JIDs as values (RFC 7622), with a cache in front: a server names the same few users all day."""

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from event_pusher.errors import InvalidJid

#: RFC 7622 3.2-3.4: each part at most 1023 bytes.
MAX_PART_BYTES = 1023
#: RFC 7622 3.3.1: not allowed in a local part; control characters and blanks neither.
_FORBIDDEN_LOCAL = frozenset("\"&'/:<>@")
#: What no domain name or address literal holds.
_FORBIDDEN_DOMAIN = frozenset("\"&'/<>@\\ \t\r\n")


class Jid(NamedTuple):
    """A JID: ``local@domain/resource``; `local` and `resource` are "" when absent."""

    local: str
    domain: str
    resource: str = ""

    @property
    def bare(self) -> "Jid":
        """The JID without its resource."""
        return self if not self.resource else Jid(self.local, self.domain)

    def __str__(self) -> str:
        text = f"{self.local}@{self.domain}" if self.local else self.domain
        return f"{text}/{self.resource}" if self.resource else text

    @staticmethod
    def parse(text: str) -> "Jid":
        """Read `text`; local part and domain are normalised. Raises `InvalidJid`."""
        return _parse(text)


def bare(text: str) -> str:
    """Normalise the JID `text` and cut off its resource. Raises `InvalidJid`."""
    return str(_parse(text).bare)


@lru_cache(maxsize=65536)
def _parse(text: str) -> Jid:
    head, slash, resource = text.partition("/")
    local, at, domain = head.rpartition("@")
    if (slash and not resource) or (at and not local):
        raise InvalidJid(f"not a JID: {text[:80]!r} has an empty part")
    local, domain = _fold(local), _fold(domain).removesuffix(".")
    if not domain or not _FORBIDDEN_DOMAIN.isdisjoint(domain) or not domain.isprintable():
        raise InvalidJid(f"not a JID: {text[:80]!r} has no valid domain")
    if not _FORBIDDEN_LOCAL.isdisjoint(local) or " " in local or not local.isprintable():
        raise InvalidJid(f"not a JID: {text[:80]!r} has a forbidden character before the @")
    if any(unicodedata.category(char) in {"Cc", "Cs", "Cn"} for char in resource):
        raise InvalidJid(f"not a JID: {text[:80]!r} has a control character in its resource")
    if any(len(part.encode()) > MAX_PART_BYTES for part in (local, domain, resource)):
        raise InvalidJid(f"not a JID: a part of {text[:40]!r}… is longer than 1023 bytes")
    return Jid(local, domain, resource)


def _fold(part: str) -> str:
    """Case-map a part; text outside ASCII is composed first (nodeprep and nameprep do both)."""
    return part.lower() if part.isascii() else unicodedata.normalize("NFKC", part).casefold()

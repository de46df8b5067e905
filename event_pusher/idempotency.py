"""
The one place where dedupe keys are made.

A message that waited in a broken session (unacked, hibernated) may be handed over again, as ``offline``, when that
session finally dies. What was pushed for the first copy must not be pushed for the second. A copy is told by the
server's stanza-id, else by origin-id and sender (both XEP-0359), else by sender, id and body; a message without any
id is never taken for a copy: a push too many is better than one too few.
"""

from collections import OrderedDict
from hashlib import blake2b

from event_pusher.events import ChatEvent, Event, Stanza, UnackedMessageEvent

_NS_STANZA_ID = "urn:xmpp:sid:0"
#: Bytes of a key: wide enough that two messages never share one.
_KEY_BYTES = 16


def comes_again(event: Event) -> bool:
    """Whether the feed says that another copy of this message may follow."""
    return isinstance(event, UnackedMessageEvent) or (isinstance(event, ChatEvent) and event.state == "hibernated")


def may_be_copy(event: Event) -> bool:
    """Whether this event may be another copy of one that went before."""
    return comes_again(event) or (isinstance(event, ChatEvent) and event.state == "offline")


def message_key(event: ChatEvent | UnackedMessageEvent) -> bytes | None:
    """Name the message for its recipient, the same for every copy; None when it carries no id at all."""
    stanza, user = event.stanza, str(event.user)
    stanza_id, origin_id = _unique_ids(stanza, user, event.user.domain)
    if stanza_id:
        return _digest("stanza-id", user, stanza_id)
    if origin_id:
        return _digest("origin-id", user, str(event.sender.bare), origin_id)
    if stanza.id:
        return _digest("id", user, str(event.sender), stanza.id, stanza.body)
    return None


def said_key(dedupe: str) -> bytes:
    """Name what a backend itself named (`Delivery.dedupe`)."""
    return _digest("dedupe", dedupe)


def delivery_key(message: bytes, backend: str, lane: str) -> bytes:
    """Name what one message makes in one lane of one backend."""
    return _digest("delivery", message.hex(), backend, lane)


def _unique_ids(stanza: Stanza, user: str, host: str) -> tuple[str, str]:
    if _NS_STANZA_ID.encode() not in stanza.xml:
        return "", ""
    element = stanza.element()
    # Only ids by the recipient's own archive can be trusted (XEP-0359 section 4).
    stanza_ids = [
        one.get("id") or ""
        for one in element.iterfind(f"{{{_NS_STANZA_ID}}}stanza-id")
        if one.get("by") in (user, host)
    ]
    origin = element.find(f"{{{_NS_STANZA_ID}}}origin-id")
    return (stanza_ids[0] if stanza_ids else "", (origin.get("id") or "") if origin is not None else "")


def _digest(*parts: str) -> bytes:
    digest = blake2b(digest_size=_KEY_BYTES)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()


class Seen:
    """
    The delivery keys of messages that may come again, for `window` seconds; owned by the core.

    At most `limit` keys are held; beyond it the oldest go, and their second copies are pushed again.
    """

    def __init__(self, keys: dict[bytes, float], window: float, limit: int = 200_000) -> None:
        self.window = window
        self._keys = OrderedDict(sorted(keys.items(), key=lambda item: item[1]))
        self._limit = limit

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def add(self, key: bytes, now: float) -> float:
        """Remember `key`; returns when it expires (UTC seconds)."""
        expires_at = now + self.window
        self._keys[key] = expires_at
        if len(self._keys) > self._limit:
            self._keys.popitem(last=False)
        return expires_at

    def discard(self, key: bytes) -> None:
        """Forget `key`: what it stood for was not committed."""
        self._keys.pop(key, None)

    def expire(self, now: float) -> None:
        """Drop what is older than the window."""
        keys = self._keys
        while keys and next(iter(keys.values())) <= now:
            keys.popitem(last=False)

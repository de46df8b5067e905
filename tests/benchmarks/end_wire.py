"""The bytes of `server_end`: what it writes, from templates, and what it looks for in what it reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime

HOST, COMPONENT, SERVICE = "example.test", "push.example.test", "service.example.test"
FEED, EPOCH = "bench", "epoch-1"
#: Outer id, inner id, item id, sequence number.
PUBLISH = re.compile(
    rb"<iq type='set' id='([^']+)'[^>]*><publish.{60,400}? id='([^']+)'>.*?<item id='([^']+)'.*?m:(\d{9})<", re.DOTALL
)
ACK = re.compile(rb"<ack [^>]*?\bn='(\d+)'")
WINDOW = re.compile(rb"<resume [^>]*?\bwindow='(\d+)'")
PING = re.compile(rb"<iq type='get'[^>]*? id='([^']+)'")
ENABLED = re.compile(rb"<iq [^>]*?\bid='enable-(\d+)'")
_ENDS = (b"</publish></iq>", b"</message>", b"</delegation></iq>")

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' id='bench'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='push.example.test'>"
)
_HEAD = f"<message from='{HOST}' to='{COMPONENT}'>"
_PLACE = f"xmlns='urn:event-pusher:feed:0' feed='{FEED}' epoch='{EPOCH}'"
RESUMED = (
    f"{_HEAD}<feed xmlns='urn:event-pusher:feed:0' version='0' feed='{FEED}' epoch='{EPOCH}' first='1' next='1'"
    f" lost='0' server='bench'/></message>{_HEAD}<snapshot-begin {_PLACE} n='1'/></message>"
    f"{_HEAD}<snapshot-end {_PLACE} n='2' count='0'/></message>"
).encode()
_EVENT = (
    f"{_HEAD}<event {_PLACE} n='%d' kind='received' state='offline' user='%b' resource='' session=''"
    " stored='true'/><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='%b'/>"
    f"<message xmlns='jabber:client' from='alice@{HOST}/phone' to='%b' type='chat' id='b%d'>"
    "<body>m:%09d</body></message></forwarded></message>"
).encode()
_PUBLISHED = (
    f"<iq type='result' id='%b' from='{HOST}' to='{COMPONENT}'><publish xmlns='urn:event-pusher:feed:0'>"
    f"<iq xmlns='jabber:client' type='result' id='%b' from='{SERVICE}' to='{HOST}'/></publish></iq>"
).encode()
_RESULT = f"<iq type='result' id='%b' from='{HOST}' to='{COMPONENT}'/>".encode()
#: Neighbours in time are none in the table: what is measured must not be one page of it.
_STRIDE = 7919


def stamp() -> bytes:
    """Now, as a server writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z").encode()


def user(number: int) -> str:
    """The bare JID of a user."""
    return f"user{number}@{HOST}"


def pick(sequence: int, users: int) -> bytes:
    """Whose message the next one is: everybody's in turn."""
    return user(sequence * _STRIDE % users).encode()


def event(n: int, sequence: int, jid: bytes, now: bytes) -> bytes:
    """One `received` entry for `jid`, who is offline; the body tells which one it is."""
    return _EVENT % (n, jid, now, jid, n, sequence)


def published(outer: bytes, inner: bytes) -> bytes:
    """The host's answer to a publish that the service took."""
    return _PUBLISHED % (outer, inner)


def result(identifier: bytes) -> bytes:
    """The host's answer to a ping."""
    return _RESULT % identifier


def enable(number: int) -> bytes:
    """An ``<enable/>`` of a client, handed on to the component (XEP-0355)."""
    jid = f"client{number}@{HOST}"
    return (
        f"<iq type='set' id='enable-{number}' from='{HOST}' to='{COMPONENT}'><delegation xmlns='urn:xmpp:delegation:2'>"
        f"<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='set' id='inner' from='{jid}/r'"
        f" to='{jid}'><enable xmlns='urn:xmpp:push:0' jid='{SERVICE}' node='n'/></iq></forwarded></delegation></iq>"
    ).encode()


def whole(inbound: bytes) -> tuple[bytes, bytes]:
    """What has come whole, and the rest."""
    cut = max(inbound.rfind(end) + len(end) if end in inbound else 0 for end in _ENDS)
    done, rest = inbound[:cut], inbound[cut:]
    if b"type='get'" in rest and rest.endswith(b"</iq>"):
        return done + rest, b""
    return done, rest

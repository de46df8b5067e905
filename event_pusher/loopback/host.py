"""The host behind the loopback server: its accounts, and the feed that tells what happens to them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Final

from event_pusher.loopback.accounts import Accounts, Session
from event_pusher.loopback.ring import Ring
from event_pusher.xmpp import names
from event_pusher.xmpp.stanzas import attributes, escape

if TYPE_CHECKING:
    from lxml import etree

FEED_NAME: Final = "loopback"
_FEED: Final = f"{{{names.FEED}}}"


class Host:
    """The module's side of docs/feed-protocol.md, over whatever carries bytes. All methods are thread-safe."""

    def __init__(self, domain: str, component: str, ring_bytes: int, *, sent: bool) -> None:
        self.domain = domain
        self.component = component
        self._ring_bytes = ring_bytes
        self._sent = sent
        self._changed = threading.Condition(threading.RLock())
        self._bodies = True
        self._kinds: frozenset[str] = frozenset()
        self._in_snapshot = False
        self._numbers = count(1)
        self._begin()

    def wait_for(self, predicate: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Wait until `predicate` holds; it is asked again at each thing that happens here. False: it never did."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)

    @property
    def acked(self) -> int:
        """The highest entry that was acknowledged."""
        return self.ring.acked

    def go_online(self, user: str, resource: str = "r1", priority: int = 0) -> str:
        """Start a session, or resume it, and send presence; give the session's id."""
        with self._changed:
            session, new = self.accounts.add(user, resource)
            if new:
                self._session_event("session-start", user, session)
            elif session.hibernated:
                session.hibernated = False
                self._session_event("hibernation-end", user, session)
            session.priority = priority
            self._session_event("available", user, session, priority=priority)
            return session.id

    def go_offline(self, user: str, resource: str = "r1") -> None:
        """End a session."""
        with self._changed:
            session = self.accounts.remove(user, resource)
            if session is not None and session.priority is not None:
                self._session_event("unavailable", user, session)
            if session is not None:
                self._session_event("session-end", user, session)

    def hibernate(self, user: str, resource: str = "r1") -> None:
        """Break a session's connection; it waits for resumption (XEP-0198)."""
        with self._changed:
            session = self.accounts.get(user, resource)
            if session is not None and not session.hibernated:
                session.hibernated = True
                self._session_event("hibernation-start", user, session)

    def message(
        self,
        sender: str,
        recipient: str,
        body: str | None,
        *,
        type: str = "chat",  # noqa: A002 - XMPP's name
        id: str | None = None,  # noqa: A002 - XMPP's name
        extra: str = "",
    ) -> str:
        """
        Hand a message to `recipient` (bare or full JID); `extra` is ready XML beside the body. Gives its id.

        One ``received`` event, or one for each hibernated session, as the protocol says.
        """
        identifier = id if id is not None else f"m{next(self._numbers)}"
        user = recipient.partition("/")[0]
        with self._changed:
            shown = body if self._bodies or body is None else "…"
            text = f"<body>{escape(shown)}</body>" if shown is not None else ""
            head = attributes(from_=sender, to=recipient, type=type or None, id=identifier or None)
            xml = f"<message xmlns='{names.CLIENT}'{head}>{text}{extra}</message>"
            if self._sent and sender.partition("/")[0].endswith(f"@{self.domain}"):
                account, _, resource = sender.partition("/")
                known = self.accounts.get(account, resource)
                self.event("sent", account, xml, resource=resource, session=known.id if known else "")
            state, sessions = self.accounts.takers(user)
            for session in sessions:
                resource, name = (session.resource, session.id) if session else ("", "")
                self.event("received", user, xml, state=state, resource=resource, session=name, stored="true")
        return identifier

    def unacked(self, sender: str, user: str, body: str, *, resource: str = "r1", id: str = "") -> None:  # noqa: A002
        """Tell that a session lost its connection with this message unacknowledged."""
        with self._changed:
            session = self.accounts.get(user, resource)
            head = attributes(from_=sender, to=f"{user}/{resource}", type="chat", id=id or None)
            xml = f"<message xmlns='{names.CLIENT}'{head}><body>{escape(body)}</body></message>"
            self.event("unacked", user, xml, resource=resource, session=session.id if session else "")

    def remove_user(self, user: str) -> None:
        """Delete an account."""
        with self._changed:
            self.accounts.remove_user(user)
            self.event("user-removed", user)

    def event(self, kind: str, user: str = "", stanza: str = "", **values: str | int | None) -> int:
        """Put any event into the ring; `stanza` is ready XML, `values` are attributes. Gives its number."""
        told = attributes(kind=kind, user=user or None, **values)
        stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        forwarded = (
            f"<forwarded xmlns='{names.FORWARD}'><delay xmlns='{names.DELAY}' stamp='{stamp}'/>{stanza}</forwarded>"
            if stanza
            else ""
        )
        with self._changed:
            if self._kinds and kind not in self._kinds and not self._in_snapshot:
                return 0
            return self._add("event", told, forwarded)

    # --- inside -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.epoch = secrets.token_hex(6)
        self.accounts = Accounts(self.epoch)
        self.ring = Ring(self._ring_bytes, self._lost, self._snapshot)

    def _add(self, name: str, told: str, child: str = "") -> int:
        head = (
            f"<message from='{self.domain}' to='{self.component}'>"
            f"<{name} xmlns='{names.FEED}' feed='{FEED_NAME}' epoch='{self.epoch}' n='"
        )
        return self.ring.add(head.encode(), f"'{told}/>{child}</message>".encode())

    def _session_event(self, kind: str, user: str, session: Session, **more: str | int | None) -> None:
        self.event(kind, user, "", resource=session.resource, session=session.id, **more)

    def _snapshot(self) -> None:
        """Runs inside the ring's pump, so the entries go out in their turn. It is whole whatever the `kinds`."""
        sessions = self.accounts.all()
        self._in_snapshot = True
        self._add("snapshot-begin", "")
        for user, session in sessions:
            state = "hibernated" if session.hibernated else None
            self._session_event("session-start", user, session, priority=session.priority, state=state)
        self._add("snapshot-end", f" count='{len(sessions)}'")
        self._in_snapshot = False

    def _lost(self, first: int, last: int) -> bytes:
        told = attributes(feed=FEED_NAME, epoch=self.epoch, from_=first, to=last)
        return self._message(f"<lost xmlns='{names.FEED}'{told}/>")

    def _message(self, child: str) -> bytes:
        return f"<message from='{self.domain}' to='{self.component}'>{child}</message>".encode()

    def _told(self, message: etree._Element, send: Callable[[bytes], object]) -> None:
        """Read what the component says to the module; holds the lock."""
        child = next(iter(message), None)
        if child is None or message.get("from") != self.component:
            return
        if child.tag == f"{_FEED}resume":
            self._resume(child, send)
        elif child.tag == f"{_FEED}ack" and (child.get("feed"), child.get("epoch")) == (FEED_NAME, self.epoch):
            self.ring.ack(child.get("consumer") or "", int(child.get("n") or 0))

    def _resume(self, told: etree._Element, send: Callable[[bytes], object]) -> None:
        if told.get("version") != "0":
            send(self._message(f"<feed xmlns='{names.FEED}' version='0' error='unsupported-version'/>"))
            return
        self._bodies = told.get("bodies") != "no"
        self._kinds = frozenset((told.get("kinds") or "").split())
        known = (told.get("feed"), told.get("epoch")) == (FEED_NAME, self.epoch)
        position = int(told.get("n") or 0) if known else None
        lost = self.ring.resume(told.get("consumer") or "", int(told.get("window") or 2000), position, send)
        state = attributes(feed=FEED_NAME, epoch=self.epoch, first=self.ring.first, next=self.ring.next, lost=lost)
        send(self._message(f"<feed xmlns='{names.FEED}' version='0'{state} server='event-pusher loopback'/>"))
        self.ring.pump()

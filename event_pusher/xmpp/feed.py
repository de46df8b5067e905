"""The feed (docs/feed-protocol.md): what a host's module says becomes items; what we say back becomes bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, MutableMapping
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from lxml import etree

from event_pusher.errors import InvalidJid
from event_pusher.events import (
    Acc,
    ChatEvent,
    Event,
    MessageType,
    State,
    UnackedMessageEvent,
    UserStatusEvent,
)
from event_pusher.intake import FeedLost, FeedStarted, Item, Occurrence, Position, Removed, SessionChange, Snapshot
from event_pusher.jid import Jid
from event_pusher.xmpp import names
from event_pusher.xmpp.feed_wire import (
    VERSION,
    BadEvent,
    full_jid,
    inner_message,
    number,
    priority_of,
    received_at,
    sender_of,
    stamp_of,
    stanza_of,
    user_of,
)

if TYPE_CHECKING:
    from event_pusher.abc import Clock

_FEED: Final = f"{{{names.FEED}}}"
_EVENT: Final = f"{_FEED}event"
_TYPES: Final = frozenset(get_args(MessageType))
_STATES: Final = frozenset(get_args(State))


class FeedReader:
    """
    Reads the feed's messages of one stream, on its reader thread.

    `counters` gets ``events_read``, ``events_unknown_kind``, ``events_refused``, ``events_repeated``, ``events_gaps``,
    ``messages_ignored``. `seen` tells, per host, the entry that was read last.
    """

    def __init__(
        self,
        source: str,
        hosts: Collection[str],
        clock: Clock,
        log: logging.Logger,
        counters: MutableMapping[str, int],
    ) -> None:
        self.seen: dict[str, Position] = {}
        self._source = source
        self._hosts = frozenset(hosts)
        self._clock = clock
        self._log = log
        self._counters = counters
        self._now = 0.0
        self._told: dict[str, int] = {}
        self._available: dict[str, set[str]] = {host: set() for host in hosts}
        self._kinds: dict[str, Callable[[Any, Any, Occurrence], None]] = {
            "received": self._received,
            "sent": self._sent,
            "unacked": self._unacked,
            "available": self._presence,
            "unavailable": self._presence,
            "subscribe": _nothing,
            **dict.fromkeys(("session-start", "session-end", "hibernation-start", "hibernation-end"), self._session),
        }
        self._others: dict[str, Callable[[str, Any], Item | None]] = {
            f"{_FEED}feed": self._feed_started,
            f"{_FEED}lost": self._feed_lost,
            f"{_FEED}snapshot-begin": self._snapshot,
            f"{_FEED}snapshot-end": self._snapshot,
        }

    def read(self, message: etree._Element, now: float | None = None) -> Item | None:
        """
        Give what `message` says; None when it is none of the feed's or was read before.

        Every entry of the ring gives an item with its position, whatever it holds. `now` (UTC seconds) is the clock's,
        for who has asked it already. Never raises.
        """
        self._now = self._clock.now() if now is None else now
        host = message.get("from")
        if host not in self._hosts or not len(message):
            self._count("messages_ignored")
            return None
        told = message[0]
        if told.tag != _EVENT:
            read = self._others.get(str(told.tag))
            if read is None:
                self._count("messages_ignored")
                return None
            return read(host, told)
        get = told.get
        position = self._position(host, get("feed"), get("epoch"), get("n"))
        if position is None:
            return None
        self._counters["events_read"] = self._counters.get("events_read", 0) + 1
        return self._event(host, position, message, told)

    def _event(self, host: str, position: Position, message: etree._Element, told: etree._Element) -> Item:
        occurrence = Occurrence(self._source, host, position)
        kind = told.get("kind") or ""
        read = self._kinds.get(kind)
        try:
            if read is not None:
                read(message, told, occurrence)
            elif kind in ("user-removed", "host-removed"):
                user = str(user_of(told)) if kind == "user-removed" else None
                return Removed(self._source, host, user, position)
            else:
                self._count("events_unknown_kind")
                self._tell(f"the feed of {host} has events of the unknown kind {kind[:40]!r}")
        except InvalidJid:
            self._refuse(occurrence, f"a {kind} event of {host} with an address that is no JID")
        except BadEvent as reason:
            self._refuse(occurrence, f"a {kind} event of {host} {reason}")
        return occurrence

    # --- kinds ------------------------------------------------------------------------------------------------

    def _received(self, message: etree._Element, told: etree._Element, occurrence: Occurrence) -> None:
        inner, stamp = inner_message(message)
        kind = inner.get("type") or "normal"
        if kind not in _TYPES:
            return
        user = user_of(told)
        sender = sender_of(inner)
        to = inner.get("to")
        recipient = Jid.parse(to) if to else user
        if recipient is not user and (recipient.domain != user.domain or recipient.local != user.local):
            recipient = user
        state = told.get("state")
        stanza = stanza_of(inner)
        occurrence.event = ChatEvent(
            cast("MessageType", kind),
            "out",
            sender,
            recipient,
            stanza,
            cast("State", state) if state in _STATES else None,
            told.get("session") or None,
        )
        occurrence.acc = self._acc(occurrence, stamp)

    def _sent(self, message: etree._Element, told: etree._Element, occurrence: Occurrence) -> None:
        inner, stamp = inner_message(message)
        kind = inner.get("type") or "normal"
        if kind not in _TYPES:
            return
        sender = full_jid(told)
        to = inner.get("to")
        recipient = Jid.parse(to) if to else sender.bare
        session = told.get("session") or None
        event = ChatEvent(cast("MessageType", kind), "in", sender, recipient, stanza_of(inner), None, session)
        occurrence.event, occurrence.acc = event, self._acc(occurrence, stamp)

    def _unacked(self, message: etree._Element, told: etree._Element, occurrence: Occurrence) -> None:
        inner, stamp = inner_message(message)
        if (inner.get("type") or "normal") not in _TYPES:
            return
        session = told.get("session") or None
        occurrence.event = UnackedMessageEvent(full_jid(told), sender_of(inner), stanza_of(inner), session)
        occurrence.acc = self._acc(occurrence, stamp)

    def _presence(self, message: etree._Element, told: etree._Element, occurrence: Occurrence) -> None:
        self._session(message, told, occurrence)
        jid = full_jid(told)
        if not jid.resource:
            raise BadEvent("without a resource")
        online = told.get("kind") == "available"
        available = self._available[occurrence.host]
        session = told.get("session") or str(jid)
        if not online:
            available.discard(session)
        elif session in available:  # a new priority: no user came online (MongooseIM's user_available)
            return
        else:
            available.add(session)
        occurrence.event = cast("Event", UserStatusEvent(jid, "online" if online else "offline"))
        occurrence.acc = self._acc(occurrence, stamp_of(message))

    def _session(self, message: etree._Element, told: etree._Element, occurrence: Occurrence) -> None:
        kind, user = told.get("kind"), str(user_of(told))
        resource, session = told.get("resource") or "", told.get("session") or ""
        hibernated = told.get("state") == "hibernated" or kind == "hibernation-start"
        priority = priority_of(told.get("priority"))
        occurrence.change = SessionChange(cast("Any", kind), user, resource, session, priority, hibernated)
        if kind == "session-end":
            self._available[occurrence.host].discard(session)
        elif kind == "session-start" and priority is not None:
            self._available[occurrence.host].add(session)

    def _feed_started(self, host: str, told: etree._Element) -> Item | None:
        if told.get("error"):
            self._count("feed_errors")
            self._log.error(
                "the module of %s refused version %s of the feed (%s): write it anew with `event-pusher setup`",
                host,
                VERSION,
                (told.get("error") or "")[:60],
            )
            return None
        feed, epoch = told.get("feed") or "", told.get("epoch") or ""
        first, coming, lost = number(told.get("first")), number(told.get("next")), number(told.get("lost"))
        if not feed or not epoch or first < 0 or coming < 0:
            self._count("messages_ignored")
            self._tell(f"{host} answered a resume with a <feed/> that lacks feed, epoch, first or next")
            return None
        return FeedStarted(self._source, host, feed, epoch, first, coming, max(0, lost))

    def _feed_lost(self, host: str, told: etree._Element) -> Item | None:
        start, end = number(told.get("from")), number(told.get("to"))
        feed, epoch = told.get("feed") or "", told.get("epoch") or ""
        if start < 0 or end < start:
            self._count("messages_ignored")
            return None
        self._counters["events_lost"] = self._counters.get("events_lost", 0) + end - start + 1
        seen = self.seen.get(host)
        if seen is None or seen[:2] != (feed, epoch) or seen.n < end:
            self.seen[host] = Position(feed, epoch, end)
        return FeedLost(self._source, host, feed, epoch, start, end)

    def _snapshot(self, host: str, told: etree._Element) -> Item | None:
        get = told.get
        begins = told.tag == f"{_FEED}snapshot-begin"
        position = None
        if get("n") is not None:
            position = self._position(host, get("feed"), get("epoch"), get("n"))
            if position is None:
                return None
        if begins:
            self._available[host].clear()
        return Snapshot(self._source, host, "begin" if begins else "end", position)

    def _position(self, host: str, feed: str | None, epoch: str | None, text: str | None) -> Position | None:
        """The entry's place, if it was not read before: a resume replays what is not committed yet."""
        n = number(text)
        if not feed or not epoch or n < 0:
            self._count("events_refused")
            self._tell(f"{host} sends events without feed, epoch or n")
            return None
        seen = self.seen.get(host)
        if seen is not None and seen.epoch == epoch and seen.feed == feed:
            if n <= seen.n:
                self._count("events_repeated")
                return None
            if n != seen.n + 1:
                self._count("events_gaps")
                self._tell(f"the feed of {host} has gaps")
        position = self.seen[host] = Position(feed, epoch, n)
        return position

    def _acc(self, occurrence: Occurrence, stamp: str | None) -> Acc:
        position = occurrence.position
        assert position is not None
        # The same entry has the same id after a restart: what is traced twice is the same stanza.
        return Acc(f"{position.epoch}-{position.n}", occurrence.host, received_at(stamp, self._now))

    def _refuse(self, occurrence: Occurrence, reason: str) -> None:
        occurrence.event = occurrence.acc = occurrence.change = None
        self._count("events_refused")
        self._tell(reason)

    def _tell(self, line: str) -> None:
        """Log the first, the tenth, the hundredth … time, so that a flood makes no flood."""
        if len(self._told) > 1000:  # noqa: PLR2004 - a bound, so that lines made by strangers cannot fill memory
            self._told.clear()
        count = self._told[line] = self._told.get(line, 0) + 1
        if not str(count).strip("0").removeprefix("1"):
            self._log.warning("%s (seen %d times); acknowledged all the same", line, count)

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1


def _nothing(message: etree._Element, told: etree._Element, occurrence: Occurrence) -> None:
    """Known, and of no interest to any backend yet."""

"""The source ``component``: an XMPP server's module speaks the feed over a component stream (XEP-0114)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from event_pusher.abc import Source, SourceTools, StanzaSender
from event_pusher.errors import StreamError
from event_pusher.intake import FeedStarted, Item, Occurrence, Position, Refusal
from event_pusher.options import Section
from event_pusher.sources.component_settings import ComponentSettings
from event_pusher.xmpp import disco, feed_wire, names
from event_pusher.xmpp.answers import OpenIqs
from event_pusher.xmpp.delegation import Envelope, unwrap
from event_pusher.xmpp.feed import FeedReader
from event_pusher.xmpp.publish import IqSender
from event_pusher.xmpp.push import read_request
from event_pusher.xmpp.stanzas import iq_error
from event_pusher.xmpp.stream import Stream, StreamOptions

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["COUNTERS", "ComponentSettings", "ComponentSource"]

_MESSAGE: Final = f"{{{names.COMPONENT}}}message"
_IQ: Final = f"{{{names.COMPONENT}}}iq"
#: So often the same entry may break the stream before it is left out.
_MAX_FAILURES: Final = 3
_FORBIDDEN: Final = Refusal("auth", "forbidden", "this component is told so by its own hosts only")
_MALFORMED: Final = Refusal("modify", "bad-request", "the delegated IQ lacks an id, a from or a to")


class ComponentSource(Source[ComponentSettings]):
    """
    Wires a stream, the feed, delegation and publishing together.

    `counters` holds numbers that only grow; the admin exports them. Items go to ``tools.intake`` one list per read.
    """

    Settings: ClassVar[type[Section]] = ComponentSettings

    def __init__(self, settings: ComponentSettings, tools: SourceTools) -> None:
        super().__init__(settings, tools)
        self.counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self._consumer = secrets.token_urlsafe(12)
        self._committed: dict[str, dict[tuple[str, str], Position]] = {}
        self._lives: dict[str, tuple[str, str]] = {}
        self._skipped: dict[str, Position] = {}
        self._resuming = threading.Lock()
        self._failures: dict[tuple[str, Position], int] = {}
        self._taking = True
        self._feed = FeedReader(tools.name, settings.hosts, tools.clock, tools.log, self.counters)
        self.stream = Stream(
            StreamOptions(settings.address, settings.domain, settings.hosts[0], settings.max_stanza_bytes),
            settings.secret.reveal,
            self,
            tools.log,
            self.counters,
        )
        self._sender = IqSender(
            settings.domain,
            settings.hosts,
            settings.publish_as,
            OpenIqs(tools.clock, self.counters, settings.open_per_service),
            self.stream.send,
            lambda: self.stream.state == "open",
            lambda: self.stream.full,
            self.counters,
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The domains whose events it brings."""
        return self.settings.hosts

    # --- what the core asks -----------------------------------------------------------------------------------

    def resume_from(self, positions: Mapping[str, Sequence[Position]]) -> None:
        """Told before `start`: for each host the positions that are committed, the newest last."""
        for host, places in positions.items():
            self._committed[host] = {(place.feed, place.epoch): place for place in places}

    def start(self) -> None:
        """Connect, in threads of its own."""
        self.stream.start()

    def stop_intake(self) -> None:
        """Ignore further feed messages and requests; without acknowledgements the server keeps them."""
        self._taking = False

    def acknowledge(self, host: str, position: Position) -> None:
        """All of `host` up to `position` is committed; only queues bytes."""
        committed = dict(self._committed.get(host, {}))
        committed.pop((position.feed, position.epoch), None)
        committed[position.feed, position.epoch] = position
        self._committed[host] = committed  # replaced whole: the reader may look at it meanwhile
        with self._resuming:
            skipped = self._skipped.get(host)
            if skipped is not None and (skipped[:2] != position[:2] or skipped.n <= position.n):
                del self._skipped[host]
                self._resume(host)
        if self.stream.send(feed_wire.ack(self.settings.domain, host, self._consumer, position)):
            self._count("acks_sent")

    def stanzas(self) -> StanzaSender:
        """The way back into the server."""
        return self._sender

    def close(self, timeout: float) -> None:
        """End the stream within `timeout` seconds."""
        self._taking = False
        self.stream.close(timeout)

    def health(self) -> str | None:
        """None while the stream is open, else why not."""
        return self.stream.health()

    # --- what the stream tells, on its reader thread ----------------------------------------------------------

    def on_open(self) -> None:
        """Resume every host's feed; one with an entry to leave out, when that is committed."""
        for host in self.settings.hosts:
            with self._resuming:
                if host not in self._skipped:
                    self._resume(host)

    def on_stanzas(self, stanzas: Sequence[etree._Element]) -> None:
        """Hand the core one list of what one read brought, in order."""
        items: list[Item] = []
        answers: list[etree._Element] = []
        read, now = self._feed.read, self.tools.clock.now()
        for stanza in stanzas:
            tag = stanza.tag
            if tag == _MESSAGE:
                item = read(stanza, now) if self._taking else None
                if item is None:
                    continue
                if isinstance(item, FeedStarted):
                    self._started(item)
                items.append(item)
            elif tag == _IQ and stanza.get("type") in ("result", "error"):
                answers.append(stanza)
            elif tag == _IQ:
                self._asked(stanza, items)
        if answers:
            self._sender.read(answers)
        if items:
            self.tools.intake(items)

    def on_closed(self, error: StreamError, suspect: etree._Element | None) -> None:
        """Note which entry broke the stream, and leave it out when it did so too often."""
        # What we could not read, or ended ourselves, says nothing of what we sent.
        ours = suspect is not None or not self._taking
        self._sender.lost("" if ours else error.condition)
        place = feed_wire.place_of(suspect, self.settings.hosts) if suspect is not None else None
        if place is None:
            return
        failures = self._failures[place] = self._failures.get(place, 0) + 1
        if failures < _MAX_FAILURES or not self._taking:
            return
        self._failures.clear()
        host, position = place
        self._count("events_skipped")
        self.tools.log.error(
            "%s: entry %d of feed %s, epoch %s broke the stream %d times (%s); it is left out",
            *(host, position.n, position.feed, position.epoch, failures, error),
        )
        self._feed.seen[host] = position
        with self._resuming:
            self._skipped[host] = position
        self.tools.intake([Occurrence(self.tools.name, host, position)])

    # --- inside -----------------------------------------------------------------------------------------------

    def _resume(self, host: str) -> None:
        """
        Resume behind what is committed, and no further.

        A resume lets the ring forget: beyond an entry that breaks the stream it may go only when the core
        has committed what comes before.
        """
        position = next(reversed(self._committed.get(host, {}).values()), None)
        self.stream.send(
            feed_wire.resume(
                self.settings.domain,
                host,
                self._consumer,
                position,
                kinds=" ".join(self.settings.kinds),
                bodies=self.settings.bodies,
                window=self.settings.window,
            )
        )

    def _started(self, told: FeedStarted) -> None:
        """Look at the answer to a resume: which life of which feed it is."""
        life = (told.feed, told.epoch)
        before = self._lives.get(told.host)
        self._lives[told.host] = life
        if before is not None and before != life:
            self._sender.host_restarted(told.host)
        # Another node than the one we named may answer; it replays what we may have committed in an earlier life.
        known = self._committed.get(told.host, {}).get(life)
        seen = self._feed.seen.get(told.host)
        if known is not None and (seen is None or seen[:2] != life):
            self._feed.seen[told.host] = known

    def _asked(self, iq: etree._Element, items: list[Item]) -> None:
        delegated = next((child for child in iq if str(child.tag).endswith("}delegation")), None)
        if delegated is None:
            self.stream.send(disco.answer(iq))
        elif iq.get("from") not in self.settings.hosts:
            self._count("requests_forged")
            self.stream.send(iq_error(iq, _FORBIDDEN))
        else:
            self._delegated(iq, items)

    def _delegated(self, iq: etree._Element, items: list[Item]) -> None:
        opened = unwrap(iq)
        if opened is None:
            self._count("requests_refused")
            self.stream.send(iq_error(iq, _MALFORMED))
            return
        envelope, inner = opened
        request = read_request(inner, envelope.host, partial(self._reply, envelope)) if self._taking else _STOPPING
        if isinstance(request, Refusal):
            self._count("requests_refused")
            self._reply(envelope, request)
        else:
            self._count("requests_read")
            items.append(request)

    def _reply(self, envelope: Envelope, refusal: Refusal | None) -> None:
        """Answer a delegated IQ; any thread, only queues bytes."""
        self.stream.send(envelope.answer(refusal))

    def _count(self, name: str) -> None:
        self.counters[name] += 1


_STOPPING: Final = Refusal("wait", "service-unavailable", "event-pusher is stopping; try again in a moment")

#: Every counter there is, so that each is exported from the start.
COUNTERS: Final = (
    *("streams_opened", "streams_lost", "streams_refused", "stanzas_read", "stanzas_refused", "pings_sent"),
    *("events_read", "events_refused", "events_unknown_kind", "events_repeated", "events_gaps", "events_lost"),
    *("events_skipped", "messages_ignored", "feed_errors", "acks_sent"),
    *("requests_read", "requests_refused", "requests_forged", "requests_sent", "requests_unsent", "requests_expired"),
    *("answers_read", "answers_late", "answers_unknown", "answers_forged", "relays_refused"),
    *("suspects_tried", "suspects_cleared", "requests_convicted"),
)

"""
Which request makes the server close the stream.

A stanza that a server cannot bear (too large for it, not well-formed) costs the stream and whatever else was on its
way, and it comes again. So what was unanswered when a stream broke is noted; what was there `LOSSES` times is a
suspect. Suspects go one at a time, with nothing beside them, each followed by a ping: when its answer comes, the server
has read the suspect and lives, and the suspect is cleared. The one on which the stream breaks is convicted.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from event_pusher.abc import IqAnswer, IqRequest
from event_pusher.xmpp.answers import AnswerTo, OpenIq

if TYPE_CHECKING:
    from event_pusher.abc import Clock

#: On so many lost streams something must have been unanswered to be suspect …
LOSSES: Final = 2
#: … within this many seconds of each other.
MEMORY_SECONDS: Final = 900.0
#: A ping without an answer clears nobody, and holds nothing up for longer.
PATIENCE_SECONDS: Final = 10.0
#: Requests that are remembered at most.
_KEPT: Final = 10_000
#: What a server says of a stanza that it cannot bear (RFC 6120 4.9.3): alone, once is enough.
_ABOUT_A_STANZA: Final = frozenset(
    {
        *("policy-violation", "not-well-formed", "xml-not-well-formed", "restricted-xml", "invalid-xml", "bad-format"),
        *("bad-namespace-prefix", "invalid-namespace", "unsupported-stanza-type"),
    }
)
#: Ends of a stream that no stanza can have caused.
_NOBODYS_FAULT: Final = frozenset(
    {
        *("system-shutdown", "conflict", "connection-timeout", "host-gone", "host-unknown", "reset"),
        *("see-other-host", "not-authorized", ""),
    }
)
#: Lost streams that convict, when nothing was said of a stanza: a server may die of something else in that moment.
_ALONE: Final = 2


@dataclass(slots=True)
class Probe:
    """A suspect that waits for its turn, or has it (`id`)."""

    request: IqRequest
    timeout: float
    answer: AnswerTo
    until: float
    id: str | None = None


@dataclass(slots=True)
class _Record:
    losses: int
    alone: int
    at: float


class Suspects:
    """
    Any thread; `lost` and `answered` on the reader's. While it is `busy`, nothing else may leave.

    `launch` sends a probe with the bytes that follow it, and sets its `id`; `ping` makes the bytes of one. `launch`
    and `send` say whether they can leave.
    """

    def __init__(
        self,
        clock: Clock,
        counters: MutableMapping[str, int],
        launch: Callable[[Probe, bytes], bool],
        ping: Callable[[str], bytes],
        send: Callable[[bytes], bool],
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._launch, self._ping, self._send = launch, ping, send
        self._lock = threading.RLock()
        self._records: dict[str, _Record] = {}
        self._waiting: deque[Probe] = deque()
        self._probe: Probe | None = None
        #: The id of the ping behind the suspect under trial.
        self.awaited: str | None = None
        self._asked_at = 0.0
        self._prefix = f"{secrets.token_urlsafe(12)}-suspect-"
        self._numbers = count(1)

    @property
    def busy(self) -> bool:
        """Whether suspects are being tried. Goes on by itself when a ping stays without an answer."""
        if self.awaited is not None and self._clock.monotonic() > self._asked_at + PATIENCE_SECONDS:
            with self._lock:
                self._next()
        return self.awaited is not None

    def pick(self, requests: Sequence[IqRequest]) -> list[IqRequest]:
        """Those of `requests` that are suspect."""
        if not self._records:
            return []
        with self._lock:
            known = (self._records.get(request.token.key) for request in requests)
            return [one for one, found in zip(requests, known, strict=True) if found and found.losses >= LOSSES]

    def unless_busy(self, data: bytes) -> bool:
        """Send `data`, which holds no suspect; False when nothing left."""
        with self._lock:
            return self.awaited is None and self._send(data)

    def hold(self, requests: Iterable[IqRequest], timeout: float, answer: AnswerTo) -> bool:
        """Try these, when it is their turn; False when there is no stream for it."""
        until = self._clock.monotonic() + timeout
        with self._lock:
            if self.awaited is None and not self._send(self._following()):
                self.awaited = None
                return False
            self._waiting.extend(Probe(request, timeout, answer, until) for request in requests)
            return True

    def answered(self, identifier: str) -> None:
        """Take an answer: the server has read what it, the ping's or the probe's own, is the answer to."""
        with self._lock:
            if self._probe is not None and identifier in (self._probe.id, self.awaited):
                self._records.pop(self._probe.request.token.key, None)
                self._count("suspects_cleared")
                self._probe = None
            if identifier == self.awaited:
                self._next()

    def lost(self, condition: str, open_iqs: Iterable[OpenIq]) -> list[tuple[Probe, IqAnswer]]:
        """The stream ended so ("" = by us), `open_iqs` were sent on it and not answered. Gives the probes' answers."""
        with self._lock:
            probe, waiting = self._probe, list(self._waiting)
            self._probe = self.awaited = None
            self._waiting.clear()
            told = [(one, IqAnswer("unsent", text="the stream broke before its turn")) for one in waiting]
            if condition in _NOBODYS_FAULT:
                return told if probe is None else [*told, (probe, IqAnswer("lost"))]
            if probe is not None:
                return [*told, (probe, self._verdict(probe, condition))]
            for entry in open_iqs:
                self._note(entry.token.key)
            return told

    def _verdict(self, probe: Probe, condition: str) -> IqAnswer:
        key = probe.request.token.key
        record = self._note(key)
        record.alone += _ALONE if condition in _ABOUT_A_STANZA else 1
        if record.alone < _ALONE:
            return IqAnswer("lost")
        del self._records[key]
        self._count("requests_convicted")
        return IqAnswer("fatal", condition, text=f"the server closed the stream on it: {condition}")

    def _note(self, key: str) -> _Record:
        now = self._clock.monotonic()
        record = self._records.pop(key, None)
        if record is None or now - record.at > MEMORY_SECONDS:
            record = _Record(0, 0, now)
        record.losses, record.at = record.losses + 1, now
        self._records[key] = record  # at the end: the oldest are forgotten first
        while len(self._records) > _KEPT:
            del self._records[next(iter(self._records))]
        return record

    def _next(self) -> None:
        """Try the next one that somebody still waits for."""
        self._probe = self.awaited = None
        now = self._clock.monotonic()
        while self._waiting:
            probe = self._waiting.popleft()
            if probe.until <= now:
                continue
            if self._launch(probe, self._following()):
                self._probe = probe
                self._count("suspects_tried")
            else:
                self._waiting.appendleft(probe)  # the stream is gone; `lost` comes and tells them all
            return

    def _following(self) -> bytes:
        """Make the ping that is waited for from now on."""
        self.awaited, self._asked_at = f"{self._prefix}{next(self._numbers)}", self._clock.monotonic()
        return self._ping(self.awaited)

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1

"""The table of open IQs: who was asked what, until when; answers are believed on (id, from) only."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from event_pusher.abc import Attempt, IqAnswer
from event_pusher.errors import InvalidJid
from event_pusher.jid import Jid

if TYPE_CHECKING:
    from event_pusher.abc import Clock

AnswerTo = Callable[[Sequence[tuple[Attempt, IqAnswer]]], None]


@dataclass(slots=True)
class OpenIq:
    """An IQ that waits for its answer: sent for `host` on `stream`, answered by `service`, to be told to `answer`."""

    host: str
    service: str
    token: Attempt
    answer: AnswerTo
    deadline: float
    stream: int = 0


class OpenIqs:
    """
    Open IQs by id. Any thread; each of its steps is short.

    `counters` gets ``answers_read``, ``answers_late`` (our id, no longer open), ``answers_unknown`` (not our id),
    ``answers_forged`` (not from whom was asked), ``requests_expired``.
    """

    def __init__(self, clock: Clock, counters: MutableMapping[str, int], per_service: int = 1000) -> None:
        self.clock = clock
        self._counters = counters
        self._per_service = per_service
        self._stream = 0
        # 96 random bits a start: nobody guesses an id, and none of a former start comes again.
        self._prefix = secrets.token_urlsafe(12) + "-"
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._open: dict[str, OpenIq] = {}
        self._by_service: Counter[str] = Counter()
        self._due: dict[float, deque[tuple[float, str]]] = {}  # timeout → FIFO: no timer, the head is looked at

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, wanted: Sequence[tuple[str, str, Attempt]], timeout: float, answer: AnswerTo) -> list[str | None]:
        """Enter (host, service, token) triples; give the id of each, None where the service has too many open."""
        now = self.clock.monotonic()
        deadline = now + timeout
        ids: list[str | None] = []
        with self._lock:
            self._prune(now)
            due = self._due.setdefault(timeout, deque())
            by_service = self._by_service
            for host, service, token in wanted:
                if by_service[service] >= self._per_service:
                    ids.append(None)
                    continue
                by_service[service] += 1
                identifier = f"{self._prefix}{next(self._numbers)}"
                self._open[identifier] = OpenIq(host, service, token, answer, deadline, self._stream)
                due.append((deadline, identifier))
                ids.append(identifier)
        return ids

    def peek(self, identifier: str) -> OpenIq | None:
        """The open IQ of this id; None counts the answer as late or unknown."""
        entry = self._open.get(identifier)
        if entry is None:
            self._count("answers_late" if identifier.startswith(self._prefix) else "answers_unknown")
        return entry

    def take(self, identifier: str) -> OpenIq | None:
        """Close the IQ of this id; None when somebody else did."""
        with self._lock:
            entry = self._open.pop(identifier, None)
            if entry is not None:
                self._release(entry)
        if entry is not None:
            self._count("answers_read")
        return entry

    def next_stream(self) -> list[OpenIq]:
        """The stream broke: what comes now goes on another one. Gives what was sent on it and is open."""
        with self._lock:
            broken, self._stream = self._stream, self._stream + 1
            return [entry for entry in self._open.values() if entry.stream == broken]

    def lose(self, host: str | None = None) -> None:
        """Answer all that is open (of `host`) with "lost": nothing can come any more."""
        with self._lock:
            lost = [(key, entry) for key, entry in self._open.items() if host is None or entry.host == host]
            for key, entry in lost:
                del self._open[key]
                self._release(entry)
        tell([(entry, IqAnswer("lost")) for _, entry in lost])

    def prune(self) -> None:
        """Forget what is past its deadline; nobody is told, the core has a deadline of its own."""
        with self._lock:
            self._prune(self.clock.monotonic())

    def forged(self) -> None:
        """Count an answer of somebody who was not asked."""
        self._count("answers_forged")

    def _prune(self, now: float) -> None:
        for due in self._due.values():
            while due and (due[0][0] <= now or due[0][1] not in self._open):
                entry = self._open.pop(due.popleft()[1], None)
                if entry is not None:
                    self._release(entry)
                    self._count("requests_expired")

    def _release(self, entry: OpenIq) -> None:
        left = self._by_service[entry.service] - 1
        if left > 0:
            self._by_service[entry.service] = left
        else:
            del self._by_service[entry.service]

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1


def tell(answers: Sequence[tuple[OpenIq, IqAnswer]]) -> None:
    """Hand each answer to who asked, one call per asker."""
    by_asker: dict[AnswerTo, list[tuple[Attempt, IqAnswer]]] = {}
    for entry, answer in answers:
        by_asker.setdefault(entry.answer, []).append((entry.token, answer))
    for asker, told in by_asker.items():
        asker(told)


def same(one: str, other: str) -> bool:
    """Whether two texts name the same JID."""
    if one == other:
        return True
    try:
        return Jid.parse(one) == Jid.parse(other)
    except InvalidJid:
        return False

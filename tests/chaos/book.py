"""What a push service was sent and what it said: the books by which nothing may be missing, doubled or out of turn."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from event_pusher.settlement import SETTLE_ROWS


class Wanted(NamedTuple):
    """One delivery that an event is to make: the event's number and the node."""

    event: int
    node: str


@dataclass(slots=True)
class Sent:
    """One publish. `life`: how often the pusher was started before; `answer` "" = none yet."""

    wanted: Wanted
    item: str
    life: int
    at: float
    answer: str = ""


@dataclass(slots=True)
class Book:
    """`entries` is the feed's number of each event; `patience` the pusher's publish_timeout."""

    patience: float
    entries: dict[Wanted, int] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    unsent: set[Wanted] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    _open: dict[str, Sent] = field(default_factory=dict)
    _items: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def made(self, entry: int, wanted: list[Wanted]) -> None:
        """The feed is to tell of an event."""
        with self._lock:
            self.unsent.update(wanted)
            self.entries.update(dict.fromkeys(wanted, entry))

    def published(self, sent: Sent) -> None:
        """A publish came; another of the same lane must not be under way."""
        with self._lock:
            before = self._open.get(sent.wanted.node)
            if (
                before is not None
                and (before.life, before.answer) == (sent.life, "")
                and sent.at - before.at < 0.9 * self.patience
            ):
                self.faults.append(f"two in flight in one lane: {before} and {sent}")
            self._open[sent.wanted.node] = sent
            self._items[sent.item] = ""
            self.sent.append(sent)
            self.unsent.discard(sent.wanted)

    def answered(self, sent: Sent, answer: str) -> None:
        """The service said something to it."""
        with self._lock:
            sent.answer = answer
            self._items[sent.item] = "result" if "result" in (answer, self._items[sent.item]) else answer

    def audit(self, acked: int, position: int, rows: dict[str, Wanted]) -> None:
        """Hold the database, as a kill left it, against the books; `rows` are its deliveries by item id."""
        assert acked <= position, f"acknowledged {acked}, committed {position}"
        with self._lock:
            accepted = {wanted for wanted in self.unsent if self.entries[wanted] <= acked}
            lost = accepted - set(rows.values())
            assert not lost, f"acknowledged and gone: {sorted(lost)[:5]}"
            early = [item for item, answer in self._items.items() if answer != "result" and item not in rows]
            assert not early, f"published and not committed, or taken out without an answer: {early[:5]}"

    def repeats(self) -> Counter[int]:
        """What was published again although the service had taken it: by the life in which it had."""
        taken: dict[str, Sent] = {}
        found: Counter[int] = Counter()
        for one in self.sent:
            before = taken.get(one.item)
            if before is not None:
                found[before.life] += 1
                if before.life == one.life and one.at - before.at < 0.9 * self.patience:
                    self.faults.append(f"taken and published again without a reason: {before}, {one}")
            if one.answer == "result":
                taken[one.item] = one
        return found

    def check(self, in_flight: int, *, restarted: bool = True) -> None:
        """What must hold when all is drained; without a restart answers may still be lost on the way."""
        assert not self.unsent, f"never published: {sorted(self.unsent)[:5]}"
        if not restarted:
            self.faults.clear()  # an answer that the network took is no reason to the service, but to the pusher
        worst = max(self.repeats().values(), default=0)
        assert worst <= in_flight + SETTLE_ROWS, f"{worst} repeated after one kill"
        self._in_order()
        assert not self.faults, self.faults[:5]
        items: dict[Wanted, set[str]] = defaultdict(set)
        for one in self.sent:
            items[one.wanted].add(one.item)
        doubled = [wanted for wanted, ids in items.items() if len(ids) > 1]
        assert not doubled, f"accepted twice: {doubled[:5]}"

    def _in_order(self) -> None:
        last: dict[str, int] = defaultdict(int)
        seen: set[Wanted] = set()
        for one in self.sent:
            if one.wanted in seen:
                continue
            seen.add(one.wanted)
            event, node = one.wanted
            if event < last[node]:
                self.faults.append(f"out of order on {node}: {event} after {last[node]}")
            last[node] = event

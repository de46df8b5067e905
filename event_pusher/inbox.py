"""How everybody speaks to the core: lists go in from any thread, and come out all at once, outcomes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from event_pusher.intake import Item
from event_pusher.publisher import Outcomes, Publisher


class Mail(NamedTuple):
    """What was in the inbox: outcomes of each publisher, items in order, calls to make on the core's thread."""

    outcomes: list[tuple[Publisher, Outcomes]]
    items: list[Sequence[Item]]
    calls: list[Callable[[], None]]


_Entry = tuple[int, object, object]
_OUTCOMES, _ITEMS, _CALL = range(3)


class Inbox:
    """Never blocks who puts in; `take` waits at most the given seconds."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Entry] = SimpleQueue()

    def put_outcomes(self, publisher: Publisher, outcomes: Outcomes) -> None:
        """Report outcomes (any thread)."""
        self._queue.put((_OUTCOMES, publisher, outcomes))

    def put_items(self, items: Sequence[Item]) -> None:
        """Hand in what happened (any thread)."""
        self._queue.put((_ITEMS, None, items))

    def put_call(self, call: Callable[[], None]) -> None:
        """Have `call` made on the core's thread (any thread)."""
        self._queue.put((_CALL, None, call))

    def take(self, timeout: float) -> Mail:
        """Everything that is there; when nothing is, wait for the first up to `timeout` seconds."""
        mail = Mail([], [], [])
        try:
            entry = self._queue.get(timeout=timeout) if timeout > 0 else self._queue.get_nowait()
            while True:
                _sort_in(mail, entry)
                entry = self._queue.get_nowait()
        except Empty:
            return mail


def _sort_in(mail: Mail, entry: _Entry) -> None:
    kind, publisher, what = entry
    if kind == _OUTCOMES:
        mail.outcomes.append((publisher, what))  # type: ignore[arg-type]  # put_outcomes put it there
    elif kind == _ITEMS:
        mail.items.append(what)  # type: ignore[arg-type]  # put_items put it there
    else:
        mail.calls.append(what)  # type: ignore[arg-type]  # put_call put it there

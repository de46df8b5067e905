"""
The fan-out: event plugins first, then every backend's `push_events`, in the order of the configuration.

A plugin or backend that raises costs its own deliveries of that event, nobody else's; it is logged with its name.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from event_pusher.abc import Acc, Backend, Delivery, Event, EventPlugin
from event_pusher.counters import Counters
from event_pusher.errors import StorageError
from event_pusher.journal import Decision, Journal

log = logging.getLogger(__name__)

#: Deciding runs on the core: a call that takes longer is named in the log …
SLOW_SECONDS = 0.05
#: … unless the batch was large: so much is allowed for each event.
SLOW_PER_EVENT = 0.0005

#: The closed list of reasons, with the words that ``explain`` uses for them.
REASONS: Mapping[str, str] = {
    "accepted": "a delivery was written to the outbox",
    "duplicate": "another copy of this message was delivered before",
    "error": "the backend or one of its plugins failed; see the log",
    "stopped": "an event plugin stopped the event",
    "kind": "this backend does not act on such events",
    "type": "only chat and groupchat messages to the user are pushed",
    "online": "the user was online",
    "no-body": "the message has no text",
    "no-registration": "the user has no enabled registration",
    "only-users": "only_users does not name the user",
    "plugin": "a plugin decided against it",
    "gone": "the destination said that it wants no more of these",
    "dry-run": "dry_run is on: it would have been pushed",
    "nothing": "the backend makes nothing of it",
}


_COUNTER = {reason: f"decisions_{reason}" for reason in REASONS}


@dataclass(slots=True)
class Decided:
    """What one backend makes of one event."""

    backend: str
    acc: Acc
    event: Event
    deliveries: Sequence[Delivery]


class Dispatcher:
    """Asks everybody; remembers the last decisions."""

    def __init__(
        self,
        plugins: Sequence[tuple[str, EventPlugin[Any]]],
        backends: Sequence[tuple[str, Backend[Any]]],
        counters: Counters,
        journal: Journal | None = None,
    ) -> None:
        self._plugins = tuple(plugins)
        self._backends = tuple(backends)
        self._counters = counters
        self._journal = journal or Journal()
        self.decisions = self._journal.decisions

    def replace_plugins(self, plugins: Sequence[tuple[str, EventPlugin[Any]]]) -> None:
        """Ask `plugins` from the next batch on (the core's thread)."""
        self._plugins = tuple(plugins)

    def push_events(self, batch: Sequence[tuple[Acc, Event]]) -> list[Decided]:
        """Decide a batch; only what makes deliveries is in the answer."""
        if self._plugins:
            batch = [(acc, event) for acc, event in batch if self._let_through(acc, event)]
        decided: list[Decided] = []
        for name, backend in self._backends:
            decided += self._ask(name, backend, batch)
        return decided

    def record(self, acc: Acc, event: Event, backend: str, reason: str) -> None:
        """Remember a decision."""
        self._journal.decided((_decision(acc, event, backend, reason),))
        self._counters[_COUNTER[reason], backend] += 1

    def record_accepted(self, decided: Sequence[tuple[Acc, Event, str]]) -> None:
        """Remember that these events made deliveries; a batch at a time, for it is on every notification's way."""
        self._journal.decided([_decision(acc, event, backend, "accepted") for acc, event, backend in decided])
        for backend, number in Counter(backend for _, _, backend in decided).items():
            self._counters.add(_COUNTER["accepted"], backend, number)

    def _let_through(self, acc: Acc, event: Event) -> bool:
        for name, plugin in self._plugins:
            try:
                if not plugin.push_event(acc, event):
                    self.record(acc, event, name, "stopped")
                    return False
            except Exception as error:  # noqa: BLE001 - a broken filter must not lose events: the event goes on
                self._failed("event plugin", name, error)
        return True

    def _ask(self, name: str, backend: Backend[Any], batch: Sequence[tuple[Acc, Event]]) -> list[Decided]:
        started = time.perf_counter()
        for acc, _ in batch:
            acc.skipped = None
            if acc.published:
                acc.published.clear()  # what another backend enqueued, or this one before the database failed
        try:
            answers = backend.push_events(batch)
            if len(answers) != len(batch):
                raise ValueError("push_events must answer each event once")  # noqa: TRY301 - one way out for both faults
            if (trouble := next((one for one in answers if isinstance(one, StorageError)), None)) is not None:
                raise trouble  # noqa: TRY301 - the same as from push_events itself
        except StorageError:
            raise  # nothing was decided: the core asks again when the database is back
        except Exception as error:  # noqa: BLE001 - the whole batch failed: count and log it for every event
            answers = [error] * len(batch)
        took = time.perf_counter() - started
        if took > SLOW_SECONDS + SLOW_PER_EVENT * len(batch):
            log.warning("backend %s took %.0f ms to decide %d events", name, took * 1000, len(batch))
            self._counters.add("decide_slow", name)
        return self._sort(name, batch, answers)

    def _sort(self, name: str, batch: Sequence[tuple[Acc, Event]], answers: Sequence[object]) -> list[Decided]:
        decided = []
        for (acc, event), answer in zip(batch, answers, strict=True):
            if not _is_sound(answer):
                self._failed("backend", name, answer)
                self.record(acc, event, name, "error")
            elif answer:
                decided.append(Decided(name, acc, event, answer))  # type: ignore[arg-type]  # `_is_sound` looked
            else:
                reason = acc.skipped or "nothing"
                self.record(acc, event, name, reason if reason in REASONS else "nothing")
        return decided

    def _failed(self, what: str, name: str, answer: object) -> None:
        self._counters.add("plugin_failures", name)
        if isinstance(answer, Exception):
            log.error("%s %s failed on an event", what, name, exc_info=_without_text(answer))
        else:
            log.error("%s %s made a delivery that is not one (see event_pusher.abc.Delivery)", what, name)


def _without_text(error: Exception) -> tuple[type[BaseException], BaseException, Any]:
    """The traceback of `error` with its type only: its text may quote a message."""
    plain = type(error).__name__
    return (RuntimeError, RuntimeError(plain), error.__traceback__)


def _decision(acc: Acc, event: Event, backend: str, reason: str) -> Decision:
    return Decision(acc.received_at, str(event.user), event.kind, backend, reason, acc.id)


def _is_sound(answer: object) -> bool:
    """Whether these are deliveries, every field what it should be: what is not would fail later, and stop everybody."""
    return isinstance(answer, (list, tuple, Sequence)) and all(map(_is_delivery, answer))


def _is_delivery(one: object) -> bool:
    return (
        isinstance(one, Delivery)
        and type(one.payload) is bytes
        and type(one.recipient) is str
        and type(one.target) is str
        and type(one.format) is int
        and (one.lane is None or type(one.lane) is str)
        and (one.registration is None or type(one.registration) is int)
        and (one.collapse_key is None or type(one.collapse_key) is str)
        and (one.ttl is None or type(one.ttl) in (int, float))
    )

"""
From what sources hand in to rows on disk: take in, decide, commit, in that order, a batch at a time.

A batch is cut behind the last of a run of stanzas that write registrations, so that what follows them in one read is
decided by what they stored. A batch whose commit fails is kept as it is and committed again: nothing is decided twice.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from event_pusher.abc import Acc, ChatEvent, Clock, Event
from event_pusher.counters import Counters
from event_pusher.dispatcher import Decided, Dispatcher
from event_pusher.errors import StorageError
from event_pusher.idempotency import Seen, comes_again, delivery_key, may_be_copy, message_key, said_key
from event_pusher.intake import (
    Disable,
    Enable,
    FeedLost,
    FeedStarted,
    Item,
    Occurrence,
    Position,
    Refusal,
    Removed,
    Reply,
    Snapshot,
)
from event_pusher.outbox.row import Row, new_row
from event_pusher.outbox.store import OutboxStore
from event_pusher.positions import Positions
from event_pusher.registrations import RegistrationStore
from event_pusher.sessions import SessionTable
from event_pusher.storage_errors import RowRefused

log = logging.getLogger(__name__)

#: Most events in one commit.
BATCH_EVENTS = 2000
#: Ids are reserved in blocks: one write for so many rows.
ID_BLOCK = 20_000

_STORAGE_TROUBLE = Refusal("wait", "internal-server-error", "The registration could not be stored; please try again.")


@dataclass(slots=True)
class Batch:
    """What one commit writes. `events` are not decided yet; `decided` is recorded once the rows are on disk."""

    events: list[tuple[Acc, Event]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    decided: list[tuple[Acc, Event, str]] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    keys_expire_at: float = 0.0
    writes: list[Enable | Disable | Removed] = field(default_factory=list)
    positions: list[tuple[str, str, Position]] = field(default_factory=list)
    replies: list[tuple[Reply, Refusal | None]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    #: The database refused a value: the rows are written one by one, and the one at fault is left out.
    suspect: bool = False

    def __bool__(self) -> bool:
        return bool(self.events or self.rows or self.writes or self.positions)


class Acceptance:
    """Owned by the core."""

    def __init__(
        self,
        *,
        store: OutboxStore,
        registrations: RegistrationStore,
        dispatcher: Dispatcher,
        positions: Positions,
        sessions: SessionTable,
        seen: Seen,
        max_age: dict[str, float],
        max_registrations: int,
        counters: Counters,
        clock: Clock,
        savepoint: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._savepoint = savepoint
        self._store = store
        self._registrations = registrations
        self._dispatcher = dispatcher
        self._positions = positions
        self._sessions = sessions
        self._seen = seen
        self._max_age = max_age
        self._max_registrations = max_registrations
        self._counters = counters
        self._clock = clock
        self._items: deque[Item] = deque()
        self._next_id = self._last_id = 0

    @property
    def waiting(self) -> int:
        """Items that were not looked at yet."""
        return len(self._items)

    def extend(self, items: Iterable[Item]) -> None:
        """Take what a source handed in."""
        self._items.extend(items)

    def take(self) -> Batch:
        """Take in the next items, up to a cut; nothing is decided yet."""
        batch = Batch()
        monotonic = self._clock.monotonic()
        while self._items and len(batch.events) < BATCH_EVENTS:
            item = self._items[0]
            if batch.writes and not isinstance(item, (Enable, Disable, Removed)):
                break
            self._items.popleft()
            self._take(item, batch, monotonic)
        return batch

    def decide(self, batch: Batch) -> None:
        """Turn the events of `batch` into rows. Raises `StorageError`, and leaves `batch` as it was."""
        if batch.events:
            decisions = self._dispatcher.push_events(batch.events)
            batch.events = []
            self._decide(batch, decisions)
        if batch.rows or batch.writes or self._positions.commit_due(self._clock.monotonic()):
            batch.positions = self._positions.dirty()

    def write(self, batch: Batch, now: float) -> int:
        """Write `batch` inside the core's transaction; returns how many rows were discarded. Raises `StorageError`."""
        self._number(batch.rows)
        if batch.suspect:
            self._insert_one_by_one(batch)
        else:
            self._store.insert(batch.rows)
        self._store.remember(batch.keys, batch.keys_expire_at)
        batch.replies, batch.gone = [], []
        for write in batch.writes:
            self._write_registration(write, batch, now)
        self._store.save_positions(batch.positions)
        return len(self._store.discard_for_registrations(batch.gone))

    def written(self, batch: Batch) -> None:
        """The transaction was committed: answer, and remember what was decided."""
        self._positions.committed(batch.positions)
        for reply, refusal in batch.replies:
            _answer(reply, refusal)
        self._dispatcher.record_accepted(batch.decided)
        for backend, number in Counter(row.backend for row in batch.rows).items():
            self._counters.add("accepted", backend, number)

    def forget_expired(self, now: float) -> None:
        """Drop the dedupe keys whose window is over, inside the core's transaction."""
        self._seen.expire(now)
        self._store.forget_expired(now)

    def refuse_writes(self, batch: Batch) -> None:
        """The transaction failed: whoever waits for an answer gets one, the rest of the batch is kept."""
        for write in batch.writes:
            if not isinstance(write, Removed):
                _answer(write.reply, _STORAGE_TROUBLE)
        batch.writes = [write for write in batch.writes if isinstance(write, Removed)]
        waiting = [item for item in self._items if isinstance(item, (Enable, Disable))]
        for item in waiting:
            self._items.remove(item)
            _answer(item.reply, _STORAGE_TROUBLE)

    def _take(self, item: Item, batch: Batch, monotonic: float) -> None:
        match item:
            case Occurrence():
                if self._is_new(item.source, item.host, item.position, monotonic):
                    self._occurrence(item, batch)
            case Enable() | Disable():
                batch.writes.append(item)
            case Removed():
                if self._is_new(item.source, item.host, item.position, monotonic):
                    self._sessions.remove(item.host, item.user)
                    batch.writes.append(item)
            case Snapshot():
                if self._is_new(item.source, item.host, item.position, monotonic):
                    begin = item.what == "begin"
                    (self._sessions.snapshot_begin if begin else self._sessions.snapshot_end)(item.host)
            case FeedStarted():
                self._positions.started(item)
            case FeedLost():
                self._positions.told_lost(item)

    def _is_new(self, source: str, host: str, position: Position | None, monotonic: float) -> bool:
        if position is None or self._positions.take(source, host, position, monotonic):
            return True
        self._counters.add("events_replayed", source)
        return False

    def _occurrence(self, item: Occurrence, batch: Batch) -> None:
        if item.change is not None:
            self._sessions.apply(item.change, item.host)
        event = item.event
        if event is None or item.acc is None:
            return
        if isinstance(event, ChatEvent) and event.state == "offline" and self._is_online(event):
            event = replace(event, state="online")
        self._counters["events", item.source] += 1
        batch.events.append((item.acc, event))

    def _is_online(self, event: ChatEvent) -> bool:
        """
        Whether the user is online although no session took the message: MongooseIM's rule, not the server's.

        A session that never sent presence takes nothing, nor does any take a room's copy for the account (RFC 6121
        8.5.2.1.1). Other messages are told before the end of the session that did not acknowledge them: the table
        is no help there.
        """
        user = str(event.user)
        of_a_room = event.type == "groupchat" and not event.recipient.resource
        return (of_a_room or user in self._sessions.silent) and self._sessions.is_online(user)

    def _decide(self, batch: Batch, decisions: Sequence[Decided]) -> None:
        now = self._clock.now()
        batch.keys_expire_at = now + self._seen.window
        for decided in decisions:
            before = len(batch.rows)
            self._make_rows(batch, decided, now)
            if len(batch.rows) > before:
                batch.decided.append((decided.acc, decided.event, decided.backend))
            else:
                self._dispatcher.record(decided.acc, decided.event, decided.backend, "duplicate")

    def _make_rows(self, batch: Batch, decided: Decided, now: float) -> None:
        backend, acc, event = decided.backend, decided.acc, decided.event
        again = comes_again(event)
        copies = again or (len(self._seen) > 0 and may_be_copy(event))
        message = message_key(event) if copies else None  # type: ignore[arg-type]  # `may_be_copy` holds for these two
        for delivery in decided.deliveries:
            row = new_row(backend, delivery, acc.id, now, self._max_age[backend])
            if message is not None and self._is_copy(message, again, backend, row.lane, batch):
                continue
            if delivery.dedupe is not None and self._is_copy(said_key(delivery.dedupe), True, backend, row.lane, batch):
                continue
            batch.rows.append(row)

    def _is_copy(self, message: bytes, remember: bool, backend: str, lane: str, batch: Batch) -> bool:
        key = delivery_key(message, backend, lane)
        if key in self._seen:
            return True
        if remember:
            self._seen.add(key, batch.keys_expire_at - self._seen.window)
            batch.keys.append(key)
        return False

    def _number(self, rows: Sequence[Row]) -> None:
        """Give ids, in order; a batch that is written again keeps them."""
        for row in rows:
            if row.id:
                continue
            if self._next_id >= self._last_id:
                self._next_id = self._store.reserve_ids(ID_BLOCK)
                self._last_id = self._next_id + ID_BLOCK
            row.id = self._next_id
            self._next_id += 1

    def _insert_one_by_one(self, batch: Batch) -> None:
        kept: list[Row] = []
        for row in batch.rows:
            try:
                with self._savepoint():
                    self._store.insert([row])
            except RowRefused as error:
                self._counters.add("rows_refused", row.backend)
                said = "a delivery of backend %s (%s) cannot be stored and is dropped: %s"
                log.error(said, row.backend, row.trace, error)  # noqa: TRY400 - the line says it all
            else:
                kept.append(row)
        batch.rows = kept

    def _write_registration(self, write: Enable | Disable | Removed, batch: Batch, now: float) -> None:
        try:
            with self._savepoint():
                self._apply(write, batch, now)
        except StorageError:
            if isinstance(write, Removed):
                raise
            batch.replies.append((write.reply, _STORAGE_TROUBLE))
        self._counters.add(f"registrations_{type(write).__name__.lower()}")

    def _apply(self, write: Enable | Disable | Removed, batch: Batch, now: float) -> None:
        match write:
            case Enable():
                limit = self._max_registrations
                stored = self._registrations.enable(write.user, write.service, write.node, write.options, now, limit)
                full = Refusal("wait", "resource-constraint", f"This account has {limit} registrations already.")
                batch.replies.append((write.reply, None if stored else full))
            case Disable():
                batch.gone += self._registrations.disable(write.user, write.service, write.node)
                batch.replies.append((write.reply, None))
            case Removed():
                if write.user is not None:
                    batch.gone += self._registrations.remove_user(write.user)
                else:
                    batch.gone += self._registrations.remove_host(write.host)


def _answer(reply: Reply, refusal: Refusal | None) -> None:
    try:
        reply(refusal)
    except Exception:
        log.exception("an answer to <enable/> or <disable/> could not be given")

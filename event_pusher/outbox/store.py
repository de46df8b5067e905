"""
The outbox in the database: the hot statements as driver SQL, a batch at a time.

What writes is called inside `Writer.transaction`. An id is never given twice, over restarts and after emptying: a
late answer to an old delivery must not settle a new one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from event_pusher.abc import Delivery
from event_pusher.intake import Position
from event_pusher.outbox import statements
from event_pusher.outbox.blocks import blocks, key, lane_checksum, searches
from event_pusher.outbox.history import News, appended
from event_pusher.outbox.row import Row
from event_pusher.writer import Writer

#: Most values in one statement.
CHUNK = 500
_KEY_BYTES = 16


class OutboxStore:
    """The core's hand on the outbox: on the writer's thread only. Raises `StorageError` where a read fails."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._next_id = 1  # no id below was left to give; only grows, whatever becomes of a transaction
        self._next_id_saved = True
        sql = writer.sql
        self._inserts = [
            (size, sql(statements.INSERT.format(", ".join([statements.ROW] * size)))) for size in statements.SIZES
        ]
        self._remove = statements.REMOVE[writer.engine.dialect.name]
        self._reschedule, self._bury = sql(statements.RESCHEDULE), sql(statements.BURY)
        self._save_position, self._remember, self._forget = (
            sql(statements.SAVE_POSITION),
            sql(statements.REMEMBER),
            sql(statements.FORGET),
        )
        self._forget_dead = sql(statements.FORGET_DEAD)
        self._reserve, self._save_next_id = sql(statements.RESERVE), sql(statements.SAVE_NEXT_ID)
        self._load_after = sql(statements.LOAD_AFTER)
        self._load_due, self._next_due, self._load_target = (
            sql(statements.LOAD_DUE),
            sql(statements.NEXT_DUE),
            sql(statements.LOAD_TARGET),
        )

    def reserve_ids(self, count: int) -> int:
        """
        Give the first of `count` ids in a row, in the running transaction or in one of its own.

        They stay given when the running transaction fails: whoever has them may use them in the next one.
        """
        if self._writer.in_transaction:
            return self._take_ids(count)
        with self._writer.transaction():
            return self._take_ids(count)

    def insert(self, rows: Sequence[Row]) -> None:
        """Keep new deliveries, with ids from `reserve_ids`."""
        if not rows:
            return
        self._save_ids()
        start = 0
        for size, statement in self._inserts:
            while len(rows) - start >= size:
                values = tuple(value for row in rows[start : start + size] for value in _values(row))
                self._writer.run(statement, values)
                start += size

    def remove(self, ids: Sequence[int]) -> None:
        """Take out what was delivered or discarded; an id that is not there is no error."""
        if ids:
            many: Any = json.dumps(ids) if self._writer.is_sqlite else list(ids)
            self._writer.run(self._remove, (many,))

    def reschedule(self, rows: Sequence[Row], reasons: Sequence[str], news: News | None = None) -> None:
        """Store attempts, due time and `overtaken` of waiting `rows`, why each did not succeed, and its `news`."""
        histories = self._histories(rows, news or {})
        values = [
            (row.attempts, row.due_at, row.overtaken, reason, histories.get(row.id), row.id)
            for row, reason in zip(rows, reasons, strict=True)
        ]
        if values:
            self._writer.connection.exec_driver_sql(self._reschedule, values)

    def bury(self, rows: Sequence[Row], reasons: Sequence[str], now: float, news: News | None = None) -> None:
        """Make `rows` dead letters, each with its reason and its `news`."""
        histories = self._histories(rows, news or {})
        values = [
            (row.attempts, row.overtaken, reason, now, histories.get(row.id), row.id)
            for row, reason in zip(rows, reasons, strict=True)
        ]
        if values:
            self._writer.connection.exec_driver_sql(self._bury, values)

    def _histories(self, rows: Sequence[Row], news: News) -> dict[int, str | None]:
        """What the histories of `rows` become; they are read here, not kept in memory."""
        found: dict[int, str | None] = {}
        for start in range(0, len(rows), CHUNK):
            ids = [row.id for row in rows[start : start + CHUNK]]
            select = self._writer.sql(statements.HISTORIES.format(", ".join("?" * len(ids))))
            found.update(tuple(one) for one in self._writer.connection.exec_driver_sql(select, tuple(ids)))
        return {id_: appended(history, news.get(id_, ())) for id_, history in found.items()}

    def discard_for_registrations(self, registration_ids: Sequence[int]) -> list[int]:
        """Take out what waits for these registrations; give the ids that went."""
        connection, sql = self._writer.connection, self._writer.sql
        found = blocks(connection, 0) if registration_ids else []
        gone: list[int] = []
        for registration in registration_ids:
            for condition, keys in searches(found, registration):
                statement = sql(statements.DISCARD.format(condition))
                gone.extend(connection.exec_driver_sql(statement, (*keys, registration)).scalars())
        return gone

    def save_positions(self, positions: Sequence[tuple[str, str, Position]]) -> None:
        """Store how far each feed came: (source, host, position)."""
        for source, host, position in positions:
            self._writer.run(self._save_position, (source, host, *position))

    def remember(self, keys: Sequence[bytes], expires_at: float) -> None:
        """Store dedupe keys of 16 bytes each, to be known until `expires_at`."""
        if any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError(f"a dedupe key has {_KEY_BYTES} bytes")
        if keys:
            self._writer.run(self._remember, (expires_at, b"".join(keys)))

    def forget_dead(self, before: float) -> int:
        """Drop dead letters that failed before then, at most `CHUNK` in one go; give their number."""
        return self._writer.connection.exec_driver_sql(self._forget_dead, (before, CHUNK)).rowcount

    def forget_expired(self, now: float) -> int:
        """Drop what was remembered until `now`; give the number of commits whose keys went."""
        return self._writer.connection.exec_driver_sql(self._forget, (now,)).rowcount

    def load_positions(self) -> list[tuple[str, str, Position]]:
        """Read how far each feed came: (source, host, position)."""
        with self._writer.reading() as connection:
            found = connection.exec_driver_sql("SELECT source, host, feed, epoch, n FROM event_pusher_feeds")
            return [(source, host, Position(feed, epoch, n)) for source, host, feed, epoch, n in found]

    def load_seen(self, now: float) -> dict[bytes, float]:
        """Read the dedupe keys that still count, each with its end."""
        select = self._writer.sql(
            "SELECT expires_at, keys FROM event_pusher_seen WHERE expires_at > ? ORDER BY expires_at"
        )
        known: dict[bytes, float] = {}
        with self._writer.reading() as connection:
            for expires_at, keys in connection.exec_driver_sql(select, (now,)):
                for start in range(0, len(keys), _KEY_BYTES):
                    known[bytes(keys[start : start + _KEY_BYTES])] = expires_at
        return known

    def load_after(self, after_id: int, limit: int) -> list[Row]:
        """Read the first `limit` waiting rows whose id is above `after_id`, by id."""
        return self._load(self._load_after, (after_id, limit))

    def load_lane(self, backend: str, lane: str, after_id: int, limit: int) -> list[Row]:
        """Read the first `limit` waiting rows of one lane whose id is above `after_id`, by id."""
        with self._writer.reading() as connection:
            found = blocks(connection, after_id)
        rows: list[Row] = []
        for condition, keys in searches(found, lane_checksum(backend, lane)):
            values = (*keys, after_id, lane, backend, limit - len(rows))
            rows += self._load(self._writer.sql(statements.LOAD + statements.LOAD_LANE.format(condition)), values)
            if len(rows) >= limit:
                break
        return rows

    def load_due(self, backend: str, now: float, after: tuple[float, int], cursor: int, limit: int) -> list[Row]:
        """Read waiting rows up to the id `cursor` whose retry is due, by (due time, id) from `after` on."""
        return self._load(self._load_due, (now, after[0], *after, cursor, backend, limit))

    def next_due(self, backend: str, now: float, cursor: int) -> float | None:
        """When the next retry behind `now` is due, of the rows up to `cursor`; None without any."""
        with self._writer.reading():
            found: float | None = self._writer.run(self._next_due, (now, cursor, backend)).fetchall()[0][0]
        return found

    def load_target(self, backend: str, target: str, span: tuple[int, int], now: float, limit: int) -> list[Row]:
        """Read waiting rows for `target` ("" = any) that may go now, with ids above `span`'s first up to its second."""
        return self._load(self._load_target, (*span, target, target, backend, now, limit))

    def load_ids(self, ids: Sequence[int]) -> list[Row]:
        """Read those of the rows `ids` (at most `CHUNK`) that wait, by id."""
        if not ids:
            return []
        return self._load(self._writer.sql(statements.LOAD_IDS.format(", ".join("?" * len(ids)))), tuple(ids))

    def highest_id(self) -> int:
        """The highest id of a waiting row, 0 without any."""
        select = "SELECT id FROM event_pusher_deliveries WHERE state = 'waiting' ORDER BY id DESC LIMIT 1"
        with self._writer.reading() as connection:
            return int(connection.exec_driver_sql(select).scalar() or 0)

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the rows of each (backend, state); reads the whole table."""
        select = "SELECT backend, state, count(*) FROM event_pusher_deliveries GROUP BY backend, state"
        with self._writer.reading() as connection:
            return {(backend, state): number for backend, state, number in connection.exec_driver_sql(select)}

    def _load(self, select: str, values: tuple[Any, ...]) -> list[Row]:
        with self._writer.reading():
            return [read_row(found) for found in self._writer.run(select, values)]

    def _take_ids(self, count: int) -> int:
        values = (count, self._next_id, self._next_id)
        found: int = self._writer.connection.exec_driver_sql(self._reserve, values).scalar_one()
        self._next_id, self._next_id_saved = found, True
        self._writer.on_rollback(self._ids_unsaved)
        return found - count

    def _save_ids(self) -> None:
        """A reservation that was rolled back is made good before one of its ids is used."""
        if not self._next_id_saved:
            self._writer.connection.exec_driver_sql(self._save_next_id, (self._next_id, self._next_id))
            self._next_id_saved = True
            self._writer.on_rollback(self._ids_unsaved)

    def _ids_unsaved(self) -> None:
        self._next_id_saved = False


def read_row(found: Any) -> Row:
    """Make a row of what the database gave in the order of `ROW_COLUMNS`."""
    (
        id_,
        backend,
        lane,
        trace,
        accepted_at,
        expires_at,
        attempts,
        due_at,
        overtaken,
        recipient,
        target,
        payload,
        format_,
        registration,
        collapse_key,
    ) = found
    ttl = None if expires_at is None else expires_at - accepted_at
    delivery = Delivery(recipient, target, payload, format_, lane, registration, None, collapse_key, ttl)
    return Row(
        id_, backend, lane, delivery, trace, accepted_at, expires_at, attempts, due_at, overtaken=bool(overtaken)
    )


def _values(row: Row) -> tuple[Any, ...]:
    delivery = row.delivery
    return (
        row.id,
        row.backend,
        row.lane,
        key(row.id, lane_checksum(row.backend, row.lane)),
        row.trace,
        row.accepted_at,
        row.expires_at,
        row.attempts,
        row.due_at,
        row.overtaken,
        delivery.recipient,
        delivery.target,
        delivery.payload,
        delivery.format,
        delivery.registration,
        None if delivery.registration is None else key(row.id, delivery.registration),
        delivery.collapse_key,
    )

"""
Waiting deliveries and dead letters for people: list, show, retry, discard.

Bulk work goes in chunks, each a short transaction: one large UPDATE kept the running process from committing for
seconds. The running process calls `retry_chunk` and `discard_chunk` itself, in its own transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, false, func, select, true, update

from event_pusher.outbox.store import CHUNK
from event_pusher.schema import deliveries
from event_pusher.writer import Writer

_PAYLOAD_FREE = [column for column in deliveries.c if column.name not in {"payload", "lane_key", "registration_key"}]


@dataclass(frozen=True, slots=True)
class Filters:
    """
    Which deliveries: all that match every field given.

    `state` "waiting", "dead", or "orphaned": nobody reads it (`readable`: the formats of each enabled backend).
    Accepted at `since` or later, before `until` (UTC seconds).
    """

    state: str | None = None
    backend: str | None = None
    user: str | None = None
    target: str | None = None
    since: float | None = None
    until: float | None = None
    ids: Sequence[int] | None = None
    trace: str | None = None
    readable: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def where(self) -> ColumnElement[bool]:
        """The condition in SQL."""
        table = deliveries.c
        found: ColumnElement[bool] = true()
        for column, value in (
            (table.state, None if self.state == "orphaned" else self.state),
            (table.backend, self.backend),
            (table.recipient, self.user),
            (table.target, self.target),
            (table.trace, self.trace),
        ):
            if value is not None:
                found &= column == value
        if self.since is not None:
            found &= table.accepted_at >= self.since
        if self.until is not None:
            found &= table.accepted_at < self.until
        if self.ids is not None:
            found &= table.id.in_(self.ids[:CHUNK])
        return found & ~self._read() if self.state == "orphaned" else found

    def _read(self) -> ColumnElement[bool]:
        """Whether an enabled backend reads the row."""
        table = deliveries.c
        found: ColumnElement[bool] = false()
        for backend, formats in self.readable.items():
            found |= (table.backend == backend) & table.format.in_(sorted(formats))
        return found


What = Filters | Sequence[int]


class OutboxAdmin:
    """Over any connection: a reader's for `list_`, `show`, `count`; the writer's, in a transaction, for the rest."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_(self, filters: Filters, limit: int = CHUNK, after: int = 0) -> list[dict[str, Any]]:
        """List deliveries by id above `after`: the table's columns without the payload."""
        statement = select(*_PAYLOAD_FREE).where(filters.where(), deliveries.c.id > after)
        found = self._connection.execute(statement.order_by(deliveries.c.id).limit(limit))
        return [dict(row) for row in found.mappings()]

    def show(self, id_: int) -> dict[str, Any] | None:
        """Give every column of one delivery, payload (bytes) included; None when there is none."""
        found = self._connection.execute(select(deliveries).where(deliveries.c.id == id_)).mappings().first()
        return None if found is None else dict(found)

    def count(self, filters: Filters) -> int:
        """Count what matches."""
        statement = select(func.count()).select_from(deliveries).where(filters.where())
        return int(self._connection.execute(statement).scalar_one())

    def retry_chunk(self, what: What, now: float, limit: int = CHUNK) -> list[int]:
        """
        Let up to `limit` dead letters wait again; give their ids, [] when none is left.

        An id stays, so the key at the destination stays. Attempts begin anew, and so does what is left of its
        time. It is `overtaken`: what came later went ahead while it was dead.
        """
        ids = self._pick(what, deliveries.c.state == "dead", limit)
        values = {
            "state": "waiting",
            "attempts": 0,
            "due_at": 0.0,
            "overtaken": True,
            "failed_at": None,
            "expires_at": now + deliveries.c.expires_at - deliveries.c.accepted_at,
        }
        if ids:
            self._connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(values))
        return ids

    def discard_chunk(self, what: What, limit: int = CHUNK) -> list[int]:
        """Take up to `limit` deliveries out for good; give their ids, [] when none is left."""
        ids = self._pick(what, true(), limit)
        if ids:
            self._connection.execute(delete(deliveries).where(deliveries.c.id.in_(ids)))
        return ids

    def _pick(self, what: What, also: ColumnElement[bool], limit: int) -> list[int]:
        chosen = what.where() if isinstance(what, Filters) else deliveries.c.id.in_(what[:limit])
        statement = select(deliveries.c.id).where(chosen, also).order_by(deliveries.c.id).limit(limit)
        return list(self._connection.execute(statement).scalars())


def retry(writer: Writer, what: What, now: float) -> int:
    """Let dead letters wait again, chunk by chunk, where no process runs; give their number."""
    return _in_chunks(writer, what, lambda admin, part: admin.retry_chunk(part, now))


def discard(writer: Writer, what: What) -> int:
    """Take deliveries out for good, chunk by chunk, where no process runs; give their number."""
    return _in_chunks(writer, what, lambda admin, part: admin.discard_chunk(part))


def _in_chunks(writer: Writer, what: What, work: Callable[[OutboxAdmin, What], list[int]]) -> int:
    if not isinstance(what, Filters):
        return sum(_chunk(writer, what[start : start + CHUNK], work) for start in range(0, len(what), CHUNK))
    total = 0
    while done := _chunk(writer, what, work):
        total += done
    return total


def _chunk(writer: Writer, what: What, work: Callable[[OutboxAdmin, What], list[int]]) -> int:
    with writer.transaction() as connection:
        return len(work(OutboxAdmin(connection), what))

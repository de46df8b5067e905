"""
Who enabled push notifications where: in the database. (In memory: `event_pusher.memory_registrations`.)

What writes is called inside `Writer.transaction`; everything runs on the core's thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

from event_pusher.memory_registrations import MemoryRegistrations
from event_pusher.registration import PublishOptions, Registration
from event_pusher.registration_store import CHUNK, Record, RegistrationStore
from event_pusher.writer import Writer

__all__ = ["CHUNK", "MemoryRegistrations", "RdbmsRegistrations", "Record", "RegistrationStore"]

_COLUMNS = "id, user_jid, service, node, options"
_ENABLED = (
    f"SELECT {_COLUMNS} FROM event_pusher_registrations"  # noqa: S608 - a constant
    " WHERE disabled_at IS NULL AND paused_at IS NULL AND user_jid"
)
_FOR_USERS = {
    # One text for every number of users, so that each database prepares it once.
    "sqlite": f"{_ENABLED} IN (SELECT value FROM json_each(?)) ORDER BY id",  # noqa: S608 - a constant
    "postgresql": f"{_ENABLED} = ANY(%s) ORDER BY id",
}
# The count and the upsert are one statement: no other writer comes between.
_ENABLE = (
    "INSERT INTO event_pusher_registrations"
    " (identity, user_jid, host, service, node, options, created_at, updated_at)"
    " SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM event_pusher_registrations"
    " WHERE user_jid = ? AND disabled_at IS NULL AND identity <> ?) < ?"
    " ON CONFLICT (identity) DO UPDATE SET options = excluded.options, updated_at = excluded.updated_at,"
    " disabled_at = NULL, disabled_reason = NULL RETURNING id"
)
_DELETE = "DELETE FROM event_pusher_registrations WHERE"
_MARK = (
    "UPDATE event_pusher_registrations SET disabled_at = ?, disabled_reason = ? WHERE disabled_at IS NULL AND id = ?"
)
_PAUSE = "UPDATE event_pusher_registrations SET paused_at = ?, paused_reason = ? WHERE id = ? RETURNING id"
_PUT = (
    "INSERT INTO event_pusher_registrations (identity, user_jid, host, service, node, options, created_at, updated_at,"
    " disabled_at, disabled_reason, paused_at, paused_reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (identity) DO UPDATE SET options = excluded.options, created_at = excluded.created_at,"
    " updated_at = excluded.updated_at, disabled_at = excluded.disabled_at,"
    " disabled_reason = excluded.disabled_reason, paused_at = excluded.paused_at,"
    " paused_reason = excluded.paused_reason"
)
_RECORDS = (
    f"SELECT {_COLUMNS}, created_at, updated_at, disabled_at, disabled_reason, paused_at, paused_reason"  # noqa: S608 - a constant
    " FROM event_pusher_registrations WHERE id > ?"
)


class RdbmsRegistrations(RegistrationStore):
    """In the database, over the core's writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._for_users = _FOR_USERS[writer.engine.dialect.name]
        self._enable = writer.sql(_ENABLE)
        self._mark = writer.sql(_MARK)

    def for_users(self, users: Sequence[str]) -> Mapping[str, Sequence[Registration]]:
        found: dict[str, list[Registration]] = {}
        wanted: Any = json.dumps(users) if self._writer.is_sqlite else list(users)
        with self._writer.reading():
            rows = self._writer.run(self._for_users, (wanted,)).fetchall()
        for id_, user, service, node, options in rows:
            found.setdefault(user, []).append(Registration(id_, user, service, node, _read_options(options)))
        return found

    def enable(
        self, user: str, service: str, node: str, options: PublishOptions, now: float, limit: int
    ) -> Registration | None:
        identity, text = _identity(user, service, node), _write_options(options)
        row = (identity, user, _host(user), service, node, text, now, now, user, identity, limit)
        id_ = self._writer.connection.exec_driver_sql(self._enable, row).scalar()
        return None if id_ is None else Registration(id_, user, service, node, options)

    def disable(self, user: str, service: str, node: str | None) -> list[int]:
        if node is None:
            return self._delete("user_jid = ? AND service = ?", user, service)
        return self._delete("identity = ?", _identity(user, service, node))

    def remove_user(self, user: str) -> list[int]:
        return self._delete("user_jid = ?", user)

    def remove_host(self, host: str) -> list[int]:
        return self._delete("host = ?", host)

    def mark_disabled(self, ids: Sequence[int], reason: str, now: float) -> None:
        if ids:
            self._writer.connection.exec_driver_sql(self._mark, [(now, reason, id_) for id_ in ids])

    def list_(
        self,
        *,
        user: str | None = None,
        host: str | None = None,
        service: str | None = None,
        enabled: bool | None = None,
        after: int = 0,
        limit: int = CHUNK,
    ) -> list[Record]:
        given = {"user_jid": user, "host": host, "service": service}
        chosen = {name: value for name, value in given.items() if value is not None}
        where = "".join(f" AND {name} = ?" for name in chosen)
        if enabled is not None:
            where += f" AND disabled_at IS {'NULL' if enabled else 'NOT NULL'}"
        return self._records(f"{where} ORDER BY id LIMIT ?", (after, *chosen.values(), limit))

    def show(self, id_: int) -> Record | None:
        found = self._records(" AND id = ?", (0, id_))
        return found[0] if found else None

    def delete(self, ids: Sequence[int]) -> list[int]:
        return [gone for id_ in ids for gone in self._delete("id = ?", id_)]

    def pause(self, ids: Sequence[int], reason: str, now: float) -> list[int]:
        return self._set_pause(ids, now, reason)

    def resume(self, ids: Sequence[int]) -> list[int]:
        return self._set_pause(ids, None, None)

    def put(self, records: Sequence[Record]) -> None:
        rows = [_values(record) for record in records]
        if rows:
            self._writer.connection.exec_driver_sql(self._writer.sql(_PUT), rows)

    def find(self, user: str, service: str, node: str) -> Record | None:
        found = self._records(" AND identity = ?", (0, _identity(user, service, node)))
        return found[0] if found else None

    def _set_pause(self, ids: Sequence[int], at: float | None, reason: str | None) -> list[int]:
        statement, connection = self._writer.sql(_PAUSE), self._writer.connection
        return [id_ for one in ids for id_ in connection.exec_driver_sql(statement, (at, reason, one)).scalars()]

    def _delete(self, where: str, *values: object) -> list[int]:
        statement = self._writer.sql(f"{_DELETE} {where} RETURNING id")
        return list(self._writer.connection.exec_driver_sql(statement, values).scalars())

    def _records(self, where: str, values: tuple[Any, ...]) -> list[Record]:
        with self._writer.reading() as connection:
            rows = connection.exec_driver_sql(self._writer.sql(_RECORDS + where), values).fetchall()
        return [
            Record(Registration(id_, user, service, node, _read_options(options)), *times)
            for id_, user, service, node, options, *times in rows
        ]


def _identity(user: str, service: str, node: str) -> bytes:
    return sha256(f"{user}\0{service}\0{node}".encode()).digest()


def _host(user: str) -> str:
    return user.rpartition("@")[2]


def _values(record: Record) -> tuple[Any, ...]:
    one = record.registration
    return (
        _identity(one.user, one.service, one.node),
        one.user,
        _host(one.user),
        one.service,
        one.node,
        _write_options(one.options),
        record.created_at,
        record.updated_at,
        record.disabled_at,
        record.disabled_reason,
        record.paused_at,
        record.paused_reason,
    )


def _write_options(options: PublishOptions) -> str:
    return json.dumps(options, ensure_ascii=False)


@lru_cache(maxsize=4096)
def _read_options(text: str) -> PublishOptions:
    return tuple((name, value) for name, value in json.loads(text))

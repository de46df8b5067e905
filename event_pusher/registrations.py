"""
Who enabled push notifications where: in the database, or in memory (``backend = "memory"``).

What writes is called inside `Writer.transaction`; everything runs on the core's thread.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import Any

from event_pusher.database import Writer
from event_pusher.registration import PublishOptions, Registration

#: Most records in one listing.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Record:
    """A registration with its history, for people. Times are UTC seconds; `disabled_at` None = enabled."""

    registration: Registration
    created_at: float
    updated_at: float
    disabled_at: float | None = None
    disabled_reason: str | None = None


class RegistrationStore(ABC):
    """Reads as `event_pusher.abc.Registrations`, writes for `<enable/>`, `<disable/>`, removals and strikes."""

    @abstractmethod
    def for_users(self, users: Sequence[str]) -> Mapping[str, Sequence[Registration]]:
        """The enabled registrations of each of `users` (bare JIDs), oldest first; without any, no key."""

    @abstractmethod
    def enable(
        self, user: str, service: str, node: str, options: PublishOptions, now: float, limit: int
    ) -> Registration | None:
        """
        Store or renew a registration: options are replaced, a disabled one is revived.

        None, and nothing stored, when `user` has `limit` others enabled.
        """

    @abstractmethod
    def disable(self, user: str, service: str, node: str | None) -> list[int]:
        """Delete what the user takes back, disabled ones too; None = every node. Gives the ids."""

    @abstractmethod
    def remove_user(self, user: str) -> list[int]:
        """Delete all of a removed account; gives the ids."""

    @abstractmethod
    def remove_host(self, host: str) -> list[int]:
        """Delete all accounts' of a removed domain; gives the ids."""

    @abstractmethod
    def mark_disabled(self, ids: Sequence[int], reason: str, now: float) -> None:
        """Disable what the push service refused for good; it stays visible, and an `enable` revives it."""

    @abstractmethod
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
        """List by id above `after`, all that match every argument given."""

    @abstractmethod
    def show(self, id_: int) -> Record | None:
        """One registration, enabled or not; None when there is none."""

    @abstractmethod
    def delete(self, ids: Sequence[int]) -> list[int]:
        """Delete for good; gives the ids that were there."""


_COLUMNS = "id, user_jid, service, node, options"
_ENABLED = f"SELECT {_COLUMNS} FROM event_pusher_registrations WHERE disabled_at IS NULL AND user_jid"  # noqa: S608 - a constant
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
_RECORDS = (
    f"SELECT {_COLUMNS}, created_at, updated_at, disabled_at, disabled_reason"  # noqa: S608 - a constant
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
        with self._writer.reading() as connection:
            rows = connection.exec_driver_sql(self._for_users, (wanted,)).fetchall()
        for id_, user, service, node, options in rows:
            found.setdefault(user, []).append(Registration(id_, user, service, node, _read_options(options)))
        return found

    def enable(
        self, user: str, service: str, node: str, options: PublishOptions, now: float, limit: int
    ) -> Registration | None:
        identity, text = _identity(user, service, node), json.dumps(options, ensure_ascii=False)
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


class MemoryRegistrations(RegistrationStore):
    """
    In dicts: gone with the process. A transaction that fails does not undo what was done here.

    Ids start at the microseconds of the clock: those of an earlier process, which the outbox may still name, do
    not come again.
    """

    def __init__(self) -> None:
        self._ids = count(time.time_ns() // 1000)
        self._by_id: dict[int, Record] = {}
        self._by_user: dict[str, dict[tuple[str, str], int]] = {}

    def for_users(self, users: Sequence[str]) -> Mapping[str, Sequence[Registration]]:
        found: dict[str, Sequence[Registration]] = {}
        for user in users:
            if enabled := [record.registration for record in self._of(user) if record.disabled_at is None]:
                found[user] = enabled
        return found

    def enable(
        self, user: str, service: str, node: str, options: PublishOptions, now: float, limit: int
    ) -> Registration | None:
        pair = (service, node)
        others = [r for r in self._of(user) if r.disabled_at is None and _pair(r) != pair]
        if len(others) >= limit:
            return None
        mine = self._by_user.setdefault(user, {})
        id_ = mine.get(pair) or next(self._ids)
        mine[pair] = id_
        created_at = self._by_id[id_].created_at if id_ in self._by_id else now
        registration = Registration(id_, user, service, node, options)
        self._by_id[id_] = Record(registration, created_at, now)
        return registration

    def disable(self, user: str, service: str, node: str | None) -> list[int]:
        mine = [r.registration for r in self._of(user)]
        return self.delete([r.id for r in mine if r.service == service and node in {None, r.node}])

    def remove_user(self, user: str) -> list[int]:
        return self.delete(list(self._by_user.get(user, {}).values()))

    def remove_host(self, host: str) -> list[int]:
        return [id_ for user in list(self._by_user) if _host(user) == host for id_ in self.remove_user(user)]

    def mark_disabled(self, ids: Sequence[int], reason: str, now: float) -> None:
        for id_ in ids:
            record = self._by_id.get(id_)
            if record is not None and record.disabled_at is None:
                self._by_id[id_] = replace(record, disabled_at=now, disabled_reason=reason)

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
        found = [
            record
            for id_, record in sorted(self._by_id.items())
            if id_ > after
            and user in {None, record.registration.user}
            and host in {None, _host(record.registration.user)}
            and service in {None, record.registration.service}
            and enabled in {None, record.disabled_at is None}
        ]
        return found[:limit]

    def show(self, id_: int) -> Record | None:
        return self._by_id.get(id_)

    def delete(self, ids: Sequence[int]) -> list[int]:
        gone = [id_ for id_ in ids if id_ in self._by_id]
        for id_ in gone:
            record = self._by_id.pop(id_)
            mine = self._by_user[record.registration.user]
            del mine[_pair(record)]
            if not mine:
                del self._by_user[record.registration.user]
        return gone

    def _of(self, user: str) -> Iterable[Record]:
        return [self._by_id[id_] for id_ in sorted(self._by_user.get(user, {}).values())]


def _identity(user: str, service: str, node: str) -> bytes:
    return sha256(f"{user}\0{service}\0{node}".encode()).digest()


def _pair(record: Record) -> tuple[str, str]:
    return record.registration.service, record.registration.node


def _host(user: str) -> str:
    return user.rpartition("@")[2]


@lru_cache(maxsize=4096)
def _read_options(text: str) -> PublishOptions:
    return tuple((name, value) for name, value in json.loads(text))

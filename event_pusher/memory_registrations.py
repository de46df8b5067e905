"""Registrations in dicts: ``backend = "memory"``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from event_pusher.registration import PublishOptions, Registration
from event_pusher.registration_store import CHUNK, Record, RegistrationStore


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
            mine = [one for one in self._of(user) if one.disabled_at is None and one.paused_at is None]
            if enabled := [record.registration for record in mine]:
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
        registration = Registration(id_, user, service, node, options)
        old = self._by_id.get(id_, Record(registration, now, now))
        self._by_id[id_] = replace(
            old, registration=registration, updated_at=now, disabled_at=None, disabled_reason=None
        )
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

    def pause(self, ids: Sequence[int], reason: str, now: float) -> list[int]:
        return self._change(ids, paused_at=now, paused_reason=reason)

    def resume(self, ids: Sequence[int]) -> list[int]:
        return self._change(ids, paused_at=None, paused_reason=None)

    def put(self, records: Sequence[Record]) -> None:
        for record in records:
            mine = self._by_user.setdefault(record.registration.user, {})
            id_ = mine.setdefault(_pair(record), next(self._ids))
            self._by_id[id_] = replace(record, registration=replace(record.registration, id=id_))

    def find(self, user: str, service: str, node: str) -> Record | None:
        id_ = self._by_user.get(user, {}).get((service, node))
        return None if id_ is None else self._by_id[id_]

    def _change(self, ids: Sequence[int], **changes: Any) -> list[int]:
        found = [id_ for id_ in ids if id_ in self._by_id]
        for id_ in found:
            self._by_id[id_] = replace(self._by_id[id_], **changes)
        return found

    def _of(self, user: str) -> Iterable[Record]:
        return [self._by_id[id_] for id_ in sorted(self._by_user.get(user, {}).values())]


def _pair(record: Record) -> tuple[str, str]:
    return record.registration.service, record.registration.node


def _host(user: str) -> str:
    return user.rpartition("@")[2]

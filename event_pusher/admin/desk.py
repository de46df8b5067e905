"""
What an operator may ask and order: one method a command, plain values in and out.

Values of publish options and payloads (they hold message texts) never leave here.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Engine, func, select

from event_pusher.admin.records import exported, imported, shown
from event_pusher.admin.story import Moment, Readable, by_delivery, of_outcomes, of_row, public
from event_pusher.database import reader
from event_pusher.errors import EventPusherError
from event_pusher.jid import bare
from event_pusher.journal import Decision, Settled
from event_pusher.outbox.admin import Filters, OutboxAdmin
from event_pusher.outbox.store import CHUNK
from event_pusher.registrations import RegistrationStore
from event_pusher.schema import deliveries

T = TypeVar("T")
#: An id has fewer.
_DIGITS = 19


class NotPossibleError(EventPusherError):
    """It cannot be done now; the text says why, and what can."""


class Desk(ABC):
    """Whom the command line asks."""

    COMMANDS: tuple[str, ...] = (
        *("status", "explain", "trace", "tail", "tail_end"),
        *("registrations_list", "registrations_show", "registrations_delete", "registrations_test"),
        *("registrations_pause", "registrations_resume", "registrations_export", "registrations_import"),
        *("deliveries_list", "deliveries_show", "deliveries_retry", "deliveries_discard"),
    )

    # --- what the two kinds differ in -------------------------------------------------------------------------

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """For reading, on any thread."""

    @property
    @abstractmethod
    def registrations(self) -> RegistrationStore:
        """To be used inside `read` only, or in transactions."""

    @abstractmethod
    def read(self, function: Callable[[], T]) -> T:
        """Run `function` where registrations may be read."""

    @abstractmethod
    def write(self, function: Callable[[RegistrationStore], T]) -> T:
        """Run `function` in a transaction where registrations may be written."""

    @abstractmethod
    def may_show_secrets(self) -> None:
        """Raise `NotPossibleError` where credentials could be read by somebody else."""

    @abstractmethod
    def moment(self, ids: Sequence[int]) -> Moment:
        """What is known now; of the deliveries `ids` also, which are under way."""

    @property
    @abstractmethod
    def readable(self) -> Readable:
        """The formats that each enabled backend still reads."""

    def remembered(self) -> tuple[Sequence[Decision], Sequence[Settled]]:
        """The last decisions and outcomes; none where no process runs."""
        return (), ()

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """What is happening."""

    @abstractmethod
    def explain(self, user: str) -> dict[str, Any]:
        """Why `user` gets pushes, or why not."""

    @abstractmethod
    def tail(self, follower: str, user: str | None = None, wait: float = 10.0) -> dict[str, Any]:
        """What was decided, and what came of it, since `follower` (any name of its own) asked last."""

    @abstractmethod
    def tail_end(self, follower: str) -> None:
        """`follower` has heard enough."""

    @abstractmethod
    def registrations_test(self, id: int, timeout: float = 10.0) -> dict[str, Any]:  # noqa: A002 - the word on the wire
        """Send a test notification to one registration, and tell what became of it within `timeout` seconds."""

    @abstractmethod
    def deliveries_retry(self, ids: Sequence[int]) -> list[int]:
        """Let at most `CHUNK` dead letters wait again; the ids that do."""

    @abstractmethod
    def deliveries_discard(self, ids: Sequence[int]) -> list[int]:
        """Take at most `CHUNK` deliveries out for good; the ids that were there."""

    @abstractmethod
    def registrations_delete(self, ids: Sequence[int]) -> list[int]:
        """Delete registrations, and what waits for them; the ids that were there."""

    # --- what they share --------------------------------------------------------------------------------------

    def call(self, name: str, **arguments: Any) -> Any:
        """Do the command `name`."""
        if name not in self.COMMANDS:
            raise NotPossibleError(f'there is no command "{name}"; this release is too old for it: restart it')
        return getattr(self, name)(**arguments)

    def registrations_list(
        self,
        user: str | None = None,
        host: str | None = None,
        service: str | None = None,
        after: int = 0,
        limit: int = CHUNK,
    ) -> list[dict[str, Any]]:
        """List registrations by id above `after`."""
        user = bare(user) if user else None
        records = self.read(
            lambda: self.registrations.list_(user=user, host=host, service=service, after=after, limit=limit)
        )
        return [shown(one) for one in records]

    def registrations_show(self, id: int) -> dict[str, Any] | None:  # noqa: A002 - as above
        """One registration; None without it."""
        record = self.read(lambda: self.registrations.show(id))
        return None if record is None else shown(record)

    def registrations_pause(self, ids: Sequence[int], reason: str = "") -> list[int]:
        """Select registrations for nothing new; what waits for them goes on. The ids that were there."""
        said = " ".join(str(reason).split())[:200] or "by the operator"
        return self.write(lambda store: store.pause(ids[:CHUNK], said, time.time()))

    def registrations_resume(self, ids: Sequence[int]) -> list[int]:
        """End the pause; the ids that were there."""
        return self.write(lambda store: store.resume(ids[:CHUNK]))

    def registrations_export(
        self, after: int = 0, limit: int = CHUNK, *, with_secrets: bool = False, **filters: Any
    ) -> list[dict[str, Any]]:
        """Write registrations by id above `after` so that `registrations_import` reads them."""
        if with_secrets:
            self.may_show_secrets()
        limit = min(limit, CHUNK)
        records = self.read(lambda: self.registrations.list_(after=after, limit=limit, **filters))
        return [exported(one, with_secrets=with_secrets) for one in records]

    def registrations_import(self, records: Sequence[Any]) -> dict[str, Any]:
        """Store at most `CHUNK` registrations over those that are there; which of them were refused, and why."""
        now, refused = time.time(), list[dict[str, Any]]()

        def store_all(store: RegistrationStore) -> int:
            refused.clear()
            good = []
            for number, told in enumerate(records[:CHUNK]):
                try:
                    good.append(imported(told, store, now))
                except ValueError as error:
                    refused.append({"number": number, "why": str(error)})
            store.put(good)
            return len(good)

        return {"stored": self.write(store_all), "refused": refused}

    def deliveries_list(self, after: int = 0, limit: int = CHUNK, **filters: Any) -> list[dict[str, Any]]:
        """List deliveries by id above `after`."""
        readable = self.readable
        with reader(self.engine) as connection:
            found = OutboxAdmin(connection).list_(filters_of(filters, readable), min(limit, CHUNK), after)
        return [public(one, readable) for one in found]

    def deliveries_show(self, id: int) -> dict[str, Any] | None:  # noqa: A002 - as above
        """One delivery with its attempts, with the size of its payload; None without it."""
        with reader(self.engine) as connection:
            found = OutboxAdmin(connection).show(id)
        if found is None:
            return None
        return of_row(found, self.moment([id])) | {"payload_bytes": len(found["payload"])}

    def trace(self, id: str) -> dict[str, Any]:  # noqa: A002 - as above
        """All that is known of one stanza: `id` is its trace, a delivery's id, or its key at the destination."""
        decisions, outcomes = self.remembered()
        told = by_delivery(outcomes)
        trace = self._trace_of(str(id).strip(), told)
        with reader(self.engine) as connection:
            rows = OutboxAdmin(connection).list_(Filters(trace=trace))
        moment = self.moment([row["id"] for row in rows])
        gone = {one[0].delivery: one for one in told.values() if one[0].trace == trace}
        for row in rows:
            gone.pop(row["id"], None)
        return {
            "asked": id,
            "trace": trace,
            "running": moment.glance is not None,
            "decisions": [one._asdict() for one in decisions if one.trace == trace],
            "deliveries": [of_row(row, moment) for row in rows] + [of_outcomes(one) for one in gone.values()],
        }

    def _trace_of(self, asked: str, told: Mapping[int, Sequence[Settled]]) -> str:
        """The trace that `asked` means."""
        head, _, tail = asked.rpartition("-")
        number = int(tail) if tail.isascii() and tail.isdigit() and len(tail) < _DIGITS else None
        if number is None:
            return asked
        with reader(self.engine) as connection:
            found = OutboxAdmin(connection).list_(Filters(ids=[number]))
        traces = {str(row["trace"]) for row in found} | {one.trace for one in told.get(number, ())}
        # A delivery's id alone, or its key: trace and id. Else it is a trace, which may end like one.
        return next((trace for trace in traces if head in ("", trace)), asked)

    def outbox(self) -> dict[str, dict[str, int]]:
        """Rows by backend and state; reads the whole table."""
        table = deliveries.c
        statement = select(table.backend, table.state, func.count()).group_by(table.backend, table.state)
        counted: dict[str, dict[str, int]] = {}
        with reader(self.engine) as connection:
            for backend, state, number in connection.execute(statement):
                counted.setdefault(backend, {})[state] = number
        return counted


def filters_of(told: Mapping[str, Any], readable: Readable) -> Filters:
    """Read the filters of a command."""
    values = {name: value for name, value in told.items() if value is not None}
    if "user" in values:
        values["user"] = bare(values["user"])
    return Filters(**values, readable=readable)

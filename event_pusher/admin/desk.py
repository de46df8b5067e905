"""
What an operator may ask and order: one method a command, plain values in and out.

Values of publish options and payloads (they hold message texts) never leave here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Engine, func, select

from event_pusher.database import reader
from event_pusher.errors import EventPusherError
from event_pusher.jid import bare
from event_pusher.outbox.admin import Filters, OutboxAdmin
from event_pusher.outbox.store import CHUNK
from event_pusher.registrations import Record, RegistrationStore
from event_pusher.schema import deliveries

T = TypeVar("T")


class NotPossibleError(EventPusherError):
    """It cannot be done now; the text says why, and what can."""


class Desk(ABC):
    """Whom the command line asks."""

    COMMANDS: tuple[str, ...] = (
        *("status", "explain", "registrations_list", "registrations_show", "registrations_delete"),
        *("registrations_test", "deliveries_list", "deliveries_show", "deliveries_retry", "deliveries_discard"),
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
    def status(self) -> dict[str, Any]:
        """What is happening."""

    @abstractmethod
    def explain(self, user: str) -> dict[str, Any]:
        """Why `user` gets pushes, or why not."""

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
        return [_record(one) for one in records]

    def registrations_show(self, id: int) -> dict[str, Any] | None:  # noqa: A002 - as above
        """One registration; None without it."""
        record = self.read(lambda: self.registrations.show(id))
        return None if record is None else _record(record)

    def deliveries_list(self, after: int = 0, limit: int = CHUNK, **filters: Any) -> list[dict[str, Any]]:
        """List deliveries by id above `after`."""
        with reader(self.engine) as connection:
            return OutboxAdmin(connection).list_(filters_of(filters), min(limit, CHUNK), after)

    def deliveries_show(self, id: int) -> dict[str, Any] | None:  # noqa: A002 - as above
        """One delivery, with the size of its payload; None without it."""
        with reader(self.engine) as connection:
            found = OutboxAdmin(connection).show(id)
        if found is not None:
            found.pop("lane_key", None)
            found["payload_bytes"] = len(found.pop("payload"))
        return found

    def outbox(self) -> dict[str, dict[str, int]]:
        """Rows by backend and state; reads the whole table."""
        table = deliveries.c
        statement = select(table.backend, table.state, func.count()).group_by(table.backend, table.state)
        counted: dict[str, dict[str, int]] = {}
        with reader(self.engine) as connection:
            for backend, state, number in connection.execute(statement):
                counted.setdefault(backend, {})[state] = number
        return counted


def filters_of(told: Mapping[str, Any]) -> Filters:
    """Read the filters of a command."""
    values = {name: value for name, value in told.items() if value is not None}
    if "user" in values:
        values["user"] = bare(values["user"])
    return Filters(**values)


def _record(record: Record) -> dict[str, Any]:
    one = record.registration
    return {
        "id": one.id,
        "user": one.user,
        "service": one.service,
        "node": one.node,
        "options": {name: "***" for name, _ in one.options},
        "enabled": record.disabled_at is None,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "disabled_at": record.disabled_at,
        "disabled_reason": record.disabled_reason,
    }

"""The desk where no process runs: the database alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine

from event_pusher import __version__
from event_pusher.admin.desk import Desk, NotPossibleError
from event_pusher.admin.explain import Known, verdict
from event_pusher.admin.overview import outbox
from event_pusher.admin.story import Moment, Readable, of_row
from event_pusher.assembly import hold_lease
from event_pusher.clock import SystemClock
from event_pusher.database import open_engine, reader
from event_pusher.jid import bare
from event_pusher.migrate import require_current
from event_pusher.outbox.admin import Filters, OutboxAdmin, discard, retry
from event_pusher.outbox.lease import Holder, describe
from event_pusher.outbox.store import OutboxStore
from event_pusher.registrations import RdbmsRegistrations, RegistrationStore
from event_pusher.settings import Settings
from event_pusher.writer import Writer

T = TypeVar("T")
_START = "start `event-pusher run`"


class OfflineDesk(Desk):
    """Over the database of `settings`. Raises `StorageError` when it cannot be opened."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = open_engine(settings.database.url, settings.folder)
        require_current(self._engine)
        self._writer = Writer(self._engine)

    def close(self) -> None:
        """Let go of the database."""
        self._writer.close()
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def registrations(self) -> RegistrationStore:
        if any(getattr(one.settings, "backend", None) == "memory" for one in self._settings.backends):
            raise NotPossibleError(f'with backend = "memory" only a running process has registrations; {_START}')
        return RdbmsRegistrations(self._writer)

    @property
    def readable(self) -> Readable:
        return {one.name: one.cls.formats for one in self._settings.backends}

    def may_show_secrets(self) -> None:
        """Whoever reads the database reads them anyway."""

    def write(self, function: Callable[[RegistrationStore], T]) -> T:
        _ = self.registrations  # raises for those that are in memory
        with self._owning() as writer, writer.transaction():
            return function(RdbmsRegistrations(writer))

    def read(self, function: Callable[[], T]) -> T:
        return function()

    def holder(self) -> Holder:
        """Who owns the database."""
        with reader(self._engine) as connection:
            return describe(connection)

    @contextmanager
    def _owning(self) -> Iterator[Writer]:
        """Own the database meanwhile, so that no process starts in between."""
        writer, lease = hold_lease(self._engine, SystemClock())
        try:
            if not lease.acquire():
                raise NotPossibleError(f"{owner(self.holder())}; {elsewhere(self._settings)}")
            yield writer
        finally:
            lease.release()
            writer.close()

    # --- the commands -----------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        holder, rows = self.holder(), self.outbox()
        free = holder.free
        return {
            "running": False,
            "standby": False,
            "version": __version__,
            "config": str(self._settings.path),
            "database": self._engine.url.render_as_string(hide_password=True),
            "health": {"process": "not running" if free else owner(holder)},
            "lease": {"holder": None if free else holder.name, "pid": None if free else holder.pid, "remaining": None},
            "outbox": outbox(rows, self._settings.outbox.max_rows),
        }

    def explain(self, user: str) -> dict[str, Any]:
        user = bare(user)
        listed = self.registrations_list(user=user)
        hosts = [host for one in self._settings.sources for host in getattr(one.settings, "hosts", ())]
        return {
            "user": user,
            "verdict": verdict(Known(user=user, hosts=hosts, registrations=listed)),
            "online": None,
            "sessions": [],
            "registrations": listed,
            "decisions": [],
            "deliveries": self._stories(user),
        }

    def _stories(self, user: str) -> list[dict[str, Any]]:
        with reader(self._engine) as connection:
            rows = OutboxAdmin(connection).list_(Filters(user=user), 20)
        moment = self.moment([])
        return [of_row(row, moment) for row in rows]

    def moment(self, ids: Sequence[int]) -> Moment:
        return Moment(SystemClock.now(), self.readable, self._settings.outbox.dead_retention)

    def tail(self, follower: str, user: str | None = None, wait: float = 10.0) -> dict[str, Any]:
        raise NotPossibleError(f"there is nothing to follow: no process runs; {_START}")

    def tail_end(self, follower: str) -> None:
        """Nobody follows."""

    def registrations_test(self, id: int, timeout: float = 10.0) -> dict[str, Any]:  # noqa: A002 - as in `Desk`
        raise NotPossibleError(f"a test notification goes through the running process; {_START} first")

    def registrations_delete(self, ids: Sequence[int]) -> list[int]:
        _ = self.registrations  # as above
        with self._owning() as writer, writer.transaction():
            gone = RdbmsRegistrations(writer).delete(ids)
            OutboxStore(writer).discard_for_registrations(gone)
            return gone

    def deliveries_retry(self, ids: Sequence[int]) -> list[int]:
        with self._owning() as writer:
            retry(writer, ids, SystemClock.now())
        return self._left(ids, "waiting")

    def deliveries_discard(self, ids: Sequence[int]) -> list[int]:
        before = self._left(ids)
        with self._owning() as writer:
            discard(writer, ids)
        return before

    def _left(self, ids: Sequence[int], state: str | None = None) -> list[int]:
        found = [self.deliveries_show(id_) for id_ in ids]
        return [one["id"] for one in found if one is not None and state in {None, one["state"]}]


def owner(holder: Holder) -> str:
    """Say who owns the database."""
    return f"the process {holder.pid} on {holder.name} owns the database"


def elsewhere(settings: Settings) -> str:
    """Say what to do about an owner that nobody listens for."""
    listen = settings.admin.listen or '"" (off)'
    return f"it does not listen at {listen}: give the command where it runs, or stop it"

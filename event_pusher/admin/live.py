"""The desk of the running process: reads beside the core, orders through it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as CoreTimeoutError
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Engine, select

from event_pusher import __version__
from event_pusher.abc import Registration
from event_pusher.admin.desk import Desk, NotPossibleError
from event_pusher.admin.explain import Known, verdict
from event_pusher.admin.http import UNIX
from event_pusher.admin.overview import Glance, Rows, inside, look
from event_pusher.admin.story import Moment, Readable, of_row
from event_pusher.app import App
from event_pusher.assembly import Assembly
from event_pusher.core import Core
from event_pusher.database import reader
from event_pusher.errors import StorageError
from event_pusher.jid import bare
from event_pusher.journal import FOLLOWERS, Decision, Settled
from event_pusher.outbox.admin import Filters, OutboxAdmin
from event_pusher.outbox.lease import Holder, describe
from event_pusher.outbox.store import CHUNK
from event_pusher.registrations import RegistrationStore
from event_pusher.schema import deliveries

T = TypeVar("T")

#: The core answers between two turns; a turn takes as long as its commit.
CORE_SECONDS = 10.0
#: … and so long is waited where an answer without it is better than none.
GLANCE_SECONDS = 2.0
#: Decisions in an answer of `explain`.
DECISIONS = 20
#: A follower waits so long for one answer at most.
TAIL_SECONDS = 20.0
_LOOK_SECONDS = 0.05


class LiveDesk(Desk):
    """Over `app`, which may not be started yet."""

    def __init__(self, app: App) -> None:
        self.app = app

    @property
    def built(self) -> Assembly:
        """What runs. Raises `NotPossibleError` in stand-by."""
        if self.app.assembly is None:
            raise NotPossibleError("this process is in stand-by; ask the one that owns the database")
        return self.app.assembly

    @property
    def core(self) -> Core:
        """The one owner."""
        return self.built.core

    @property
    def engine(self) -> Engine:
        return self.built.engine

    @property
    def registrations(self) -> RegistrationStore:
        return self.built.registrations

    @property
    def readable(self) -> Readable:
        return {name: backend.formats for name, backend in self.built.backends.items()}

    def may_show_secrets(self) -> None:
        listen = self.app.settings.admin.listen
        if listen and not listen.startswith(UNIX):
            raise NotPossibleError(
                f"every program of this machine can ask at {listen}, so it tells no secrets; set a unix socket"
            )

    def write(self, function: Callable[[RegistrationStore], T]) -> T:
        built = self.built

        def inside_transaction() -> T:
            with built.writer.transaction():
                return function(built.registrations)

        return self.on_core(inside_transaction)

    def read(self, function: Callable[[], T]) -> T:
        return self.on_core(function)

    def on_core(self, function: Callable[[], T], timeout: float = CORE_SECONDS) -> T:
        """Run `function` on the core's thread. Raises `NotPossibleError` when it has no time."""
        future = self.core.call(function)
        try:
            return future.result(timeout)
        except CoreTimeoutError:
            future.cancel()
            raise NotPossibleError(
                f"the core did not answer within {timeout:g} s; look at the log of the running process"
            ) from None

    # --- what is happening ------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "running": True,
            "standby": self.app.assembly is None,
            "version": __version__,
            "pid": os.getpid(),
            "config": str(self.app.settings.path),
            "started_at": self.app.started_at or None,
            "health": self.app.health(),
        }
        if self.app.assembly is not None:
            told |= self._inside(self.app.assembly, told["health"])
        return told

    def _inside(self, built: Assembly, troubles: Mapping[str, str]) -> dict[str, Any]:
        holder: Holder | None = None
        rows: Rows | None = None
        with suppress(StorageError):  # it is away, as `health` says; what memory knows is told all the same
            with reader(built.engine) as connection:
                holder = describe(connection)
            rows = self.outbox()
        return inside(built, rows, self._glance(built), troubles, holder)

    def _glance(self, built: Assembly, ids: Sequence[int] = ()) -> Glance:
        """What only the core may look at; nothing when it has no time."""
        try:
            return self.on_core(lambda: look(built, ids), GLANCE_SECONDS)
        except NotPossibleError:
            return Glance()

    def moment(self, ids: Sequence[int]) -> Moment:
        built = self.built
        retention = built.settings.outbox.dead_retention
        return Moment(built.clock.now(), self.readable, retention, self._glance(built, ids), self.app.health())

    def remembered(self) -> tuple[Sequence[Decision], Sequence[Settled]]:
        journal = self.built.journal
        return journal.decisions.copy(), journal.outcomes.copy()

    def tail(self, follower: str, user: str | None = None, wait: float = 10.0) -> dict[str, Any]:
        one = self.built.journal.follower(follower, bare(user) if user else "")
        if one is None:
            raise NotPossibleError(f"{FOLLOWERS} follow already; end one of them")
        entries = one.take(min(wait, TAIL_SECONDS))
        dropped, one.dropped = one.dropped, 0
        return {"entries": [_told(entry) for entry in entries], "dropped": dropped}

    def tail_end(self, follower: str) -> None:
        self.built.journal.leave(follower)

    def explain(self, user: str) -> dict[str, Any]:
        user, built = bare(user), self.built
        listed = self.registrations_list(user=user)
        online, sessions = self.on_core(lambda: (built.sessions.is_online(user), built.sessions.of(user)))
        decisions = [one for one in built.dispatcher.decisions.copy() if one.user == user][-DECISIONS:]
        push = [one.settings for one in built.settings.backends if hasattr(one.settings, "only_users")]
        known = Known(
            user=user,
            hosts=[host for source in built.sources.values() for host in source.hosts],
            online=online,
            registrations=listed,
            troubles=self.app.health(),
            only_users=frozenset(name for one in push for name in getattr(one, "only_users", ())),
            dry_run=bool(push) and all(getattr(one, "dry_run", False) for one in push),
        )
        return {
            "user": user,
            "verdict": verdict(known),
            "online": online,
            "sessions": [
                {"resource": one.resource, "priority": one.priority, "hibernated": one.hibernated} for one in sessions
            ],
            "registrations": listed,
            "decisions": [one._asdict() for one in decisions],
            "deliveries": self._stories(user),
        }

    def _stories(self, user: str) -> list[dict[str, Any]]:
        with reader(self.engine) as connection:
            rows = OutboxAdmin(connection).list_(Filters(user=user), DECISIONS)
        moment = self.moment([row["id"] for row in rows])
        return [of_row(row, moment) for row in rows]

    # --- orders -----------------------------------------------------------------------------------------------

    def registrations_delete(self, ids: Sequence[int]) -> list[int]:
        built = self.built

        def delete() -> list[int]:
            built.core.flush()
            with built.writer.transaction():
                gone = built.registrations.delete(ids)
                discarded = built.parts.store.discard_for_registrations(gone)
            for publisher in built.parts.publishers.values():
                publisher.drop(frozenset(gone))
            built.core.withdraw(discarded, len(discarded))
            return gone

        return self.on_core(delete)

    def deliveries_retry(self, ids: Sequence[int]) -> list[int]:
        built = self.built

        def retry() -> list[int]:
            built.core.flush()
            with built.writer.transaction() as connection:
                again = OutboxAdmin(connection).retry_chunk(ids[:CHUNK], built.clock.now())
            built.core.readmit(again)
            return again

        return self.on_core(retry)

    def deliveries_discard(self, ids: Sequence[int]) -> list[int]:
        built, table = self.built, deliveries.c

        def discard() -> list[int]:
            built.core.flush()
            with built.writer.transaction() as connection:
                chosen = select(table.id).where(table.id.in_(ids[:CHUNK]), table.state == "waiting")
                waiting = len(connection.execute(chosen).all())
                gone = OutboxAdmin(connection).discard_chunk(ids[:CHUNK])
            built.core.withdraw(gone, waiting)
            return gone

        return self.on_core(discard)

    def registrations_test(self, id: int, timeout: float = 10.0) -> dict[str, Any]:  # noqa: A002 - as in `Desk`
        record = self.on_core(lambda: self.built.registrations.show(id))
        if record is None:
            raise NotPossibleError(f"there is no registration {id}; `event-pusher registrations list` lists them")
        if record.disabled_at is not None:
            raise NotPossibleError(
                f"registration {id} is disabled ({record.disabled_reason}); the client must enable push again"
            )
        began = time.monotonic()
        delivery = self.on_core(lambda: self._enqueue_test(record.registration))
        told = self._watch(delivery, id, timeout)
        return {"registration": id, "delivery": delivery, "seconds": round(time.monotonic() - began, 3), **told}

    def _enqueue_test(self, registration: Registration) -> int:
        built = self.built
        for name, backend in built.backends.items():
            delivery = backend.test_delivery(registration)
            if delivery is not None:
                return built.core.enqueue(name, delivery, f"test-{os.urandom(4).hex()}")
        raise NotPossibleError("no configured backend sends test notifications; configure [backends.push]")

    def _watch(self, delivery: int, registration: int, timeout: float) -> dict[str, Any]:
        """Look until the delivery is gone, dead or has failed once."""
        until = time.monotonic() + timeout
        while True:
            found = self.deliveries_show(delivery)
            if found is None:
                record = self.on_core(lambda: self.built.registrations.show(registration))
                disabled = record is None or record.disabled_at is not None
                reason = (record.disabled_reason if record else "it was deleted") if disabled else ""
                return {"outcome": "disabled" if disabled else "delivered", "reason": reason}
            if found["state"] == "dead" or found["attempts"]:
                return {"outcome": "dead" if found["state"] == "dead" else "retry", "reason": found["reason"]}
            if time.monotonic() > until:
                troubles = "; ".join(f"{part}: {text}" for part, text in self.app.health().items())
                return {"outcome": "waiting", "reason": troubles or f"no answer within {timeout:g} s"}
            time.sleep(_LOOK_SECONDS)


def _told(entry: Decision | Settled) -> dict[str, Any]:
    return {"what": "decision" if isinstance(entry, Decision) else "outcome", **entry._asdict()}

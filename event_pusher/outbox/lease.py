"""
One active process per database: a row that says who, until when, and a number that grows with each takeover.

The number fences: a process that was paused and wakes up finds another one, and commits nothing.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from event_pusher.abc import Clock
from event_pusher.errors import LeaseLost
from event_pusher.writer import Writer

#: Seconds from the last renewal until another process may take over.
LEASE_SECONDS = 15.0

_NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
}
_SELECT = "SELECT fence, holder, machine, pid, started, expires_at - {now} FROM event_pusher_owner WHERE id = 1"
_TAKE = (
    "UPDATE event_pusher_owner SET fence = fence + 1, holder = ?, machine = ?, pid = ?, started = ?,"
    " expires_at = {now} + ? WHERE id = 1 AND fence = ? RETURNING fence"
)
_RENEW = "UPDATE event_pusher_owner SET expires_at = {now} + ? WHERE id = 1 AND fence = ?"
_RELEASE = (
    "UPDATE event_pusher_owner SET fence = fence + 1, holder = NULL, machine = NULL, pid = NULL, started = NULL,"
    " expires_at = 0 WHERE id = 1 AND fence = ?"
)


@dataclass(frozen=True, slots=True)
class Holder:
    """
    Who owns the database. `remaining`: seconds until the lease ends, negative when it has.

    `machine` names computer, boot and process-id space; within one, `pid` and `started` name a process.
    """

    fence: int
    name: str | None
    machine: str | None
    pid: int | None
    started: str | None
    remaining: float

    @property
    def free(self) -> bool:
        """Whether another process may take over now."""
        return self.name is None or self.remaining <= 0 or self.dead

    @property
    def dead(self) -> bool:
        """Whether the process is known to be gone: only one of this machine can be looked up."""
        if self.machine is None or self.pid is None or self.machine != this_machine():
            return False
        return process_gone(self.pid, self.started)


class Lease:
    """The right to write; on the writer's thread only. `renew` it every few seconds."""

    def __init__(self, writer: Writer, clock: Clock, holder_name: str) -> None:
        self._writer = writer
        self._clock = clock
        self._name = holder_name
        self._renewed = 0.0
        self._select, self._take = self._sql(_SELECT), self._sql(_TAKE)
        self._renew, self._release = self._sql(_RENEW), self._sql(_RELEASE)

    def acquire(self) -> bool:
        """Take the lease if nobody alive has it, and set the writer's fence. Raises `StorageError`."""
        if self._writer.fence is not None:
            self.renew()
            return True
        holder = self.describe()  # without a transaction: a stand-by that asks takes no lock
        if not holder.free:
            return False
        started = self._clock.monotonic()
        values = (self._name, this_machine(), os.getpid(), process_started(os.getpid()), LEASE_SECONDS, holder.fence)
        with self._writer.transaction() as connection:
            fence = connection.exec_driver_sql(self._take, values).scalar()
        if fence is None:
            return False  # another stand-by was quicker
        self._writer.fence, self._renewed = fence, started
        return True

    def renew(self) -> None:
        """Hold on to it for another 15 s, in the running transaction or its own. Raises `LeaseLost`."""
        started = self._clock.monotonic()
        if self._writer.in_transaction:
            self._extend(self._writer.connection)
        else:
            with self._writer.transaction() as connection:
                self._extend(connection)
        self._renewed = started

    def remaining(self) -> float:
        """Seconds by the monotonic clock in which nobody else can have taken over; negative: ask before you send."""
        return self._renewed + LEASE_SECONDS - self._clock.monotonic()

    def release(self) -> None:
        """Give it back: the next process takes over at once, and this one writes no more (`LeaseLost`)."""
        if self._writer.fence is None:
            return
        with suppress(LeaseLost), self._writer.transaction() as connection:
            connection.exec_driver_sql(self._release, (self._writer.fence,))

    def describe(self) -> Holder:
        """Say who holds it. Raises `StorageError`."""
        with self._writer.reading() as connection:
            return _holder(connection.exec_driver_sql(self._select).one())

    def _extend(self, connection: Connection) -> None:
        if connection.exec_driver_sql(self._renew, (LEASE_SECONDS, self._writer.fence)).rowcount != 1:
            raise LeaseLost("another process owns the database now; this one stops")

    def _sql(self, statement: str) -> str:
        return self._writer.sql(statement.format(now=_NOW[self._writer.engine.dialect.name]))


def describe(connection: Connection) -> Holder:
    """Say who owns the database, over any connection (the command line's)."""
    statement = _SELECT.format(now=_NOW[connection.dialect.name])
    return _holder(connection.exec_driver_sql(statement).one())


def _holder(found: Any) -> Holder:
    fence, name, machine, pid, started, remaining = found
    return Holder(fence, name, machine, pid, started, remaining)


def this_machine() -> str:
    """Name this computer, its boot, and the space of its process ids (containers have their own)."""
    return f"{platform.node()} {_read('/proc/sys/kernel/random/boot_id')} {_link('/proc/self/ns/pid')}"


def process_started(pid: int) -> str | None:
    """When process `pid` of this machine started, in the kernel's ticks; None when that cannot be read."""
    fields = _fields(pid)
    return fields[19] if fields else None


def process_gone(pid: int, started: str | None) -> bool:
    """Whether the process that began at `started` is gone, its id free or another's; in doubt it is there."""
    fields = _fields(pid)
    if fields:
        return fields[0] in "ZX" or (started is not None and fields[19] != started)
    try:
        os.kill(pid, 0)  # a system that hides other users' processes still answers this one
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _fields(pid: int) -> list[str]:
    """What the kernel says behind the process's name (which, in brackets, may hold anything): state first."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""

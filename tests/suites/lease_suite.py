"""The owner's lease on any database. A subclass provides the fixture `engine`: migrated and empty."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from storage import FakeClock, make_row, writing

from event_pusher.database import reader
from event_pusher.errors import LeaseLost
from event_pusher.outbox.lease import Lease, describe, process_gone, process_started, this_machine
from event_pusher.outbox.store import OutboxStore
from event_pusher.writer import Writer

_SET = "UPDATE event_pusher_owner SET "


def change_owner(writer: Writer, assignment: str, *values: object) -> None:
    """Write to the owner's row past every rule, as time or another machine would."""
    writer.connection.exec_driver_sql(writer.sql(_SET + assignment), values)


class LeaseSuite:
    @pytest.fixture
    def writer(self, engine: Engine) -> Iterator[Writer]:
        with writing(engine) as writer:
            yield writer

    @pytest.fixture
    def other(self, engine: Engine) -> Iterator[Writer]:
        with writing(engine) as writer:
            yield writer

    def test_the_second_process_waits_and_takes_over_after_the_release(self, writer: Writer, other: Writer) -> None:
        # Given a holder
        first, second = Lease(writer, FakeClock(), "one"), Lease(other, FakeClock(), "two")
        assert first.acquire()
        # Then a second one waits
        assert not second.acquire()
        assert other.fence is None
        # Until the first gives it back
        first.release()
        assert second.acquire()

    def test_an_expired_lease_is_taken_over_and_the_old_holder_writes_nothing(
        self, writer: Writer, other: Writer
    ) -> None:
        # Given a holder that did not renew for 15 s
        first, second = Lease(writer, FakeClock(), "one"), Lease(other, FakeClock(), "two")
        first.acquire()
        change_owner(other, "expires_at = expires_at - 15.5")
        # When another takes over
        assert second.acquire()
        # Then the first one, waking up, can neither renew nor write nor release
        with pytest.raises(LeaseLost):
            first.renew()
        with pytest.raises(LeaseLost), writer.transaction():
            OutboxStore(writer).insert([make_row(1)])
        first.release()
        assert OutboxStore(writer).counts() == {}
        # And the second one can
        with other.transaction():
            OutboxStore(other).insert([make_row(1)])
        second.renew()
        assert second.describe().name == "two"

    def test_a_renewal_lasts_15_seconds(self, writer: Writer) -> None:
        clock = FakeClock()
        lease = Lease(writer, clock, "one")
        lease.acquire()
        change_owner(writer, "expires_at = expires_at - 12")
        clock.ticks += 12
        assert lease.remaining() == pytest.approx(3)
        lease.renew()
        assert lease.remaining() == pytest.approx(15)
        assert 14 < lease.describe().remaining <= 15

    def test_a_renewal_joins_the_running_transaction(self, writer: Writer) -> None:
        lease = Lease(writer, FakeClock(), "one")
        lease.acquire()
        change_owner(writer, "expires_at = 0")
        with pytest.raises(KeyError), writer.transaction():  # noqa: PT012 - the whole transaction is what raises
            lease.renew()
            raise KeyError
        assert lease.describe().remaining < 0

    def test_a_dead_process_of_this_machine_is_replaced_at_once(self, writer: Writer, other: Writer) -> None:
        # Given a holder whose process has ended
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        started = process_started(process.pid)
        Lease(writer, FakeClock(), "one").acquire()
        change_owner(writer, "pid = ?, started = ?", process.pid, started)
        assert not Lease(other, FakeClock(), "two").acquire()
        process.communicate(b"\n")
        # Then nobody waits for it
        assert Lease(other, FakeClock(), "two").acquire()

    def test_the_id_of_a_dead_process_that_another_has_now_deceives_nobody(self, writer: Writer) -> None:
        Lease(writer, FakeClock(), "one").acquire()
        change_owner(writer, "started = '1'")
        assert Lease(writer, FakeClock(), "two").describe().dead

    def test_a_process_of_another_machine_is_waited_for(self, writer: Writer, other: Writer) -> None:
        Lease(writer, FakeClock(), "one").acquire()
        change_owner(writer, "machine = 'elsewhere', pid = 1, started = '1'")
        assert not Lease(other, FakeClock(), "two").acquire()

    def test_whoever_asks_is_told_who_holds_it(self, engine: Engine, writer: Writer) -> None:
        with reader(engine) as connection:
            assert describe(connection).free
        Lease(writer, FakeClock(), "one").acquire()
        with reader(engine) as connection:
            holder = describe(connection)
        assert (holder.name, holder.pid, holder.machine) == ("one", os.getpid(), this_machine())
        assert (holder.fence, holder.free) == (writer.fence, False)

    def test_a_process_that_cannot_be_looked_up_is_not_called_dead(self) -> None:
        assert not process_gone(os.getpid(), None)
        assert not process_gone(os.getpid(), process_started(os.getpid()))

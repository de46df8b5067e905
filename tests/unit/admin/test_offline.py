"""What is answered from the database where no process runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from event_pusher.abc import Delivery
from event_pusher.admin.desk import NotPossibleError
from event_pusher.admin.offline import OfflineDesk
from event_pusher.assembly import hold_lease
from event_pusher.clock import SystemClock
from event_pusher.database import open_engine
from event_pusher.outbox.row import Row
from event_pusher.outbox.store import OutboxStore
from event_pusher.registrations import RdbmsRegistrations
from event_pusher.writer import Writer
from tests.unit.running import BOB, SERVICE, Place


@pytest.fixture
def desk(place: Place) -> Iterator[OfflineDesk]:
    """A desk over one registration, a delivery that waits for it, and a dead one."""
    engine = open_engine(place.settings.database.url, place.folder)
    writer = Writer(engine)
    store = OutboxStore(writer)
    with writer.transaction():
        registration = RdbmsRegistrations(writer).enable(BOB, SERVICE, "n1", (("secret", "s"),), 1.0, 5)
        assert registration is not None
        delivery = Delivery(BOB, SERVICE, b"payload", registration=registration.id)
        first = store.reserve_ids(2)
        rows = [Row(first + n, "push", "lane", delivery, "trace", 1.0, 2.0) for n in range(2)]
        store.insert(rows)
        store.bury(rows[:1], ["refused"], 3.0)
    writer.close()
    engine.dispose()
    desk = OfflineDesk(place.settings)
    yield desk
    desk.close()


def test_status_says_that_nothing_runs(desk: OfflineDesk) -> None:
    status = desk.call("status")
    assert (status["running"], status["outbox"]["rows"]) == (False, {"push": {"dead": 1, "waiting": 1}})


def test_explain_says_what_would_be(desk: OfflineDesk) -> None:
    told = desk.call("explain", user=BOB)
    assert told["verdict"].endswith("if `event-pusher run` were running.")
    assert len(told["deliveries"]) == 2


def test_dead_letters_are_retried(desk: OfflineDesk) -> None:
    [dead] = desk.call("deliveries_list", state="dead")
    assert desk.call("deliveries_retry", ids=[dead["id"]]) == [dead["id"]]
    assert desk.call("deliveries_list", state="dead") == []


def test_deliveries_are_discarded(desk: OfflineDesk) -> None:
    ids = [one["id"] for one in desk.call("deliveries_list")]
    assert desk.call("deliveries_discard", ids=[*ids, 999]) == ids
    assert desk.call("deliveries_list") == []


def test_a_deleted_registration_takes_what_waits_with_it(desk: OfflineDesk) -> None:
    [one] = desk.call("registrations_list")
    assert desk.call("registrations_delete", ids=[one["id"]]) == [one["id"]]
    assert [each["state"] for each in desk.call("deliveries_list")] == ["dead"]


def test_a_test_notification_needs_the_process(desk: OfflineDesk) -> None:
    with pytest.raises(NotPossibleError, match="start `event-pusher run`"):
        desk.call("registrations_test", id=1)


def test_nothing_is_written_while_another_process_owns_the_database(desk: OfflineDesk, place: Place) -> None:
    # Given a process that owns the database and does not listen here
    engine = open_engine(place.settings.database.url, place.folder)
    writer, lease = hold_lease(engine, SystemClock())
    assert lease.acquire()
    # When something is to be written
    with pytest.raises(NotPossibleError, match=r"owns the database.*give the command where it runs, or stop it"):
        desk.call("deliveries_retry", ids=[1])
    # Then it is not, and the status says who it is
    assert "owns the database" in desk.call("status")["health"]["process"]
    lease.release()
    writer.close()
    engine.dispose()

"""What the running process answers, over its socket."""

from __future__ import annotations

import pytest

from event_pusher.admin.client import RefusedError
from tests.unit.running import BOB, SERVICE, Running


def test_status_tells_of_sources_backends_and_the_outbox(running: Running) -> None:
    # Given one message that was pushed
    running.enable()
    running.write("hello")
    running.until(lambda: running.call("status")["counters"].get("delivered") == 1)
    # When the status is asked for
    status = running.call("status")
    # Then it says who runs, that all is well, and what was done
    assert (status["running"], status["standby"], status["health"]) == (True, False, {})
    assert status["sources"]["component"]["feeds"][0]["host"] == "example.org"
    assert status["backends"]["push"]["counters"]["delivered"] == 1
    assert status["outbox"]["waiting"] == 0


def test_publish_options_are_masked(running: Running) -> None:
    # Given a registration with a secret
    id_ = running.enable(secret="hers-alone")
    # When it is shown and listed
    told = [running.call("registrations_show", id=id_), *running.call("registrations_list")]
    # Then its name is there, its value is not
    assert [one["options"] for one in told] == [{"secret": "***"}] * 2


def test_explain_says_pushed_when_offline(running: Running) -> None:
    # Given an account with a registration, offline, that got a message
    running.enable()
    running.write("hello")
    # When it is explained
    told = running.call("explain", user=BOB)
    # Then the sentence and the decision say so
    assert told["verdict"] == f"{BOB} would be pushed now: offline, 1 registration."
    assert [one["reason"] for one in told["decisions"]] == ["accepted"]


def test_explain_says_online(running: Running) -> None:
    # Given an account that is online
    running.enable()
    running.server.go_online(BOB)
    running.write("hello")
    # When it is explained
    told = running.call("explain", user=BOB)
    # Then that is why
    assert "not pushed to now: online" in told["verdict"]
    assert told["sessions"] == [{"resource": "r1", "priority": 0, "hibernated": False}]
    assert told["decisions"][-1]["reason"] == "online"


def test_explain_says_that_nobody_enabled(running: Running) -> None:
    assert "the client must enable push again" in running.call("explain", user=BOB)["verdict"]


def test_a_test_notification_goes_the_whole_way(running: Running) -> None:
    # Given a registration
    id_ = running.enable()
    # When it is tested
    told = running.call("registrations_test", id=id_)
    # Then the push service got it, and that is told
    assert told["outcome"] == "delivered"
    assert running.pushed[0].summary["last-message-body"] == "Test notification"


def test_a_test_that_the_service_refuses_says_why(running: Running) -> None:
    # Given a push service in trouble
    id_ = running.enable()
    running.verdict = ("wait", "internal-server-error")
    # When the registration is tested
    told = running.call("registrations_test", id=id_)
    # Then the answer is told, and that it goes on
    assert told["outcome"] == "retry"
    assert "internal-server-error" in told["reason"]


def test_a_test_that_ends_the_registration_says_so(running: Running) -> None:
    id_ = running.enable()
    running.verdict = ("cancel", "item-not-found")
    assert running.call("registrations_test", id=id_)["outcome"] == "disabled"


def test_testing_an_unknown_registration_says_where_they_are_listed(running: Running) -> None:
    with pytest.raises(RefusedError, match="registrations list"):
        running.call("registrations_test", id=99)


def test_retried_dead_letters_go_again_at_once(running: Running) -> None:
    # Given three dead letters of a service that is well again
    running.enable()
    ids = running.dead(3)
    running.verdict = None
    running.pushed.clear()
    # When they are retried
    again = running.call("deliveries_retry", ids=ids)
    # Then each reaches the service, without a restart, and the outbox is empty
    assert again == ids
    running.until(lambda: len(running.pushed) == 3)
    running.until(lambda: not running.call("deliveries_list"))
    assert running.app.assembly is not None
    assert running.app.assembly.core.rows == 0


def test_discarded_deliveries_are_not_tried_again(running: Running) -> None:
    # Given two deliveries that wait
    running.enable()
    running.verdict = ("wait", "internal-server-error")
    running.write("one", "two")
    ids = [one["id"] for one in running.call("deliveries_list")]
    # When they are discarded
    gone = running.call("deliveries_discard", ids=ids)
    # Then neither disk nor memory knows them
    assert gone == ids
    assert running.call("deliveries_list") == []
    assert running.app.assembly is not None
    running.until(lambda: running.app.assembly.core.rows == 0)


def test_deleting_a_registration_discards_what_waits_for_it(running: Running) -> None:
    # Given a delivery that waits
    id_ = running.enable()
    running.verdict = ("wait", "internal-server-error")
    running.write("one")
    # When its registration is deleted
    assert running.call("registrations_delete", ids=[id_, 99]) == [id_]
    # Then both are gone
    assert running.call("registrations_list") == []
    assert running.call("deliveries_list") == []


def test_a_payload_never_leaves(running: Running) -> None:
    # Given a delivery that waits
    running.enable()
    running.verdict = ("wait", "internal-server-error")
    running.write("a secret of the heart")
    [listed] = running.call("deliveries_list", service=None, user=BOB)
    # When it is shown
    shown = running.call("deliveries_show", id=listed["id"])
    # Then its text is not there, its size is
    assert shown["target"] == SERVICE
    assert shown["payload_bytes"] > 100
    assert "heart" not in str([listed, shown])


def test_an_unknown_command_is_refused_with_the_cure(running: Running) -> None:
    with pytest.raises(RefusedError, match="restart it"):
        running.call("fly")


def test_in_stand_by_only_the_status_is_told(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a process that does not own the database
    monkeypatch.setattr(running.app, "assembly", None)
    # Then it says so, and sends whoever asks for more to the one that does
    assert running.call("status")["standby"]
    with pytest.raises(RefusedError, match="ask the one that owns the database"):
        running.call("explain", user=BOB)
    monkeypatch.undo()


def test_a_process_with_the_lease_is_told_of(running: Running) -> None:
    assert isinstance(running.call("status")["lease"]["pid"], int)

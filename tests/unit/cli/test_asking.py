"""status, explain, registrations, deliveries: what people and machines read."""

from __future__ import annotations

import json

import pytest

from tests.unit.running import BOB, SERVICE, Place, Running


def test_status_of_a_running_pusher(running: Running) -> None:
    result = running.run("status")
    assert result.exit_code == 0
    for text in (": running (process", "health: all is well", "source component: connected", "push", "ready"):
        assert text in result.output


def test_status_for_machines(running: Running) -> None:
    assert json.loads(running.run("status", "--json").output)["running"] is True


def test_status_where_nothing_runs(place: Place) -> None:
    result = place.run("status")
    assert result.exit_code == 0
    assert "not running" in result.output


def test_explain_ends_with_one_plain_sentence(running: Running) -> None:
    # Given an account with a registration, and a message for it
    running.enable(secret="hers")
    running.write("hello")
    # When it is explained
    result = running.run("explain", BOB)
    # Then registrations (masked), decisions and the sentence are there
    assert "secret=***" in result.output
    assert "hers" not in result.output
    assert "accepted (a delivery was written to the outbox)" in result.output
    assert result.output.splitlines()[-1] == f"{BOB} would be pushed now: offline, 1 registration."


def test_explain_takes_a_full_jid(running: Running) -> None:
    assert json.loads(running.run("explain", f"{BOB}/phone", "--json").output)["user"] == BOB


@pytest.mark.parametrize("jid", ["a@@b", "example.org", "@example.org"])
def test_what_is_no_account_is_told_with_an_example(place: Place, jid: str) -> None:
    result = place.run("explain", jid)
    assert result.exit_code == 1
    assert "write an account such as bob@example.org" in result.stderr


def test_registrations_are_listed_by_user_host_and_service(running: Running) -> None:
    # Given one of Bob's and one of Eve's
    running.enable()
    running.enable("eve@example.org")
    # When they are listed
    for filters, number in (
        ([], 2),
        (["--user", BOB], 1),
        (["--host", "example.org"], 2),
        (["--host", "other.example"], 0),
        (["--service", SERVICE], 2),
    ):
        assert len(json.loads(running.run("registrations", "list", "--json", *filters).output)) == number


def test_a_registration_is_shown_masked(running: Running) -> None:
    id_ = running.enable(secret="hers")
    output = running.run("registrations", "show", str(id_)).output
    assert "secret=***" in output
    assert "hers" not in output


def test_an_unknown_registration_says_where_they_are_listed(running: Running) -> None:
    for verb in ("show", "delete", "test"):
        result = running.run("registrations", verb, "99")
        assert result.exit_code == 1
        assert "`event-pusher registrations list` lists them" in result.stderr


def test_a_registration_is_deleted(running: Running) -> None:
    id_ = running.enable()
    assert running.run("registrations", "delete", str(id_)).output == "deleted 1 registration\n"
    assert json.loads(running.run("registrations", "list", "--json").output) == []


def test_a_test_notification_reports_what_the_service_said(running: Running) -> None:
    # Given a registration whose service is well, then is not
    id_ = str(running.enable())
    well = running.run("registrations", "test", id_)
    running.verdict = ("cancel", "item-not-found")
    ill = running.run("registrations", "test", id_)
    # Then each is told
    assert (well.exit_code, "delivered: the push service took it" in well.output) == (0, True)
    assert (ill.exit_code, "cancel/item-not-found" in ill.output) == (1, True)


def test_a_test_notification_needs_a_running_pusher(place: Place) -> None:
    result = place.run("registrations", "test", "1")
    assert result.exit_code == 1
    assert "start `event-pusher run`" in result.stderr


def test_deliveries_are_listed_shown_and_discarded(running: Running) -> None:
    # Given one that waits
    running.enable()
    running.verdict = ("wait", "internal-server-error")
    running.write("hello")
    # When it is listed by what it is
    filters = ("--state", "waiting", "--backend", "push", "--user", BOB, "--since", "1h")
    [one] = json.loads(running.run("deliveries", "list", "--json", *filters).output)
    assert json.loads(running.run("deliveries", "list", "--json", "--since", "2999-01-01").output) == []
    # Then it can be shown and discarded
    assert SERVICE in running.run("deliveries", "show", str(one["id"])).output
    assert running.run("deliveries", "discard", str(one["id"])).output == "1 delivery discarded\n"
    assert running.run("deliveries", "show", str(one["id"])).exit_code == 1


def test_dead_letters_are_retried_by_filter(running: Running) -> None:
    # Given dead letters, and a service that is well again
    running.enable()
    running.dead(2)
    running.verdict = None
    running.pushed.clear()
    # When all are retried
    result = running.run("deliveries", "retry", "--state", "dead")
    # Then they go
    assert result.output == "2 deliveries wait again\n"
    running.until(lambda: len(running.pushed) == 2)


def test_waiting_deliveries_are_not_retried(place: Place) -> None:
    result = place.run("deliveries", "retry", "--state", "waiting")
    assert (result.exit_code, "tried anyway" in result.stderr) == (2, True)


def test_a_time_that_is_none_is_told_with_examples(place: Place) -> None:
    result = place.run("deliveries", "list", "--since", "yesterday")
    assert (result.exit_code, '"2h"' in result.stderr) == (2, True)

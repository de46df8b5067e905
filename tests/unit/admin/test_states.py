"""Breakers, states and the account of all that was accepted, in `status` and in /metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_pusher.admin.client import RefusedError
from event_pusher.breaker import FAILURES
from tests.unit.running import BOB, SERVICE, Running

REFUSED = ("wait", "internal-server-error")


def metrics(running: Running) -> str:
    return running.remote.request("GET", "/metrics")[1].decode()


def failing(running: Running) -> None:
    """A push service that fails for everybody."""
    users = [f"user{number}@example.org" for number in range(FAILURES)]
    for user in users:
        running.enable(user)
    running.verdict = REFUSED
    for user in users:
        running.write("hello", user=user)
    running.until(lambda: running.call("status")["breakers"])


def test_an_open_breaker_is_told_with_the_time_of_its_next_try(running: Running) -> None:
    # When a push service fails for everybody
    failing(running)
    # Then the status names it
    [breaker] = running.call("status")["breakers"]
    assert (breaker["backend"], breaker["target"]) == ("push", SERVICE)
    assert breaker["state"] in ("open", "half open")
    assert SERVICE in running.run("status").output


def test_metrics_count_open_breakers_and_name_no_target(running: Running) -> None:
    failing(running)
    text = metrics(running)
    assert 'event_pusher_breakers_open{backend="push"} 1.0' in text
    assert SERVICE not in text


def test_metrics_have_the_account_and_the_states(running: Running) -> None:
    text = metrics(running)
    for line in ("event_pusher_unaccounted 0.0", "event_pusher_outbox_full 0.0", "event_pusher_discarded_total 0.0"):
        assert line in text
    for name in ("replaced", "orphaned", "rows_refused"):
        assert f'event_pusher_{name}_total{{backend="push"}} 0.0' in text


def test_a_full_outbox_is_told(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an outbox that is full
    assert running.app.assembly is not None
    monkeypatch.setattr(running.app.assembly.core, "is_full", lambda: True)
    # Then the status and the metrics say so
    assert running.call("status")["outbox"]["full"] is True
    assert "FULL" in running.run("status").output
    assert "event_pusher_outbox_full 1.0" in metrics(running)


def test_accepted_is_the_sum_of_all_states_over_a_mixed_run(running: Running) -> None:
    # Given deliveries that arrived, that wait, that died and were retried, that were discarded with a registration
    bob = running.enable()
    running.write("arrives", "arrives too")
    running.until(lambda: len(running.pushed) == 2)
    dead = running.dead(3)
    running.call("deliveries_discard", ids=dead[:1])
    running.enable("eve@example.org")
    running.write("waits", user="eve@example.org")
    running.call("registrations_delete", ids=[bob])
    running.verdict = None
    running.call("deliveries_retry", ids=dead[1:2])
    gone = running.enable("mallory@example.org")
    running.verdict = ("cancel", "item-not-found")
    running.write("ends the registration", user="mallory@example.org")
    running.until(lambda: running.call("registrations_show", id=gone)["enabled"] is False)
    # When the account is made
    status = running.call("status")
    # Then nothing is missing
    states = status["states"]
    came = states["at_start"] + states["accepted"] + states["readmitted"]
    ended = sum(states[name] for name in ("delivered", "dead", "expired", "replaced", "discarded"))
    assert came == states["waiting"] + states["in_flight"] + ended
    assert status["unaccounted"] == 0


def test_paused_registrations_get_nothing_new_and_what_waits_goes_on(running: Running) -> None:
    # Given a delivery that waits, and its registration paused
    id_ = running.enable()
    running.verdict = REFUSED
    running.write("before")
    assert running.call("registrations_pause", ids=[id_, 99], reason="maintenance") == [id_]
    # When a message comes
    running.write("after")
    # Then it makes no delivery, the one that waits stays, and the reason is told
    told = running.call("explain", user=BOB)
    assert told["decisions"][-1]["reason"] == "no-registration"
    assert len(told["deliveries"]) == 1
    assert "registrations resume" in told["verdict"]
    assert running.call("registrations_show", id=id_)["paused_reason"] == "maintenance"
    # And after it is resumed, messages are pushed again
    assert running.call("registrations_resume", ids=[id_]) == [id_]
    running.write("later")
    assert running.call("explain", user=BOB)["decisions"][-1]["reason"] == "accepted"


def test_secrets_are_not_exported_where_every_program_could_ask(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a listener on TCP
    settings = running.app.settings
    admin = settings.admin.model_copy(update={"listen": "127.0.0.1:9"})
    monkeypatch.setattr(running.app, "settings", replace(settings, admin=admin))
    # Then options are told without values only
    with pytest.raises(RefusedError, match="set a unix socket"):
        running.call("registrations_export", with_secrets=True)
    assert running.call("registrations_export") == []

"""How publishes leave and what their answers do; the backend's section."""

from __future__ import annotations

import pytest

from event_pusher.abc import IqAnswer
from event_pusher.intake import Refusal
from event_pusher.testing.factories import BOB
from event_pusher_push.settings import PushSettings
from tests.unit.support import Rig, Rigs, push


@pytest.fixture
def enabled(rigs: Rigs) -> Rig:
    """Bob has one registration."""
    rig = rigs(backends=(push(retry={"schedule": [10]}),))
    answers: list[Refusal | None] = []
    rig.give(rig.enable(answers))
    return rig


def test_an_error_of_type_cancel_disables_the_registration_and_discards_what_waits(enabled: Rig) -> None:
    # Given one under way and two waiting
    server = enabled.feed.server
    server.answer = None
    enabled.give(*(enabled.message(f"m{n}") for n in range(3)))
    # When the push service refuses for good
    server.answer_all(IqAnswer("error", "item-not-found", "cancel"))
    enabled.turn(3)
    # Then nothing is left and nothing more goes out
    enabled.give(enabled.message("m3"))
    enabled.turn(3, seconds=20)
    assert len(server.requests) == 1
    assert enabled.rows() == []
    record = enabled.built.registrations.show(1)
    assert record is not None
    assert record.disabled_reason == "cancel/item-not-found"


def test_enabling_again_revives_it(enabled: Rig) -> None:
    enabled.feed.server.answer = IqAnswer("error", "item-not-found", "cancel")
    enabled.give(enabled.message("m0"))
    enabled.feed.server.answer = IqAnswer("result")
    answers: list[Refusal | None] = []
    enabled.give(enabled.enable(answers), enabled.message("m1"))
    assert len(enabled.feed.server.requests) == 2
    enabled.turn(3)
    assert enabled.rows() == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (IqAnswer("error", "resource-constraint", "wait"), "wait/resource-constraint"),
        (IqAnswer("error", "forbidden", "auth"), "auth/forbidden"),
        (IqAnswer("lost"), "the stream broke before the answer"),
    ],
)
def test_every_other_failure_is_tried_again_with_the_same_item(enabled: Rig, answer: IqAnswer, reason: str) -> None:
    # Given a publish that fails
    enabled.feed.server.answer = answer
    enabled.give(enabled.message("m"))
    enabled.turn(3)
    assert [one["reason"] for one in enabled.rows()] == [reason]
    # When its time has come
    enabled.feed.server.answer = IqAnswer("result")
    enabled.turn(3, seconds=11)
    # Then the very same publish goes again
    first, second = enabled.feed.server.requests
    assert first.payload == second.payload
    assert enabled.rows() == []


def test_while_the_stream_is_down_everything_waits_and_nothing_is_counted(enabled: Rig) -> None:
    # Given a stream that is down
    enabled.feed.server.up = False
    enabled.give(enabled.message("m"))
    enabled.turn(5, seconds=1)
    assert [one["attempts"] for one in enabled.rows()] == [0]
    # When it is up again, Then it goes
    enabled.feed.server.up = True
    enabled.turn(5)
    assert [one.token.number for one in enabled.feed.server.requests] == [1]


def test_the_transport_stops_waiting_before_the_core(enabled: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a server that notes how long it may take
    waits: list[float] = []
    monkeypatch.setattr(enabled.feed.server, "request", lambda _requests, timeout, _answer: waits.append(timeout))
    enabled.give(enabled.message("m"))
    # Then its word comes first
    assert waits == [36.0]


def test_the_defaults_are_mongooseims() -> None:
    settings = PushSettings()
    assert (settings.backend, settings.plugin_module, settings.content) == ("rdbms", "defaults", "full")
    assert (settings.wpool.workers, settings.wpool.strategy) == (10, "available_worker")
    assert settings.order_hold == 30.0


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"backend": "mnesia"}, 'write backend = "rdbms"'),
        ({"backend": "redis"}, 'write backend = "rdbms"'),
        ({"virtual_pubsub_hosts": ["@HOST@"]}, "neither a domain nor"),
        ({"virtual_pubsub_hosts": ["x@HOST@"]}, "neither a domain nor"),
        ({"virtual_pubsub_hosts": ["push.@HOST@.org"]}, "neither a domain nor"),
        ({"virtual_pubsub_hosts": ["push service.org"]}, "neither a domain nor"),
        ({"virtual_pubsub_hosts": {"push": "mongoosepush"}}, "neither a domain nor"),
        ({"only_users": ["bob@@example.org"]}, "not a JID"),
        ({"content": "some"}, "full"),
        ({"max_registrations": 0}, "greater than or equal to 1"),
        ({"retry": {"schedule": []}}, "at least one wait"),
        ({"wpool": {"strategy": "worst_worker"}}, "available_worker"),
    ],
)
def test_a_wrong_option_says_what_is_right(options: dict[str, object], cure: str) -> None:
    with pytest.raises(ValueError, match=cure):
        PushSettings.model_validate(options)


def test_only_users_are_normalised() -> None:
    assert PushSettings.model_validate({"only_users": [f"{BOB.upper()}/phone"]}).only_users == {BOB}

"""The fan-out: order, isolation, reasons."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import pytest

from event_pusher.abc import Acc, BackendSettings, Delivery, Event, EventPlugin, NoSettings
from event_pusher.counters import Counters
from event_pusher.dispatcher import REASONS, Dispatcher
from event_pusher.errors import StorageError
from event_pusher.testing import acc, chat_event, make_plugin_tools, make_tools
from event_pusher.testing.factories import BOB
from tests.unit.support import Post


class Listening(Post):
    """Keeps what it was asked; answers whole batches with `answers` where that is set."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(BackendSettings(), make_tools())
        self.asked: list[tuple[Acc, Event]] = []
        self.answers = list(answers)

    def push_events(self, batch: Sequence[tuple[Acc, Event]]) -> list[Sequence[Delivery] | Exception]:
        self.asked += batch
        return self.answers or super().push_events(batch)


class Plugin(EventPlugin[NoSettings]):
    """Stops what says so, marks the rest, and breaks on what says so."""

    def __init__(self) -> None:
        super().__init__(NoSettings(), make_plugin_tools())

    def push_event(self, acc: Acc, event: Event) -> bool:
        text = repr(event) + event.stanza.body  # type: ignore[union-attr]  # messages only
        if "break" in text:
            raise ValueError(text)
        acc.metadata["seen"] = True
        return "stop" not in text


def dispatch(
    *bodies: str, backends: dict[str, Post], plugins: tuple[EventPlugin[Any], ...] = ()
) -> tuple[Dispatcher, list[tuple[str, str]]]:
    """Push messages; gives (backend, payload) of each delivery, in order."""
    made = Dispatcher([("plugin", one) for one in plugins], list(backends.items()), Counters())
    decided = made.push_events([(acc(body), chat_event(body)) for body in bodies])
    return made, [(one.backend, delivery.payload.decode()) for one in decided for delivery in one.deliveries]


def reasons(dispatcher: Dispatcher) -> list[tuple[str, str]]:
    return [(one.backend, one.reason) for one in dispatcher.decisions]


def test_every_backend_is_asked_in_the_order_of_the_configuration() -> None:
    _, made = dispatch("a", "b", backends={"second": Listening(), "first": Listening()})
    assert made == [("second", "a"), ("second", "b"), ("first", "a"), ("first", "b")]


def test_a_backend_that_raises_costs_its_own_deliveries_of_that_event(caplog: pytest.LogCaptureFixture) -> None:
    # Given a backend that fails on one of two events, quoting it
    broken = Listening()

    def make(_acc: Acc, event: Event) -> list[Delivery]:
        if "swordfish" in event.stanza.body:  # type: ignore[union-attr]  # messages only
            raise ValueError(f"cannot read {event.stanza.body}")  # type: ignore[union-attr]  # as above
        return [Delivery(BOB, "t", b"fine")]

    broken.make = make
    # When both are pushed
    dispatcher, made = dispatch("swordfish", "b", backends={"broken": broken, "good": Listening()})
    # Then everything else is made; the log names the backend and quotes nothing
    assert made == [("broken", "fine"), ("good", "swordfish"), ("good", "b")]
    assert reasons(dispatcher) == [("broken", "error")]
    assert "backend broken failed" in caplog.text
    assert "ValueError" in caplog.text
    assert "swordfish" not in caplog.text


def test_a_backend_that_fails_on_the_whole_batch_costs_nobody_else() -> None:
    broken = Listening("x")
    dispatcher, made = dispatch("a", "b", backends={"broken": broken, "good": Listening()})
    assert made == [("good", "a"), ("good", "b")]
    assert reasons(dispatcher) == [("broken", "error")] * 2


@pytest.mark.parametrize(
    "unsound",
    [
        None,
        7,
        ["text"],
        [Delivery(BOB, "t", "text")],  # type: ignore[arg-type]  # a stranger's mistake
        [Delivery(BOB, None, b"x")],  # type: ignore[arg-type]  # a stranger's mistake
        [Delivery(7, "t", b"x")],  # type: ignore[arg-type]  # a stranger's mistake
        [Delivery(BOB, "t", b"x", ttl="1h")],  # type: ignore[arg-type]  # a stranger's mistake
        [Delivery(BOB, "t", b"x", lane=5)],  # type: ignore[arg-type]  # a stranger's mistake
        [Delivery(BOB, "t", b"fine"), None],
    ],
)
def test_an_unsound_delivery_costs_that_event_only(unsound: Any, caplog: pytest.LogCaptureFixture) -> None:
    # Given a backend that answers one event with what is no delivery
    odd = Listening(unsound, [Delivery(BOB, "t", b"fine")])
    dispatcher, made = dispatch("a", "b", backends={"odd": odd, "good": Listening()})
    # Then the other event and the other backend are served
    assert made == [("odd", "fine"), ("good", "a"), ("good", "b")]
    assert reasons(dispatcher) == [("odd", "error")]
    assert "not one" in caplog.text


def test_trouble_of_the_database_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a backend that reads registrations while the database is away
    away = Listening()

    def raising(_batch: object) -> Any:
        raise StorageError("away")

    monkeypatch.setattr(away, "push_events", raising)
    with pytest.raises(StorageError):
        dispatch("a", backends={"away": away})


def test_trouble_of_the_database_with_one_event_is_not_swallowed() -> None:
    with pytest.raises(StorageError):
        dispatch("a", "b", backends={"away": Listening([], StorageError("away"))})


def test_an_event_plugin_stops_events_and_adds_metadata() -> None:
    backend = Listening()
    dispatcher, made = dispatch("stop", "go", backends={"post": backend}, plugins=(Plugin(),))
    assert made == [("post", "go")]
    assert reasons(dispatcher) == [("plugin", "stopped")]
    assert [one.metadata for one, _ in backend.asked] == [{"seen": True}]


def test_an_event_plugin_that_raises_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    _, made = dispatch("break", backends={"post": Listening()}, plugins=(Plugin(),))
    assert made == [("post", "break")]
    assert "event plugin plugin failed" in caplog.text
    assert "break" not in caplog.text


def test_a_slow_backend_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    # Given a clock that says that each call took a tenth of a second
    readings = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: next(readings) / 10)
    caplog.set_level(logging.WARNING)
    dispatch("a", backends={"slow": Listening()})
    assert "backend slow took 100 ms" in caplog.text


def test_a_quick_one_is_not(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 1.0)
    dispatch("a", backends={"quick": Listening()})
    assert caplog.text == ""


@pytest.mark.parametrize(("said", "reason"), [(None, "nothing"), ("online", "online"), ("my own words", "nothing")])
def test_a_reason_is_one_of_the_closed_list(said: str | None, reason: str) -> None:
    backend = Listening()

    def make(acc: Acc, _event: Event) -> list[Delivery]:
        if said:
            acc.skip(said)
        return []

    backend.make = make
    dispatcher, _ = dispatch("a", backends={"post": backend})
    assert reasons(dispatcher) == [("post", reason)]
    assert reason in REASONS


def test_one_backends_reason_is_not_the_next_ones() -> None:
    first, second = Listening(), Listening()
    first.make = lambda acc, _: (acc.skip("online"), [])[1]  # type: ignore[func-returns-value]  # says and makes nothing
    second.make = lambda *_: []
    dispatcher, _ = dispatch("a", backends={"first": first, "second": second})
    assert reasons(dispatcher) == [("first", "online"), ("second", "nothing")]


def test_a_decision_says_who_what_when_and_of_which_stanza() -> None:
    dispatcher, _ = dispatch(backends={})
    dispatcher.record(acc("a7", received_at=5.0), chat_event(), "post", "accepted")
    assert tuple(dispatcher.decisions[0]) == (5.0, BOB, "chat", "post", "accepted", "a7")

"""What every source owes the framework."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from event_pusher.abc import Source, SourceTools
from event_pusher.clock import SystemClock
from event_pusher.intake import Item, Occurrence, Position
from event_pusher.registry import SOURCES
from event_pusher.settings.sections import secrets_in
from event_pusher.testing.doubles import StubRegistry
from event_pusher.testing.guards import Contract

#: A close may take its timeout and this much more.
SLACK = 2.0
NAME = "contract"


class SourceWorld:
    """The server whose events a source brings. Inherit, and override what yours can do."""

    def happen(self) -> bool:
        """Let one event happen; False = it cannot."""
        return False

    def cut(self) -> bool:
        """Cut the source's connection, and let it connect again; False = it cannot."""
        return False

    def close(self) -> None:
        """Let everything go; may be called twice."""


class Intake:
    """The core's side: keeps what is handed in, in order."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._changed = threading.Condition()

    def __call__(self, items: Sequence[Item]) -> None:
        with self._changed:
            self.items += items
            self._changed.notify_all()

    @property
    def occurrences(self) -> list[Occurrence]:
        """What happened."""
        return [one for one in list(self.items) if isinstance(one, Occurrence) and one.event is not None]

    def wait_for(self, number: int, timeout: float) -> list[Occurrence]:
        """Wait until so much has happened."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.occurrences) >= number, timeout)
        return self.occurrences


class SourceContract(Contract):
    """
    Inherit it in a test class and set `source_class`.

    Hooks: `make_world` (the server), `options` (what stands in its section, for that server), `options_of_nobody` (the
    same, for a server that is away). Knobs: `patience`, seconds until what happens must be handed in; `quiet`, seconds
    in which nothing may.
    """

    _is_contract: ClassVar[bool] = True

    source_class: ClassVar[type[Source[Any]]]
    patience: ClassVar[float] = 10.0
    quiet: ClassVar[float] = 0.2

    # --- hooks ----------------------------------------------------------------------------------------------------

    def make_world(self) -> Any:
        """Make the server: a `SourceWorld`."""
        return SourceWorld()

    def options(self, world: Any) -> dict[str, Any]:
        """What stands in the source's section, as TOML gives it."""
        return {}

    def options_of_nobody(self) -> dict[str, Any] | None:
        """The section for a server that is away; None = there is no such thing."""
        return None

    # --- what the tests use ---------------------------------------------------------------------------------------

    def make_source(self, options: dict[str, Any], intake: Intake) -> Source[Any]:
        """Make a source that is not started."""
        settings = self.source_class.Settings.model_validate(options)
        tools = SourceTools(NAME, intake, SystemClock(), logging.getLogger(f"event_pusher.sources.{NAME}"))
        return self.source_class(settings, tools)

    @pytest.fixture
    def world(self) -> Iterator[Any]:
        world = self.make_world()
        yield world
        world.close()

    @pytest.fixture
    def intake(self) -> Intake:
        return Intake()

    @pytest.fixture
    def source(self, world: Any, intake: Intake) -> Iterator[Source[Any]]:
        source = self.make_source(self.options(world), intake)
        yield source
        source.close(1.0)

    @pytest.fixture
    def started(self, source: Source[Any], world: Any) -> Source[Any]:
        source.resume_from({})
        source.start()
        if not world.happen():
            pytest.skip("this world's server cannot let anything happen")
        return source

    # --- the duties -----------------------------------------------------------------------------------------------

    def test_the_registry_takes_the_class(self) -> None:
        assert StubRegistry({SOURCES: {NAME: self.source_class}}).source(NAME) is self.source_class

    def test_settings_refuse_an_unknown_key(self, world: Any) -> None:
        with pytest.raises(ValueError, match="surely_unknown"):
            self.source_class.Settings.model_validate({**self.options(world), "surely_unknown": 1})

    def test_it_says_its_hosts_before_the_start(self, source: Source[Any]) -> None:
        assert source.hosts
        assert all(isinstance(host, str) for host in source.hosts)

    def test_what_happens_is_handed_in_under_its_name_and_host(self, started: Source[Any], intake: Intake) -> None:
        (found, *_) = intake.wait_for(1, self.patience)

        assert found.source == NAME
        assert found.host in started.hosts
        assert found.acc is not None

    def test_events_come_again_after_the_connection_was_cut(
        self, started: Source[Any], world: Any, intake: Intake
    ) -> None:
        before = len(intake.wait_for(1, self.patience))
        if not world.cut():
            pytest.skip("this world's server cannot cut the connection")

        world.happen()

        assert len(intake.wait_for(before + 1, self.patience)) > before

    def test_nothing_is_handed_in_after_the_intake_was_stopped(
        self, started: Source[Any], world: Any, intake: Intake
    ) -> None:
        intake.wait_for(1, self.patience)

        started.stop_intake()

        before = len(intake.items)
        world.happen()
        threading.Event().wait(self.quiet)
        assert len(intake.items) == before

    def test_nothing_is_handed_in_after_the_close(self, started: Source[Any], world: Any, intake: Intake) -> None:
        intake.wait_for(1, self.patience)

        started.close(1.0)

        before = len(intake.items)
        world.happen()
        threading.Event().wait(self.quiet)
        assert len(intake.items) == before

    def test_whatever_is_acknowledged_is_accepted(self, started: Source[Any], intake: Intake) -> None:
        (found, *_) = intake.wait_for(1, self.patience)

        started.acknowledge(found.host, found.position or Position("feed", "epoch", 1))
        started.acknowledge(found.host, Position("unknown", "unknown", 10**9))
        started.acknowledge("surely.unknown.example", Position("feed", "epoch", 1))

    def test_it_starts_without_its_server(self, intake: Intake) -> None:
        options = self.options_of_nobody()
        if options is None:
            pytest.skip("this source has no server that may be away")
        source = self.make_source(options, intake)

        source.start()

        assert isinstance(source.health(), str)
        source.close(1.0)

    def test_closing_twice_is_fine(self, started: Source[Any]) -> None:
        before = time.monotonic()

        started.close(1.0)
        started.close(1.0)

        assert time.monotonic() - before < 2.0 + SLACK

    def test_closing_before_the_start_is_fine(self, source: Source[Any]) -> None:
        source.close(1.0)

    def test_secrets_are_never_shown(
        self, started: Source[Any], intake: Intake, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        intake.wait_for(1, self.patience)
        started.close(1.0)

        shown = repr(started) + repr(started.settings) + str(started.health()) + caplog.text

        hidden = [secret.reveal() for _, secret in secrets_in(started.settings)]
        assert [one for one in hidden if one in shown] == []

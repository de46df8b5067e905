"""Sources that break one duty each; `test_contract.py` runs this and looks at what fails."""

from __future__ import annotations

from typing import Any

from event_pusher.abc import Acc, Secret, Section, Source
from event_pusher.intake import Occurrence, Position
from event_pusher.testing import SourceContract, SourceWorld, chat_event
from event_pusher.testing.factories import HOST, NOW


class InletSettings(Section):
    token: Secret = Secret(text="s3cret-token")


class Wire(SourceWorld):
    """Calls whoever listens."""

    listener: Inlet | None = None

    def happen(self) -> bool:
        if self.listener is not None:
            self.listener.happened()
        return True

    def cut(self) -> bool:
        if self.listener is not None:
            self.listener.was_cut()
        return True


class Inlet(Source[InletSettings]):
    """Breaks no duty."""

    Settings = InletSettings
    taking = False
    closed = 0

    @property
    def hosts(self) -> tuple[str, ...]:
        return (HOST,)

    def start(self) -> None:
        self.taking = True

    def stop_intake(self) -> None:
        self.taking = False

    def close(self, timeout: float) -> None:
        self.taking = False
        self.closed += 1

    def was_cut(self) -> None:
        """Connect again at once."""

    def happened(self) -> None:
        """Something happened."""
        if self.taking:
            self.tools.intake([Occurrence(self.tools.name, HOST, None, Acc("a1", HOST, NOW), chat_event())])


class Contract(SourceContract):
    source_class = Inlet
    patience = 0.3
    quiet = 0.05

    def make_world(self) -> Wire:
        self.wire = Wire()
        return self.wire

    def make_source(self, options: dict[str, Any], intake: Any) -> Inlet:
        source = super().make_source(options, intake)
        assert isinstance(source, Inlet)
        self.wire.listener = source
        return source


class TestGoodSource(Contract):
    pass


class HasNoHosts(Inlet):
    @property
    def hosts(self) -> tuple[str, ...]:
        return ()

    def happened(self) -> None:
        raise AssertionError("nobody asks it")


class TestHasNoHosts(Contract):
    source_class = HasNoHosts

    def make_world(self) -> Wire:
        super().make_world()
        self.wire.happen = lambda: False  # type: ignore[method-assign]  # its tests say what it does with events
        return self.wire


class UsesAnotherName(Inlet):
    def happened(self) -> None:
        if self.taking:
            self.tools.intake([Occurrence("inlet", HOST, None, Acc("a1", HOST, NOW), chat_event())])


class TestUsesAnotherName(Contract):
    source_class = UsesAnotherName


class StaysAway(Inlet):
    def was_cut(self) -> None:
        self.taking = False


class TestStaysAway(Contract):
    source_class = StaysAway


class DoesNotStop(Inlet):
    def stop_intake(self) -> None:
        """Nothing changes."""


class TestDoesNotStop(Contract):
    source_class = DoesNotStop


class GoesOnAfterTheClose(Inlet):
    def close(self, timeout: float) -> None:
        self.closed += 1


class TestGoesOnAfterTheClose(Contract):
    source_class = GoesOnAfterTheClose


class RefusesStrangePositions(Inlet):
    def acknowledge(self, host: str, position: Position) -> None:
        if host not in self.hosts:
            raise KeyError(host)


class TestRefusesStrangePositions(Contract):
    source_class = RefusesStrangePositions


class ClosesOnlyWhatWasStarted(Inlet):
    started = False

    def start(self) -> None:
        self.started = True
        super().start()

    def close(self, timeout: float) -> None:
        if not self.started:
            self.started = True  # the fixture closes it once more
            raise RuntimeError("it was never started")
        super().close(timeout)


class TestClosesOnlyWhatWasStarted(Contract):
    source_class = ClosesOnlyWhatWasStarted


class ShowsItsToken(Inlet):
    def __repr__(self) -> str:
        return f"<inlet with {self.settings.token.reveal()}>"


class TestShowsItsToken(Contract):
    source_class = ShowsItsToken

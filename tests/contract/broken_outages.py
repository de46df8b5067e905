"""Backends that break one duty each in an outage, among many threads or over a long time; see `test_contract.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress

from event_pusher.abc import Acc, Attempt, BackendTools, Delivery, Event, Report
from event_pusher.errors import TemporaryPublishError, UnknownOutcome
from tests.contract.memory import Contract, Good, TokenSettings


class Queues(Good):
    """Has a queue of its own for what failed, as many clients do."""

    def __init__(self, settings: TokenSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self.queue: list[bytes] = []

    def publish(self, attempt: Attempt) -> None:
        if not self.world.away:
            self._flush()
        try:
            super().publish(attempt)
        except TemporaryPublishError:
            self.queue.append(attempt.delivery.payload)
            raise

    def _flush(self) -> None:
        while self.queue and not self.world.refusing:
            self.world.take(self.queue.pop(0))


class TestQueues(Contract):
    backend_class = Queues


class TakesALateAnswer(Good):
    """Takes the answer that it gave up waiting for as that to its next question."""

    late = False

    def publish(self, attempt: Attempt) -> None:
        if self.late:
            self.late = False
            self.world.take(attempt.delivery.payload)
            return
        try:
            super().publish(attempt)
        except UnknownOutcome:
            self.late = True
            raise


class TestTakesALateAnswer(Contract):
    backend_class = TakesALateAnswer


class WaitsForEver(Good):
    def publish(self, attempt: Attempt) -> None:
        self.world.flowing.wait()
        super().publish(attempt)


class TestWaitsForEver(Contract):
    backend_class = WaitsForEver


class NeverRecovers(Good):
    broken = False

    def publish(self, attempt: Attempt) -> None:
        self.broken = self.broken or self.world.away
        if self.broken:
            raise TemporaryPublishError("the connection is gone")
        super().publish(attempt)


class TestNeverRecovers(Contract):
    backend_class = NeverRecovers


class TakesARefusalForASuccess(Good):
    def publish(self, attempt: Attempt) -> None:
        with suppress(TemporaryPublishError):
            super().publish(attempt)
        if self.world.away:
            raise TemporaryPublishError("nobody is there")


class TestTakesARefusalForASuccess(Contract):
    backend_class = TakesARefusalForASuccess


class SendsAfterTheClose(Good):
    """Has a thread that still tries what failed when everything was closed."""

    def __init__(self, settings: TokenSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self.failed: list[bytes] = []

    def publish(self, attempt: Attempt) -> None:
        try:
            super().publish(attempt)
        except TemporaryPublishError:
            self.failed.append(attempt.delivery.payload)
            raise

    def close(self, timeout: float) -> None:
        threading.Thread(target=self._flush, daemon=True).start()

    def _flush(self) -> None:
        pause = threading.Event()
        for _ in range(50):
            pause.wait(0.01)
            with suppress(TemporaryPublishError):
                while self.failed:
                    self.world.take(self.failed[0])
                    self.failed.pop(0)


class TestSendsAfterTheClose(Contract):
    backend_class = SendsAfterTheClose


class IsForOneThread(Good):
    def __init__(self, settings: TokenSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self._busy = threading.Lock()

    def publish(self, attempt: Attempt) -> None:
        if not self._busy.acquire(blocking=False):
            raise TemporaryPublishError("used by another thread")
        try:
            threading.Event().wait(0.0005)
            super().publish(attempt)
        finally:
            self._busy.release()


class TestIsForOneThread(Contract):
    backend_class = IsForOneThread


class KeepsEverything(Good):
    def __init__(self, settings: TokenSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self.kept: list[Attempt] = []

    def publish(self, attempt: Attempt) -> None:
        self.kept.append(attempt)
        super().publish(attempt)


class TestKeepsEverything(Contract):
    backend_class = KeepsEverything


class CannotReadWhatItLists(Good):
    formats = frozenset({1, 2})

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        for delivery in super().push_event(acc, event):
            delivery.format = 2
            yield delivery

    def publish(self, attempt: Attempt) -> None:
        if attempt.delivery.format == 1:
            raise TemporaryPublishError("what is that?")
        super().publish(attempt)


class TestCannotReadWhatItLists(Contract):
    backend_class = CannotReadWhatItLists

    def older(self) -> list[Delivery]:
        return [Delivery("bob@example.org", "memory", b"as before")]


class ListsAFormatThatNobodyKnows(Good):
    formats = frozenset({0, 1})


class TestListsAFormatThatNobodyKnows(Contract):
    backend_class = ListsAFormatThatNobodyKnows


class TellsItsSecretInAnError(Good):
    def publish(self, attempt: Attempt) -> None:
        try:
            super().publish(attempt)
        except TemporaryPublishError as error:
            raise TemporaryPublishError(f"login with {self.settings.token.reveal()}: {error}") from None


class TestTellsItsSecretInAnError(Contract):
    backend_class = TellsItsSecretInAnError


class LogsItsSecret(Good):
    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        self.tools.log.info("login with %s", self.settings.token.reveal())
        super().publish_many(attempts, report)


class TestLogsItsSecret(Contract):
    backend_class = LogsItsSecret

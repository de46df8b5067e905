"""Backends that break one duty each, held to the contract; `test_contract.py` runs this and looks at what fails."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterable, Sequence

from event_pusher.abc import DELIVERED, Acc, Attempt, Delivery, Event, Report
from tests.contract.memory import Contract, Good


class TestGood(Contract):
    endurance = 100_000


class OpensASocket(Good):
    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        with socket.socket() as sock:
            sock.connect_ex(("127.0.0.1", 9))
        return super().push_event(acc, event)


class TestOpensASocket(Contract):
    backend_class = OpensASocket


class Counts(Good):
    numbers = itertools.count()

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        for delivery in super().push_event(acc, event):
            delivery.payload += b" %d" % next(self.numbers)
            yield delivery


class TestCounts(Contract):
    backend_class = Counts


class KnowsAllKinds(Good):
    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        yield Delivery(str(event.user), "memory", event.kind.encode())


class TestKnowsAllKinds(Contract):
    backend_class = KnowsAllKinds


class WritesAnotherFormat(Good):
    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        for delivery in super().push_event(acc, event):
            delivery.format = 2
            yield delivery


class TestWritesAnotherFormat(Contract):
    backend_class = WritesAnotherFormat


class ReportsTwice(Good):
    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        super().publish_many(attempts, report)
        report([(attempt, DELIVERED) for attempt in attempts])


class TestReportsTwice(Contract):
    backend_class = ReportsTwice


class ForgetsToReport(Good):
    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        pass


class TestForgetsToReport(Contract):
    backend_class = ForgetsToReport


class Reverses(Good):
    max_batch = 10

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        super().publish_many(attempts[::-1], report)


class TestReverses(Contract):
    backend_class = Reverses


class BatchesDiffer(Good):
    def push_events(self, batch: Sequence[tuple[Acc, Event]]) -> list[Sequence[Delivery] | Exception]:
        return super().push_events(batch)[::-1]


class TestBatchesDiffer(Contract):
    backend_class = BatchesDiffer


class ClosesOnce(Good):
    def close(self, timeout: float) -> None:
        self.closed += 1
        if self.closed == 2:
            raise RuntimeError("closed already")


class TestClosesOnce(Contract):
    backend_class = ClosesOnce


class ClosesForLong(Good):
    def close(self, timeout: float) -> None:
        self.closed += 1
        if timeout == 0.2:
            time.sleep(2.5)


class TestClosesForLong(Contract):
    backend_class = ClosesForLong


class ShowsItsSecret(Good):
    def __repr__(self) -> str:
        return f"<backend with {self.settings.token.reveal()}>"


class TestShowsItsSecret(Contract):
    backend_class = ShowsItsSecret


class LogsWhatWasWritten(Good):
    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        self.tools.log.debug("deciding %s", getattr(getattr(event, "stanza", None), "body", ""))
        return super().push_event(acc, event)


class TestLogsWhatWasWritten(Contract):
    backend_class = LogsWhatWasWritten


class KeepsItsSecret(Good):
    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        for delivery in super().push_event(acc, event):
            delivery.payload += self.settings.token.reveal().encode()
            yield delivery


class TestKeepsItsSecret(Contract):
    backend_class = KeepsItsSecret


class TestDropsATest(Contract):
    test_closing_twice_is_fine = None  # type: ignore[assignment]  # the fault that is tested


class TestDropsATestWithoutAReason(Contract):
    dropped = {"test_closing_twice_is_fine": " "}  # noqa: RUF012 - as a stranger writes it

"""The contract catches what it is for: each of its duties is broken by a backend, and the right test fails."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

BROKEN = Path(__file__).with_name("broken_backends.py")

CAUGHT_BY = {
    "Good": set[str](),
    "OpensASocket": {"test_deciding_waits_for_nothing"},
    "Counts": {"test_the_same_event_makes_the_same_deliveries", "test_a_batch_makes_what_its_events_make"},
    "KnowsAllKinds": {"test_an_event_of_an_unknown_kind_is_ignored"},
    "WritesAnotherFormat": {"test_the_formats_that_it_writes_are_listed"},
    "ReportsTwice": {
        "test_every_attempt_is_reported_exactly_once",
        "test_a_second_attempt_is_reported_too",
        "test_many_threads_may_publish_at_once",
        "test_closing_waits_no_longer_than_it_may_for_what_is_in_flight",
    },
    "ForgetsToReport": {
        "test_every_attempt_is_reported_exactly_once",
        "test_a_second_attempt_is_reported_too",
        "test_many_threads_may_publish_at_once",
        "test_batches_arrive_in_the_order_in_which_they_were_handed_over",
    },
    "Reverses": {"test_batches_arrive_in_the_order_in_which_they_were_handed_over"},
    "BatchesDiffer": {"test_a_batch_makes_what_its_events_make"},
    # Each test that closes leaves the second close to the fixture.
    "ClosesOnce": {
        "test_closing_twice_is_fine",
        "test_closing_before_the_start_is_fine",
        "test_closing_waits_no_longer_than_it_may_for_what_is_in_flight",
    },
    "ClosesForLong": {"test_closing_waits_no_longer_than_it_may_for_what_is_in_flight"},
    "ShowsItsSecret": {"test_secrets_and_bodies_are_never_shown"},
    "LogsWhatWasWritten": {"test_secrets_and_bodies_are_never_shown"},
    "KeepsItsSecret": {"test_secrets_are_not_kept_in_deliveries"},
    "DropsATest": {"test_the_contract_is_whole"},
    "DropsATestWithoutAReason": {"test_the_contract_is_whole"},
}


@pytest.fixture(scope="module")
def failures() -> dict[str, set[str]]:
    """The tests that failed, by backend."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider", str(BROKEN)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = defaultdict[str, set[str]](set)
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED", "ERROR")):
            _, cls, test = line.split(" - ")[0].split("::")
            failed[cls.removeprefix("Test")].add(test)
    return failed


@pytest.mark.parametrize("backend", CAUGHT_BY)
def test_a_broken_duty_is_caught(failures: dict[str, set[str]], backend: str) -> None:
    assert failures.get(backend, set()) == CAUGHT_BY[backend]


def test_every_broken_backend_is_looked_at() -> None:
    text = BROKEN.read_text()

    assert {line[10 : line.index("(")] for line in text.splitlines() if line.startswith("class Test")} == set(CAUGHT_BY)

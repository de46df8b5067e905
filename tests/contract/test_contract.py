"""The contracts catch what they are for: each duty is broken by somebody, and the right test fails."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent

UNREPORTED = {
    "test_every_attempt_is_reported_exactly_once",
    "test_a_second_attempt_is_reported_too",
    "test_many_threads_may_publish_at_once",
    "test_publishing_ends_when_the_destination_is_away",
    "test_what_is_refused_is_not_reported_as_delivered",
}
BACKENDS = {
    "Good": set[str](),
    "OpensASocket": {"test_deciding_waits_for_nothing"},
    "Counts": {"test_the_same_event_makes_the_same_deliveries", "test_a_batch_makes_what_its_events_make"},
    "KnowsAllKinds": {"test_an_event_of_an_unknown_kind_is_ignored"},
    # It lists 1 and writes 2: nothing of what it lists is written, or can be shown to be read.
    "WritesAnotherFormat": {
        "test_the_formats_that_it_writes_are_listed",
        "test_a_payload_of_an_older_format_is_still_published",
    },
    "ReportsTwice": UNREPORTED
    | {
        "test_an_answer_after_the_deadline_is_not_taken_for_another",
        "test_closing_waits_no_longer_than_it_may_for_what_is_in_flight",
    },
    "ForgetsToReport": UNREPORTED
    | {
        "test_it_recovers_when_the_destination_comes_back",
        "test_what_was_reported_as_failed_is_not_sent_later",
        "test_memory_stays_flat",
        "test_batches_arrive_in_the_order_in_which_they_were_handed_over",
    },
    "Reverses": {"test_batches_arrive_in_the_order_in_which_they_were_handed_over"},
    "BatchesDiffer": {"test_a_batch_makes_what_its_events_make"},
    # Each test that closes leaves the second close to the fixture.
    "ClosesOnce": {
        "test_closing_twice_is_fine",
        "test_closing_before_the_start_is_fine",
        "test_nothing_is_sent_after_the_close",
        "test_closing_waits_no_longer_than_it_may_for_what_is_in_flight",
    },
    "ClosesForLong": {"test_closing_waits_no_longer_than_it_may_for_what_is_in_flight"},
    "ShowsItsSecret": {"test_secrets_and_bodies_are_never_shown"},
    "LogsWhatWasWritten": {"test_secrets_and_bodies_are_never_shown"},
    "KeepsItsSecret": {"test_secrets_are_not_kept_in_deliveries"},
    "DropsATest": {"test_the_contract_is_whole"},
    "DropsATestWithoutAReason": {"test_the_contract_is_whole"},
}
OUTAGES = {
    "Queues": {"test_what_was_reported_as_failed_is_not_sent_later"},
    "TakesALateAnswer": {"test_an_answer_after_the_deadline_is_not_taken_for_another"},
    "WaitsForEver": {"test_an_answer_after_the_deadline_is_not_taken_for_another"},
    # Nothing can be said to be sent later where nothing is ever sent again.
    "NeverRecovers": {
        "test_it_recovers_when_the_destination_comes_back",
        "test_what_was_reported_as_failed_is_not_sent_later",
    },
    "TakesARefusalForASuccess": {
        "test_what_is_refused_is_not_reported_as_delivered",
        "test_an_answer_after_the_deadline_is_not_taken_for_another",
    },
    "SendsAfterTheClose": {"test_nothing_is_sent_after_the_close"},
    "IsForOneThread": {"test_many_threads_may_publish_at_once"},
    "KeepsEverything": {"test_memory_stays_flat"},
    "CannotReadWhatItLists": {"test_a_payload_of_an_older_format_is_still_published"},
    "ListsAFormatThatNobodyKnows": {"test_a_payload_of_an_older_format_is_still_published"},
    "TellsItsSecretInAnError": {"test_secrets_and_bodies_are_never_shown"},
    "LogsItsSecret": {"test_secrets_and_bodies_are_never_shown"},
}
HTTP_PLUGINS = {
    "GoodHttpPlugin": set[str](),
    "Stamps": {"test_the_same_event_makes_the_same_request"},
    "SleepsOnRequests": {"test_deciding_waits_for_nothing"},
    "StoresItsToken": {"test_secrets_are_not_kept_in_requests"},
    "CountsAttempts": {"test_many_threads_may_ask_for_the_headers_of_attempts"},
    "WritesBrokenHeaders": {"test_many_threads_may_ask_for_the_headers_of_attempts"},
    "LogsRequests": {"test_secrets_and_bodies_are_never_shown"},
    "TakesAnyHttpKey": {"test_settings_refuse_an_unknown_key"},
}
SOURCES = {
    "GoodSource": set[str](),
    "HasNoHosts": {"test_it_says_its_hosts_before_the_start"},
    "UsesAnotherName": {"test_what_happens_is_handed_in_under_its_name_and_host"},
    "StaysAway": {"test_events_come_again_after_the_connection_was_cut"},
    "DoesNotStop": {"test_nothing_is_handed_in_after_the_intake_was_stopped"},
    "GoesOnAfterTheClose": {"test_nothing_is_handed_in_after_the_close"},
    "RefusesStrangePositions": {"test_whatever_is_acknowledged_is_accepted"},
    # The fixture closes what the first of them has not started.
    "ClosesOnlyWhatWasStarted": {
        "test_closing_before_the_start_is_fine",
        "test_it_says_its_hosts_before_the_start",
    },
    "ShowsItsToken": {"test_secrets_are_never_shown"},
}
PLUGINS = {
    "GoodPlugin": set[str](),
    "SelectsAStranger": {"test_it_selects_among_the_services_given"},
    "SelectsFromNothing": {"test_it_selects_nothing_from_nothing"},
    "DeliversTwice": {"test_it_enqueues_each_service_at_most_once"},
    "Sleeps": {"test_it_waits_for_nothing"},
    "Counts": {"test_the_same_event_gets_the_same_answer"},
    "LogsWhatWasWritten": {"test_secrets_and_bodies_are_never_shown"},
    "TakesAnyKey": {"test_settings_refuse_an_unknown_key"},
    "AnswersMaybe": {"test_should_publish_answers_yes_or_no"},
}
GATEWAYS = {
    "GoodGateway": set[str](),
    "TrustsOptions": {"test_what_a_client_wrote_breaks_nothing"},
    "TellsTheDevice": {"test_what_a_client_wrote_breaks_nothing", "test_secrets_and_bodies_are_never_shown"},
    "TakesAnyGatewayKey": {"test_its_settings_refuse_an_unknown_key"},
    "NeedsASender": {
        "test_whatever_a_notification_may_reveal_is_published[none]",
        "test_whatever_a_notification_may_reveal_is_published[marker]",
        "test_what_a_client_wrote_breaks_nothing",
    },
    "SendsAfterItsEnd": {
        "test_what_was_reported_as_failed_is_not_sent_later",
        "test_nothing_is_sent_after_the_close",
    },
}
FILES = {
    "broken_backends.py": BACKENDS,
    "broken_outages.py": OUTAGES,
    "broken_plugins.py": PLUGINS,
    "broken_http_plugins.py": HTTP_PLUGINS,
    "broken_sources.py": SOURCES,
    "broken_gateways.py": GATEWAYS,
}
CASES = [(file, name, caught) for file, known in FILES.items() for name, caught in known.items()]


@cache
def failures(file: str) -> dict[str, set[str]]:
    """Run a file of broken classes: the tests that failed, by class."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider", str(HERE / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = defaultdict[str, set[str]](set)
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED", "ERROR")):
            _, cls, test = line.split(" - ")[0].split("::")
            failed[cls.removeprefix("Test")].add(test)
    return failed


@pytest.mark.parametrize(("file", "name", "caught"), CASES, ids=[name for _, name, _ in CASES])
def test_a_broken_duty_is_caught(file: str, name: str, caught: set[str]) -> None:
    assert failures(file).get(name, set()) == caught


@pytest.mark.parametrize("file", FILES)
def test_everything_that_is_broken_is_looked_at(file: str) -> None:
    lines = (HERE / file).read_text().splitlines()

    written = {line[len("class Test") : line.index("(")] for line in lines if line.startswith("class Test")}

    assert written == {name for home, name, _ in CASES if home == file}

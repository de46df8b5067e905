"""trace, tail, dead letters and registrations, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from event_pusher.loopback import Verdict
from tests.unit.running import BOB, SERVICE, Place, Running

REFUSED: Verdict = ("wait", "internal-server-error")


def waiting(running: Running) -> dict[str, object]:
    """A delivery that failed once."""
    running.enable(secret="hers")
    running.verdict = REFUSED
    running.write("a secret of the heart")
    running.until(lambda: running.call("deliveries_list")[0]["attempts"] == 1)
    [row] = running.call("deliveries_list")
    assert isinstance(row, dict)
    return row


def test_trace_says_what_was_decided_tried_and_comes_next(running: Running) -> None:
    row = waiting(running)
    output = running.run("trace", str(row["trace"])).output
    for text in ("push: accepted", "attempt 1: retry (it failed", "internal-server-error", "next: attempt 2 in "):
        assert text in output
    assert "heart" not in output


def test_trace_of_what_nobody_knows_says_so(running: Running) -> None:
    result = running.run("trace", "nothing-7")
    assert (result.exit_code, "nothing is known of nothing-7" in result.stderr) == (1, True)


def test_trace_without_a_process_tells_what_the_outbox_holds(place: Place) -> None:
    result = place.run("trace", "nothing-7")
    assert (result.exit_code, "start `event-pusher run`" in result.stderr) == (1, True)


def test_show_tells_attempts_with_times_and_answers(running: Running) -> None:
    row = waiting(running)
    output = running.run("deliveries", "show", str(row["id"])).output
    for text in ("attempt 1: retry", "internal-server-error", "next: attempt 2", f"{row['trace']}-{row['id']}"):
        assert text in output
    assert "heart" not in output


def test_deliveries_are_listed_by_id_target_and_age(running: Running) -> None:
    row = waiting(running)
    for filters, number in (
        ([str(row["id"])], 1),
        (["--target", SERVICE], 1),
        (["--target", "elsewhere.example"], 0),
        (["--older-than", "1h"], 0),
        (["--state", "orphaned"], 0),
    ):
        assert len(json.loads(running.run("deliveries", "list", "--json", *filters).output)) == number


def test_tail_prints_what_comes(running: Running) -> None:
    # Given a follower, and a message that comes while it follows
    running.enable()
    name = "the test's own"
    running.call("tail", follower=name, wait=0)
    running.write("a secret of the heart")
    # When somebody else follows from now on, Then what came before is not theirs
    assert running.run("tail", "--for", "0.2").output == ""
    assert len(running.call("tail", follower=name, wait=1)["entries"]) >= 1


def test_tail_needs_a_process(place: Place) -> None:
    result = place.run("tail", "--for", "0.2")
    assert (result.exit_code, "start `event-pusher run`" in result.stderr) == (1, True)


def test_a_registration_is_paused_and_resumed(running: Running) -> None:
    id_ = str(running.enable())
    assert running.run("registrations", "pause", id_, "--reason", "maintenance").output == "paused 1 registration\n"
    shown = running.run("registrations", "show", id_).output
    assert "paused" in shown
    assert "maintenance" in shown
    assert running.run("registrations", "resume", id_).output == "resumed 1 registration\n"
    assert running.run("registrations", "pause", "99").exit_code == 1


def test_an_export_has_no_secrets_unless_it_is_told_to(running: Running) -> None:
    running.enable(secret="hers")
    assert "hers" not in running.run("registrations", "export").output
    assert "hers" in running.run("registrations", "export", "--with-secrets").output


def test_an_export_with_secrets_is_imported_elsewhere(running: Running, place: Place, tmp_path: Path) -> None:
    # Given two registrations, one of them paused
    running.enable(secret="hers")
    paused = running.enable("eve@example.org")
    running.call("registrations_pause", ids=[paused], reason="maintenance")
    file = tmp_path / "registrations"
    file.write_text(running.run("registrations", "export", "--with-secrets").output)
    # When they are imported into another database, twice
    for _ in range(2):
        assert place.run("registrations", "import", str(file)).output == "stored 2 registrations\n"
    # Then they are there as they were
    again = place.run("registrations", "export", "--with-secrets").output
    assert [_without_id(line) for line in again.splitlines()] == [
        _without_id(line) for line in file.read_text().splitlines()
    ]


def test_a_line_without_secrets_keeps_those_that_are_known(running: Running, tmp_path: Path) -> None:
    # Given an export without secrets
    running.enable(secret="hers")
    file = tmp_path / "registrations"
    file.write_text(running.run("registrations", "export").output)
    # When it is imported where the registration is
    assert running.run("registrations", "import", str(file)).exit_code == 0
    # Then its options are what they were
    running.write("hello")
    running.until(lambda: running.pushed)
    assert running.pushed[0].options == {"secret": "hers"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nonsense", "it is no JSON"),
        ("[]", "no JSON object"),
        ('{"user": "example.org", "service": "p", "node": "n"}', "user must be an account"),
        ('{"user": "bob@example.org", "service": "p"}', "node must be a text"),
        ('{"user": "bob@example.org", "service": "p", "node": "n", "options": [["secret", null]]}', "--with-secrets"),
    ],
)
def test_a_line_that_is_refused_is_named_and_the_others_are_stored(place: Place, line: str, why: str) -> None:
    # Given a file with a good line and a bad one
    file = place.folder / "registrations"
    file.write_text(f'{{"user": "{BOB}", "service": "p2", "node": "n"}}\n{line}\n')
    # When it is imported
    result = place.run("registrations", "import", str(file))
    # Then the bad one is named with its number, the good one is there
    assert result.exit_code == 1
    assert "stored 1 registration" in result.output
    assert "line 2: " in result.stderr
    assert why in result.stderr


def _without_id(line: str) -> dict[str, object]:
    told = json.loads(line)
    del told["id"]
    assert isinstance(told, dict)
    return told

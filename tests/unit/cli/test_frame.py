"""What holds for every command: errors in one line with the cure, exit codes, where options may stand."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from event_pusher import __version__
from event_pusher.cli.root import COMMANDS
from tests.unit.running import Place, run


def test_every_command_is_listed_and_there() -> None:
    text = run("--help").output
    for name in COMMANDS:
        assert name in text
        assert run(name, "--help").exit_code == 0


def test_help_imports_no_command() -> None:
    # When the help is shown, Then nothing heavy was imported for it
    code = (
        "import sys; from event_pusher.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'pydantic', 'lxml', 'alembic'} & sys.modules.keys()\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_the_version_is_told() -> None:
    assert run("--version").output == f"event-pusher {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stats"], 'did you mean "status"?'),
        (["db", "nope"], "`event-pusher db --help`"),
        (["run", "--nope"], "`event-pusher run --help`"),
        (["setup", "mongooseim", "--domain", "a", "--component", "b"], "`event-pusher setup --help`"),
        (["deliveries", "retry"], "name deliveries, or filters"),
    ],
)
def test_misuse_is_one_line_that_says_what_there_is(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("event-pusher: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_every_fault_of_the_configuration_is_a_line(place: Place) -> None:
    # Given a file with two faults
    place.config.write_text(place.config.read_text() + "[log]\nlevle = 1\n[outbox]\nmax_rows = 0\n")
    # When any command reads it
    result = place.run("status")
    # Then both are told at once
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("event-pusher: ") for line in lines)
    assert 'did you mean "level"?' in lines[0]


def test_a_missing_file_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVENT_PUSHER_CONFIG", raising=False)
    monkeypatch.setattr("event_pusher.settings.file.PLACES", ())
    result = run("status")
    assert result.exit_code == 1
    assert "`event-pusher init FILE` writes one" in result.stderr


def test_the_configuration_may_be_named_before_or_behind_the_command(place: Place) -> None:
    for arguments in (
        ["-c", place.config, "status"],
        ["status", "-c", place.config],
        ["db", "-c", place.config, "current"],
    ):
        assert run(*map(str, arguments)).exit_code == 0


def test_a_traceback_is_shown_with_debug_only(place: Place) -> None:
    (place.folder / "event-pusher.db").unlink()
    assert "Traceback" not in place.run("status").stderr
    assert "Traceback" in place.run("status", "--debug").stderr


def test_a_closed_pipe_is_quiet() -> None:
    # Given a reader that goes at once
    with subprocess.Popen(
        [sys.executable, "-c", "from event_pusher.cli import main; main()", "db", "history"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        # Then nobody complains
        assert process.stderr.read() == b""
        assert process.wait() in (0, 1)


def test_help_is_there_at_once() -> None:
    # A machine that is busy with something else may take longer now and then; the best of a few counts.
    command = [sys.executable, "-c", "from event_pusher.cli import main; main(['--help'])"]
    took = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.3

"""The quickstart plays to its end and says what it saw."""

from __future__ import annotations

from pathlib import Path

from tests.unit.running import run


def test_it_prints_each_notification_a_summary_and_the_next_command() -> None:
    # When it is run
    result = run("quickstart")
    # Then every notification is there, and what to do next
    assert result.exit_code == 0, result.output
    for text in ("But soft!", "Juliet is the sun", "Arise", "Parting is", "till it be morrow"):
        assert text in result.output
    assert "5 notifications, none lost, none twice" in result.output
    assert "event-pusher setup" in result.output


def test_it_fits_a_terminal() -> None:
    assert max(map(len, run("quickstart").output.splitlines())) <= 80


def test_it_leaves_its_folder_when_asked(tmp_path: Path) -> None:
    result = run("quickstart", "--keep", tmp_path / "kept")
    assert result.exit_code == 0
    assert {"event-pusher.toml", "event-pusher.db"} <= {path.name for path in (tmp_path / "kept").iterdir()}


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = run("quickstart", "--keep", tmp_path)
    assert (result.exit_code, "name a new folder" in result.stderr) == (1, True)

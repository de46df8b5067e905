"""init, setup, db, plugins: commands about files and what is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from event_pusher.settings import sample
from tests.unit.running import Place, run


def test_init_prints_without_a_file() -> None:
    assert run("init").output == sample()


def test_init_writes_paths_of_the_files_own_folder(tmp_path: Path) -> None:
    result = run("init", tmp_path / "event-pusher.toml")
    assert result.exit_code == 0
    assert (tmp_path / "event-pusher.toml").read_text() == sample(folder=tmp_path)
    assert "db upgrade" in result.output


def test_init_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "event-pusher.toml"
    file.write_text("mine")
    result = run("init", file)
    assert (result.exit_code, file.read_text()) == (1, "mine")
    assert "name another file" in result.stderr


def test_init_into_no_folder_says_what_to_do(tmp_path: Path) -> None:
    result = run("init", tmp_path / "none" / "event-pusher.toml")
    assert result.exit_code == 1
    assert "name a file in a folder that you may write" in result.stderr


@pytest.mark.parametrize("server", ["ejabberd", "prosody"])
def test_setup_writes_and_tells(server: str, tmp_path: Path) -> None:
    # When it is run
    names = ("--domain", "example.org", "--component", "push.example.org", "--output", tmp_path)
    result = run("setup", server, *names)
    # Then files and steps are there, and the secret is not shown
    assert result.exit_code == 0
    assert "Take OUT" in result.output
    assert "reload" in result.output
    assert "tested with" in result.output
    assert (tmp_path / "component-secret").read_text().strip() not in result.output


def test_setup_says_what_belongs_into_a_configuration_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "event-pusher.toml").write_text("[log]\n")
    result = run("setup", "prosody", "--domain", "a.org", "--component", "p.a.org", "--output", tmp_path)
    assert "stays as it is" in result.output
    assert 'domain = "p.a.org"' in result.output


def test_setup_prints_without_touching_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("setup", "ejabberd", "--domain", "a.org", "--component", "p.a.org", "--output", "-")
    assert "mod_event_feed" in result.stdout
    assert "[sources.component]" in result.stdout
    assert "THE-SECRET" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_setup_takes_another_address(tmp_path: Path) -> None:
    names = ("--domain", "a.org", "--component", "p.a.org", "--output", tmp_path, "--server", "127.0.0.1:5999")
    assert run("setup", "ejabberd", *names).exit_code == 0
    assert "port: 5999" in (tmp_path / "ejabberd.yml").read_text()
    assert '"127.0.0.1:5999"' in (tmp_path / "event-pusher.toml").read_text()


def test_setup_refuses_a_component_without_a_domain_of_its_own() -> None:
    result = run("setup", "ejabberd", "--domain", "a.org", "--component", "a.org", "--output", "-")
    assert result.exit_code == 1
    assert "--component push.a.org" in result.stderr


def test_db_creates_and_tells_the_revision(place: Place) -> None:
    # Given no database
    (place.folder / "event-pusher.db").unlink()
    assert "run `event-pusher db upgrade`" in place.run("db", "current").stderr
    # When it is upgraded
    assert "is at revision 0003" in place.run("db", "upgrade").output
    # Then it is at the newest revision of the history
    assert place.run("db", "current").output == "0003\n"
    assert run("db", "history").output.startswith("0001 ")


def test_plugins_lists_what_is_installed_without_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("event_pusher.settings.file.PLACES", ())
    found = json.loads(run("plugins", "--json").output)
    assert {(one["group"], one["name"], one["state"]) for one in found} >= {
        ("event_pusher.backends", "push", "installed"),
        ("event_pusher.sources", "component", "installed"),
        ("event_pusher.plugins.push", "defaults", "installed"),
    }


def test_plugins_says_which_are_in_use(place: Place) -> None:
    lines = place.run("plugins").output.splitlines()
    assert any(line.startswith("backends") and " push " in line and line.endswith("enabled") for line in lines)
    assert any(line.startswith("backends") and " log " in line and line.endswith("installed") for line in lines)

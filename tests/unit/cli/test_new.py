"""`event-pusher new`: what is refused; that it works is shown by tests/packaging."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.unit.running import run


def test_it_writes_beside_where_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("new", "backend", "acme_chat")
    assert result.exit_code == 0
    project = tomllib.loads((tmp_path / "event-pusher-acme-chat" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "event-pusher-acme-chat"
    assert project["entry-points"]["event_pusher.backends"] == {
        "acme_chat": "event_pusher_acme_chat.backend:AcmeChatBackend"
    }


def test_no_placeholder_is_left(tmp_path: Path) -> None:
    for kind in ("backend", "push-plugin"):
        run("new", kind, "acme", tmp_path / kind)
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) == 14
    assert not [text for text in texts for word in ("@NAME@", "@CLASS@", "@PACKAGE@", "@DISTRIBUTION@") if word in text]


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = run("new", "backend", "acme", tmp_path)
    assert (result.exit_code, [path.name for path in tmp_path.iterdir()]) == (1, ["mine"])
    assert "name another folder" in result.stderr


@pytest.mark.parametrize("name", ["Acme", "1st", "a b", "a--b", "../a", "é", "x" * 65])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    result = run("new", "backend", name, tmp_path / "new")
    assert result.exit_code == 1
    assert "is no name" in result.stderr
    assert not (tmp_path / "new").exists()

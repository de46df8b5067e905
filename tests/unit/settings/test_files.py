"""Which file is read, and the one that `init` writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from event_pusher.errors import SettingsError
from event_pusher.settings import Settings, find_file, sample

Read = Callable[[str], Settings]
Faults = Callable[[str], tuple[str, ...]]

BASE = """
[database]
url = "sqlite:///event-pusher.db"
[sources.inlet]
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Path]:
    """Files in all places where one is looked for."""
    named, here, etc = tmp_path / "named.toml", tmp_path / "event-pusher.toml", tmp_path / "etc.toml"
    for path in (named, here, etc):
        path.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVENT_PUSHER_CONFIG", raising=False)
    monkeypatch.setattr("event_pusher.settings.file.PLACES", (Path("event-pusher.toml"), etc))
    return {"named": named, "here": here, "etc": etc}


def test_the_option_comes_first_then_the_environment_then_the_places(
    places: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENT_PUSHER_CONFIG", str(places["named"]))

    assert find_file("etc.toml") == places["etc"]
    assert find_file() == places["named"]
    monkeypatch.delenv("EVENT_PUSHER_CONFIG")
    assert find_file() == places["here"]
    places["here"].unlink()
    assert find_file() == places["etc"]


@pytest.mark.parametrize("option", ["gone.toml", None])
def test_a_file_that_was_named_is_not_replaced_by_another(
    places: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch, option: str | None
) -> None:
    monkeypatch.setenv("EVENT_PUSHER_CONFIG", "gone.toml")

    with pytest.raises(SettingsError, match=re.escape(f"{Path.cwd()}/gone.toml, which is not a file")):
        find_file(option)


def test_a_file_in_a_closed_folder_is_not_passed_over(
    places: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a place that this user may not look into
    places["here"].unlink()
    is_file = Path.is_file

    def closed(path: Path) -> bool:
        if path == places["etc"]:
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", closed)
    # When the file is looked for, Then it is that one, and reading it says why it cannot be
    assert find_file() == places["etc"]


def test_without_any_file_all_places_are_named(places: Mapping[str, Path], tmp_path: Path) -> None:
    places["here"].unlink()
    places["etc"].unlink()

    with pytest.raises(SettingsError) as caught:
        find_file()

    text = str(caught.value)
    assert all(place in text for place in ("-c FILE", "$EVENT_PUSHER_CONFIG", f"{places['here']}", f"{places['etc']}"))
    assert text.endswith("`event-pusher init FILE` writes one")


def test_the_sample_loads_without_faults(read: Read, tmp_path: Path) -> None:
    # Given what `init` writes, and the secret that `setup` makes
    (tmp_path / "component-secret").write_text("s3cret")
    # When it is read back
    settings = read(sample(folder=tmp_path, domain="push.example.net", hosts=["a.example", "b.example"]))
    # Then it says what it was told, and reveals little
    (source,) = settings.sources
    assert source.settings.model_dump()["domain"] == "push.example.net"
    assert source.settings.model_dump()["hosts"] == ("a.example", "b.example")
    (backend,) = settings.backends
    assert backend.settings.model_dump()["content"] == "marker"
    assert backend.settings.wpool.workers == 200
    assert settings.database.url == f"sqlite:///{tmp_path}/event-pusher.db"
    assert settings.admin.listen == f"unix:{tmp_path}/admin.sock"


def test_what_the_sample_has_as_a_comment_loads_too(read: Read, tmp_path: Path) -> None:
    (tmp_path / "component-secret").write_text("s3cret")
    commented = re.compile(r"^# (\[[a-z].*\]|[a-z_]+ = \S+)( .*)?$", re.MULTILINE)

    settings = read(commented.sub(r"\1", sample(folder=tmp_path)))

    assert [backend.name for backend in settings.backends] == ["push", "log"]
    assert settings.backends[0].host_settings["example.org"].model_dump()["content"] == "full"


def test_the_sample_shows_mongooseims_model_and_its_counterpart() -> None:
    text = " ".join(line.lstrip("# ") for line in sample().splitlines())

    model = (
        "{push, [{backend, mnesia}, {wpool, [{workers, 200}]}, {plugin_module, mod_event_pusher_push_plugin_defaults}]}"
    )
    assert model in re.sub(r"\s+", " ", text)
    assert (
        text.index(model.split(maxsplit=1)[0])
        < text.index('backend = "rdbms"')
        < text.index("wpool = { workers = 200 }")
    )


def test_the_samples_paths_are_absolute_and_where_debian_has_them() -> None:
    text = sample()

    assert 'url = "sqlite:////var/lib/event-pusher/event-pusher.db"' in text
    assert 'file = "/etc/event-pusher/component-secret"' in text
    assert 'listen = "unix:/run/event-pusher/admin.sock"' in text


def test_nothing_an_operator_types_breaks_the_sample(read: Read, tmp_path: Path) -> None:
    folder = tmp_path / 'a "quoted" folder'
    folder.mkdir()
    (folder / "component-secret").write_text("s3cret")

    assert read(sample(folder=folder)).database.url.endswith("event-pusher.db")

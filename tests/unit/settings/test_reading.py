"""What a configuration becomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from event_pusher.registry import BACKENDS, EVENT_PLUGINS, GATEWAYS, PLUGINS, SOURCES
from event_pusher.settings import Settings
from event_pusher_push.backend import PushBackend

Read = Callable[[str], Settings]
Faults = Callable[[str], tuple[str, ...]]

BASE = """
[database]
url = "sqlite:///event-pusher.db"
[sources.inlet]
"""


def test_the_smallest_file_has_defaults_for_everything_else(read: Read, tmp_path: Path) -> None:
    # When a file says only what it must
    settings = read(BASE + "[backends.push]")
    # Then the rest is there
    assert [(one.name, one.type, one.cls.__name__) for one in settings.sources] == [("inlet", "inlet", "Inlet")]
    assert [(one.name, one.type, one.cls) for one in settings.backends] == [("push", "push", PushBackend)]
    assert settings.folder == tmp_path
    assert settings.event_plugins == ()
    assert (settings.log.level, settings.log.format) == ("info", "text")
    assert settings.outbox.max_rows == 1_000_000
    assert settings.outbox.dead_retention == 7 * 86400
    assert settings.outbox.dedupe_window == 86400


def test_there_may_be_several_of_a_type(read: Read) -> None:
    settings = read(
        BASE
        + '[sources.second]\ntype = "inlet"\n[backends.one]\ntype = "log"\n[backends.two]\ntype = "log"\nbodies = true'
    )

    assert [(one.name, one.type) for one in settings.sources] == [("inlet", "inlet"), ("second", "inlet")]
    assert [(one.name, one.type) for one in settings.backends] == [("one", "log"), ("two", "log")]
    assert [one.settings.model_dump()["bodies"] for one in settings.backends] == [False, True]


def test_what_is_enabled_is_known_by_group(read: Read) -> None:
    settings = read(
        BASE
        + '[events]\nplugins = ["stamp"]\n[backends.push]\n[hosts."example.org".backends.push]\nplugin_module = "mute"'
    )

    assert settings.enabled == {
        SOURCES: {"inlet"},
        BACKENDS: {"push"},
        EVENT_PLUGINS: {"stamp"},
        GATEWAYS: set(),
        PLUGINS + "push": {"defaults", "mute"},
    }


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("sqlite:///data/events.db", "sqlite:///{folder}/data/events.db"),
        ("sqlite:////var/lib/e.db", "sqlite:////var/lib/e.db"),
        ("sqlite://", "sqlite://"),
        ("postgresql+psycopg://u:p%40ss@db.example.org/e", "postgresql+psycopg://u:p%40ss@db.example.org/e"),
    ],
)
def test_a_relative_sqlite_path_starts_at_the_files_folder(read: Read, tmp_path: Path, url: str, becomes: str) -> None:
    settings = read(f'[database]\nurl = "{url}"\n[sources.inlet]\n[backends.log]')

    assert settings.database.url == becomes.format(folder=tmp_path)


def test_reading_creates_no_database(read: Read, tmp_path: Path) -> None:
    read(BASE + "[backends.log]")

    assert [path.name for path in tmp_path.iterdir()] == ["event-pusher.toml"]


def test_the_databases_url_may_come_from_the_environment(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EP_TEST_URL", "postgresql+psycopg://u:hidden@localhost/e")

    settings = read('[database]\nurl = { env = "EP_TEST_URL" }\n[sources.inlet]\n[backends.log]')

    assert settings.database.url == "postgresql+psycopg://u:hidden@localhost/e"
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("url", ["nonsense", "nosuch://u:hidden@h/db", "postgresql://u:hidden@h:port/db"])
def test_a_url_that_is_none_is_not_quoted(faults: Faults, url: str) -> None:
    (fault,) = faults(f'[database]\nurl = "{url}"\n[sources.inlet]\n[backends.log]')

    assert fault.startswith("database.url: must be an SQLAlchemy URL with an installed driver, such as ")
    assert "hidden" not in fault


@pytest.mark.parametrize(
    ("database", "admin", "listen"),
    [
        ("sqlite:///event-pusher.db", "", "unix:{folder}/admin.sock"),
        ("sqlite:////var/lib/ep/e.db", "", "unix:/var/lib/ep/admin.sock"),
        ("postgresql+psycopg://localhost/e", "", "unix:/run/event-pusher/admin.sock"),
        ("sqlite:///event-pusher.db", 'listen = "unix:run/a.sock"', "unix:{folder}/run/a.sock"),
        ("sqlite:///event-pusher.db", 'listen = "127.0.0.1:9100"', "127.0.0.1:9100"),
        ("sqlite:///event-pusher.db", 'listen = "[::1]:9100"', "[::1]:9100"),
        ("sqlite:///event-pusher.db", 'listen = ""', ""),
    ],
)
def test_the_admin_listens_beside_the_database_or_where_it_is_told_to(
    read: Read, tmp_path: Path, database: str, admin: str, listen: str
) -> None:
    settings = read(f'[database]\nurl = "{database}"\n[sources.inlet]\n[backends.log]\n[admin]\n{admin}')

    assert settings.admin.listen == listen.format(folder=tmp_path)


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("0.0.0.0:80", "must be a loopback address"),
        ("example.org:80", "must be a loopback address"),
        ("127.0.0.1", 'must be "unix:PATH"'),
        ("127.0.0.1:99999", 'must be "unix:PATH"'),
        ("unix:", 'must be "unix:PATH"'),
        ("unix:/" + "x" * 107, "the path is longer than 107 bytes"),
    ],
)
def test_the_admin_does_not_listen_where_strangers_are(faults: Faults, listen: str, why: str) -> None:
    (fault,) = faults(f'{BASE}[backends.log]\n[admin]\nlisten = "{listen}"')

    assert fault.startswith(f"admin.listen: {why}")

"""Every fault in one go, with its path and the cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from event_pusher.errors import SettingsError
from event_pusher.settings import Settings, load
from event_pusher.testing import StubRegistry

Read = Callable[[str], Settings]
Faults = Callable[[str], tuple[str, ...]]

BASE = """
[database]
url = "sqlite:///event-pusher.db"
[sources.inlet]
"""

NO_MNESIA = 'there is no Mnesia here: write backend = "rdbms", which keeps registrations in [database]'


def test_all_faults_come_in_one_go(faults: Faults) -> None:
    found = faults(
        """
        databse = 1
        [database]
        url = "sqlite:///x.db"
        [sources.inlet]
        hots = []
        [backends.push]
        backend = "mnesia"
        wpool = { worker = 3, workers = "many" }
        [backends.pusch]
        [log]
        level = "loud"
        """
    )

    assert found == (
        'databse: unknown section; did you mean "database"?',
        'sources.inlet.hots: unknown key; did you mean "hosts"?',
        'backends.push.wpool.worker: unknown key; did you mean "workers"?',
        "backends.push.wpool.workers: must be a whole number",
        f"backends.push.backend: {NO_MNESIA}",
        'backends.pusch: no backend "pusch" is installed (there are: log, push, stub); did you mean "push"?',
        "log.level: must be 'debug', 'info', 'warning' or 'error'",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", 'database: the section is missing: [database] url = "sqlite:///event-pusher.db"'),
        ("", "sources: none is configured; add a section [sources.component]"),
        ("", "backends: none is configured; add a section [backends.push]"),
        ("[database]", "database.url: is missing"),
        ("database = 1", "database: must be a section: [database]"),
        ("[database]\nurl = 5", 'database.url: must be a text, { file = "NAME" } or { env = "NAME" }'),
        ("sources = 1", "sources: must be sections: [sources.NAME]"),
        ("[[backends]]", "backends: must be sections: [backends.NAME]"),
        ("[backends]\npush = 1", "backends.push: must be a section: [backends.push]"),
        ("[backends.push]\ntype = 5", "backends.push.type: must be a text"),
        ('[backends."a b"]', 'backends."a b": a name is made of at most 64 letters, digits, - and _'),
        ("[backends.push]\nwpool = 5", "backends.push.wpool: must be a section"),
        ("[backends.push]\nonly_users = 5", "backends.push.only_users: must be a list"),
        ("[backends.push.retry]\nschedule = [1, 'x']", "backends.push.retry.schedule[1]: a duration is a number"),
        (
            "[backends.push]\nplugin_module = 5",
            "backends.push.plugin_module: must be a text or a list",
        ),
        ("[hosts]\nx = 1", 'hosts.x: must be sections: [hosts."x".backends.NAME]'),
        ("plugins = 1", "plugins: must be sections: [plugins.push.NAME]"),
        ("[events]\nplugins = ['stam']", 'events.plugins: no event plugin "stam" is installed'),
        ("[outbox]\nmax_rows = 0", "outbox.max_rows: must be greater than or equal to 1"),
    ],
)
def test_a_fault_names_its_path_and_the_cure(faults: Faults, text: str, fault: str) -> None:
    assert any(line.startswith(fault) for line in faults(text))


def test_a_fault_is_one_line_whatever_the_keys_are_called(faults: Faults) -> None:
    assert '"a\\nb": unknown section' in [fault.partition(";")[0] for fault in faults('"a\\nb" = 1')]


def test_what_is_not_toml_is_named_by_its_line(faults: Faults, tmp_path: Path) -> None:
    (fault,) = faults('[database]\nurl = "hidden\n')

    assert fault.startswith(f"{tmp_path}/event-pusher.toml: not TOML: ")
    assert "line 2" in fault
    assert "hidden" not in fault


def test_what_is_not_utf8_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "event-pusher.toml"
    path.write_bytes(b"[log]\nlevel = '\xe4'")

    with pytest.raises(SettingsError, match="line 2 is not UTF-8"):
        load(path, StubRegistry({}))


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file or directory"):
        load(tmp_path / "nowhere.toml", StubRegistry({}))

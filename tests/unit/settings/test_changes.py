"""What differs between two readings of a file, by its keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from event_pusher.registry import Registry
from event_pusher.settings import load
from event_pusher.settings.changes import Changes, compare
from tests.unit.running import Place

MORE = """\
[hosts."example.org".backends.push]
content = "none"
[backends.http]
handlers = [{ url = "http://127.0.0.1:1/a", name = "a" }]
[log]
level = "info"
"""


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place(more=MORE)
    yield place
    place.remove()


def changed(place: Place, old: str, new: str) -> Changes:
    """Read the file before and after `old` has become `new`."""
    text = place.config.read_text()
    assert old in text
    place.config.write_text(text.replace(old, new))
    return compare(place.settings, load(place.config, Registry()))


def test_the_same_file_has_no_changes(place: Place) -> None:
    assert not changed(place, "[log]", "\n# a remark\n[log]")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("event-pusher.db", "other.db", "database.url"),
        ('["1h"]', '["2h"]', "backends.push.retry.schedule[0]"),
        ('"127.0.0.1:1"', '"127.0.0.1:2"', "sources.component.server"),
        ('level = "info"', 'format = "json"', "log.format"),
        ("[log]", "[outbox]\nmax_rows = 5\n[log]", "outbox.max_rows"),
        ("[log]", "[backends.log]\n[log]", "backends.log"),
        ("127.0.0.1:1/a", "127.0.0.1:1/b", "backends.http.handlers[0].url"),
        ('{ file = "component-secret" }', '"another"', "sources.component.secret"),
    ],
)
def test_what_needs_a_restart_is_named(place: Place, old: str, new: str, key: str) -> None:
    changes = changed(place, old, new)
    assert key in changes.restart
    assert "another" not in str(changes)


@pytest.mark.parametrize(
    ("old", "new", "name", "key"),
    [
        ('content = "none"', 'content = "marker"', "push", 'hosts."example.org".backends.push.content'),
        ('content = "none"', "dry_run = true", "push", 'hosts."example.org".backends.push.dry_run'),
        (
            'name = "a"',
            'name = "a", callback_module = "json"',
            "http",
            "backends.http.handlers[0].callback_module[0]",
        ),
    ],
)
def test_chains_and_overrides_can_be_taken_over(place: Place, old: str, new: str, name: str, key: str) -> None:
    changes = changed(place, old, new)
    assert changes.restart == []
    assert key in changes.backends[name]


def test_an_override_that_is_gone_is_named(place: Place) -> None:
    changes = changed(place, '[hosts."example.org".backends.push]\ncontent = "none"\n', "")
    assert (changes.restart, changes.backends) == ([], {"push": ['hosts."example.org".backends.push']})


def test_the_log_level_can_be_taken_over(place: Place) -> None:
    changes = changed(place, 'level = "info"', 'level = "debug"')
    assert (changes.restart, changes.log_level) == ([], True)


def test_a_secret_file_with_another_secret_is_no_change(place: Place) -> None:
    Path(place.folder / "component-secret").write_text("another")
    assert not compare(place.settings, load(place.config, Registry()))

"""Secrets: found, read once, never shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from event_pusher.settings import Settings

Read = Callable[[str], Settings]
Faults = Callable[[str], tuple[str, ...]]

BASE = """
[database]
url = "sqlite:///event-pusher.db"
[sources.inlet]
"""


def test_a_relative_secret_file_starts_at_the_files_folder(read: Read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file\n")

    (source,) = read(
        '[database]\nurl = "sqlite://"\n[backends.log]\n[sources.inlet]\nsecret = { file = "key" }'
    ).sources

    assert source.settings.secret.reveal() == "from-the-file"  # type: ignore[attr-defined]  # Inlet's settings


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        (
            '{ file = "key" }',
            "sources.inlet.secret: cannot read the secret file {folder}/key: No such file or directory",
        ),
        ('{ env = "EP_TEST_NONE" }', "sources.inlet.secret: the environment has no variable EP_TEST_NONE"),
        ('""', "sources.inlet.secret: the secret is empty"),
        ('{ text = "hidden", env = "X" }', "sources.inlet.secret: a secret is a text,"),
        ('{ tex = "hidden" }', 'sources.inlet.secret.tex: unknown key; did you mean "text"?'),
    ],
)
def test_a_secret_that_cannot_be_read_is_a_fault(faults: Faults, tmp_path: Path, secret: str, fault: str) -> None:
    (found,) = faults(f'[database]\nurl = "sqlite://"\n[backends.log]\n[sources.inlet]\nsecret = {secret}')

    assert found.startswith(fault.format(folder=tmp_path))
    assert "hidden" not in found


def test_a_plugins_secret_is_read_too(faults: Faults) -> None:
    found = faults(
        f'{BASE}[backends.push]\nplugin_module = "mute"\n[plugins.push.mute]\ntoken = {{ env = "EP_TEST_NONE" }}'
    )

    assert found == ("plugins.push.mute.token: the environment has no variable EP_TEST_NONE",)


def test_settings_show_no_secret(read: Read) -> None:
    settings = read(f'{BASE}secret = "hidden"\n[backends.log]')

    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings)

"""A stranger's distribution, installed beside ours: found, enabled, held to the contracts."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
CONFIG = """
[database]
url = "sqlite:///event-pusher.db"

[sources.component]
domain = "push.example.org"
secret = "s3cret"
hosts = ["example.org"]

[backends.push]
plugin_module = "mute"

[backends.file]
path = "messages.jsonl"

[plugins.push.mute]
senders = ["spam@example.org"]
"""


def test_its_own_tests_pass_on_the_installed_contracts(together: Run, example: Path, tmp_path: Path) -> None:
    # Given its tests, away from our checkout
    copy = tmp_path / "example"
    shutil.copytree(example, copy)
    shutil.rmtree(copy / "event_pusher_example")
    # When they run
    done = together("python", "-m", "pytest", "-q", cwd=copy)
    # Then they pass, and there were some
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_failing_contract_shows_its_values(together: Run, tmp_path: Path) -> None:
    # Given a backend that delivers nothing of what it decides
    tmp_path.joinpath("test_bad.py").write_text(
        "from event_pusher.abc import Backend, Delivery\n"
        "from event_pusher.testing import BackendContract\n"
        "class Bad(Backend):\n"
        "    def push_event(self, acc, event):\n"
        "        yield Delivery('bob@example.org', 'nowhere', b'', format=7)\n"
        "    def publish(self, attempt): pass\n"
        "class TestBad(BackendContract):\n"
        "    backend_class = Bad\n"
        "    test_closing_twice_is_fine = None\n"
    )
    # When it is held to the contract
    done = together("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    # Then the values are seen, and so is the test that was dropped in silence
    assert done.returncode == 1
    assert "assert {7} <= frozenset({1})" in done.stdout
    assert "test_closing_twice_is_fine was replaced" in done.stdout


def test_the_command_lists_it_as_enabled(together: Run, tmp_path: Path) -> None:
    # Given a configuration that uses both of its entry points
    config = tmp_path / "event-pusher.toml"
    config.write_text(CONFIG)
    # When the plugins are listed
    done = together("event-pusher", "plugins", "--json", EVENT_PUSHER_CONFIG=str(config))
    # Then they are there, with the distribution that brings them
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(done.stdout) if row["distribution"] == "event-pusher-example"]
    assert [(row["group"], row["name"], row["version"], row["state"]) for row in rows] == [
        ("event_pusher.backends", "file", "1.2.3", "enabled"),
        ("event_pusher.plugins.push", "mute", "1.2.3", "enabled"),
    ]

"""boto3 at arm's length."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from event_pusher.errors import PluginError, SettingsError
from event_pusher.registry import Registry
from event_pusher.settings import load
from tests.unit.sns.support import backend

CONFIG = """\
[database]
url = "sqlite:///event-pusher.db"
[sources.component]
domain = "push.example.org"
secret = "secret"
hosts = ["example.org"]
[backends.sns]
region = "eu-west-1"
{more}
"""


def test_boto3_is_not_imported_before_the_start() -> None:
    code = "import sys, event_pusher_sns.backend; print('boto3' in sys.modules, 'botocore' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False False"


def test_without_boto3_the_start_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given boto3 is not installed
    monkeypatch.setitem(sys.modules, "boto3", None)
    # Then the backend does not start, and says how it would
    with pytest.raises(PluginError, match=r"pip install 'event-pusher\[sns\]'"):
        backend().start()


def test_what_boto3_has_against_its_own_configuration_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(SettingsError, match=r"backends\.sns: ProfileNotFound of boto3"):
        backend().start()


def test_the_loggers_of_boto3_are_quiet() -> None:
    # Given the backend was started
    sns = backend()
    sns.start()
    sns.close(1.0)
    # Then they do not tell what is sent, whatever the level of the root is
    assert [name for name in ("boto3", "botocore.endpoint") if logging.getLogger(name).isEnabledFor(logging.INFO)] == []


def test_a_backend_without_any_topic_says_so(caplog: pytest.LogCaptureFixture) -> None:
    sns = backend(presence_updates_topic=None, pm_messages_topic=None, muc_messages_topic=None)

    sns.start()

    assert "no topic is set" in caplog.text
    sns.close(1.0)


def test_the_file_may_name_a_chain_of_plugins(tmp_path: Path) -> None:
    path = tmp_path / "event-pusher.toml"
    path.write_text(CONFIG.format(more='account_id = "123456789012"\nplugin_module = "defaults"'))

    (found,) = load(path, Registry()).backends

    assert [plugin.name for plugin in found.plugins] == ["defaults"]


def test_a_fault_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "event-pusher.toml"
    path.write_text(CONFIG.format(more='account_id = 123456789012\nplugin_modul = "x"\npool_size = 0'))

    with pytest.raises(SettingsError) as caught:
        load(path, Registry())

    assert sorted(fault.partition(":")[0] for fault in caught.value.faults) == [
        "backends.sns.account_id",
        "backends.sns.plugin_modul",
        "backends.sns.pool_size",
    ]

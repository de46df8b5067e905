"""The MQTT backend of docs/examples, installed beside ours: held to the contract, and against a real mosquitto."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def copy(mqtt_example: Path, tmp_path: Path) -> Path:
    """Its tests, away from what they test."""
    copy = tmp_path / "mqtt"
    copy.mkdir()
    shutil.copytree(mqtt_example / "tests", copy / "tests")
    shutil.copy(mqtt_example / "pyproject.toml", copy)
    return copy


def test_it_keeps_the_contract(with_mqtt: Run, copy: Path) -> None:
    done = with_mqtt("python", "-m", "pytest", "-q", cwd=copy)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.servers
def test_a_broker_that_is_stopped_and_started_gets_one_copy_of_each_message(with_mqtt: Run, copy: Path) -> None:
    done = with_mqtt("python", "-m", "pytest", "-q", "-m", "servers", cwd=copy)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout

"""Wheels built from a clean copy of the tracked files, and fresh environments that hold nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Runs a command of an environment: ``run("python", "-V", cwd=…, VARIABLE=…)``.
Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Environment:
    """A virtual environment; its commands run in a folder that is not the checkout."""

    folder: Path
    home: Path

    def run(self, *command: str | Path, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment to its end."""
        program, *arguments = command
        keep = ("PATH", "LANG", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        inherited = {name: value for name, value in os.environ.items() if name in keep or "proxy" in name.lower()}
        return subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=cwd or self.home,
            env={**inherited, "HOME": str(self.home), **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git tracks and nothing else: a stale build/ would put deleted modules into the wheel."""
    copy = tmp_path_factory.mktemp("tree")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def build(source: Path, into: Path) -> Path:
    """Build the wheel of `source` as pip does."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, "--wheel-dir", into, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of event-pusher."""
    return build(tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def example(tree: Path) -> Path:
    """The stranger's distribution."""
    return tree / "tests/third_party/event-pusher-example"


@pytest.fixture(scope="session")
def example_wheel(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its wheel."""
    return build(example, tmp_path_factory.mktemp("example-wheel"))


def environment(folder: Path, *requirements: str | Path) -> Run:
    """Make an environment with `requirements` and what they require."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    home = folder / "home"
    home.mkdir()
    made = Environment(folder / "venv", home)
    _install(made, requirements)
    return made.run


def _install(made: Environment, requirements: Sequence[str | Path]) -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pip"
    pip = ["-m", "pip", "--disable-pip-version-check", "--cache-dir", str(cache), "install", "--quiet"]
    done = made.run("python", *pip, *requirements)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An environment with event-pusher and nothing that it does not require."""
    return environment(tmp_path_factory.mktemp("alone"), wheel)


@pytest.fixture(scope="session")
def written(alone: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `event-pusher new` writes: a distribution of each kind."""
    folder = tmp_path_factory.mktemp("written")
    for kind, name in (("backend", "acme-chat"), ("push-plugin", "quiet")):
        done = alone("event-pusher", "new", kind, name, str(folder / kind))
        assert done.returncode == 0, done.stderr
    return {kind: folder / kind for kind in ("backend", "push-plugin")}


@pytest.fixture(scope="session")
def with_written(wheel: Path, written: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An environment with event-pusher and what it wrote."""
    return environment(tmp_path_factory.mktemp("with-written"), f"{wheel}[testing]", *written.values())


@pytest.fixture(scope="session")
def mqtt_example(tree: Path) -> Path:
    """The MQTT backend of the documentation."""
    return tree / "docs/examples/event-pusher-mqtt"


@pytest.fixture(scope="session")
def with_mqtt(wheel: Path, mqtt_example: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An environment with event-pusher and the MQTT backend."""
    return environment(tmp_path_factory.mktemp("with-mqtt"), f"{wheel}[testing]", mqtt_example)


@pytest.fixture(scope="session")
def together(wheel: Path, example_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An environment with event-pusher, the stranger's distribution beside it, and pytest for their contracts."""
    return environment(tmp_path_factory.mktemp("together"), f"{wheel}[testing]", example_wheel)

"""What is in the wheel, and that it works where there is nothing else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

#: Imports all of the product but what is for tests, the migrations, which run when they are imported, and what needs
#: an extra's client.
IMPORT_ALL = """
import importlib, re, sys
from importlib.metadata import distribution
imported = 0
extras = {re.match("[A-Za-z0-9_.-]+", line)[0] for line in distribution("event-pusher").requires if "extra ==" in line}
for file in distribution("event-pusher").files:
    name = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
    left_out = name.startswith(("event_pusher.testing", "event_pusher_migrations.")) or name.endswith("__main__")
    if file.suffix == ".py" and file.parts[0].startswith("event_pusher") and not left_out:
        try:
            importlib.import_module(name)
            imported += 1
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] not in extras:
                raise
assert imported > 30, imported
print(",".join(name for name in sys.modules if name.startswith(("pytest", "_pytest", "event_pusher.testing"))))
"""

LOAD_ALL = """
import json
from event_pusher.registry import Registry
registry = Registry()
everything = {row.group: [] for row in registry.listing({})}
for row in registry.listing({}):
    everything[row.group].append(row.name)
print(json.dumps([[row.group, row.name, row.distribution, row.state, row.why] for row in registry.listing(everything)]))
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def ask(run: Run, code: str) -> str:
    """What a Python program prints in an environment."""
    done = run("python", "-I", "-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The files in the wheel."""
    with ZipFile(wheel) as archive:
        return archive.namelist()


def test_nothing_lands_beside_event_pusher_under_a_foreign_name(names: list[str]) -> None:
    assert {name.partition("/")[0] for name in names if not name.startswith("event_pusher")} == set()


def test_every_package_that_others_import_says_that_it_is_typed(names: list[str]) -> None:
    packages = {name.partition("/")[0] for name in names if ".dist-info" not in name} - {"event_pusher_migrations"}

    assert {name for name in packages if f"{name}/py.typed" not in names} == set()


def test_the_migrations_are_inside(names: list[str]) -> None:
    assert {"event_pusher_migrations/env.py", "event_pusher_migrations/script.py.mako"} <= set(names)
    assert any(name.startswith("event_pusher_migrations/versions/r0001_") for name in names)


def test_the_server_modules_are_inside(names: list[str], tree: Path) -> None:
    shared = [path for path in (tree / "event_pusher/share").rglob("*") if path.is_file()]

    assert {path.suffix for path in shared} >= {".erl", ".lua"}
    assert {str(path.relative_to(tree)) for path in shared} - set(names) == set()


def test_the_licence_is_inside(names: list[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_no_tests_are_inside(names: list[str]) -> None:
    assert not [name for name in names if "/test_" in name or "conftest" in name]


def test_what_it_requires_goes_together(alone: Run) -> None:
    done = alone("python", "-m", "pip", "--disable-pip-version-check", "check")

    assert done.returncode == 0, done.stdout


def test_every_entry_point_loads_or_says_what_it_needs(alone: Run) -> None:
    rows = json.loads(ask(alone, LOAD_ALL))

    assert {(group, name) for group, name, *_ in rows} >= {
        ("event_pusher.backends", "push"),
        ("event_pusher.backends", "log"),
        ("event_pusher.sources", "component"),
        ("event_pusher.plugins.push", "defaults"),
        ("event_pusher.migrations", "core"),
    }
    assert {row[2] for row in rows} == {"event-pusher"}
    # What needs an extra names the line that brings it.
    assert [row for row in rows if row[3] != "enabled" and "; pip install 'event-pusher[" not in row[4]] == []


def test_the_product_does_not_import_what_is_for_tests(alone: Run) -> None:
    assert ask(alone, IMPORT_ALL).strip() == ""


def test_the_command_says_what_it_can_do(alone: Run) -> None:
    done = alone("event-pusher", "--help")

    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


def test_quickstart_runs_with_nothing_else_installed(alone: Run) -> None:
    done = alone("event-pusher", "quickstart")

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout

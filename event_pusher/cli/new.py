"""``event-pusher new backend|push-plugin NAME [DIR]``."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping
from pathlib import Path

import click

from event_pusher.cli.frame import Command, CommandError

#: What is made, from which template.
_COMMON: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml.in",
    "README.md": "README.md.in",
    "{package}/__init__.py": "init.py.in",
    "{package}/settings.py": "settings.py.in",
    "tests/test_{name}.py": "tests.py.in",
}
_OWN: Mapping[str, Mapping[str, str]] = {
    "backend": {"{package}/backend.py": "backend.py.in"},
    "push-plugin": {"{package}/plugin.py": "plugin.py.in"},
}
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_LONGEST = 64


@click.command("new", cls=Command)
@click.argument("kind", type=click.Choice(sorted(_OWN)))
@click.argument("name")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def command(kind: str, name: str, folder: Path | None) -> None:
    """Write a distribution with a backend or a push plugin of your own, and tests that pass. Never overwrites."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise CommandError(f"{name[:80]!r} is no name; write small letters and digits, such as acme or acme-chat")
    plain = name.replace("-", "_")
    words = {
        "@NAME@": name,
        "@DISTRIBUTION@": f"event-pusher-{plain.replace('_', '-')}",
        "@PACKAGE@": f"event_pusher_{plain}",
        "@CLASS@": "".join(part.capitalize() for part in plain.split("_")),
    }
    target = (folder or Path(words["@DISTRIBUTION@"])).absolute()
    files = {
        path.format(package=words["@PACKAGE@"], name=plain): _filled(kind, template, words)
        for path, template in {**_COMMON, **_OWN[kind]}.items()
    }
    _write(target, {**files, f"{words['@PACKAGE@']}/py.typed": ""})
    click.echo(f"wrote {target}: {', '.join(sorted(files))}")
    click.echo(f"\nNext:\n\n  cd {target}\n  pip install -e '.[test]'\n  pytest")


def _filled(kind: str, template: str, words: Mapping[str, str]) -> str:
    text = importlib.resources.files("event_pusher").joinpath("share", "new", kind, template).read_text("utf-8")
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text


def _write(target: Path, files: Mapping[str, str]) -> None:
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise CommandError(f"{target} is there and not empty; name another folder")
        for path, text in files.items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {target}: {error.strerror}; name a folder that you may write") from None

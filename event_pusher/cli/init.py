"""``event-pusher init [FILE]``."""

from __future__ import annotations

from pathlib import Path

import click

from event_pusher.cli.frame import Command, CommandError
from event_pusher.settings import sample

_NEXT = """\

Next: edit it, and write what your server (ejabberd or prosody) needs:

  event-pusher setup ejabberd --domain example.org --component push.example.org \\
      --output {folder}
  event-pusher db upgrade -c {file}
  event-pusher check -c {file}
  event-pusher run -c {file}
"""


@click.command("init", cls=Command)
@click.argument("file", required=False, type=click.Path(path_type=Path))
def command(file: Path | None) -> None:
    """Write a commented configuration to FILE, or print it. Never overwrites."""
    if file is None:
        click.echo(sample(), nl=False)
        return
    path = file.absolute()
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(sample(folder=path.parent))
    except FileExistsError:
        raise CommandError(f"{path} exists and stays as it is; name another file, or move it away") from None
    except OSError as error:
        raise CommandError(
            f"cannot write {path}: {error.strerror}; name a file in a folder that you may write"
        ) from None
    click.echo(f"wrote {path}")
    click.echo(_NEXT.format(file=file, folder=path.parent), nl=False)

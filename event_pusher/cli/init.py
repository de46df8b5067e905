"""``event-pusher init [FILE] [--from FILE]``."""

from __future__ import annotations

from pathlib import Path

import click

from event_pusher.cli.frame import Command, CommandError
from event_pusher.errors import SettingsError
from event_pusher.settings import sample
from event_pusher.settings.sample import ETC

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
@click.option(
    "--from", "source", metavar="FILE", type=click.Path(path_type=Path),
    help="MongooseIM's configuration: convert its mod_event_pusher.",
)  # fmt: skip
def command(file: Path | None, source: Path | None) -> None:
    """
    Write a commented configuration to FILE, or print it. Never overwrites.

    --from reads MongooseIM's: TOML, or the older Erlang terms. Secrets are not copied.
    """
    folder = file.absolute().parent if file else ETC
    text = sample(folder=folder) if source is None else _converted(source, folder)
    if file is None:
        click.echo(text, nl=False)
        return
    path = file.absolute()
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise CommandError(f"{path} exists and stays as it is; name another file, or move it away") from None
    except OSError as error:
        raise CommandError(
            f"cannot write {path}: {error.strerror}; name a file in a folder that you may write"
        ) from None
    click.echo(f"wrote {path}")
    click.echo(_NEXT.format(file=file, folder=path.parent), nl=False)


def _converted(source: Path, folder: Path) -> str:
    """Convert MongooseIM's file; what has no counterpart is told on standard error, too."""
    # Here and not at the top: only who comes from there waits for it.
    from event_pusher.mongooseim import compose, convert, read_model  # noqa: PLC0415 - as said above
    from event_pusher.registry import Registry  # noqa: PLC0415 - as said above

    try:
        made = convert(read_model(source.read_text(encoding="utf-8")), Registry())
    except SettingsError as error:
        raise CommandError(f"{source}: {'; '.join(error.faults)}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{source} is not UTF-8; convert it first") from None
    except OSError as error:
        raise CommandError(f"cannot read {source}: {error.strerror}; name MongooseIM's configuration") from None
    for note in made.notes:
        click.echo(f"event-pusher: {note}", err=True)
    return compose(made, folder)

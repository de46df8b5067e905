"""``event-pusher quickstart [--keep DIR]``."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from statistics import median

import click

from event_pusher.cli.frame import Command, CommandError, Frame, pass_frame
from event_pusher.quickstart import Summary, play

_NEXT = """
Next, for your own server (ejabberd or prosody):

  event-pusher setup ejabberd --domain example.org --component push.example.org

It writes the server's module and both configurations, and says what to do.
`event-pusher init event-pusher.toml` writes a commented configuration alone.
"""


@click.command("quickstart", cls=Command)
@click.option("--keep", metavar="DIR", type=click.Path(path_type=Path), help="Leave configuration and database in DIR.")
@pass_frame
def command(frame: Frame, keep: Path | None) -> None:
    """Watch notifications go the whole way: nothing else needs to be installed or running."""
    if frame.debug:
        logging.basicConfig(format="%(levelname)-7s %(name)s: %(message)s")
    began = time.monotonic()
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="event-pusher-") as folder:
            summary = _play(Path(folder), frame)
    else:
        summary = _play(_new(keep.absolute()), frame)
    _sum_up(summary, time.monotonic() - began, keep)


def _play(folder: Path, frame: Frame) -> Summary:
    click.echo()
    return play(folder, click.echo, debug=frame.debug)


def _new(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CommandError(f"{folder} is not empty and stays as it is; name a new folder")
    except OSError as error:
        raise CommandError(f"cannot use {folder}: {error.strerror}; name a new folder") from None
    return folder


def _sum_up(summary: Summary, took: float, keep: Path | None) -> None:
    # The last two waited for a restart, on purpose.
    usual = median(summary.latencies[:-2])
    click.echo()
    click.echo(f"{summary.events} events, {summary.notifications} notifications, none lost, none twice; every one was")
    click.echo(f"on disk before it was acknowledged. {usual * 1000:.0f} ms each, {took:.1f} s in all.")
    if keep is not None:
        click.echo(f"\nConfiguration and database are in {keep}.")
    click.echo(_NEXT, nl=False)

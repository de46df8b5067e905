"""``event-pusher db upgrade|current|history``."""

from __future__ import annotations

import click

from event_pusher import migrate
from event_pusher.cli.frame import Frame, Group, pass_frame
from event_pusher.cli.opening import settings_of


@click.group("db", cls=Group, help="Create and upgrade the tables; nothing else does.")
def command() -> None:
    """Hold the commands below."""


@command.command("upgrade")
@pass_frame
def upgrade(frame: Frame) -> None:
    """Bring the tables to the newest revisions; creates an SQLite file."""
    settings = settings_of(frame)
    heads = migrate.upgrade(settings.database.url, settings.folder)
    click.echo(f"the database is at revision {', '.join(heads)}")


@command.command("current")
@pass_frame
def current(frame: Frame) -> None:
    """Say which revisions the database is at."""
    settings = settings_of(frame)
    found = migrate.current(settings.database.url, settings.folder)
    click.echo("\n".join(found) if found else "no tables yet; `event-pusher db upgrade` makes them")


@command.command("history")
def history() -> None:
    """List every revision that is installed, oldest first."""
    click.echo("\n".join(migrate.history()))

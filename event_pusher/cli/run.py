"""``event-pusher run``: the daemon."""

from __future__ import annotations

import click

from event_pusher.cli.frame import Command, Frame, pass_frame
from event_pusher.cli.opening import settings_of
from event_pusher.daemon import run


@click.command("run", cls=Command)
@pass_frame
def command(frame: Frame) -> None:
    """
    Run until SIGTERM, then finish what is under way.

    A second process on the same database waits, and takes over when the first one ends.
    """
    run(settings_of(frame), debug=frame.debug)

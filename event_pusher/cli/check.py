"""``event-pusher check [--connect]``."""

from __future__ import annotations

import click

from event_pusher.admin.checks import Check, checks
from event_pusher.cli.frame import FAILURE, Command, Frame, pass_frame
from event_pusher.cli.opening import settings_of
from event_pusher.cli.output import say_json
from event_pusher.errors import SettingsError


@click.command("check", cls=Command)
@click.option("--connect", is_flag=True, help="Also try the XMPP server; a running instance is asked instead.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def command(frame: Frame, *, connect: bool, as_json: bool) -> int:
    """Say of each thing whether it is well: ok, warn or FAIL, and the cure. Exit 1 on any FAIL."""
    try:
        found = checks(settings_of(frame), connect=connect)
        done = [_say(one, quiet=as_json) for one in found]
    except SettingsError as error:
        done = [_say(Check("FAIL", fault), quiet=as_json) for fault in error.faults]
    if as_json:
        say_json([one._asdict() for one in done])
    return FAILURE if any(one.level == "FAIL" for one in done) else 0


def _say(one: Check, *, quiet: bool) -> Check:
    if not quiet:
        color = {"ok": "green", "warn": "yellow", "FAIL": "red"}[one.level]
        cure = f" ({one.cure})" if one.cure else ""
        click.echo(f"{click.style(one.level.ljust(4), fg=color)} {one.text}{cure}")
    return one

"""``event-pusher plugins``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict

import click

from event_pusher.cli.frame import FAILURE, Command, Frame, pass_frame
from event_pusher.cli.output import say_json, table
from event_pusher.errors import SettingsError
from event_pusher.registry import Registry
from event_pusher.settings import find_file, load


@click.command("plugins", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def command(frame: Frame, *, as_json: bool) -> int:
    """List every source, backend and plugin that is installed; those in use are tried. Exit 1 when one is broken."""
    registry = Registry()
    found = registry.listing(_enabled(frame, registry))
    if as_json:
        say_json([asdict(one) for one in found])
    else:
        table(
            ("group", "name", "distribution", "version", "state"),
            [(f.group.removeprefix("event_pusher."), f.name, f.distribution, f.version, f.state) for f in found],
        )
        for one in found:
            if one.why:
                click.echo(f"\n{one.why}")
    return FAILURE if any(one.state == "broken" for one in found) else 0


def _enabled(frame: Frame, registry: Registry) -> Mapping[str, Collection[str]]:
    """What the configuration uses; without one, nothing."""
    try:
        path = find_file(frame.config)
    except SettingsError:
        if frame.config:
            raise
        return {}
    try:
        return load(path, registry).enabled
    except SettingsError as error:
        for fault in error.faults:
            click.echo(f"event-pusher: {fault}", err=True)
        return {}

"""``event-pusher explain JID``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from event_pusher.cli.frame import Command, Frame, pass_frame
from event_pusher.cli.opening import desk_of, user_of
from event_pusher.cli.output import age, say_json
from event_pusher.cli.story import say_decisions, say_story


@click.command("explain", cls=Command)
@click.argument("jid")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def command(frame: Frame, jid: str, *, as_json: bool) -> None:
    """Say why the account JID gets pushes, or why not."""
    user = user_of(jid)
    with desk_of(frame) as desk:
        told = desk.call("explain", user=user)
    if as_json:
        say_json(told)
        return
    _registrations(told["registrations"])
    _sessions(told["online"], told["sessions"])
    _decisions(told["decisions"])
    _deliveries(told["deliveries"])
    click.echo(f"\n{told['verdict']}")


def _registrations(found: Sequence[Mapping[str, Any]]) -> None:
    click.echo("registrations:" + ("" if found else " none"))
    for one in found:
        options = ", ".join(f"{name}={value}" for name, value in one["options"].items())
        state = "enabled" if one["enabled"] else f"disabled {age(one['disabled_at'])}: {one['disabled_reason']}"
        if one["paused"]:
            state += f", paused {age(one['paused_at'])}: {one['paused_reason']}"
        click.echo(f"  {one['id']}  {one['service']}  node {one['node']}{f'  ({options})' if options else ''}  {state}")


def _sessions(online: bool | None, found: Sequence[Mapping[str, Any]]) -> None:
    if online is None:
        click.echo("sessions: not known, no process runs")
        return
    click.echo("sessions:" + ("" if found else " none"))
    for one in found:
        presence = "unavailable" if one["priority"] is None else f"priority {one['priority']}"
        click.echo(f"  {one['resource'] or '-'}  {presence}{'  hibernated' if one['hibernated'] else ''}")


def _decisions(found: Sequence[Mapping[str, Any]]) -> None:
    click.echo("last decisions:" + ("" if found else " none since the start"))
    say_decisions(found)


def _deliveries(found: Sequence[Mapping[str, Any]]) -> None:
    click.echo("deliveries in the outbox:" + ("" if found else " none"))
    for one in found:
        state = "orphaned" if one["orphaned"] else one["state"]
        accepted = age(one["accepted_at"])
        click.echo(f"  {one['id']}  {state}  {one['backend']} to {one['target']}, accepted {accepted}")
        say_story(one, "    ")

"""``event-pusher explain JID``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from event_pusher.cli.frame import Command, Frame, pass_frame
from event_pusher.cli.opening import desk_of, user_of
from event_pusher.cli.output import age, say_json, table
from event_pusher.dispatcher import REASONS


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
    for one in found:
        said = REASONS.get(one["reason"], one["reason"])
        click.echo(f"  {age(one['at']):>10}  {one['kind']}  {one['backend']}: {one['reason']} ({said})")


def _deliveries(found: Sequence[Mapping[str, Any]]) -> None:
    click.echo("deliveries in the outbox:" + ("" if found else " none"))
    if found:
        table(
            ("id", "state", "backend", "to", "attempts", "accepted", "reason"),
            [
                (d["id"], d["state"], d["backend"], d["target"], d["attempts"], age(d["accepted_at"]), d["reason"])
                for d in found
            ],
        )

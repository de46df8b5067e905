"""``event-pusher trace ID``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from event_pusher.cli.frame import Command, CommandError, Frame, pass_frame
from event_pusher.cli.opening import desk_of
from event_pusher.cli.output import age, moment, say_json
from event_pusher.cli.story import say_decisions, say_story


@click.command("trace", cls=Command)
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def command(frame: Frame, id_: str, *, as_json: bool) -> None:
    """
    Say what became of one stanza: ID is its trace, a delivery's id, or its key at the destination.

    The key is the item id of a push, the webhook-id of a request, the message-id at a broker.
    """
    with desk_of(frame) as desk:
        told = desk.call("trace", id=id_)
    if as_json:
        say_json(told)
        return
    if not told["decisions"] and not told["deliveries"]:
        raise CommandError(_nothing(id_, running=told["running"]))
    click.echo(f"trace {told['trace']}")
    _accepted(told)
    click.echo("decisions:" + ("" if told["decisions"] else " none that the process remembers"))
    say_decisions(told["decisions"])
    for one in told["deliveries"]:
        _delivery(one)


def _accepted(told: Mapping[str, Any]) -> None:
    times = [one["at"] for one in told["decisions"]]
    times += [one["accepted_at"] for one in told["deliveries"] if "accepted_at" in one]
    if times:
        click.echo(f"came {moment(min(times))}, {age(min(times))}")


def _delivery(one: Mapping[str, Any]) -> None:
    state = f"orphaned ({one['state']})" if one["orphaned"] else one["state"]
    click.echo(
        f"delivery {one['id']} (key {one['key']}) of {one['backend']} for {one['recipient']} to {one['target']}:"
    )
    click.echo(f"  {state}, attempts {one['attempts']}")
    say_story(one, "  ")


def _nothing(id_: str, *, running: bool) -> str:
    if running:
        return (
            f"nothing is known of {id_}: what was delivered is remembered for a while only, and not over a restart; "
            "see `event-pusher explain JID`"
        )
    return f"the outbox holds nothing of {id_}, and no process runs that could remember it; start `event-pusher run`"

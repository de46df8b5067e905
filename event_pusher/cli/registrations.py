"""``event-pusher registrations list|show|delete|pause|resume|test|import|export``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from event_pusher.cli.frame import FAILURE, CommandError, Frame, Group, pass_frame
from event_pusher.cli.opening import desk_of, user_of
from event_pusher.cli.output import age, moment, pairs, plural, say_json, table
from event_pusher.cli.paging import pages
from event_pusher.cli.transfer import export, import_

#: Registrations of one order: each takes what waits for it with it.
PART = 100
_OUTCOMES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "delivered": lambda told: f"delivered: the push service took it, {told['seconds']:g} s",
    "disabled": lambda told: f"refused for good ({told['reason']}): the registration is disabled now",
    "dead": lambda told: f"refused for good: {told['reason']}",
    "retry": lambda told: f"not taken: {told['reason']}; it is tried again, see `event-pusher deliveries list`",
    "waiting": lambda told: f"it waits: {told['reason']}; see `event-pusher status`",
}


@click.group("registrations", cls=Group, help="Who enabled push notifications where.")
def command() -> None:
    """Hold the commands below."""


@command.command("list")
@click.option("--user", metavar="JID", help="Of this account.")
@click.option("--host", metavar="DOMAIN", help="Of this domain's accounts.")
@click.option("--service", metavar="JID", help="At this push service.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def list_(frame: Frame, user: str | None, host: str | None, service: str | None, *, as_json: bool) -> None:
    """List registrations; what clients gave as options is masked."""
    user = user_of(user) if user else None
    with desk_of(frame) as desk:
        found = list(pages(desk, "registrations_list", user=user, host=host, service=service))
    if as_json:
        say_json(found)
        return
    table(
        ("id", "user", "service", "node", "options", "state", "renewed"),
        [
            (one["id"], one["user"], one["service"], one["node"], _options(one), _state(one), age(one["updated_at"]))
            for one in found
        ],
    )


@command.command("show")
@click.argument("number", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def show(frame: Frame, number: int, *, as_json: bool) -> None:
    """Show one registration."""
    with desk_of(frame) as desk:
        one = desk.call("registrations_show", id=number)
    if one is None:
        raise _unknown(number)
    if as_json:
        say_json(one)
        return
    pairs(
        [
            *((name, one[name]) for name in ("id", "user", "service", "node")),
            ("options", _options(one)),
            ("state", _state(one)),
            ("reason", one["disabled_reason"]),
            ("enabled", moment(one["created_at"])),
            ("renewed", moment(one["updated_at"])),
            ("disabled", moment(one["disabled_at"])),
            ("paused", moment(one["paused_at"])),
            ("pause's reason", one["paused_reason"]),
        ]
    )


@command.command("delete")
@click.argument("numbers", metavar="ID...", type=int, nargs=-1, required=True)
@pass_frame
def delete(frame: Frame, numbers: tuple[int, ...]) -> None:
    """Delete registrations for good, and what waits for them."""
    with desk_of(frame) as desk:
        _each(numbers, lambda ids: desk.call("registrations_delete", ids=ids), "deleted")


@command.command("pause", short_help="Select registrations for nothing new.")
@click.argument("numbers", metavar="ID...", type=int, nargs=-1, required=True)
@click.option("--reason", default="", help="Why; it is shown wherever the registration is.")
@pass_frame
def pause(frame: Frame, numbers: tuple[int, ...], reason: str) -> None:
    """
    Select registrations for nothing new until they are resumed, whatever their clients do.

    What waits for them already is delivered: nothing that was accepted is lost. A client that disables push and
    enables it anew makes a new registration, which is not paused.
    """
    with desk_of(frame) as desk:
        _each(numbers, lambda ids: desk.call("registrations_pause", ids=ids, reason=reason), "paused")


@command.command("resume", short_help="End the pause.")
@click.argument("numbers", metavar="ID...", type=int, nargs=-1, required=True)
@pass_frame
def resume(frame: Frame, numbers: tuple[int, ...]) -> None:
    """Select registrations again."""
    with desk_of(frame) as desk:
        _each(numbers, lambda ids: desk.call("registrations_resume", ids=ids), "resumed")


command.add_command(import_)
command.add_command(export)


@command.command("test")
@click.argument("number", metavar="ID", type=int)
@click.option("--timeout", type=click.FloatRange(0.1, 30.0), default=10.0, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def test(frame: Frame, number: int, timeout: float, *, as_json: bool) -> int:
    """Send a test notification the way of every other, and say what became of it."""
    with desk_of(frame) as desk:
        told = desk.call("registrations_test", id=number, timeout=timeout)
    if as_json:
        say_json(told)
    else:
        click.echo(_OUTCOMES[told["outcome"]](told))
    return 0 if told["outcome"] == "delivered" else FAILURE


def _each(numbers: Sequence[int], order: Callable[[list[int]], list[int]], done: str) -> None:
    """Give `order` for some at a time: the process goes on committing in between."""
    wanted = sorted(set(numbers))
    found = [id_ for start in range(0, len(wanted), PART) for id_ in order(wanted[start : start + PART])]
    click.echo(f"{done} {plural(len(found), 'registration')}")
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise _unknown(*missing)


def _unknown(*numbers: int) -> CommandError:
    named = ", ".join(map(str, numbers))
    return CommandError(f"there is no registration {named}; `event-pusher registrations list` lists them")


def _options(one: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in one["options"].items())


def _state(one: Mapping[str, Any]) -> str:
    return "disabled" if not one["enabled"] else "paused" if one["paused"] else "enabled"

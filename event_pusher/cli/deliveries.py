"""``event-pusher deliveries list|show|retry|discard``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from event_pusher.cli.frame import CommandError, Frame, Group, pass_frame
from event_pusher.cli.opening import Asked, desk_of, user_of
from event_pusher.cli.output import age, moment, pairs, plural, say_json, table
from event_pusher.cli.registrations import PAGE, pages
from event_pusher.options import parse_duration

Filtered = Callable[..., Any]


def _since(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Read ``2h`` (ago) or a time of ISO 8601 (UTC unless it says otherwise)."""
    if value is None:
        return None
    try:
        return time.time() - parse_duration(value)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter('write how long ago ("30min", "2h", "7d") or a time ("2026-01-31T12:00")') from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _filters(function: Filtered) -> Filtered:
    for option in (
        click.option("--since", metavar="T", callback=_since, help='Accepted since: "2h" ago, or 2026-01-31T12:00.'),
        click.option("--user", metavar="JID", help="For this account."),
        click.option("--backend", metavar="NAME", help="Of this backend."),
        click.option("--state", type=click.Choice(["waiting", "dead"]), help="Only those."),
    ):
        function = option(function)
    return function


@click.group("deliveries", cls=Group, help="What waits, and dead letters.")
def command() -> None:
    """Hold the commands below."""


@command.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def list_(frame: Frame, /, limit: int, *, as_json: bool, **filters: Any) -> None:
    """List deliveries, oldest first; what was delivered is not kept."""
    with desk_of(frame) as desk:
        found = list(islice(pages(desk, "deliveries_list", **_told(filters)), limit))
    if as_json:
        say_json([_public(one) for one in found])
        return
    table(
        ("id", "state", "backend", "user", "to", "attempts", "accepted", "due", "reason"),
        [
            (d["id"], d["state"], d["backend"], d["recipient"], d["target"], d["attempts"], age(d["accepted_at"]),
             age(d["due_at"]) if d["state"] == "waiting" else "-", d["reason"])
            for d in found
        ],
    )  # fmt: skip


@command.command("show", short_help="Show one delivery, without its payload.")
@click.argument("number", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def show(frame: Frame, number: int, *, as_json: bool) -> None:
    """Show one delivery; never its payload, which may hold a message's text."""
    with desk_of(frame) as desk:
        one = desk.call("deliveries_show", id=number)
    if one is None:
        raise CommandError(f"there is no delivery {number}: it was delivered, or never was; see `deliveries list`")
    one = _public(one)
    if as_json:
        say_json(one)
        return
    pairs([(name, moment(value) if name.endswith("_at") else value) for name, value in one.items()])


@command.command("retry", short_help="Let dead letters wait again.")
@click.argument("numbers", metavar="[ID...]", type=int, nargs=-1)
@_filters
@pass_frame
def retry(frame: Frame, /, numbers: tuple[int, ...], **filters: Any) -> None:
    """Let dead letters wait again: those named, or all that match the filters."""
    told = _told(filters)
    _require(numbers, told, "retry")
    if told.setdefault("state", "dead") != "dead":
        raise click.UsageError("only dead letters are retried: what waits is tried anyway")
    with desk_of(frame) as desk:
        done = sum(len(desk.call("deliveries_retry", ids=ids)) for ids in _chunks(desk, numbers, told))
    click.echo(f"{plural(done, 'delivery', 'deliveries')} wait{'s' if done == 1 else ''} again")


@command.command("discard", short_help="Take deliveries out for good.")
@click.argument("numbers", metavar="[ID...]", type=int, nargs=-1)
@_filters
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_frame
def discard(frame: Frame, /, numbers: tuple[int, ...], *, yes: bool, **filters: Any) -> None:
    """Take deliveries out for good: those named, or all that match the filters."""
    told = _told(filters)
    _require(numbers, told, "discard")
    if not yes and not numbers and sys.stdin.isatty():
        click.confirm("They are not delivered any more, and cannot be brought back. Go on?", abort=True)
    with desk_of(frame) as desk:
        done = sum(len(desk.call("deliveries_discard", ids=ids)) for ids in _chunks(desk, numbers, told))
    click.echo(f"{plural(done, 'delivery', 'deliveries')} discarded")


def _told(filters: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in filters.items() if value is not None}
    if "user" in told:
        told["user"] = user_of(told["user"])
    return told


def _require(numbers: tuple[int, ...], told: Mapping[str, Any], verb: str) -> None:
    if bool(numbers) == bool(told):
        raise click.UsageError(f"name deliveries, or filters such as --state dead: {verb} what?")


def _chunks(desk: Asked, numbers: tuple[int, ...], told: Mapping[str, Any]) -> Iterator[list[int]]:
    """The ids, some at a time: the process goes on committing in between. Each is named once, whatever it becomes."""
    found = iter(numbers) if numbers else (one["id"] for one in pages(desk, "deliveries_list", **told))
    while chunk := list(islice(found, PAGE)):
        yield chunk


def _public(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in {"lane_key", "registration_key"}}

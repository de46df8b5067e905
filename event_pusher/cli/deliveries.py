"""``event-pusher deliveries list|show|retry|discard``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from event_pusher.cli.frame import CommandError, Frame, Group, pass_frame
from event_pusher.cli.opening import Asked, desk_of, user_of
from event_pusher.cli.output import age, moment, pairs, plural, say_json, table
from event_pusher.cli.paging import PAGE, pages
from event_pusher.cli.story import say_story
from event_pusher.options import parse_duration

Filtered = Callable[..., Any]


def _time(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
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
        click.option(
            "--older-than", "until", metavar="T", callback=_time, help='Accepted before: "7d" ago, or a time.'
        ),
        click.option("--since", metavar="T", callback=_time, help='Accepted since: "2h" ago, or 2026-01-31T12:00.'),
        click.option("--target", metavar="TARGET", help="To this push service, URL, exchange or topic."),
        click.option("--user", metavar="JID", help="For this account."),
        click.option("--backend", metavar="NAME", help="Of this backend."),
        click.option(
            "--state", type=click.Choice(["waiting", "dead", "orphaned"]), help="Only those; orphaned: nobody reads it."
        ),
    ):
        function = option(function)
    return function


@click.group("deliveries", cls=Group, help="What waits, and dead letters.")
def command() -> None:
    """Hold the commands below."""


@command.command("list")
@click.argument("numbers", metavar="[ID...]", type=int, nargs=-1)
@_filters
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def list_(frame: Frame, /, numbers: tuple[int, ...], limit: int, *, as_json: bool, **filters: Any) -> None:
    """List deliveries, all or those named, oldest first; what was delivered is not kept."""
    told = _told(filters)
    parts = [told | {"ids": ids} for ids in _parts(numbers)] or [told]
    with desk_of(frame) as desk:
        found = list(islice((one for part in parts for one in pages(desk, "deliveries_list", **part)), limit))
    if as_json:
        say_json(found)
        return
    head = ("id", "state", "backend", "user", "to", "attempts", "accepted", "due", "reason")
    table(head, [_row(one) for one in found])


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    state, reason = ("orphaned", one["orphaned"]) if one["orphaned"] else (one["state"], one["reason"])
    due = age(one["due_at"]) if one["state"] == "waiting" else "-"
    told = (one["backend"], one["recipient"], one["target"], one["attempts"], age(one["accepted_at"]))
    return (one["id"], state, *told, due, reason)


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
    if as_json:
        say_json(one)
        return
    shown = {name: value for name, value in one.items() if name not in {"tried", "next", "next_at"}}
    pairs([(name, moment(value) if name.endswith("_at") else value) for name, value in shown.items()])
    say_story(one)


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


def _parts(numbers: Sequence[int]) -> list[list[int]]:
    """Each number once, some at a time, ascending: a listing goes on behind the last id it told."""
    found = sorted(set(numbers))
    return [found[start : start + PAGE] for start in range(0, len(found), PAGE)]

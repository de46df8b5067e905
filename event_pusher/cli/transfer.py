"""``event-pusher registrations import|export``: JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

import click

from event_pusher.cli.frame import Command, CommandError, Frame, pass_frame
from event_pusher.cli.opening import desk_of, user_of
from event_pusher.cli.output import plural
from event_pusher.cli.paging import pages

#: Of one order: so many registrations, and so many characters (the listener takes a million bytes).
PART, PART_CHARACTERS = 200, 200_000

_Numbered = list[tuple[int, Any]]


@click.command("export", cls=Command, short_help="Write registrations as JSON lines.")
@click.option("--user", metavar="JID", help="Of this account.")
@click.option("--host", metavar="DOMAIN", help="Of this domain's accounts.")
@click.option("--service", metavar="JID", help="At this push service.")
@click.option("--with-secrets", is_flag=True, help="With the values of the publish options, which are credentials.")
@pass_frame
def export(frame: Frame, user: str | None, host: str | None, service: str | None, *, with_secrets: bool) -> None:
    """
    Write registrations to standard output, one JSON object a line.

    Without --with-secrets publish options have names and no values: such lines can be imported only where the
    registration is known already.
    """
    given = {"user": user_of(user) if user else None, "host": host, "service": service}
    with desk_of(frame) as desk:
        for one in pages(desk, "registrations_export", with_secrets=with_secrets, **given):
            click.echo(json.dumps(one, ensure_ascii=False))


@click.command("import", cls=Command, short_help="Store registrations from JSON lines.")
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
@pass_frame
def import_(frame: Frame, file: TextIO) -> None:
    """
    Store what `registrations export` wrote, from FILE or standard input.

    What is there already (same user, service and node) is replaced and keeps its id. A line that is refused is named,
    the others are stored.
    """
    stored, refused = 0, list[str]()
    with desk_of(frame) as desk:
        for part in _parts(_lines(file, refused)):
            told = desk.call("registrations_import", records=[record for _, record in part])
            stored += told["stored"]
            refused += [f"line {part[one['number']][0]}: {one['why']}" for one in told["refused"]]
    click.echo(f"stored {plural(stored, 'registration')}")
    for line in refused:
        click.echo(f"event-pusher: {line}", err=True)
    if refused:
        raise CommandError(f"{plural(len(refused), 'line was', 'lines were')} refused; correct them, and import again")


def _lines(file: TextIO, refused: list[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except ValueError:
            refused.append(f"line {number}: it is no JSON")


def _parts(lines: Iterator[tuple[int, Any]]) -> Iterator[_Numbered]:
    """Some at a time: the process goes on committing in between."""
    part: _Numbered = []
    size = 0
    for number, record in lines:
        length = len(json.dumps(record))
        if part and (len(part) >= PART or size + length > PART_CHARACTERS):
            yield part
            part, size = [], 0
        part.append((number, record))
        size += length
    if part:
        yield part

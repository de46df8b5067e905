"""``event-pusher tail [--user JID]``."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import click

from event_pusher.cli.frame import Command, Frame, pass_frame
from event_pusher.cli.opening import Asked, desk_of, user_of
from event_pusher.cli.output import moment, plural
from event_pusher.cli.story import answer, decision
from event_pusher.errors import EventPusherError


@click.command("tail", cls=Command)
@click.option("--user", metavar="JID", help="Of this account.")
@click.option("--for", "seconds", type=click.FloatRange(0.1), help="End after so many seconds. Default: at Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="For a machine: one object a line.")
@pass_frame
def command(frame: Frame, user: str | None, seconds: float | None, *, as_json: bool) -> None:
    """Follow decisions and outcomes as they come, from now on; message texts are never shown."""
    user = user_of(user) if user else None
    with desk_of(frame) as desk, _following(desk, user, seconds) as answers:
        for told in answers:
            for one in told["entries"]:
                click.echo(json.dumps(one, ensure_ascii=False) if as_json else _line(one))
            if told["dropped"]:
                lost = f"{plural(told['dropped'], 'entry', 'entries')} came too fast and are not shown"
                click.echo(json.dumps({"what": "dropped", "number": told["dropped"]}) if as_json else f"… {lost}")


@contextmanager
def _following(desk: Asked, user: str | None, seconds: float | None) -> Iterator[Iterator[Mapping[str, Any]]]:
    name = secrets.token_hex(8)
    try:
        yield _answers(desk, name, user, seconds)
    finally:
        # Who is forgotten is dropped after a while anyway.
        with suppress(EventPusherError):
            desk.call("tail_end", follower=name)


def _answers(desk: Asked, name: str, user: str | None, seconds: float | None) -> Iterator[Mapping[str, Any]]:
    until = None if seconds is None else time.monotonic() + seconds
    yield desk.call("tail", follower=name, user=user, wait=0.0)
    while until is None or time.monotonic() < until:
        wait = 10.0 if until is None else max(0.0, min(10.0, until - time.monotonic()))
        yield desk.call("tail", follower=name, user=user, wait=wait)


def _line(one: Mapping[str, Any]) -> str:
    head = f"{moment(one['at'])}  {one['user']}  {one['trace']}"
    if one["what"] == "decision":
        return f"{head}  {one['kind']}  {decision(one)}"
    return f"{head}  delivery {one['delivery']} of {one['backend']}, attempt {one['number']}: {answer(one)}"

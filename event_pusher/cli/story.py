"""Decisions and attempts in words, as `explain`, `trace`, `tail` and `deliveries show` say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from event_pusher.cli.output import age, moment
from event_pusher.dispatcher import REASONS
from event_pusher.settlement import OUTCOMES


def say_decisions(found: Sequence[Mapping[str, Any]]) -> None:
    """Print what was decided, and why."""
    for one in found:
        click.echo(f"  {age(one['at']):>10}  {one['kind']}  {decision(one)}")


def say_story(one: Mapping[str, Any], indent: str = "") -> None:
    """Print the attempts of a delivery with their answers, and what happens next."""
    for tried in one["tried"]:
        click.echo(f"{indent}{moment(tried['at'])}  attempt {tried['number']}: {answer(tried)}")
    when = f" {age(one['next_at'])}" if one["next_at"] else ""
    click.echo(f"{indent}next: {one['next']}{when}")


def decision(one: Mapping[str, Any]) -> str:
    """Say one decision."""
    return f"{one['backend']}: {one['reason']} ({REASONS.get(one['reason'], one['reason'])})"


def answer(one: Mapping[str, Any]) -> str:
    """Say how one attempt ended."""
    said = OUTCOMES.get(one["outcome"], one["outcome"])
    return f"{one['outcome']} ({said})" + (f": {one['reason']}" if one["reason"] else "")

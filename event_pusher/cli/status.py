"""``event-pusher status``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from event_pusher.cli.frame import Command, Frame, pass_frame
from event_pusher.cli.opening import desk_of
from event_pusher.cli.output import age, pairs, plural, say_json, table

_STATES = {True: "ready", False: "waits for its way out", None: "the core does not answer"}
#: What of a source's counters tells a person how it goes.
_SOURCE = ("events_read", "events_lost", "requests_read", "streams_opened", "streams_lost")


@click.command("status", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
@pass_frame
def command(frame: Frame, *, as_json: bool) -> None:
    """Say what is happening: health, sources, backends, the outbox."""
    with desk_of(frame) as desk:
        told = desk.call("status")
    if as_json:
        say_json(told)
        return
    _head(told)
    if "sources" in told:
        _sources(told["sources"])
        _backends(told["backends"], told["started_at"])
        _breakers(told["breakers"])
        _states(told["states"], told["unaccounted"])
        _lost(told["counters"])
    elif "outbox" in told:
        _rows(told["outbox"])


def _head(told: Mapping[str, Any]) -> None:
    if told["standby"]:
        state = f"in stand-by (process {told['pid']})"
    elif told["running"]:
        state = f"running (process {told['pid']}), started {age(told['started_at'])}"
    else:
        state = "not running"
    click.echo(f"event-pusher {told['version']}: {state}")
    troubles = told["health"]
    if not troubles:
        click.echo("health: all is well")
    for part, text in troubles.items():
        click.echo(f"trouble: {part}: {text}")
    rows: list[tuple[str, object]] = [("configuration", told["config"])]
    if "database" in told:
        rows.append(("database", told["database"]))
    if "outbox" in told:
        waiting = plural(told["outbox"]["waiting"], "delivery", "deliveries")
        full = "; FULL: nothing more is taken until there is room" if told["outbox"].get("full") else ""
        rows.append(("outbox", f"{waiting} waiting, of at most {told['outbox']['max_rows']:,}{full}"))
    pairs(rows)


def _sources(sources: Mapping[str, Mapping[str, Any]]) -> None:
    for name, source in sources.items():
        click.echo(f"\nsource {name}: {source['health'] or 'connected'}, for {', '.join(source['hosts'])}")
        counted = source["counters"]
        pairs([(each.replace("_", " "), f"{counted[each]:,}") for each in _SOURCE if each in counted], "  ")
        pairs(
            [(f"feed of {one['host']}", f"{one['feed']} {one['epoch']}, entry {one['n']}") for one in source["feeds"]],
            "  ",
        )


def _backends(backends: Mapping[str, Mapping[str, Any]], started_at: float) -> None:
    seconds = max(1.0, time.time() - started_at)
    rows = []
    for name, one in backends.items():
        delivered = one["counters"].get("delivered", 0)
        state = one["health"] or _STATES[one["ready"]]
        rows.append(
            (name, state, one["waiting"], one["in_flight"], one["dead"], delivered, f"{delivered / seconds:.1f}")
        )
    click.echo()
    table(("backend", "state", "waiting", "in flight", "dead", "delivered", "a second"), rows)


def _breakers(breakers: Sequence[Mapping[str, Any]]) -> None:
    if breakers:
        click.echo("\ntargets that fail for everybody:")
        rows = [(one["backend"], one["target"], one["state"], age(one["next_probe"])) for one in breakers]
        table(("backend", "target", "breaker", "next try"), rows)


def _states(states: Mapping[str, int], unaccounted: int | None) -> None:
    said = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in states.items() if number)
    click.echo(f"\nsince the start: {said or 'nothing came'}")
    if unaccounted:
        click.echo(f"trouble: {unaccounted:,} deliveries are not accounted for; report it, with the log")


def _lost(counters: Mapping[str, int]) -> None:
    lost, gaps = counters["events_lost"], counters["feed_gaps"]
    if lost:
        click.echo(f"lost: {plural(lost, 'event', 'events')}, for which a server's ring had no room")
    if gaps:
        click.echo(f"lost: what a server had not told yet when it started anew, {plural(gaps, 'time', 'times')}")


def _rows(outbox: Mapping[str, Any]) -> None:
    if outbox["rows"]:
        click.echo()
        rows = [(name, states.get("waiting", 0), states.get("dead", 0)) for name, states in outbox["rows"].items()]
        table(("backend", "waiting", "dead"), rows)

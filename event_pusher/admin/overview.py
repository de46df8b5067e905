"""What ``status`` and ``trace`` tell of the running process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from event_pusher.assembly import Assembly
from event_pusher.core import Core
from event_pusher.intake import Position
from event_pusher.outbox.lease import Holder

#: Breakers that are told, all backends together.
BREAKERS = 100
#: What becomes of deliveries, in the order of their lives.
STATES = ("accepted", "readmitted", "delivered", "dead", "expired", "replaced", "discarded", "orphaned")

Rows = Mapping[str, Mapping[str, int]]


@dataclass(slots=True)
class Glance:
    """What only the core may look at; empty when it had no time."""

    positions: Sequence[tuple[str, str, Position]] = ()
    sessions: int | None = None
    unaccounted: int | None = None
    backends: dict[str, dict[str, Any]] = field(default_factory=dict)
    breakers: list[dict[str, Any]] = field(default_factory=list)
    under_way: frozenset[int] = frozenset()


def look(built: Assembly, ids: Sequence[int] = ()) -> Glance:
    """Look, on the core's thread; `ids`: deliveries of which is asked whether they are under way."""
    publishers = built.parts.publishers
    return Glance(
        positions=built.positions.all(),
        sessions=len(built.sessions),
        unaccounted=built.core.unaccounted(),
        backends={
            name: {"ready": one.lanes_may_go(), "in_flight": one.in_flight, "lanes": len(one.lanes)}
            for name, one in publishers.items()
        },
        breakers=_breakers(built),
        under_way=frozenset(id_ for one in publishers.values() for id_ in one.under_way(ids)),
    )


def _breakers(built: Assembly) -> list[dict[str, Any]]:
    now, monotonic = built.clock.now(), built.clock.monotonic()
    found = []
    for name, publisher in built.parts.publishers.items():
        for target, one in publisher.breakers.items():
            if one.closed:
                continue
            probe = None if one.open_until is None else now + max(0.0, one.open_until - monotonic)
            state = "half open" if one.open_until is None else "open"
            found.append({"backend": name, "target": target, "state": state, "next_probe": probe})
    return found[:BREAKERS]


def inside(
    built: Assembly, rows: Rows | None, glance: Glance, troubles: Mapping[str, str], holder: Holder | None
) -> dict[str, Any]:
    """Tell of everything that runs; without `rows` and `holder`, when the database does not answer."""
    core = built.core
    counted = {"waiting": core.rows} if rows is None else {}
    rows = rows or {}
    return {
        "database": built.engine.url.render_as_string(hide_password=True),
        "lease": holder and {"holder": holder.name, "pid": holder.pid, "remaining": round(holder.remaining, 1)},
        "sources": {name: _source(built, name, glance.positions) for name in built.sources},
        "backends": {
            name: _backend(built, name, rows.get(name, {}), glance.backends.get(name, {}), troubles)
            for name in built.backends
        },
        "outbox": outbox(rows, built.settings.outbox.max_rows) | counted | {"full": core.is_full()},
        "breakers": glance.breakers,
        "states": _states(built, core),
        "unaccounted": glance.unaccounted,
        "sessions": glance.sessions,
        "counters": _counters(built),
    }


def outbox(rows: Rows, max_rows: int) -> dict[str, Any]:
    """Tell of the outbox, whose `rows` were counted."""
    waiting = sum(states.get("waiting", 0) for states in rows.values())
    return {"waiting": waiting, "max_rows": max_rows, "rows": rows}


def _states(built: Assembly, core: Core) -> dict[str, int]:
    told = {"at_start": core.rows_at_start} | {state: built.counters.total(state) for state in STATES}
    return told | {"waiting": core.rows - core.in_flight, "in_flight": core.in_flight}


def _source(built: Assembly, name: str, positions: Sequence[tuple[str, str, Position]]) -> dict[str, Any]:
    source = built.sources[name]
    return {
        "hosts": list(source.hosts),
        "health": source.health(),
        "feeds": [
            {"host": host, "feed": place.feed, "epoch": place.epoch, "n": place.n}
            for of, host, place in positions
            if of == name
        ],
        "counters": dict(getattr(source, "counters", {})),
    }


def _backend(
    built: Assembly, name: str, rows: Mapping[str, int], glance: dict[str, Any], troubles: Mapping[str, str]
) -> dict[str, Any]:
    counted = {each: number for (each, label), number in list(built.counters.items()) if label == name}
    return {
        "health": troubles.get(f"backend {name}"),
        "ready": glance.get("ready"),
        "in_flight": glance.get("in_flight"),
        "lanes": glance.get("lanes"),
        "waiting": rows.get("waiting", 0),
        "dead": rows.get("dead", 0),
        "counters": counted,
    }


def _counters(built: Assembly) -> dict[str, int]:
    totals: dict[str, int] = {}
    for (name, _), number in list(built.counters.items()):
        totals[name] = totals.get(name, 0) + number
    return totals | {"events_lost": built.positions.lost, "feed_gaps": built.positions.gaps}

"""The story of a delivery: what was tried, what was answered, what happens next and when. Payloads stay out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from event_pusher.admin.overview import Glance
from event_pusher.journal import Settled
from event_pusher.outbox.history import read

#: The formats that each enabled backend still reads.
Readable = Mapping[str, frozenset[int]]
#: The state of a delivery whose row is gone, by its last outcome.
_ENDS = {"delivered": "delivered", "gone": "discarded", "replaced": "replaced"}
_HIDDEN = ("payload", "lane_key", "registration_key", "history")


@dataclass(slots=True)
class Moment:
    """What is known when the question comes; `glance` None = no process runs."""

    now: float
    readable: Readable
    dead_retention: float
    glance: Glance | None = None
    health: Mapping[str, str] = field(default_factory=dict)


def why_orphaned(row: Mapping[str, Any], readable: Readable) -> str | None:
    """Say why nobody tries `row`, None when somebody does."""
    formats = readable.get(row["backend"])
    if formats is None:
        return f"backend {row['backend']!r} is not enabled"
    return None if row["format"] in formats else f"backend {row['backend']!r} does not read format {row['format']}"


def public(row: Mapping[str, Any], readable: Readable) -> dict[str, Any]:
    """Give what may be shown of `row` in a listing."""
    told = {name: value for name, value in row.items() if name not in _HIDDEN}
    return told | {"orphaned": why_orphaned(row, readable)}


def of_row(row: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """Tell all of one `row`: its key at the destination, its attempts, what happens next."""
    told = public(row, moment.readable)
    text, at = _next(told, moment)
    tried = read(row["history"])
    return told | {"key": f"{row['trace']}-{row['id']}", "tried": tried, "next": text, "next_at": at}


def of_outcomes(outcomes: Sequence[Settled]) -> dict[str, Any]:
    """Tell of a delivery whose row is gone what the process remembers of it; `outcomes` are all of it, in order."""
    last = outcomes[-1]
    return {
        "id": last.delivery,
        "key": f"{last.trace}-{last.delivery}",
        "trace": last.trace,
        "backend": last.backend,
        "recipient": last.user,
        "target": last.target,
        "state": _ENDS.get(last.outcome, "discarded"),
        "attempts": last.number,
        "orphaned": None,
        "tried": [
            {"at": one.at, "number": one.number, "outcome": one.outcome, "reason": one.reason} for one in outcomes
        ],
        "next": "nothing: it is settled",
        "next_at": None,
    }


def by_delivery(outcomes: Iterable[Settled]) -> dict[int, list[Settled]]:
    """Sort outcomes by the id of their delivery."""
    found: dict[int, list[Settled]] = {}
    for one in outcomes:
        found.setdefault(one.delivery, []).append(one)
    return found


def _next(row: Mapping[str, Any], moment: Moment) -> tuple[str, float | None]:
    """Say what happens to `row` next, and when (UTC seconds)."""
    if row["orphaned"]:
        return f"nothing tries it: {row['orphaned']}; enable it, or `event-pusher deliveries discard`", None
    if row["state"] == "dead":
        again = f"it is forgotten, unless `event-pusher deliveries retry {row['id']}` comes first"
        return again, (row["failed_at"] or moment.now) + moment.dead_retention
    if moment.glance is None:
        return "it waits for `event-pusher run`", row["due_at"] or None
    return _next_of_waiting(row, moment, moment.glance)


def _next_of_waiting(row: Mapping[str, Any], moment: Moment, glance: Glance) -> tuple[str, float | None]:
    if row["id"] in glance.under_way:
        return f"attempt {row['attempts'] + 1} is under way", None
    for breaker in glance.breakers:
        if (breaker["backend"], breaker["target"]) == (row["backend"], row["target"]):
            return f"it waits: {row['target']} fails for everybody; the next try of anybody", breaker["next_probe"]
    if not glance.backends.get(row["backend"], {}).get("ready", True):
        said = moment.health.get(f"backend {row['backend']}") or "its way out is closed"
        return f"it waits until backend {row['backend']} is ready: {said}", None
    if row["due_at"] > moment.now:
        return f"attempt {row['attempts'] + 1}", row["due_at"]
    return "it goes when what stands before it is through", None

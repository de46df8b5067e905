"""
The last attempts of a delivery that did not succeed, as its row keeps them: a line of JSON each, oldest first.

Written only where a row is rescheduled or buried, so a delivery that goes well costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: So many attempts are kept …
KEPT = 10
#: … with so many characters of each reason; the row's own has the last one in full.
REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt: when its answer came (UTC seconds), its number, the kind of outcome, and what was said."""

    at: float
    number: int
    outcome: str
    reason: str

    def line(self) -> str:
        """Write it."""
        told = [round(self.at, 3), self.number, self.outcome, self.reason[:REASON_LENGTH]]
        return json.dumps(told, ensure_ascii=False)


#: The attempts that a commit adds, by the id of the delivery.
News = Mapping[int, Sequence[Tried]]


def appended(history: str | None, tried: Sequence[Tried]) -> str | None:
    """The `history` of a row with the attempts `tried` behind it; the oldest go."""
    lines = [*(history.split("\n") if history else ()), *(one.line() for one in tried)]
    return "\n".join(lines[-KEPT:]) or None


def read(history: str | None) -> list[dict[str, Any]]:
    """Read the `history` of a row, for people; what another release wrote otherwise is left out."""
    found = []
    for line in history.split("\n") if history else ():
        try:
            at, number, outcome, reason = json.loads(line)
        except (ValueError, TypeError):
            continue
        found.append({"at": at, "number": number, "outcome": outcome, "reason": reason})
    return found

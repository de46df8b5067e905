"""Tables, ages and JSON, for people and for machines."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

_STEPS = ((86400 * 2, 86400, "d"), (3600 * 2, 3600, "h"), (120, 60, "min"))


def say_json(value: Any) -> None:
    """Print `value` for a machine."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print `rows` in columns under `head`; numbers stand to the right."""
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
    right = [bool(rows) and all(isinstance(row[n], (int, float)) for row in rows) for n in range(len(head))]
    for line in [list(head), *texts]:
        cells = zip(line, widths, right, strict=True)
        click.echo(
            "  ".join(text.rjust(width) if to_right else text.ljust(width) for text, width, to_right in cells).rstrip()
        )


def pairs(rows: Sequence[tuple[str, object]], indent: str = "") -> None:
    """Print names and values under each other."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(f"{indent}{name.ljust(width)}  {_cell(value)}".rstrip())


def age(at: float | None) -> str:
    """Say how long ago, or in how long, the UTC second `at` is."""
    if not at:
        return "-"
    seconds = time.time() - at
    return f"in {span(-seconds)}" if seconds < -1 else f"{span(max(0.0, seconds))} ago"


def span(seconds: float) -> str:
    """Say `seconds` in one unit."""
    for least, unit, name in _STEPS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def moment(at: float | None) -> str:
    """Say the UTC second `at` in full."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else "-"


def plural(number: int, one: str, many: str = "") -> str:
    """Say ``1 delivery``, ``2 deliveries``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)

"""Deliveries whose backend is not configured any more: it was renamed, or taken out."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from event_pusher.schema import deliveries

if TYPE_CHECKING:
    from sqlalchemy import Connection


def orphans_of(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """How many deliveries wait for each backend that is none of `names`."""
    table = deliveries.c
    found = connection.execute(
        select(table.backend, func.count())
        .where(table.state == "waiting")
        .group_by(table.backend)
        .order_by(table.backend)
    )
    return {name: number for name, number in found if name not in names}


def told_of_orphans(name: str, number: int) -> str:
    """Say it: a row keeps the name of its backend."""
    what = "1 delivery waits" if number == 1 else f"{number:,} deliveries wait"
    return f'{what} for a backend of the name "{name}", and none is configured'


def orphans_cure(name: str) -> str:
    """Say what to do."""
    return (
        f"give the backend its name back ([backends.{name}], with type = where that differs), "
        f"or `event-pusher deliveries discard --backend {name}`"
    )

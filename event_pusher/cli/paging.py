"""Listings, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from event_pusher.cli.opening import Asked

#: The desk's page.
PAGE = 500


def pages(desk: Asked, name: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """All that a listing has."""
    after = 0
    while True:
        found = desk.call(name, after=after, limit=PAGE, **arguments)
        yield from found
        if len(found) < PAGE:
            return
        after = found[-1]["id"]

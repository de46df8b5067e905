"""A running pusher with its control socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.running import Place, Running


@pytest.fixture
def running() -> Iterator[Running]:
    """The pusher, connected."""
    with Running() as running:
        yield running


@pytest.fixture
def place() -> Iterator[Place]:
    """A configuration and a database, where nothing runs."""
    place = Place()
    yield place
    place.remove()

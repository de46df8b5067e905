"""A receiver on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from webhook_sink import Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as one:
        yield one

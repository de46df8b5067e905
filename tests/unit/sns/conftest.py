"""Amazon on loopback, and backends that publish there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws import Aws

from event_pusher_sns.backend import SnsBackend
from tests.unit.sns.support import backend

Publisher = Callable[..., SnsBackend]


@pytest.fixture
def aws() -> Iterator[Aws]:
    """moto's SNS and SQS, empty."""
    with Aws() as aws:
        yield aws


@pytest.fixture
def publisher(aws: Aws) -> Iterator[Publisher]:
    """Make a backend that publishes there, and is started."""
    made: list[SnsBackend] = []

    def make(*plugins: Any, tools: dict[str, Any] | None = None, **options: Any) -> SnsBackend:
        made.append(backend(*plugins, tools=tools, **(aws.options() | options)))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close(1.0)

"""A broker for each test, and backends that are connected to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from amqp_broker import AmqpBroker

from event_pusher_rabbit import connection, session
from tests.unit.rabbit.rig import Make, Rig


@pytest.fixture
def broker() -> Iterator[AmqpBroker]:
    with AmqpBroker() as broker:
        yield broker


@pytest.fixture
def make(broker: AmqpBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make rigs that lose no time."""
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(session, "RECHECK_SECONDS", 0.05)
    made: list[Rig] = []

    def build(**options: Any) -> Rig:
        made.append(Rig(broker, **options))
        return made[-1]

    yield build
    for rig in made:
        rig.backend.close(1.0)

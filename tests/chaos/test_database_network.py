"""Whatever the network does between pusher and PostgreSQL: nothing acknowledged is lost, and it recovers by itself."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from postgresql import PostgreSql, postgresql

from tests.chaos.book import Wanted
from tests.chaos.field import Field, wanted_of
from tests.chaos.processes import Installed
from tests.chaos.proxy import FAULTS, Proxy

__all__ = ["postgresql"]  # a fixture, found by its name

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

SEED = 13


class PostgreSqlField(Field):
    """A ground whose outbox is in PostgreSQL; `direct` is the way there that nothing happens on."""

    direct: str

    def rows(self) -> dict[str, Wanted]:
        with psycopg.connect(self.direct) as connection:
            found = connection.execute("SELECT id, trace, payload FROM event_pusher_deliveries").fetchall()
        return {f"{trace}-{id_}": wanted_of(payload) for id_, trace, payload in found}


@pytest.fixture
def through_proxy(tmp_path: Path, postgresql: PostgreSql) -> Iterator[tuple[Field, Proxy]]:
    """A pusher whose database lies behind a proxy, connected."""
    with (
        postgresql.database() as direct,
        Proxy(("127.0.0.1", postgresql.port), random.Random(SEED)) as proxy,
    ):
        database = direct.rpartition("@/")[2].partition("?")[0]
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}"
        ground = PostgreSqlField(tmp_path, Installed(), random.Random(SEED), url=url)
        ground.direct = direct
        with ground:
            ground.moods.well = True
            ground.start()
            ground.wait_connected()
            yield ground, proxy


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pusher_and_database_loses_nothing_and_heals_by_itself(
    through_proxy: tuple[Field, Proxy], fault: str
) -> None:
    ground, proxy = through_proxy
    # Given messages that come all the time
    with ground.feeding(100):
        ground.server.wait_for(lambda: len(ground.book.sent) > 20)
        # When the network does it
        before, faulted = ground.events, proxy.faulted
        proxy.fail(fault)
        ground.until(lambda: ground.events > before + 100)
        proxy.heal()
    # Then everything is published by the same process, in order
    ground.drain()
    ground.book.check(in_flight=100, restarted=False)
    assert fault in ("cut", "half-close", "garbage") or proxy.faulted > faulted

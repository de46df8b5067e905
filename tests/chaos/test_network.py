"""Whatever the network does between pusher and XMPP server: nothing acknowledged is lost, and it recovers by itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.field import Field
from tests.chaos.processes import Warm
from tests.chaos.proxy import FAULTS, Proxy

SEED = 11


@pytest.fixture
def through_proxy(tmp_path: Path, warm: Warm) -> Iterator[tuple[Field, Proxy]]:
    """A pusher whose stream goes through a proxy, connected."""
    ground = Field(tmp_path, warm, random.Random(SEED))
    host, _, port = ground.server.address.partition(":")
    with ground, Proxy((host, int(port)), random.Random(SEED)) as proxy:
        ground.configure(proxy.address)
        ground.moods.well = True
        ground.start()
        ground.wait_connected()
        yield ground, proxy


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_network_loses_nothing_and_heals_by_itself(
    through_proxy: tuple[Field, Proxy], fault: str
) -> None:
    ground, proxy = through_proxy
    # Given messages that come all the time
    with ground.feeding(100):
        ground.server.wait_for(lambda: len(ground.book.sent) > 20)
        # When the network does it
        before = ground.events
        proxy.fail(fault)
        ground.until(lambda: ground.events > before + 30)
        proxy.heal()
    # Then everything is published by the same process, in order
    ground.drain()
    ground.book.check(in_flight=100, restarted=False)

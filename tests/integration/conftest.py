"""Fixtures of the server tests; the directory itself is what its modules are imported from."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from feed_servers import SERVERS, Site, running
from world import World, running_world


@pytest.fixture(scope="module", params=SERVERS)
def server_name(request: pytest.FixtureRequest) -> str:
    """Which server the test runs against."""
    return str(request.param)


@pytest.fixture(scope="module")
def running_site(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with the module's default options, for all tests of a file."""
    with running(server_name, tmp_path_factory.mktemp(server_name)) as site:
        yield site


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The running server; what the test opens on it is closed at its end."""
    yield running_site
    running_site.close()


@pytest.fixture(scope="session", params=SERVERS)
def whole_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server, the daemon and a push service, for all tests of the whole way: to start them takes longest."""
    with running_world(request.param, tmp_path_factory.mktemp(request.param)) as world:
        yield world


@pytest.fixture
def world(whole_world: World) -> Iterator[World]:
    """The running world; what the test opens in it is closed at its end."""
    yield whole_world
    whole_world.end_test()

"""Fixtures of the server tests; the directory itself is what its modules are imported from."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from feed import Feed
from feed_servers import SERVERS, Site, running
from servers import Ejabberd
from wire import new_id

MODULE = """\
modules:
  mod_event_feed:
    component: push.ej.test
"""

StartEjabberd = Callable[..., Ejabberd]


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


@pytest.fixture(scope="module")
def ejabberd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ejabberd]:
    """ejabberd with the module and its default options, for all tests of a file."""
    server = Ejabberd(tmp_path_factory.mktemp("ejabberd"), MODULE)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def start_ejabberd(tmp_path: Path) -> Iterator[StartEjabberd]:
    """Starts an ejabberd of the test's own; the lines given are further options of the module."""
    servers: list[Ejabberd] = []

    def start(*options: str, fragment: str = MODULE) -> Ejabberd:
        text = fragment + "".join(f"    {option}\n" for option in options)
        server = Ejabberd(tmp_path / f"ejabberd{len(servers)}", text)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def feed(ejabberd: Ejabberd) -> Iterator[Feed]:
    """A consumer that has resumed and has nothing left to read or acknowledge."""
    yield follow(ejabberd)
    ejabberd.hang_up()


@pytest.fixture
def account(ejabberd: Ejabberd) -> Callable[[], str]:
    """Makes accounts that no other test has."""

    def make() -> str:
        user = new_id("user")
        ejabberd.register(user)
        return user

    return make


def follow(server: Ejabberd, **attributes: str) -> Feed:
    """Connect the component, resume, and acknowledge everything up to the snapshot's end."""
    feed = Feed(server.component("push"), server.domain)
    feed.resume(snapshot=False, **attributes)
    feed.ack(feed.expect("snapshot-end").get("n", ""))
    feed.component.clear()
    return feed

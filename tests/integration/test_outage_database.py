"""The daemon on a real PostgreSQL that goes away, cuts connections, and changes hands."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from feed_servers import SERVERS
from installation import Wishes
from outage import Conversation, absent, all_pushed, eventually
from people import PUSH
from postgresql import PostgreSql, postgresql
from pusher import STANDBY, Pusher
from wire import condition
from world import World, running_world

__all__ = ["postgresql"]  # a fixture, found by its name

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

#: How long the database is away; set 30 for the half minute that is promised.
SECONDS = float(os.environ.get("EVENT_PUSHER_DATABASE_SECONDS", "8"))
TROUBLE, WELL = "the database is in trouble, intake pauses", "the database is well again"


@pytest.fixture(scope="module", params=SERVERS)
def pg_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSql
) -> Iterator[World]:
    """The world, with the daemon's tables in a PostgreSQL database."""
    folder: Path = tmp_path_factory.mktemp("postgresql")
    with postgresql.database() as url:
        edits = {
            # Nobody waits long for an answer that went to a process which stands still.
            "wpool = { workers = 1,": "publish_timeout = 5\nwpool = { workers = 1,",
            f'url = "sqlite:///{folder}/kit/event-pusher.db"': f'url = "{url}"',
        }
        with running_world(request.param, folder, Wishes(edits=edits)) as world:
            yield world


@pytest.fixture
def world(pg_world: World) -> Iterator[World]:
    """The running world; what the test opens in it is closed at its end."""
    yield pg_world
    pg_world.end_test()


def test_the_main_job_on_postgresql(world: World) -> None:
    # Given somebody who enabled push with options, and is offline
    bob = world.absent("main", {"k": "v"})
    # When alice writes, before and while the daemon is away
    world.alice.message(bob, "before")
    assert world.bodies(bob, "main") == ["before"]
    world.pusher.terminate()
    world.alice.message(bob, "while away")
    world.alice.settle()
    world.pusher.start()
    # Then both were pushed, with the options
    [notice] = world.pushed(bob, "main")
    assert (notice.body, notice.options) == ("while away", {"k": "v"})


def test_while_the_database_is_away_intake_pauses_and_nothing_is_lost(world: World, postgresql: PostgreSql) -> None:
    # Given a conversation with people who are offline, and somebody online
    nodes, person = absent(world, "db-away", 3), world.person(world.account())
    with Conversation(world.alice, list(nodes)) as talk:
        talk.go_on(1)
        # When the database goes away
        postgresql.control("-m", "immediate", "stop")
        try:
            world.pusher.logged(TROUBLE)
            # Then the daemon says so, and goes on running
            assert "database" in world.pusher.ask("status")["health"]
            code, text = world.pusher.get("/readyz")
            assert (code, "database" in text) == (503, True)
            assert world.pusher.get("/healthz")[0] == 200
            # And who wants to enable push is asked to try again
            answer = person.iq(f"<enable xmlns='{PUSH}' jid='{world.service.jid}' node='meanwhile'/>")
            assert condition(answer) == ("wait", "internal-server-error"), answer
            talk.go_on(SECONDS)
        finally:
            postgresql.start()
        # And when it is back, all goes on by itself
        world.pusher.logged(WELL)
        talk.go_on(1)
        talk.end()
    all_pushed(world, talk, nodes, crashed=True)
    assert eventually(lambda: world.pusher.get("/readyz")[0] == 200)
    person.enable(world.service.jid, "afterwards")
    # And what came again is what it had no time to note
    assert len(world.repeated) <= len(nodes) + 1, world.repeated


def test_connections_that_the_database_cuts_cost_nothing(world: World, postgresql: PostgreSql) -> None:
    # Given a conversation
    nodes = absent(world, "db-cut", 3)
    with Conversation(world.alice, list(nodes)) as talk:
        for _ in range(5):
            talk.go_on(0.5)
            # When the database ends the daemon's connections, some of them in the middle of work
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'event-pusher'"
            assert postgresql.execute(cut)
        talk.go_on(1)
        talk.end()
    # Then each message is pushed once
    all_pushed(world, talk, nodes, crashed=True)
    assert eventually(lambda: world.pusher.get("/readyz")[0] == 200)


def test_a_stand_by_on_postgresql_takes_over(world: World) -> None:
    # Given a second daemon, which waits
    nodes = absent(world, "db-stand-by", 2)
    second = Pusher(world.pusher.file).start(until=STANDBY)
    try:
        with Conversation(world.alice, list(nodes)) as talk:
            talk.go_on(1)
            # When the first one dies
            world.pusher.kill()
            second.logged("started: ")
            talk.go_on(1)
            talk.end()
        # Then nothing is missed or doubled
        all_pushed(world, talk, nodes, crashed=True)
        second.terminate()
    finally:
        second.close()


def test_an_owner_that_stood_still_for_too_long_writes_and_publishes_nothing_more(world: World) -> None:
    # Given a second daemon, which waits
    nodes = absent(world, "db-fenced", 2)
    second = Pusher(world.pusher.file).start(until=STANDBY)
    try:
        with Conversation(world.alice, list(nodes)) as talk:
            talk.go_on(1)
            # When the first one stands still for longer than its lease, and wakes up
            world.pusher.pause()
            second.logged("started: ")
            talk.go_on(1)
            assert world.pusher.wake() != 0
            talk.go_on(1)
            talk.end()
        # Then it ends and says why, and the second has pushed, or pushes, each message; some answers may have gone
        # to the first, for ejabberd shares what is for the component out among its connections: those come again
        assert any("another process owns the database now" in line for line in world.pusher.log[-10:])
        all_pushed(world, talk, nodes, crashed=True)
        second.terminate()
    finally:
        second.close()

"""What a server lost on the way is told by `status`, not only in the log."""

from collections.abc import Iterator

import pytest

from tests.unit.running import Running


@pytest.fixture
def running() -> Iterator[Running]:
    with Running() as running:
        yield running


def test_status_tells_of_a_server_that_started_anew(running: Running) -> None:
    # Given a pusher that knows a feed
    running.write("hello")
    assert "lost:" not in running.run("status").stdout
    # When the server dies and comes back
    running.server.restart()
    running.until(lambda: running.call("status")["counters"]["feed_gaps"] == 1)
    # Then the operator is told
    assert "lost: what a server had not told yet when it started anew, 1 time\n" in running.run("status").stdout

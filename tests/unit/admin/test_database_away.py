"""The database is away: `status` tells what memory knows."""

import pytest

from event_pusher.errors import StorageError
from tests.unit.running import Running


def test_status_answers_without_the_database(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a delivery that waits, and then a database that does not answer
    running.enable()
    running.verdict = ("wait", "internal-server-error")
    running.write("hello")

    def away(*_: object) -> None:
        raise StorageError("the database failed: gone")

    monkeypatch.setattr("event_pusher.admin.live.describe", away)
    running.app.assembly.core.commits.trouble = "the database failed: gone"  # type: ignore[union-attr]  # it runs
    # When an operator asks
    told = running.call("status")
    # Then it is told what is wrong, and what is known without it
    assert told["health"]["database"] == "the database failed: gone"
    assert told["lease"] is None
    assert told["outbox"]["waiting"] == 1
    assert running.run("status").exit_code == 0

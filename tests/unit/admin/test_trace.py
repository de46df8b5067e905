"""trace, tail, orphans: what became of one stanza, as it is told over the socket."""

from __future__ import annotations

import threading

import pytest

from event_pusher import journal as module
from event_pusher.admin.client import RefusedError
from event_pusher.journal import Decision, Follower, Journal
from tests.unit.running import BOB, SERVICE, Running

REFUSED = ("wait", "internal-server-error")


def one_that_waits(running: Running) -> dict[str, object]:
    """A delivery that failed once; its row."""
    running.enable()
    running.verdict = REFUSED
    running.write("a secret of the heart")
    running.until(lambda: running.call("deliveries_list")[0]["attempts"] == 1)
    [row] = running.call("deliveries_list")
    assert isinstance(row, dict)
    return row


def test_a_trace_tells_decision_attempts_and_what_comes_next(running: Running) -> None:
    # Given a delivery that failed once
    row = one_that_waits(running)
    # When its stanza is traced
    told = running.call("trace", id=row["trace"])
    # Then the decision, the answer and the next attempt are there
    assert [(one["backend"], one["reason"]) for one in told["decisions"]] == [("push", "accepted")]
    [delivery] = told["deliveries"]
    assert (delivery["state"], delivery["key"]) == ("waiting", f"{row['trace']}-{row['id']}")
    [tried] = delivery["tried"]
    assert (tried["number"], tried["outcome"]) == (1, "retry")
    assert "internal-server-error" in tried["reason"]
    assert delivery["next"] == "attempt 2"
    assert delivery["next_at"] == row["due_at"]
    assert "heart" not in str(told)


def test_a_delivery_is_found_by_its_id_and_by_its_key(running: Running) -> None:
    row = one_that_waits(running)
    for asked in (str(row["id"]), f"{row['trace']}-{row['id']}"):
        assert running.call("trace", id=asked)["trace"] == row["trace"]


def test_what_was_delivered_is_remembered(running: Running) -> None:
    # Given a delivery that arrived
    running.enable()
    running.write("hello")
    running.until(lambda: running.call("status")["counters"].get("delivered") == 1)
    trace = running.call("explain", user=BOB)["decisions"][-1]["trace"]
    # When it is traced
    [delivery] = running.call("trace", id=trace)["deliveries"]
    # Then that is told, although its row is gone
    assert (delivery["state"], delivery["target"]) == ("delivered", SERVICE)
    assert [one["outcome"] for one in delivery["tried"]] == ["delivered"]
    # And its key, which the push service saw, leads to it as well
    assert running.call("trace", id=running.pushed[-1].item_id)["trace"] == trace


def test_an_unknown_trace_is_empty(running: Running) -> None:
    told = running.call("trace", id="nothing-7")
    assert (told["decisions"], told["deliveries"]) == ([], [])


def test_explain_tells_attempts_and_what_comes_next(running: Running) -> None:
    one_that_waits(running)
    [delivery] = running.call("explain", user=BOB)["deliveries"]
    assert (len(delivery["tried"]), delivery["next"]) == (1, "attempt 2")


def test_a_dead_letter_says_how_long_it_is_kept(running: Running) -> None:
    running.enable()
    [id_] = running.dead(1)
    shown = running.call("deliveries_show", id=id_)
    assert f"deliveries retry {id_}" in shown["next"]
    assert shown["next_at"] > 0


def test_a_retried_dead_letter_keeps_its_key(running: Running) -> None:
    # Given a dead letter
    running.enable()
    [id_] = running.dead(1)
    key = running.call("deliveries_show", id=id_)["key"]
    running.verdict = None
    running.pushed.clear()
    # When it is retried
    running.call("deliveries_retry", ids=[id_])
    # Then it arrives under the key it had
    running.until(lambda: running.pushed)
    assert running.pushed[0].item_id == key


def test_rows_that_nobody_reads_are_told_as_orphaned(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a delivery of a format that the backend does not read any more
    row = one_that_waits(running)
    assert running.app.assembly is not None
    monkeypatch.setattr(type(running.app.assembly.backends["push"]), "formats", frozenset({2}))
    # Then lists and filters say so
    [listed] = running.call("deliveries_list", state="orphaned")
    assert listed["id"] == row["id"]
    assert listed["orphaned"] == "backend 'push' does not read format 1"
    assert "nothing tries it" in running.call("deliveries_show", id=row["id"])["next"]
    # And what is read is none
    monkeypatch.undo()
    assert running.call("deliveries_list", state="orphaned") == []


def test_deliveries_are_chosen_by_id_target_and_age(running: Running) -> None:
    row = one_that_waits(running)
    for filters, number in (
        ({"ids": [row["id"]]}, 1),
        ({"ids": [10**9]}, 0),
        ({"target": SERVICE}, 1),
        ({"target": "elsewhere.example"}, 0),
        ({"until": row["accepted_at"]}, 0),
        ({"until": 9e9}, 1),
        ({"since": 9e9}, 0),
    ):
        assert len(running.call("deliveries_list", **filters)) == number


def test_a_follower_hears_decisions_and_outcomes_as_they_come(running: Running) -> None:
    # Given somebody who follows Bob, and somebody who follows Eve
    running.enable()
    for name, user in (("a", BOB), ("b", "eve@example.org")):
        assert running.call("tail", follower=name, user=user, wait=0)["entries"] == []
    # When Bob gets a message
    running.write("a secret of the heart")
    running.until(lambda: running.pushed)
    # Then the first hears it all, without its text, and the second nothing
    heard: list[dict[str, object]] = []

    def heard_both() -> bool:
        heard.extend(running.call("tail", follower="a", wait=1)["entries"])
        return len(heard) == 2

    running.until(heard_both)
    assert [one["what"] for one in heard] == ["decision", "outcome"]
    assert heard[1]["outcome"] == "delivered"
    assert "heart" not in str(heard)
    assert running.call("tail", follower="b", wait=0)["entries"] == []
    running.call("tail_end", follower="a")


def test_a_follower_that_does_not_keep_up_is_told_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a queue with room for two
    monkeypatch.setattr(module, "QUEUED", 2)
    journal = Journal()
    follower = journal.follower("a", "")
    assert follower is not None
    # When five entries come
    for number in range(5):
        journal.decided([Decision(1.0, BOB, "chat", "push", "accepted", f"t{number}")])
    # Then two are there, and three are counted
    assert [one.trace for one in follower.take(0)] == ["t0", "t1"]
    assert follower.dropped == 3


def test_a_follower_waits_for_the_first_entry() -> None:
    # Given somebody who waits
    follower = Follower()
    heard: list[object] = []
    thread = threading.Thread(target=lambda: heard.extend(follower.take(10)))
    thread.start()
    # When an entry comes
    follower.offer(Decision(1.0, BOB, "chat", "push", "accepted", "t"))
    # Then it is heard at once
    thread.join(5)
    assert len(heard) == 1


def test_one_that_asks_no_more_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given all the followers that there may be
    journal = Journal()
    for number in range(module.FOLLOWERS):
        assert journal.follower(str(number), "")
    assert journal.follower("one too many", "") is None
    # When they ask for nothing for long
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    # Then there is room
    assert journal.follower("next", "")


def test_too_many_followers_are_told(running: Running) -> None:
    for number in range(module.FOLLOWERS):
        running.call("tail", follower=str(number), wait=0)
    with pytest.raises(RefusedError, match="follow already"):
        running.call("tail", follower="one too many", wait=0)

"""A discarded head must not hold its lane until the time of its next attempt."""

from __future__ import annotations

from dataclasses import replace

from event_pusher.abc import Delivery
from event_pusher.lane import Window
from event_pusher.lanes import Lanes
from event_pusher.outbox.row import Row

NOW, LATER = 1000.0, 4600.0


def make(id_: int) -> Row:
    return Row(id_, "post", "lane", Delivery("bob@example.org", "target", b""), "trace", NOW, None)


def test_what_stands_behind_a_discarded_head_goes_at_once() -> None:
    # Given a lane whose head failed and waits an hour, with one more row on disk
    window = Window()
    disk = {1: make(1), 2: make(2)}
    lanes = Lanes("post", window, lambda _b, _l, after, _n: [row for id_, row in disk.items() if id_ > after])
    for id_, row in disk.items():
        window.cursor = id_
        lanes.add(row, NOW)
    [(lane, head)] = lanes.take(1, NOW)
    head.due_at = LATER
    lanes.park(lane, LATER)
    # When the head is discarded
    del disk[1]
    lanes.drop_ids(frozenset({1}))
    # Then the next one goes now, and not again when the old time comes
    assert [row.id for _, row in lanes.take(9, NOW)] == [2]
    assert list(lanes.take(9, LATER)) == []
    assert window.rows == 1


def test_a_row_that_comes_after_a_discarded_head_goes_at_once() -> None:
    # Given a lane that held one row, which failed and was discarded
    window = Window()
    lanes = Lanes("post", window, lambda *_: [])
    lanes.add(replace(make(1), due_at=LATER), NOW)
    lanes.drop_ids(frozenset({1}))
    # When another one comes
    lanes.add(make(2), NOW)
    # Then it goes
    assert [row.id for _, row in lanes.take(9, NOW)] == [2]
    assert list(lanes.take(9, LATER)) == []

"""The outbox under SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from outbox_suite import OutboxSuite
from sqlalchemy import Engine
from storage import insert, make_row, sqlite_engine, writing

from event_pusher.outbox.blocks import lane_checksum
from event_pusher.outbox.store import OutboxStore


class TestOutboxUnderSqlite(OutboxSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        with sqlite_engine(tmp_path) as engine:
            yield engine

    def test_lanes_that_share_a_number_are_told_apart(self, engine: Engine) -> None:
        # Given two lanes with the same checksum
        first, second = "plumless", "buckeroo"
        assert lane_checksum("", first) == lane_checksum("", second)
        with writing(engine) as writer:
            rows = insert(writer, 1, lane=first, backend="") + insert(writer, 1, lane=second, backend="")
            # Then each is read alone
            store = OutboxStore(writer)
            assert [store.load_lane("", lane, 0, 9) for lane in (first, second)] == [rows[:1], rows[1:]]

    def test_the_hot_look_ups_use_an_index(self, engine: Engine) -> None:
        with writing(engine) as writer:
            for where in ("lane_key IN (1, 2) AND id > 5", "registration_key = 1", "id = 1", "lane_key >= 5"):
                plan = writer.connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN SELECT * FROM event_pusher_deliveries WHERE {where}"
                ).fetchall()
                assert [str(step[3]).startswith("SEARCH") for step in plan] == [True]

    def test_dedupe_keys_have_16_bytes(self, engine: Engine) -> None:
        with writing(engine) as writer, pytest.raises(ValueError, match="16 bytes"), writer.transaction():
            OutboxStore(writer).remember([b"short"], 1.0)

    def test_nothing_to_do_is_no_statement(self, engine: Engine) -> None:
        with writing(engine) as writer, writer.transaction():
            store = OutboxStore(writer)
            store.insert([])
            store.remove([])
            store.reschedule([], [])
            store.bury([], [], 0.0)
            store.save_positions([])
            store.remember([], 0.0)
            assert store.discard_for_registrations([]) == []

    def test_rows_and_reasons_come_in_pairs(self, engine: Engine) -> None:
        with writing(engine) as writer, pytest.raises(ValueError, match="shorter"), writer.transaction():
            OutboxStore(writer).bury([make_row(1)], [], 0.0)

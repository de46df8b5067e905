"""The owner's lease under SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lease_suite import LeaseSuite
from sqlalchemy import Engine
from storage import sqlite_engine


class TestLeaseUnderSqlite(LeaseSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        with sqlite_engine(tmp_path) as engine:
            yield engine

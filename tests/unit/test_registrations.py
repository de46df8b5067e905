"""Registrations under SQLite and in memory."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from registration_suite import RdbmsRegistrationSuite, RegistrationSuite, World
from sqlalchemy import Engine
from storage import sqlite_engine

from event_pusher.registrations import MemoryRegistrations


class TestRegistrationsUnderSqlite(RdbmsRegistrationSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        with sqlite_engine(tmp_path, busy_timeout=30) as engine:
            yield engine


class TestRegistrationsInMemory(RegistrationSuite):
    @pytest.fixture
    def world(self) -> World:
        return World(MemoryRegistrations(), nullcontext)

    def test_ids_of_an_earlier_process_do_not_come_again(self, world: World) -> None:
        first = world.enable()
        second = World(MemoryRegistrations(), nullcontext).enable()
        assert second.id > first.id

"""A real PostgreSQL of our own: Debian's server in a temporary folder, on a socket there and a free port."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

from event_pusher import migrate

BINARIES = Path("/usr/lib/postgresql")
_numbers = count(1)


@dataclass
class PostgreSql:
    """A running server. `host` is its socket's folder."""

    folder: Path
    binaries: Path
    port: int

    def url(self, database: str) -> str:
        """The URL of a database, as an operator would write it."""
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}"

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement as the superuser."""
        with psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, migrated database."""
        name = f"test_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def control(self, *arguments: str) -> None:
        """Run pg_ctl on the server, and wait for it."""
        run_as_postgres([str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), "-w", *arguments])

    def start(self) -> None:
        """Start it; returns when it answers."""
        options = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50"
        self.control("-l", str(self.folder / "log"), "-o", options, "start")


def run_as_postgres(arguments: list[str]) -> None:
    """Run a command; as root (the server refuses to be) it runs as the user of Debian's package."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    # Not captured: the server that pg_ctl leaves behind would keep a pipe open.
    with tempfile.TemporaryFile("w+") as told:
        done = subprocess.run([*prefix, *arguments], check=False, cwd="/", stdout=subprocess.DEVNULL, stderr=told)
        told.seek(0)
        text = told.read()
    assert done.returncode == 0, f"{arguments[0]}: {text}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """The server; a machine that cannot run it fails the test."""
    versions = sorted(BINARIES.glob("*/bin"), key=lambda path: int(path.parent.name))
    assert versions, f"no PostgreSQL server under {BINARIES}; run `apt-get install postgresql`"
    folder = Path(tempfile.mkdtemp(prefix="event-pusher-postgresql-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = PostgreSql(folder, versions[-1], free_port())
        initdb = [str(server.binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust"]
        run_as_postgres([*initdb, "-E", "UTF8", "--locale=C.UTF-8", "-N"])
        server.start()
        try:
            server.execute("CREATE DATABASE migrated")
            migrate.upgrade(server.url("migrated"), Path())
            yield server
        finally:
            server.control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)

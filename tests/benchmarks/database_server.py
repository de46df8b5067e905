"""A PostgreSQL server of the benchmark's own, durable as it comes, in a folder that goes with it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit import HERE, BenchmarkError

sys.path.insert(0, str(HERE.parent / "integration"))

from postgresql import BINARIES, PostgreSql, free_port, run_as_postgres


@contextmanager
def postgresql() -> Iterator[tuple[str, int]]:
    """The URL of an empty database, and the id of the server; fsync is on."""
    versions = sorted(BINARIES.glob("*/bin"), key=lambda path: int(path.parent.name))
    if not versions:
        raise BenchmarkError("no PostgreSQL server is installed; apt-get install postgresql, or --only sqlite")
    folder = Path(tempfile.mkdtemp(prefix="event-pusher-bench-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = PostgreSql(folder, versions[-1], free_port())
        initdb = [str(server.binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust"]
        run_as_postgres([*initdb, "-E", "UTF8", "--locale=C.UTF-8"])
        options = f"-k {folder} -p {server.port} -c listen_addresses=127.0.0.1 -c fsync=on"
        server.control("-l", str(folder / "log"), "-o", options, "start")
        try:
            server.execute("CREATE DATABASE bench")
            yield server.url("bench"), int((folder / "data" / "postmaster.pid").read_text().split()[0])
        finally:
            server.control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

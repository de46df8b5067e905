"""
What a power cut leaves of SQLite's WAL, made from what a kill leaves.

A kill loses nothing that was written; a power cut also loses what was written and not synced. From outside nobody sees
a sync, but an acknowledgement and a publish tell of one: they leave after their COMMIT returned, and with
``synchronous=FULL`` that is after the sync. So of the WAL everything up to the frame of that commit must be taken as
kept, and everything behind it may be lost: cut off anywhere, even within a frame, or turned to rubbish.

The frame is found by reading: the shortest run of whole commits with which the database knows the position that was
told. What a checkpoint has already copied into the database is kept too: SQLite syncs the WAL before it copies.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
import tempfile
from contextlib import closing
from pathlib import Path

from tests.chaos.field import read_position

_HEADER, _FRAME = 32, 24
#: Where the -shm file keeps nBackfill and nBackfillAttempted (SQLite's "WAL-index format").
_BACKFILL, _ATTEMPTED = 96, 128


def cut_wal(database: Path, told: int, draw: random.Random) -> int:
    """
    Drop what a power cut may drop from the WAL of `database`, at random; gives the bytes of commits that went.

    `told`: the last entry of the feed that was acknowledged, or of which anything was published.
    """
    wal = database.with_name(f"{database.name}-wal")
    data = wal.read_bytes() if wal.exists() else b""
    if len(data) <= _HEADER:
        return 0
    floor = promised(database, data, told)
    end = draw.randint(floor, len(data))
    kept = data[:end]
    if draw.random() < 0.5:
        # Pages reach the disk in any order: what stands behind is not always the end of the file.
        kept += draw.randbytes(len(data) - end)
    wal.write_bytes(kept)
    return max(0, max(commits(data), default=0) - end)


def promised(database: Path, data: bytes, told: int) -> int:
    """How many bytes of the WAL must be there still because entry `told` was spoken of."""
    ends = [0, *commits(data)]
    low, high = 0, len(ends) - 1
    assert _position(database, data[: ends[high]]) >= told, "told and not committed"
    while low < high:
        middle = (low + high) // 2
        if _position(database, data[: ends[middle]]) >= told:
            high = middle
        else:
            low = middle + 1
    return max(ends[low], _checkpointed(database, data))


def commits(data: bytes) -> list[int]:
    """Where each whole commit of the WAL ends, in bytes; frames of a former round do not count."""
    page = struct.unpack(">I", data[8:12])[0]
    salts, size = data[16:24], _FRAME + page
    ends = []
    for start in range(_HEADER, len(data) - size + 1, size):
        if data[start + 8 : start + 16] != salts:
            break
        if struct.unpack(">I", data[start + 4 : start + 8])[0]:
            ends.append(start + size)
    return ends


def _checkpointed(database: Path, data: bytes) -> int:
    index = database.with_name(f"{database.name}-shm").read_bytes()
    page = struct.unpack(">I", data[8:12])[0]
    frames = max(struct.unpack_from("=I", index, place)[0] for place in (_BACKFILL, _ATTEMPTED))
    return min(len(data), _HEADER + frames * (_FRAME + page)) if frames else 0


def _position(database: Path, wal: bytes) -> int:
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / database.name
        shutil.copy(database, copy)
        copy.with_name(f"{copy.name}-wal").write_bytes(wal)
        with closing(sqlite3.connect(copy)) as connection:
            return read_position(connection)

"""
How the outbox finds the rows of a lane or a registration: by block of ids first, by checksum within.

Rows come and go at the high end of the ids. A key that starts with the block keeps their index entries together
there, on a few pages, however many rows wait below; an index on the lane alone writes to a page for each row. The
price: a search asks every block that holds rows, 250 of them for a million rows, in about a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zlib import crc32

from sqlalchemy import Connection

_BLOCK_BITS = 12
_MASK = 0xFFFF_FFFF
_CHUNK = 500

_BLOCKS = (
    "WITH RECURSIVE block (n) AS ("
    " SELECT min(lane_key) >> 32 FROM event_pusher_deliveries WHERE lane_key >= ?"
    " UNION ALL SELECT (SELECT min(lane_key) >> 32 FROM event_pusher_deliveries WHERE lane_key >= (n + 1) << 32)"
    " FROM block WHERE n IS NOT NULL) SELECT n FROM block WHERE n IS NOT NULL"
)


def lane_checksum(backend: str, lane: str) -> int:
    """The number by which a lane is found; lanes that share one are told apart by name."""
    return crc32(lane.encode(), crc32(backend.encode()))


def key(id_: int, checksum: int) -> int:
    """Put the block of `id_` in front of a checksum; of that, the low 32 bits count."""
    return (id_ >> _BLOCK_BITS << 32) | (checksum & _MASK)


def blocks(connection: Connection, after_id: int) -> list[int]:
    """List the blocks that hold rows, from the one of `after_id` on, ascending."""
    first = key(after_id, 0)
    statement = _BLOCKS if connection.dialect.name == "sqlite" else _BLOCKS.replace("?", "%s")
    return list(connection.exec_driver_sql(statement, (first,)).scalars())


def searches(found: Sequence[int], checksum: int) -> Iterator[tuple[str, list[int]]]:
    """Make the conditions ``IN (?, …)`` that search the blocks, in their order, with their values."""
    for start in range(0, len(found), _CHUNK):
        part = found[start : start + _CHUNK]
        yield f"IN ({', '.join('?' * len(part))})", [(block << 32) | (checksum & _MASK) for block in part]

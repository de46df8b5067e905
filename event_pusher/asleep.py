"""
Lanes that wait on disk alone: what memory remembers of them, ten bytes each.

A lane whose head waits for its time, or for its target, keeps that head in memory while there is room (`lanes.Window`).
Beyond it the lane falls asleep: it is taken out of memory once what was settled of it is committed, and read again when
its time has come, or when its target takes more. What is accepted for it meanwhile stays on disk behind its head.
"""

from __future__ import annotations

import math
from array import array
from typing import Final

#: Names are kept as 64-bit hashes in so many buckets, each a few machine words.
_BUCKETS: Final = 1 << 16
_MASK: Final = (1 << 64) - 1


class Asleep:
    """
    The sleeping lanes of one backend.

    `due`: when the first of those that wait for their time is due, at the earliest (UTC seconds; infinite without any).
    `number` of lanes; `targets`: for each target that lanes wait for, the id above which their rows are read.
    """

    def __init__(self) -> None:
        self.due = math.inf
        self.targets: dict[str, int] = {}
        self._buckets: dict[int, array[int]] = {}
        self.number = 0

    def __len__(self) -> int:
        return self.number

    def __contains__(self, name: str) -> bool:
        key = hash(name) & _MASK
        return key in self._buckets.get(key % _BUCKETS, ())

    def until(self, name: str, due_at: float) -> None:
        """The lane `name` sleeps until `due_at`."""
        self._add(name)
        self.due = min(self.due, due_at)

    def until_taken(self, name: str, target: str, head: int) -> None:
        """The lane `name`, with the row `head` in front, sleeps until `target` takes more."""
        self._add(name)
        self.targets[target] = min(self.targets.get(target, head), head - 1)

    def wake(self, name: str) -> bool:
        """The lane `name` is in memory again, or gone; False = it did not sleep."""
        key = hash(name) & _MASK
        bucket = self._buckets.get(key % _BUCKETS)
        if bucket is None or key not in bucket:
            return False
        bucket.remove(key)
        self.number -= 1
        if not bucket:
            del self._buckets[key % _BUCKETS]
        return True

    def _add(self, name: str) -> None:
        key = hash(name) & _MASK
        bucket = self._buckets.setdefault(key % _BUCKETS, array("Q"))
        if key not in bucket:
            bucket.append(key)
            self.number += 1

"""Counters that are plain integers: each belongs to one thread, and the admin side reads them all."""

from collections import defaultdict


class Counters(defaultdict[tuple[str, str], int]):
    """``(name, label)`` → how often; `label` is a backend, a source, a reason, or ""."""

    def __init__(self) -> None:
        super().__init__(int)

    def add(self, name: str, label: str = "", number: int = 1) -> None:
        """Count `number` more."""
        self[name, label] += number

    def total(self, name: str) -> int:
        """The sum over all labels of `name`."""
        return sum(number for (one, _), number in list(self.items()) if one == name)

"""
How many distinct names a process may learn from the network.

libxml2 keeps every name of an element, attribute and namespace it ever met, for good and for all parsers. So names
are counted, and when the budget is spent, elements whose names were never seen are cut out before libxml2 sees them.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from event_pusher.errors import StreamError

if TYPE_CHECKING:
    from lxml import etree

#: Distinct names until the filter begins; about 6 MB of memory that never comes back.
MAX_NAMES: Final = 100_000
#: One stanza in so many is looked at: reading all names of each costs as much as parsing it. Which one is left to
#: chance, so nobody can hide from it, and the limit is divided by the same number.
_SAMPLE: Final = 16


class NameBudget:
    """Counts distinct names in a sample of the stanzas. `spent` never becomes False again."""

    def __init__(self, limit: int = MAX_NAMES, sample: int = _SAMPLE) -> None:
        self.limit = limit
        self.spent = False
        self.seen: set[str] = set()
        self._sample = sample

    def observe(self, stanzas: list[etree._Element], start: int, *, thorough: bool) -> None:
        """Look at some of ``stanzas[start:]``; at all when `thorough` (a large stanza may hold many names)."""
        step = 1 if thorough else self._sample
        # No more than one draw a read: S311 is about secrets, and this only has to be hard to foresee.
        first = start + random.randrange(step) if step > 1 else start  # noqa: S311
        for index in range(first, len(stanzas), step):
            for element in stanzas[index].iter():
                self.seen.add(str(element.tag))
                self.seen.update(map(str, element.keys()))
        if len(self.seen) * self._sample >= self.limit:
            self.spent = True

    def why(self) -> str:
        """One line for the log."""
        return (
            f"about {self.limit} distinct element and attribute names were received; "
            "from now on elements with unknown names are cut out, until a restart"
        )


#: The process's own: libxml2's table is one for all streams.
BUDGET: Final = NameBudget()


class NameFilter:
    """Stands before the parser when the budget is spent, and cuts elements with unknown names out of the bytes."""

    def __init__(self, budget: NameBudget) -> None:
        self._budget = budget
        self._known = budget.seen
        self._buffer = bytearray()
        self._base = 0  # where in the stream the buffer begins
        self._cuts: list[tuple[int, int | None]] = []
        self._depth = 0
        self._cut_depth: int | None = None
        self._after_end = False
        self._expat = expat.ParserCreate("utf-8", "}")
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.StartDoctypeDeclHandler = _refuse_doctype

    def feed(self, data: bytes) -> bytes:
        """Give the bytes that may be parsed. Raises `StreamError`."""
        raise NotImplementedError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def _end(self, name: str) -> None:
        raise NotImplementedError


def _refuse_doctype(*_: object) -> None:
    raise StreamError("restricted-xml", "the stream has a DOCTYPE")

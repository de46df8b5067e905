"""
How many distinct names a process may learn from the network.

libxml2 keeps every name of an element, attribute and namespace it ever met, for good and for all parsers. So names
are counted, and when the budget is spent, elements whose names were never seen are cut out before libxml2 sees them.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from event_pusher.errors import StreamError
from event_pusher.xmpp.names import VOCABULARY

if TYPE_CHECKING:
    from lxml import etree

#: Distinct names until the filter begins; about 6 MB of memory that never comes back.
MAX_NAMES: Final = 100_000
#: Elements that were cut until expat is made anew.
_RENEW_AFTER: Final = 5_000
#: One stanza in so many is looked at: reading all names of each costs as much as parsing it. Which one is left to
#: chance, so nobody can hide from it, and the limit is divided by the same number.
_SAMPLE: Final = 16


class NameBudget:
    """Counts distinct names in a sample of the stanzas. `spent` stays; `cut` counts the elements cut out since."""

    def __init__(self, limit: int = MAX_NAMES, sample: int = _SAMPLE) -> None:
        self.limit = limit
        self.spent = False
        self.seen: set[str] = set()
        self.cut = 0
        self._sample = sample

    def observe(self, stanzas: list[etree._Element], start: int, *, thorough: bool) -> None:
        """Look at some of ``stanzas[start:]``; at all when `thorough` (a large stanza may hold many names)."""
        if self.spent:
            return
        step = 1 if thorough else self._sample
        # No more than one draw a read: S311 is about secrets, and this only has to be hard to foresee.
        first = start + random.randrange(step) if step > 1 else start  # noqa: S311
        for index in range(first, len(stanzas), step):
            for element in stanzas[index].iter():
                self.seen.add(str(element.tag))
                self.seen.update(map(str, element.keys()))
                for prefix, space in element.nsmap.items():
                    self.seen.update((_declared(prefix), _declared_space(space)))
        if len(self.seen) * self._sample >= self.limit:
            self.spent = True

    def knows(self, name: str) -> bool:
        """Whether `name` (Clark notation) may pass when the budget is spent."""
        return name in VOCABULARY or name in self.seen

    def why(self) -> str:
        """One line for the log."""
        return (
            f"about {self.limit} distinct element and attribute names were received; "
            "from now on elements with unknown names are cut out, until a restart"
        )


#: The process's own: libxml2's table is one for all streams.
BUDGET: Final = NameBudget()


class NameFilter:
    """
    Stands before the parser when the budget is spent: elements with unknown names are cut out of the bytes.

    The rest of their stanza passes, so its message is delivered and its feed entry acknowledged. expat does the
    reading: it forgets names with its parser. Much slower than without; it is the price of an attack, not of a day.
    """

    def __init__(self, budget: NameBudget, max_bytes: int) -> None:
        self._budget = budget
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._head = b""
        self._depth = 0
        self._cut_at = 0  # the depth of the element that is being cut, 0 = none
        self._cut_is_empty = False
        self._foreign = False  # the next element declares an unknown namespace
        self._out: list[bytes] = []
        self._renew()

    def _renew(self) -> None:
        """Begin with a new expat, between two stanzas: expat forgets names only when it goes."""
        self._cuts = 0
        self._expat = expat.ParserCreate("utf-8", "}", None)
        if self._head:
            self._expat.Parse(self._head)
        self._base = len(self._head)  # the place, in expat's count, where the buffer begins
        self._expat.StartNamespaceDeclHandler = self._declares
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.StartDoctypeDeclHandler = _refuse_doctype

    def feed(self, data: bytes) -> bytes:
        """Give the bytes that may be parsed. Raises `StreamError`."""
        try:
            while self._cuts >= _RENEW_AFTER and data:  # look for the end of a stanza, tag by tag
                end = data.find(b">") + 1 or len(data)
                self._parse(data[:end])
                data = data[end:]
                if self._depth == 1 and not self._buffer:
                    self._renew()
            self._parse(data)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise StreamError("not-well-formed", f"{what} at line {error.lineno}, column {error.offset}") from None
        if len(self._buffer) > self._max_bytes:
            raise StreamError("policy-violation", f"one tag or text of more than {self._max_bytes} bytes")
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _parse(self, data: bytes) -> None:
        self._buffer += data
        self._expat.Parse(data)
        self._advance(self._expat.CurrentByteIndex, keep=not self._cut_at)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        foreign, self._foreign = self._foreign, False
        if self._depth == 1:
            tag = _START_TAG.match(self._buffer, self._expat.CurrentByteIndex - self._base)
            self._head = tag[0] if tag is not None else b""
        elif self._cut_at or (not foreign and self._known(name, attributes)):
            self._cuts += self._cut_at > 0
        else:
            self._cut()

    def _cut(self) -> None:
        self._advance(self._expat.CurrentByteIndex, keep=True)
        tag = _START_TAG.match(self._buffer)
        self._cut_at, self._cut_is_empty = self._depth, tag is not None and tag[0].endswith(b"/>")
        self._cuts += 1
        self._budget.cut += 1

    def _declares(self, prefix: str | None, space: str | None) -> None:
        knows = self._budget.knows
        self._foreign |= not (knows(_declared(prefix)) and knows(_declared_space(space or "")))

    def _end(self, name: str) -> None:
        if self._cut_at == self._depth:
            place = self._expat.CurrentByteIndex
            if not self._cut_is_empty:  # expat stands before an end tag, but behind an empty element
                place = self._base + self._buffer.index(b">", place - self._base) + 1
            self._advance(place, keep=False)
            self._cut_at = 0
        self._depth -= 1

    def _advance(self, place: int, *, keep: bool) -> None:
        size = max(0, place - self._base)
        if keep:
            self._out.append(bytes(self._buffer[:size]))
        del self._buffer[:size]
        self._base += size

    def _known(self, name: str, attributes: dict[str, str]) -> bool:
        return self._budget.knows(_clark(name)) and all(self._budget.knows(_clark(key)) for key in attributes)


def _declared(prefix: str | None) -> str:
    return f"xmlns:{prefix}" if prefix else "xmlns"


def _declared_space(space: str) -> str:
    return f"xmlns={space}"


#: A start tag; quoted values may hold ``>``.
_START_TAG: Final = re.compile(rb"""<(?:[^>"']|"[^"]*"|'[^']*')*>""")


def _clark(name: str) -> str:
    """Expat's ``ns}name`` as lxml's ``{ns}name``."""
    return f"{{{name}" if "}" in name else name


def _refuse_doctype(*_: object) -> None:
    raise StreamError("restricted-xml", "the stream has a DOCTYPE")

"""
The incremental parser of an XMPP stream: bytes in, finished top-level elements out.

Hardened as RFC 6120 11 asks: no DOCTYPE, no entity of its own, no file, comments and processing instructions are left
out, bytes per stanza and distinct names are bounded. One instance serves one stream and one thread.
"""

from __future__ import annotations

from typing import Any, Final

from lxml import etree

from event_pusher.errors import StreamError
from event_pusher.xmpp import names
from event_pusher.xmpp.budget import BUDGET, NameBudget, NameFilter

#: Most bytes of one stanza, envelope included: above what servers take from clients and from each other.
MAX_STANZA_BYTES: Final = 1_048_576
#: Most bytes given to libxml2 in one go: how finely the cap is kept.
_SLICE: Final = 16_384
_STREAM: Final = f"{{{names.STREAMS}}}stream"
#: Only these make events: an event costs Python, and a stanza has a dozen elements.
_TOP_LEVEL: Final = (
    *(f"{{{names.COMPONENT}}}{name}" for name in ("message", "iq", "presence", "handshake")),
    *(f"{{{names.STREAMS}}}{name}" for name in ("error", "features", "stream")),
)
#: Read behind the header, as if the server had sent it.
_FIRST: Final = f"<presence xmlns='{names.COMPONENT}'/>".encode()


def _parser(events: Any, tags: tuple[str, ...] | None) -> Any:
    return etree.XMLPullParser(  # the stubs do not know `tag`, `collect_ids`, `encoding`
        events=events,
        tag=tags,
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )


class StreamParser:
    """
    One stream's parser.

    `header` holds the attributes of ``<stream:stream>`` as soon as it was read, `ended` is True behind
    ``</stream:stream>``. A stanza of up to `max_stanza_bytes` always passes, one that is a sixteenth
    larger never does.
    """

    def __init__(self, max_stanza_bytes: int = MAX_STANZA_BYTES, budget: NameBudget = BUDGET) -> None:
        self.header: dict[str, str] | None = None
        self.ended = False
        self._cap = max_stanza_bytes
        self._slice = max(256, min(_SLICE, max_stanza_bytes // 16))
        self._pending = 0
        self._finished = 0  # so many of the root's children
        self._root: Any = None
        self._opening = bytearray()
        self._head = _parser(("start",), None)
        self._body = _parser(("end",), _TOP_LEVEL)
        self._budget = budget
        self._filter = NameFilter(budget, max_stanza_bytes) if budget.spent else None

    def feed(self, data: bytes) -> list[etree._Element]:
        """
        Take bytes, give the stanzas that they finished. They belong to the stream until the next call.

        (Then they are let go all at once, which costs nothing if nobody holds one; to detach each on its own
        makes libxml2 invent a prefix for the stream's namespace, for every stanza another one.)

        Raises `StreamError`: ``not-well-formed``, ``restricted-xml``, ``invalid-namespace``, ``policy-violation``
        (a stanza over the cap, too many names), ``unsupported-stanza-type``. The parser is of no use afterwards;
        what the same call had finished before is in the error's `stanzas`.
        """
        done: list[etree._Element] = []
        if self._finished:
            del self._root[: self._finished]
            self._finished = 0
        try:
            if self._filter is not None:
                data = self._filter.feed(data)
            if self.header is None:
                data = self._open(data)
            for start in range(0, len(data), self._slice):
                self._take(data[start : start + self._slice], done)
        except etree.XMLSyntaxError as error:
            raise BrokenStream(_not_well_formed(_last_entry(error)), done) from None
        except StreamError as error:
            raise BrokenStream(error, done) from None
        return done

    def open_stanza(self) -> etree._Element | None:
        """What was read of the stanza that is not finished yet (None: nothing); for the report of a broken stream."""
        root = self._root
        return root[-1] if root is not None and len(root) > self._finished else None

    def _open(self, data: bytes) -> bytes:
        """Wait for the stream's header, apart from the rest: only here a DOCTYPE could stand. Gives what follows."""
        while data and self.header is None:
            end = data.find(b">") + 1 or len(data)
            piece, data = data[:end], data[end:]
            self._opening += piece
            if len(self._opening) > self._cap:
                raise self._too_large(len(self._opening))
            self._head.feed(piece)
            for _, root in self._head.read_events():
                self._begin(root)
        return data

    def _begin(self, root: etree._Element) -> None:
        if root.getroottree().docinfo.internalDTD is not None:
            raise StreamError("restricted-xml", "the stream has a DOCTYPE")
        if root.tag != _STREAM or root.nsmap.get(None) != names.COMPONENT:
            raise StreamError("invalid-namespace", "this is not a component stream (XEP-0114)")
        self.header = {str(key): str(value) for key, value in root.attrib.items()}
        self._head = None
        # The one way to get hold of the root before a stanza is finished: a stanza of our own, finished at once.
        self._body.feed(bytes(self._opening) + _FIRST)
        self._opening.clear()
        for _, element in self._body.read_events():
            self._root = element.getparent()
            self._root.remove(element)

    def _take(self, data: bytes, done: list[etree._Element]) -> None:
        self._pending += len(data)
        before = len(done)
        try:
            self._body.feed(data)
        finally:  # what was finished before an error counts
            self._collect(done)
        # Undeclared entities and prefixes raise nothing: the one is left out in silence, the other stays as it is.
        for entry in self._body.feed_error_log:
            if entry.level != etree.ErrorLevels.WARNING:
                raise _not_well_formed(entry)
        if len(done) > before:
            self._budget.observe(done, before, thorough=self._pending > _SLICE)
            self._pending = 0
            if self._budget.spent and self._filter is None:
                raise StreamError("policy-violation", self._budget.why())
        elif self._pending > self._cap + self._slice:
            raise self._too_large(self._pending)
        if len(self._root) > self._finished + 1:
            raise StreamError("unsupported-stanza-type", "an element that is no stanza")

    def _collect(self, done: list[etree._Element]) -> None:
        root = self._root
        for _, element in self._body.read_events():
            parent = element.getparent()
            if parent is root:
                done.append(element)
            elif parent is None:
                self.ended = True
        self._finished = len(done)

    def _too_large(self, size: int) -> StreamError:
        return StreamError("policy-violation", f"a stanza of more than {size - 1} bytes; the cap is {self._cap} bytes")


class BrokenStream(StreamError):  # noqa: N818 - what the stream is now
    """The stream cannot be read any further; `stanzas` are those that were finished before."""

    def __init__(self, cause: StreamError, stanzas: list[etree._Element]) -> None:
        super().__init__(cause.condition, str(cause).removeprefix(f"{cause.condition}: "), fatal=cause.fatal)
        self.stanzas = stanzas


def _not_well_formed(entry: Any) -> StreamError:
    """Tell what and where, without the text of libxml2: it quotes the bytes, and they may be private."""
    what = entry.type_name.removeprefix("ERR_").removeprefix("NS_ERR_").lower().replace("_", " ")
    return StreamError("not-well-formed", f"{what} at line {entry.line}, column {entry.column}")


def _last_entry(error: etree.XMLSyntaxError) -> Any:
    log: Any = error.error_log  # the stubs do not know that it is a list
    return log[-1]

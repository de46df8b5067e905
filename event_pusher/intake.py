"""
What sources hand to the core: values, in the order in which they happened, many at a time.

A source never waits for the core. Order within one `Intake` call, and between calls of one thread, is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from event_pusher.events import Acc, Event
    from event_pusher.registration import PublishOptions


class Position(NamedTuple):
    """A place in a feed: which one, which life of it, which entry."""

    feed: str
    epoch: str
    n: int


@dataclass(slots=True)
class SessionChange:
    """A session's life: what the session table learns. `priority` only for "available" and in a snapshot."""

    kind: Literal["session-start", "session-end", "hibernation-start", "hibernation-end", "available", "unavailable"]
    user: str
    resource: str
    session: str
    priority: int | None = None
    hibernated: bool = False


@dataclass(slots=True)
class Occurrence:
    """
    One entry of a feed: an event, a change of the session table, both, or neither (then only its position counts).

    `position` is None for a source that keeps none.
    """

    source: str
    host: str
    position: Position | None = None
    acc: Acc | None = None
    event: Event | None = None
    change: SessionChange | None = None


@dataclass(slots=True)
class Snapshot:
    """The live sessions of `host` begin or end here (``<snapshot-begin/>``, ``<snapshot-end/>``)."""

    source: str
    host: str
    what: Literal["begin", "end"]
    position: Position | None = None


@dataclass(slots=True)
class Removed:
    """The account `user` (bare JID), or with None the whole domain `host`, is gone."""

    source: str
    host: str
    user: str | None
    position: Position | None = None


@dataclass(slots=True)
class FeedStarted:
    """The feed's answer to a resume: its life, its oldest and next entry, and how many of ours are gone."""

    source: str
    host: str
    feed: str
    epoch: str
    first: int
    next: int
    lost: int


@dataclass(slots=True)
class FeedLost:
    """Entries `start` to `end` (inclusive) of the feed are gone for good (``<lost/>``)."""

    source: str
    host: str
    feed: str
    epoch: str
    start: int
    end: int


class Refusal(NamedTuple):
    """An IQ error: RFC 6120 8.3 type and condition, and a text for the person who reads it."""

    error_type: str
    condition: str
    text: str


#: Called once from the core thread: None when it is stored and committed, else why not.
Reply = Callable[[Refusal | None], None]


@dataclass(slots=True)
class Enable:
    """``<enable/>`` of XEP-0357 section 5, checked: all but the database has been asked."""

    user: str
    service: str
    node: str
    options: PublishOptions
    reply: Reply


@dataclass(slots=True)
class Disable:
    """``<disable/>`` of XEP-0357 section 6; `node` None = every node of that service."""

    user: str
    service: str
    node: str | None
    reply: Reply


Item = Occurrence | Snapshot | Removed | FeedStarted | FeedLost | Enable | Disable

#: Hand in a batch, in order; any thread, never blocks, never raises.
Intake = Callable[[Sequence[Item]], None]

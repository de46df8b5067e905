"""One delivery of the outbox, as the core holds it in memory."""

from dataclasses import dataclass

from event_pusher.abc import Delivery


@dataclass(slots=True)
class Row:
    """
    One waiting delivery. Times are UTC seconds; `due_at` 0 = at once, `expires_at` None = never.

    `lane` "" = no order; `trace` is the `Acc.id` of the stanza that made it; `overtaken`: later ones of its lane went
    ahead, so it retries alone.
    """

    id: int
    backend: str
    lane: str
    delivery: Delivery
    trace: str
    accepted_at: float
    expires_at: float | None
    attempts: int = 0
    due_at: float = 0.0
    overtaken: bool = False


def new_row(backend: str, delivery: Delivery, trace: str, now: float, max_age: float) -> Row:
    """A delivery as it is accepted at `now`, without an id yet: its lane, and when it expires."""
    lane = f"{delivery.recipient}\n{delivery.target}" if delivery.lane is None else delivery.lane
    age = max_age if delivery.ttl is None else min(delivery.ttl, max_age)
    return Row(0, backend, lane, delivery, trace, now, now + age)

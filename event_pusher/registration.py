"""A registration: what one client asked for with ``<enable/>`` (XEP-0357 section 5)."""

from dataclasses import dataclass, field

#: The publish options as ``(name, value)`` pairs, in the order of the client's form, without FORM_TYPE.
PublishOptions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Registration:
    """
    `user` (bare JID) wants notifications published to `node` at the push service `service` (bare JID).

    `options` may hold credentials (XEP-0357 section 5 names ``secret``), so it never shows in `repr`.
    Equality is that of the row: `id` names it, `options` as they were read.
    """

    id: int
    user: str
    service: str
    node: str
    options: PublishOptions = field(default=(), repr=False)

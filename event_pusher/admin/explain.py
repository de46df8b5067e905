"""One plain sentence: would this account be pushed to now, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Known:
    """What is known of an account; `online` None = nobody can say (no process runs)."""

    user: str
    hosts: Sequence[str] = ()
    online: bool | None = None
    registrations: Sequence[Mapping[str, Any]] = ()
    troubles: Mapping[str, str] = field(default_factory=dict)
    only_users: frozenset[str] = frozenset()
    dry_run: bool = False


def verdict(known: Known) -> str:
    """Say it; what stands in the way first comes first."""
    enabled = [one for one in known.registrations if one["enabled"] and not one.get("paused")]
    count = f"{len(enabled)} registration{'' if len(enabled) == 1 else 's'}"
    never = _never(known, len(enabled))
    if never:
        return f"{known.user} is not pushed to: {never}."
    if known.online is None:
        return f"{known.user} would be pushed while offline ({count}), if `event-pusher run` were running."
    if known.online:
        return f"{known.user} is not pushed to now: online ({count} for when it is not)."
    if known.troubles:
        part, text = next(iter(known.troubles.items()))
        return f"{known.user} would be pushed, {count}, but deliveries wait: {part}: {text}."
    return f"{known.user} would be pushed now: offline, {count}."


def _never(known: Known, enabled: int) -> str:
    """What keeps every push away until somebody changes it, and who can."""
    host = known.user.rpartition("@")[2]
    paused = sum(1 for one in known.registrations if one["enabled"] and one.get("paused"))
    disabled = len(known.registrations) - enabled - paused
    if known.hosts and host not in known.hosts:
        return f"no source serves {host}; add it to hosts of a source"
    if not enabled and paused:
        return f"its {paused} {'is' if paused == 1 else 'are'} paused; `event-pusher registrations resume` ends that"
    if not enabled:
        why = f"its {disabled} are disabled" if disabled else "none was ever made, or the client took it back"
        return f"no enabled registration ({why}); the client must enable push again"
    if known.only_users and known.user not in known.only_users:
        return "only_users of the push backend does not name it"
    return "dry_run of the push backend is on" if known.dry_run else ""

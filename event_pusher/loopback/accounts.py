"""The accounts of the loopback server: who has which session, and how a message finds them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count


@dataclass(slots=True)
class Session:
    """A live session; `priority` None = no presence, `hibernated` = it waits for resumption (XEP-0198)."""

    id: str
    resource: str
    priority: int | None = None
    hibernated: bool = False


class Accounts:
    """Sessions by user (bare JID) and resource."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = count(1)
        self._sessions: dict[str, dict[str, Session]] = {}

    def add(self, user: str, resource: str) -> tuple[Session, bool]:
        """The session of this resource, and whether it is new."""
        sessions = self._sessions.setdefault(user, {})
        if resource in sessions:
            return sessions[resource], False
        session = sessions[resource] = Session(f"{self._prefix}-{next(self._numbers)}", resource)
        return session, True

    def get(self, user: str, resource: str) -> Session | None:
        """The session of this resource."""
        return self._sessions.get(user, {}).get(resource)

    def remove(self, user: str, resource: str) -> Session | None:
        """End the session of this resource."""
        sessions = self._sessions.get(user, {})
        session = sessions.pop(resource, None)
        if not sessions:
            self._sessions.pop(user, None)
        return session

    def clear(self) -> None:
        """End all."""
        self._sessions.clear()

    def remove_user(self, user: str) -> None:
        """The account is gone, with its sessions."""
        self._sessions.pop(user, None)

    def all(self) -> list[tuple[str, Session]]:
        """Every live session."""
        return [(user, session) for user, sessions in self._sessions.items() for session in sessions.values()]

    def takers(self, user: str) -> tuple[str, list[Session | None]]:
        """(state, sessions) of the events that a message for `user` makes: one for each of the list."""
        sessions = list(self._sessions.get(user, {}).values())
        if any(s.priority is not None and s.priority >= 0 and not s.hibernated for s in sessions):
            return "online", [None]
        waiting: list[Session | None] = [s for s in sessions if s.hibernated]
        return ("hibernated", waiting) if waiting else ("offline", [None])

"""
The session table: who is online, as the feed's snapshot and session events tell. Owned by the core.

"Online" is MongooseIM's rule for ``should_publish``: the highest priority of the user's sessions is not negative. A
session counts with priority 0 from bind on; one that sent unavailable has no priority.
"""

from __future__ import annotations

from dataclasses import dataclass

from event_pusher.intake import SessionChange

#: The priority of a session that was bound and has not sent presence yet (RFC 6121 4.7.2.3).
_BOUND = 0


@dataclass(slots=True)
class Session:
    """One session. `priority` None = it sent unavailable; `silent` = it never sent presence."""

    id: str
    resource: str
    priority: int | None = _BOUND
    silent: bool = True
    hibernated: bool = False


class SessionTable:
    """Sessions per user (bare JID), by their unique ids: a resumed session may share its resource with the old one."""

    def __init__(self) -> None:
        self._users: dict[str, dict[str, Session]] = {}
        self._snapshots: dict[str, set[tuple[str, str]]] = {}
        #: Users with a session that never sent presence: the server calls them offline, MongooseIM's rule does not.
        self.silent: set[str] = set()

    def is_online(self, user: str) -> bool:
        """Whether a session of `user` has a priority that is not negative."""
        return any(one.priority is not None and one.priority >= 0 for one in self._users.get(user, {}).values())

    def is_available(self, user: str) -> bool:
        """Whether a session of `user` sent available presence, of whatever priority."""
        return self.available_count(user) > 0

    def available_count(self, user: str) -> int:
        """How many sessions of `user` sent available presence."""
        return sum(one.priority is not None and not one.silent for one in self._users.get(user, {}).values())

    def of(self, user: str) -> list[Session]:
        """The sessions of `user`."""
        return list(self._users.get(user, {}).values())

    def __len__(self) -> int:
        return sum(len(sessions) for sessions in self._users.values())

    def apply(self, change: SessionChange, host: str) -> None:
        """Take in one session event of `host`."""
        sessions = self._users.setdefault(change.user, {})
        key = change.session or change.resource
        if change.kind == "session-end":
            sessions.pop(key, None)
        else:
            session = sessions.get(key)
            if session is None:
                session = sessions[key] = Session(key, change.resource)
            _update(session, change)
            named = self._snapshots.get(host)
            if named is not None:
                named.add((change.user, key))
        self._tidy(change.user)

    def snapshot_begin(self, host: str) -> None:
        """From here to `snapshot_end`, the live sessions of `host` are named."""
        self._snapshots[host] = set()

    def snapshot_end(self, host: str) -> None:
        """Sessions of `host` that the snapshot did not name are gone."""
        named = self._snapshots.pop(host, None)
        if named is None:
            return
        for user in [user for user in self._users if user.rpartition("@")[2] == host]:
            sessions = self._users[user]
            for key in [key for key in sessions if (user, key) not in named]:
                del sessions[key]
            self._tidy(user)

    def remove(self, host: str, user: str | None) -> None:
        """Forget the account `user`, or with None the whole `host`."""
        users = [user] if user is not None else [one for one in self._users if one.rpartition("@")[2] == host]
        for one in users:
            self._users.pop(one, None)
            self.silent.discard(one)

    def _tidy(self, user: str) -> None:
        sessions = self._users.get(user)
        if not sessions:
            self._users.pop(user, None)
            self.silent.discard(user)
        elif any(one.silent for one in sessions.values()):
            self.silent.add(user)
        else:
            self.silent.discard(user)


def _update(session: Session, change: SessionChange) -> None:
    match change.kind:
        case "available":
            session.priority, session.silent = change.priority or 0, False
        case "unavailable":
            session.priority, session.silent = None, False
        case "hibernation-start":
            session.hibernated = True
        case "hibernation-end":
            session.hibernated = False
        case "session-start":
            session.hibernated = change.hibernated
            if change.priority is not None:
                session.priority, session.silent = change.priority, False

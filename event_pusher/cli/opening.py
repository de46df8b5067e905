"""Settings as the command line names them, and whom to ask: the running process, else the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from event_pusher.admin.client import NobodyListensError, Remote
from event_pusher.admin.offline import OfflineDesk
from event_pusher.cli.frame import Frame
from event_pusher.errors import InvalidJid
from event_pusher.jid import bare
from event_pusher.registry import Registry
from event_pusher.settings import Settings, find_file, load


class Asked(Protocol):
    """Who does the commands of `event_pusher.admin.desk.Desk`."""

    def call(self, name: str, **arguments: Any) -> Any:
        """Do the command `name`."""


def settings_of(frame: Frame) -> Settings:
    """Find and read the configuration. Raises `SettingsError` with every fault."""
    return load(find_file(frame.config), Registry())


@contextmanager
def desk_of(frame: Frame) -> Iterator[Asked]:
    """Whom to ask; the database is opened only when no process listens."""
    settings = settings_of(frame)
    remote = Remote(settings.admin.listen)
    try:
        remote.request("GET", "/healthz")
    except NobodyListensError:
        desk = OfflineDesk(settings)
        try:
            yield desk
        finally:
            desk.close()
    else:
        yield remote


def user_of(text: str) -> str:
    """Read the JID of an account. Raises `InvalidJid` with the cure."""
    try:
        user = bare(text)
    except InvalidJid as error:
        raise InvalidJid(f"{error}; write an account such as bob@example.org") from None
    if "@" not in user:
        raise InvalidJid(f"{text[:80]!r} is a domain; write an account such as bob@example.org")
    return user

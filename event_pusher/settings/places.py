"""Where the database is and where the admin listens: what the file says, made absolute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from event_pusher.settings.model import MAX_SOCKET_PATH, AdminSettings

if TYPE_CHECKING:
    from pathlib import Path

#: For a database that is no file; systemd's ``RuntimeDirectory=event-pusher`` makes the folder.
RUN_SOCKET = "/run/event-pusher/admin.sock"


def database_url(text: str, folder: Path) -> URL:
    """Read an SQLAlchemy URL; a relative SQLite file starts in `folder`. Raises `ValueError`, which never quotes it."""
    try:
        url = make_url(text)
        dialect = url.get_dialect()
    except (ArgumentError, ValueError):
        raise ValueError(
            'must be an SQLAlchemy URL with an installed driver, such as "sqlite:///event-pusher.db" '
            'or "postgresql+psycopg://user@host/database"'
        ) from None
    relative = dialect.name == "sqlite" and _is_file(url)
    return url.set(database=str(folder / str(url.database))) if relative else url


def _is_file(url: URL) -> bool:
    return bool(url.database) and url.database != ":memory:" and not str(url.database).startswith("file:")


def admin_listen(settings: AdminSettings, url: URL, folder: Path) -> AdminSettings:
    """
    Make the socket's path absolute. Raises `ValueError` when it is too long for a socket.

    When the file says nothing: beside an SQLite database, where the daemon may write, so that a command which reads
    the same file finds it; else in ``/run``.
    """
    listen = settings.listen
    if "listen" not in settings.model_fields_set:
        beside = url.get_backend_name() == "sqlite" and _is_file(url)
        listen = f"unix:{folder.joinpath(str(url.database)).parent / 'admin.sock'}" if beside else f"unix:{RUN_SOCKET}"
    if listen.startswith("unix:"):
        listen = f"unix:{folder / listen.removeprefix('unix:')}"
        if len(listen.removeprefix("unix:").encode()) > MAX_SOCKET_PATH:
            raise ValueError(
                f'the path is longer than {MAX_SOCKET_PATH} bytes; set another, such as "unix:{RUN_SOCKET}"'
            )
    return settings.model_copy(update={"listen": listen})

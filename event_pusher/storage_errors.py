"""What an error of SQLAlchemy or a driver means to us, in one line, with the cure and without anyone's data."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from event_pusher.errors import StorageError

#: What a driver raises for a value that it cannot send; SQLAlchemy lets these through as they are.
_VALUE_ERRORS = (UnicodeError, OverflowError)
#: All that a statement may raise.
STORAGE_ERRORS = (SQLAlchemyError, sqlite3.Error, *_VALUE_ERRORS)

#: What stands in the message, and the cure.
_CURES = {
    "database is locked": "another program writes to it; it is tried again",
    "disk is full": "free some space; it goes on by itself",
    "No space left": "free some space; it goes on by itself",
    "unable to open": "let this user read and write the file and its folder",
    "readonly database": "let this user read and write the file and its folder",
    "no such table": "run `event-pusher db upgrade`",
    'relation "': "run `event-pusher db upgrade`",
}


class RowRefused(StorageError):  # noqa: N818 - a happening, like its neighbours in `errors`
    """The database is well, but a value cannot be stored: the others of the batch can. Nothing was changed."""


def storage_error(error: Exception) -> StorageError:
    """Say what `error` means: `RowRefused` when a value is at fault, else `StorageError`."""
    if isinstance(error, StorageError):
        return error
    refused = isinstance(error, (DataError, IntegrityError, *_VALUE_ERRORS))
    return (RowRefused if refused else StorageError)(f"the database failed: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, _VALUE_ERRORS):
        return f"it cannot store a value ({type(error).__name__})"
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    # PostgreSQL names values in the detail of an error; its primary message names columns.
    text = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause)
    line = text.strip().splitlines()[0] if text.strip() else type(cause).__name__
    cure = next((cure for sign, cure in _CURES.items() if sign in line), "")
    return f"{line}; {cure}" if cure else line

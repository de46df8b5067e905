"""
Every error of the framework.

::

    EventPusherError
    ├── SettingsError              the configuration, all its faults in one go
    ├── PluginError                an entry point: missing, doubled, broken
    ├── StorageError               the database did not take or give something
    │   └── LeaseLost              another process owns the database now
    ├── StreamError                the XMPP server closed or refused the stream
    ├── InvalidJid                 text that is not a JID
    └── PublishError               what ``Backend.publish`` may raise
        ├── TemporaryPublishError  try again, after ``retry_after`` seconds if given
        ├── UnknownOutcome         bytes may have left: try again, without a strike
        ├── NothingSent            nothing left, and no fault of the destination: soon again, no attempt counted
        └── PermanentPublishError  never try this delivery again
            └── DestinationGone    nor any other one to this destination

`outcome_of` in :mod:`event_pusher.abc` maps the last five to outcomes.
"""

from collections.abc import Sequence


class EventPusherError(Exception):
    """Root of the tree. Its text is one line: what, where, and the cure."""


class SettingsError(EventPusherError):
    """The configuration is not usable; `faults` holds one line for each fault found."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


class PluginError(EventPusherError):
    """An entry point is missing, doubled, or cannot be imported."""


class StorageError(EventPusherError):
    """The database did not take or give something; nothing was changed."""


class LeaseLost(StorageError):  # noqa: N818 - a happening, named like MongooseIM and Kubernetes do
    """Another process owns the database now; this one must not write."""


class StreamError(EventPusherError):
    """The XMPP server closed or refused the stream (RFC 6120 4.9, XEP-0114)."""

    def __init__(self, condition: str, text: str = "", *, fatal: bool = False) -> None:
        self.condition = condition
        self.fatal = fatal
        super().__init__(f"{condition}: {text}" if text else condition)


class InvalidJid(EventPusherError, ValueError):  # noqa: N818 - reads as what it is
    """Text that is not a JID (RFC 7622)."""


class PublishError(EventPusherError):
    """A publish failed; use one of the subclasses, which say what shall follow."""


class TemporaryPublishError(PublishError):
    """Try again, after `retry_after` seconds if given, else on the backend's schedule."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class UnknownOutcome(PublishError):  # noqa: N818 - the name of the outcome it stands for
    """Bytes may have left and no answer came: try again with the same key, without a strike."""


class NothingSent(PublishError):  # noqa: N818 - the name of the outcome it stands for
    """Nothing left, and not because of the destination: try again soon, without counting an attempt."""


class PermanentPublishError(PublishError):
    """The delivery can never succeed: it becomes a dead letter."""


class DestinationGone(PermanentPublishError):  # noqa: N818 - the outcome it stands for
    """The destination does not exist any more: its registration is disabled."""

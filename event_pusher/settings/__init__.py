"""
The configuration: TOML → frozen, checked settings, or one `SettingsError` with every fault that was found.

=============  ================================================================
``model``      what comes out, and the sections that are ours
``file``       which file, and TOML
``faults``     what pydantic found wrong, in words for people and with the path
``reader``     puts it together; asks the registry for what others bring
``changes``    what differs between two readings of a file
``sample``     the commented file that ``event-pusher init`` writes
=============  ================================================================
"""

from event_pusher.settings.file import find_file
from event_pusher.settings.model import (
    AdminSettings,
    Database,
    LogSettings,
    NamedBackend,
    NamedGateway,
    NamedPlugin,
    NamedSource,
    OutboxSettings,
    Settings,
)
from event_pusher.settings.reader import load
from event_pusher.settings.sample import sample

__all__ = [
    "AdminSettings",
    "Database",
    "LogSettings",
    "NamedBackend",
    "NamedGateway",
    "NamedPlugin",
    "NamedSource",
    "OutboxSettings",
    "Settings",
    "find_file",
    "load",
    "sample",
]

"""Which file, and the TOML in it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from event_pusher.errors import SettingsError

ENVIRONMENT = "EVENT_PUSHER_CONFIG"
#: Where it is looked for when neither ``-c`` nor the environment names it.
PLACES = (Path("event-pusher.toml"), Path("/etc/event-pusher/event-pusher.toml"))


def find_file(option: str | None = None) -> Path:
    """Name the file: `option`, else ``$EVENT_PUSHER_CONFIG``, else the first there is. Raises `SettingsError`."""
    for name, given in ((option, "-c"), (os.environ.get(ENVIRONMENT), f"${ENVIRONMENT}")):
        if name:
            path = Path(name).absolute()
            if _is_there(path):
                return path
            raise SettingsError([f"{given} names {path}, which is not a file"])
    found = next((place.absolute() for place in PLACES if _is_there(place)), None)
    if found is None:
        places = ", ".join(["-c FILE", f"${ENVIRONMENT}", *(str(place.absolute()) for place in PLACES)])
        raise SettingsError([f"no configuration file (looked at {places}); `event-pusher init FILE` writes one"])
    return found


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:  # it stands in a folder that is closed to us: reading it will say so
        return True


def read_toml(path: Path) -> dict[str, Any]:
    """Parse the file. Raises `SettingsError`, naming the line and never quoting it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{path}: not TOML: {error}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError([f"{path}: line {line} is not UTF-8"]) from None
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None

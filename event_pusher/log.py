"""Logging to standard error: lines for people, or JSON. What is logged holds no message text and no secret."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

#: Of libraries only what went wrong.
_OURS = "event_pusher"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write `record`."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def set_up(level: str, form: str) -> None:
    """Log our own at `level` and others' warnings; `form` is "text" or "json". Called again, it replaces itself."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Log our own at `level` from now on."""
    logging.getLogger(_OURS).setLevel(level.upper())

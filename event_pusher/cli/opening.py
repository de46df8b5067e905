"""Settings, as the command line names them."""

from __future__ import annotations

from event_pusher.cli.frame import Frame
from event_pusher.registry import Registry
from event_pusher.settings import Settings, find_file, load


def settings_of(frame: Frame) -> Settings:
    """Find and read the configuration. Raises `SettingsError` with every fault."""
    return load(find_file(frame.config), Registry())

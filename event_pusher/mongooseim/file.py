"""The whole file: the sample's frame, and the converted backends in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from event_pusher.mongooseim.converting import Converted
from event_pusher.mongooseim.writing import sections
from event_pusher.settings import sample
from event_pusher.settings.sample import ETC

_WHERE_THEY_GO, _THE_DAEMON = "# --- where they go ", "# --- the daemon "


def compose(made: Converted, folder: Path = ETC) -> str:
    """Write a configuration that stands in `folder`."""
    hosts = made.hosts or ["example.org"]
    frame = sample(folder=folder, domain=f"push.{hosts[0]}", hosts=hosts)
    before, heading, rest = frame.partition(_WHERE_THEY_GO)
    line, _, rest = rest.partition("\n")
    _, daemon, after = rest.partition(_THE_DAEMON)
    if not heading or not daemon:
        raise AssertionError("the sample has lost its headings")
    parts = [before, heading, line, "\n", *_backends(made), "\n", daemon, after, *_told(made)]
    return "".join(parts)


def _backends(made: Converted) -> Iterator[str]:
    for name, section in made.backends.items():
        yield "\n" + "\n".join(sections(("backends", name), section)) + "\n"
    for name, section in made.gateways.items():
        yield "\n" + "\n".join(sections(("gateways", name), section)) + "\n"
    for host, backends in made.per_host.items():
        for name, section in backends.items():
            yield "\n" + "\n".join(sections(("hosts", host, "backends", name), section)) + "\n"


def _told(made: Converted) -> Iterator[str]:
    if made.secrets:
        yield "\n# --- secrets: none was copied; make these files, readable for event-pusher alone (chmod 600) ---\n#\n"
        for file, content in made.secrets.items():
            yield f"#   {file}: {_line(content)}\n"
    if made.notes:
        yield "\n# --- of MongooseIM's configuration, what has no counterpart or needs a hand ---\n#\n"
        for note in made.notes:
            yield f"#   {_line(note)}\n"


def _line(text: str) -> str:
    """A comment ends with its line, whatever a name holds."""
    return "".join(char if char.isprintable() else "?" for char in text)

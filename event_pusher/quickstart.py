"""
The whole way of a notification in one process: SQLite, an XMPP server on loopback, and the real pusher between them.

Two people and a push service. What the push service gets is told as it comes.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from event_pusher import migrate
from event_pusher.app import App
from event_pusher.errors import EventPusherError
from event_pusher.loopback import LoopbackServer, Publish, Verdict
from event_pusher.registry import Registry
from event_pusher.settings import load

DOMAIN: Final = "verona.example"
COMPONENT: Final = "push.verona.example"
SERVICE: Final = "push.phones.example"
ROMEO, JULIET = f"romeo@{DOMAIN}", f"juliet@{DOMAIN}"
_NODE: Final = "juliets-phone"
_READ_ONLINE: Final = "Art thou not Juliet?"
#: On a machine that is busy with something else.
PATIENCE: Final = 30.0
_SECRET: Final = "loopback-only"  # noqa: S105 - of a server that nobody else reaches

_CONFIG = """\
[database]
url = "sqlite:///event-pusher.db"

[sources.component]
domain = {component}
server = {server}
secret = {{ file = "component-secret" }}
hosts = [{host}]

[backends.push]
content = "full"
retry = {{ schedule = ["500ms", "1s"] }}

[admin]
listen = ""
"""


class QuickstartError(EventPusherError):
    """Something did not happen that should have."""


Say = Callable[[str], None]


@dataclass(slots=True)
class Summary:
    """What was seen."""

    events: int = 0
    notifications: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


class Quickstart:
    """The play; `say` prints a line, `folder` is where configuration and database are made."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder = folder
        self._say = say
        self._server = LoopbackServer(DOMAIN, COMPONENT, _SECRET)
        self._sent: dict[str, float] = {}
        self._got: list[Publish] = []
        self._away = False
        self._refused = 0
        self._summary = Summary()
        self._app: App | None = None

    def run(self) -> Summary:
        """Play it. Raises `QuickstartError`."""
        began = time.monotonic()
        with self._server:
            self._server.push_service(SERVICE, self._push)
            try:
                self._prepare()
                self._offline()
                self._online()
                self._nothing_is_lost()
            finally:
                self._stop()
        self._summary.seconds = time.monotonic() - began
        return self._summary

    # --- the scenes -------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        quoted = {"component": COMPONENT, "server": self._server.address, "host": DOMAIN}
        config = _CONFIG.format(**{name: json.dumps(text) for name, text in quoted.items()})
        (self._folder / "event-pusher.toml").write_text(config, encoding="utf-8")
        (self._folder / "component-secret").write_text(_SECRET, encoding="utf-8")
        settings = load(self._folder / "event-pusher.toml", Registry())
        migrate.upgrade(settings.database.url, settings.folder)
        self._start()
        self._say("Up: an XMPP server on loopback, SQLite, and event-pusher between them.")

    def _offline(self) -> None:
        self._server.go_online(JULIET, "phone")
        answer = self._server.enable(f"{JULIET}/phone", SERVICE, _NODE, {"secret": "hers-alone"})
        if answer.type != "result":
            raise QuickstartError(f"the enable was refused: {answer.condition} {answer.text}; please report this")
        self._server.go_offline(JULIET, "phone")
        self._say(f"Juliet enables push at {SERVICE}, and closes her client.\n")
        self._say("Romeo writes to her. Her push service gets:\n")
        lines = ("But soft! What light through yonder window breaks?", "It is the east, & Juliet is the sun.")
        self._write(*lines, "Arise, fair sun <3")
        self._expect(3)

    def _online(self) -> None:
        self._server.go_online(JULIET, "phone")
        before = len(self._got)
        self._write(_READ_ONLINE)
        self._settled()
        if len(self._got) != before:
            raise QuickstartError("somebody online got a push; please report this")
        self._say("\nShe comes online, Romeo writes: she reads it there, so there is no notification.\n")
        self._server.go_offline(JULIET, "phone")

    def _nothing_is_lost(self) -> None:
        before = len(self._got)
        self._say("She leaves. The push service breaks down; Romeo writes; event-pusher stops;")
        self._away = True
        self._write("Parting is such sweet sorrow,")
        self._wait(lambda: self._refused > 0, "the push service was not asked")
        self._stop()
        self._write("that I shall say good night till it be morrow.")
        self._say("Romeo writes again. Then both are back, and nothing is lost:\n")
        self._away = False
        self._start()
        self._expect(before + 2)
        self._settled()
        bodies = [one.summary.get("last-message-body") for one in self._got]
        if sorted(map(str, bodies)) != sorted(self._sent.keys() - {_READ_ONLINE}):
            raise QuickstartError("a notification is missing, or came twice; please report this")

    # --- the stage --------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._app = App(load(self._folder / "event-pusher.toml", Registry()))
        if not self._app.start() or not self._server.wait_connected(PATIENCE):
            raise QuickstartError("event-pusher did not connect to the loopback server; run it with --debug")

    def _stop(self) -> None:
        app, self._app = self._app, None
        if app is not None:
            app.stop()
            app.close()
            if app.assembly is not None:
                self._summary.events += app.assembly.counters.total("events")

    def _write(self, *bodies: str) -> None:
        for body in bodies:
            self._sent[body] = time.monotonic()
            self._server.message(f"{ROMEO}/garden", JULIET, body)

    def _push(self, publish: Publish) -> Verdict:
        """On the push service."""
        if self._away:
            self._refused += 1
            return ("wait", "internal-server-error")
        body = publish.summary.get("last-message-body", "")
        took = publish.at - self._sent.get(body, publish.at)
        self._summary.notifications += 1
        self._summary.latencies.append(took)
        sender = publish.summary.get("last-message-sender", "somebody").partition("@")[0].capitalize()
        self._say(f"  {_time(took):>7}  {sender}: {body}")
        self._got.append(publish)
        return None

    def _expect(self, number: int) -> None:
        self._wait(lambda: len(self._got) >= number, f"only {len(self._got)} of {number} notifications came")

    def _settled(self) -> None:
        """Wait until the pusher has acknowledged all that happened."""
        self._wait(lambda: self._server.acked >= self._server.ring.next - 1, "the events were not acknowledged")

    def _wait(self, predicate: Callable[[], bool], otherwise: str) -> None:
        if not self._server.wait_for(predicate, PATIENCE):
            raise QuickstartError(f"{otherwise} within {PATIENCE:g} s; run it with --debug, and report what it says")


def play(folder: Path, say: Say, *, debug: bool = False) -> Summary:
    """Play it in `folder`; the pusher's own log is heard with `debug` only."""
    logger = logging.getLogger("event_pusher")
    level = logger.level
    logger.setLevel(logging.DEBUG if debug else logging.CRITICAL)
    try:
        return Quickstart(folder, say).run()
    finally:
        logger.setLevel(level)


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"

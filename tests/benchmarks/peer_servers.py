"""Real servers as `peers` wants them: with their own push module, and with ours as ``event-pusher setup`` has it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit import HERE

sys.path.insert(0, str(HERE.parent / "integration"))

from ejabberd_server import Ejabberd, compile_ejabberd_module
from installation import PLAYED, SetUpEjabberd, Wishes, edit, install
from prosody_server import Prosody
from pusher import Pusher
from servers import Server

#: The server's own engine, in words.
ENGINES = {"ejabberd": "mod_push", "bare ejabberd": "mod_push", "prosody": "mod_cloud_notify"}
#: What the tests change in our configuration, and a measurement does not.
_AS_INSTALLED = {"wpool = { workers = 200,": "wpool = { workers = 200,"}
_NO_LIMIT = "shaper_rules:\n  no_limit: infinity\nmodules:\n"
_OWN_EJABBERD = "modules:\n  mod_push: {include_sender: true, include_body: true}\n"
_OWN_PROSODY = (
    '  modules_enabled = { "cloud_notify" }\n  push_notification_with_body = true\n'
    "  push_notification_with_sender = true\n"
)


def _tune(server: Ejabberd, *, bare: bool) -> None:
    """Without a limit of messages; `bare`: without an offline store."""
    offline = "mod_offline_null: {}" if bare else "mod_offline: {access_max_user_messages: no_limit}"
    file = server.directory / "ejabberd.yml"
    edit(file, {"  mod_offline: {}\n": f"  {offline}\n", "\nmodules:\n": f"\n{_NO_LIMIT}"}, file)
    if bare:
        compile_ejabberd_module("mod_offline_null", server.modules_path, HERE / "erlang")


class _OwnEjabberd(Ejabberd):
    """With mod_push."""

    components = PLAYED

    def __init__(self, directory: Path, *, bare: bool) -> None:
        super().__init__(directory, _OWN_EJABBERD, install=False)
        self._bare = bare

    def _configure(self) -> None:
        super()._configure()
        _tune(self, bare=self._bare)


class _OurEjabberd(SetUpEjabberd):
    """With mod_event_feed."""

    bare = False

    def _configure(self) -> None:
        super()._configure()
        _tune(self, bare=self.bare)


class _OwnProsody(Prosody):
    """With mod_cloud_notify."""

    components = PLAYED


@contextmanager
def with_own_module(name: str, folder: Path) -> Iterator[Server]:
    """The server and its own push module, running."""
    server: Server
    if name == "prosody":
        server = _OwnProsody(folder, _OWN_PROSODY)
    else:
        server = _OwnEjabberd(folder, bare=name.startswith("bare"))
    server.start()
    try:
        yield server
    finally:
        server.hang_up()
        server.stop()


@contextmanager
def with_us(name: str, folder: Path) -> Iterator[tuple[Server, int]]:
    """The server with our module, and the id of the daemon."""
    server, file = install(name.rpartition(" ")[2], folder, Wishes(edits=_AS_INSTALLED))
    if isinstance(server, SetUpEjabberd):
        ours = _OurEjabberd(server.directory, folder / "kit")
        ours.bare = name.startswith("bare")
        server = ours
    server.start()
    pusher = Pusher(file)
    try:
        pusher.upgrade()
        pusher.start()
        assert pusher._process is not None, "it has just been started"
        yield server, pusher._process.pid
    finally:
        pusher.close()
        server.hang_up()
        server.stop()


def enable(server: Server, users: int) -> None:
    """Make the accounts, have each enable push as a client does, and go."""
    for number in range(users):
        server.register(f"u{number}")
        client = server.client(f"u{number}", priority=None)
        told = f"<enable xmlns='urn:xmpp:push:0' jid='app.{server.domain}' node='n{number}'/>"
        answer = client.iq("set", None, told)
        assert answer.get("type") == "result", f"u{number} could not enable push: {server.log()[-2000:]}"
        client.close()

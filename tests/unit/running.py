"""The pusher in this process, over a loopback server and SQLite, with its control socket: what operators meet."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from click.testing import CliRunner, Result

from event_pusher.admin.client import Remote
from event_pusher.admin.http import AdminServer
from event_pusher.admin.live import LiveDesk
from event_pusher.admin.routes import Routes
from event_pusher.app import App
from event_pusher.cli import main
from event_pusher.loopback import LoopbackServer, Publish, Verdict
from event_pusher.migrate import upgrade
from event_pusher.registry import Registry
from event_pusher.settings import load

BOB, ALICE, SERVICE = "bob@example.org", "alice@example.org/r", "app.example.org"
PATIENCE = 10.0
CONFIG = """\
[database]
url = "sqlite:///event-pusher.db"
[sources.component]
domain = "push.example.org"
server = "{server}"
secret = {{ file = "component-secret" }}
hosts = ["example.org"]
[backends.push]
retry = {{ schedule = ["1h"] }}
{more}
"""


def run(*arguments: str | Path) -> Result:
    """Give a command, as on the command line."""
    return CliRunner().invoke(main, [str(one) for one in arguments])


class Place:
    """A folder with a configuration and a migrated database; its path is short enough for a socket."""

    def __init__(self, server: str = "127.0.0.1:1", more: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ep"))
        self.config = self.folder / "event-pusher.toml"
        self.config.write_text(CONFIG.format(server=server, more=more))
        secret = self.folder / "component-secret"
        secret.write_text("secret")
        secret.chmod(0o640)
        self.settings = load(self.config, Registry())
        upgrade(self.settings.database.url, self.folder)

    def run(self, *arguments: str) -> Result:
        """Give a command about this configuration."""
        return run(*arguments, "-c", self.config)

    def remove(self) -> None:
        shutil.rmtree(self.folder)


class Running:
    """A `Place` where the pusher runs; the push service answers `verdict`."""

    def __init__(self) -> None:
        self.server = LoopbackServer()
        self.verdict: Verdict = None
        self.pushed: list[Publish] = []
        self.place = Place(self.server.address)
        self.app = App(self.place.settings)
        self.desk = LiveDesk(self.app)
        self.admin = AdminServer(self.place.settings.admin.listen, Routes(self.desk))
        self.remote = Remote(self.place.settings.admin.listen)

    def __enter__(self) -> Self:
        self.server.start()
        self.server.push_service(SERVICE, self._push)
        self.admin.start()
        assert self.app.start()
        assert self.server.wait_connected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.close(drain=0.5)
        self.admin.close()
        self.server.close()
        self.place.remove()

    def run(self, *arguments: str) -> Result:
        """Give a command to it."""
        return self.place.run(*arguments)

    def call(self, name: str, **arguments: Any) -> Any:
        """Give a command over the socket."""
        return self.remote.call(name, **arguments)

    def enable(self, user: str = BOB, node: str = "n1", **options: str) -> int:
        """Let `user` enable push; the registration's id."""
        assert self.server.enable(user, SERVICE, node, options or None).type == "result"
        found = self.call("registrations_list", user=user)
        return int(found[-1]["id"])

    def write(self, *bodies: str, user: str = BOB) -> None:
        """Write to `user`; returns when it is all decided and on disk."""
        for body in bodies:
            self.server.message(ALICE, user, body)
        self.until(lambda: self.server.acked >= self.server.ring.next - 1)

    def until(self, true: Any) -> None:
        """Wait until something is true."""
        waiting = threading.Event()
        for _ in range(int(PATIENCE / 0.02)):
            if true():
                return
            waiting.wait(0.02)
        raise AssertionError("it did not happen in time")

    def dead(self, number: int) -> list[int]:
        """Make `number` dead letters, as an expired delivery leaves them; their ids."""
        self.verdict = ("wait", "internal-server-error")
        self.write(*(f"dead {n}" for n in range(number)))
        core, store = self.app.assembly.core, self.app.assembly.parts.store  # type: ignore[union-attr]  # it runs
        ids = [one["id"] for one in self.call("deliveries_list", state="waiting")]

        def bury() -> None:
            core.flush()
            rows = store.load_ids(ids)
            with self.app.assembly.writer.transaction():  # type: ignore[union-attr]  # as above
                store.bury(rows, ["expired: for the test"] * len(rows), 0.0)
            core.withdraw(ids, len(ids))

        core.call(bury).result(PATIENCE)
        return ids

    def _push(self, publish: Publish) -> Verdict:
        self.pushed.append(publish)
        return self.verdict

"""Debian's Prosody behind the interface of ``servers.Server``."""

from collections.abc import Mapping
from pathlib import Path

from servers import SHARE, Server

PROSODY_BASE = """\
run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
plugin_paths = {{ "{share}/prosody", "/usr/lib/prosody/modules" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
component_interfaces = {{ "127.0.0.1" }}
component_ports = {{ {component} }}
s2s_ports = {{}} http_ports = {{}} https_ports = {{}}
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
authentication = "internal_plain"
storage = "internal"
limits = {{}}
gc = {{ mode = "incremental", threshold = 200, speed = 200 }}
log = {{ {{ levels = {{ min = "{level}" }}, to = "file", filename = "{log}" }} }}
modules_enabled = {{ "roster", "saslauth", "disco", "message", "presence", "iq", "c2s", "offline",
  "smacks", "carbons", "ping", "blocklist", "user_account_management" }}
VirtualHost "{domain}"
{fragment}
"""


class Prosody(Server):
    """``fragment``: Lua that follows the ``VirtualHost`` line; it may open a ``Component`` itself.

    Components which the fragment does not name are added behind it.
    """

    domain = "pr.test"

    def __init__(self, directory: Path, fragment: str = "", *, level: str = "info") -> None:
        super().__init__(directory, fragment)
        self.level = level

    def register(self, user: str) -> None:
        account = self._store("accounts") / f"{user}.dat"
        account.parent.mkdir(parents=True, exist_ok=True)
        account.write_text('return { ["password"] = "pw"; };\n')

    def unregister(self, user: str) -> None:
        client = self.client(user, "unregister", priority=None)
        answer = client.iq("set", None, "<query xmlns='jabber:iq:register'><remove/></query>")
        assert answer.get("type") == "result", self.log()[-2000:]
        client.close()

    def _store(self, name: str) -> Path:
        return self.directory / "data" / self.domain.replace(".", "%2e") / name

    def _configure(self) -> None:
        self._store("accounts").mkdir(parents=True, exist_ok=True)
        text = PROSODY_BASE.format(
            directory=self.directory,
            share=SHARE,
            c2s=self.c2s_port,
            component=self.component_port,
            level=self.level,
            log=self.log_path,
            domain=self.domain,
            fragment=self.fragment,
        )
        for name in self.components:
            host = f"{name}.{self.domain}"
            if f'Component "{host}"' not in text:
                text += f'Component "{host}"\n  component_secret = "{self.secret}"\n'
        (self.directory / "prosody.cfg.lua").write_text(text)

    def _command(self) -> list[str]:
        config = str(self.directory / "prosody.cfg.lua")
        return ["lua5.4", "/usr/bin/prosody", "--config", config, "-F"]

    def _environment(self) -> Mapping[str, str]:
        return {"HOME": str(self.directory)}

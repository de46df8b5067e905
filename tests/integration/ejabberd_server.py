"""Debian's ejabberd behind the interface of ``servers.Server``."""

import json
import secrets
import shutil
import subprocess
import textwrap
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from servers import SHARE, Server, free_port

EJABBERD_BASE = """\
hosts: {domains}
loglevel: 4
log_rotate_count: 0
listen:
  - {{port: {c2s}, ip: "127.0.0.1", module: ejabberd_c2s, access: c2s, shaper: none, \
max_stanza_size: 262144}}
  - port: {component}
    ip: "127.0.0.1"
    module: ejabberd_service
    shaper: none
    global_routes: false
    hosts: {hosts}
  - {{port: {http}, ip: "127.0.0.1", module: ejabberd_http, \
request_handlers: {{/api: mod_http_api}}}}
{listen}
s2s_access: none
auth_method: internal
auth_password_format: plain
disable_sasl_mechanisms: ["digest-md5", "SCRAM-SHA-1-PLUS", "X-OAUTH2"]
acl:
  local: {{user_regexp: ""}}
  loopback: {{ip: [127.0.0.0/8]}}
access_rules:
  c2s: {{allow: all}}
  local: {{allow: local}}
api_permissions:
  tests: {{who: [{{acl: loopback}}], what: ["*"]}}
modules:
  mod_adhoc: {{}}
  mod_admin_extra: {{}}
  mod_blocking: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_roster: {{}}
  mod_stream_mgmt: {{resend_on_timeout: if_offline, resume_timeout: 60}}
{modules}
"""


def top_level(fragment: str, key: str) -> str:
    """The block under the top-level ``key`` of a YAML text, indented by two, as an editor would.

    Test-only and literal on purpose: what the operator is told to paste is what runs.
    """
    block: list[str] = []
    inside = False
    for line in fragment.splitlines():
        item = not line.strip() or line.startswith((" ", "-", "#"))
        if item and inside:
            block.append(line)
        elif not item:
            inside = line.split("#")[0].strip() == f"{key}:"
    return textwrap.indent(textwrap.dedent("\n".join(block)), "  ")


class Ejabberd(Server):
    """``fragment``: YAML with the top-level keys ``listen`` and ``modules``, merged into the base.

    ``install=False`` leaves the module out.
    """

    domain = "ej.test"

    def __init__(self, directory: Path, fragment: str = "", *, install: bool = True) -> None:
        super().__init__(directory, fragment)
        self.http_port, self.dist_port = free_port(), free_port()
        self.install = install
        self.hosts = [self.domain]
        self.cookie = secrets.token_hex(8)

    def api(self, command: str, **arguments: object) -> object:
        """Run an ``ejabberdctl`` command over HTTP."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}/api/{command}",
            json.dumps(arguments).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def reconfigure(self, fragment: str) -> None:
        """Write the configuration anew and have the running server read it."""
        self.fragment = fragment
        self._write_configuration()
        self.api("reload_config")

    def register(self, user: str) -> None:
        self.api("register", user=user, host=self.domain, password="pw")

    def unregister(self, user: str) -> None:
        self.api("unregister", user=user, host=self.domain)

    @property
    def modules_path(self) -> Path:
        """Where contributed modules live (``CONTRIB_MODULES_PATH``)."""
        return self.directory / "modules"

    def _configure(self) -> None:
        self._write_configuration()
        if self.install:
            compile_ejabberd_module("mod_event_feed", self.modules_path)

    def _write_configuration(self) -> None:
        hosts = {f"{name}.{self.domain}": {"password": self.secret} for name in self.components}
        text = EJABBERD_BASE.format(
            domains=json.dumps(self.hosts),
            c2s=self.c2s_port,
            component=self.component_port,
            http=self.http_port,
            hosts=json.dumps(hosts),
            listen=top_level(self.fragment, "listen"),
            modules=top_level(self.fragment, "modules"),
        )
        (self.directory / "ejabberd.yml").write_text(text)

    def _command(self) -> list[str]:
        spool = self.directory / "spool"
        return [
            *("erl", "-noinput", "-sname", "ej@localhost", "-setcookie", self.cookie),
            *("-erl_epmd_port", str(self.dist_port), "-start_epmd", "false"),
            *("-kernel", "inet_dist_use_interface", "{127,0,0,1}", "+P", "250000"),
            *("-mnesia", "dir", f'"{spool}"', "-s", "ejabberd"),
        ]

    def _environment(self) -> Mapping[str, str]:
        (self.directory / "spool").mkdir(exist_ok=True)
        return {
            "HOME": str(self.directory),
            "EJABBERD_CONFIG_PATH": str(self.directory / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.log_path),
            "CONTRIB_MODULES_PATH": str(self.modules_path),
            "ERL_LIBS": str(ejabberd_application().parent),
            "ERL_DIST_PORT": str(self.dist_port),
            "ERL_CRASH_DUMP": str(self.directory / "erl_crash.dump"),
        }


def ejabberd_application() -> Path:
    """The installed ejabberd's application directory."""
    found = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))
    assert found, "ejabberd is not installed (apt install ejabberd)"
    return found[0].parents[1]


def compile_ejabberd_module(name: str, modules: Path, share: Path = SHARE / "ejabberd") -> None:
    """Do what ``ejabberdctl module_install`` does, while the server is down."""
    source, target = share / name, modules / name
    shutil.rmtree(target, ignore_errors=True)
    (target / "ebin").mkdir(parents=True)
    shutil.copy(source / f"{name}.spec", target)
    includes = [f"-I{path}" for path in Path("/usr/lib/erlang/lib").glob("p1_xm*/include")]
    application = ejabberd_application()
    files = [str(path) for path in sorted((source / "src").glob("*.erl"))]
    command = ["erlc", *includes, f"-I{application}/include", "-pa", f"{application}/ebin"]
    done = subprocess.run([*command, "-o", str(target / "ebin"), *files], capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()

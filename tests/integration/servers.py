"""Debian's ejabberd and Prosody as plain foreground processes in a scratch directory.

Both offer the same interface (``Server``). Everything listens on 127.0.0.1, on ports that were free
a moment ago. A server that does not come up fails the test, with the tail of its log.
"""

import abc
import glob
import json
import os
import secrets
import shutil
import socket
import subprocess
import textwrap
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from wire import PING, Client, Component, Stream, condition, has_id, new_id

SHARE = Path(__file__).resolve().parents[2] / "event_pusher" / "share"
START_TIMEOUT = 40.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(abc.ABC):
    """One XMPP server with one host, the components of ``components``."""

    domain: str
    components = ("push", "app", "muclight", "other", "probe")
    secret = "secret"

    def __init__(self, directory: Path, fragment: str = "") -> None:
        self.directory = directory
        self.fragment = fragment
        self.c2s_port, self.component_port = free_port(), free_port()
        self.log_path = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._streams: list[Stream] = []
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """The server's process, for measurements."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it takes clients and components."""
        self._configure()
        self._output = (self.directory / "output.log").open("ab")
        self._process = subprocess.Popen(
            self._command(),
            cwd=self.directory,
            env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait_ready()
        except AssertionError:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server's process; its data stays for the next start."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        if self._output is not None:
            self._output.close()
        self._process = self._output = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def log(self) -> str:
        """Everything that the server has logged."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def client(
        self,
        user: str,
        resource: str = "r1",
        *,
        priority: int | None = 0,
        bind: bool = True,
    ) -> Client:
        """A logged-in client; ``priority=None`` sends no presence."""
        client = Client(user, self.domain, self.c2s_port, resource, priority=priority, bind=bind)
        self._streams.append(client)
        return client

    def component(self, name: str) -> Component:
        """A connected component: ``push`` is ``push.DOMAIN``."""
        jid = f"{name}.{self.domain}"
        if any(isinstance(s, Component) and s.jid == jid and s.hung_up for s in self._streams):
            # ejabberd would share the stanzas out between the new connection and the dying one.
            self.wait_away(name)
        component = Component(jid, self.component_port, self.secret)
        self._streams.append(component)
        return component

    def hang_up(self) -> None:
        """Close every client and component, and wait until the server has noticed."""
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()
        for name in {s.jid.split(".")[0] for s in streams if isinstance(s, Component)} - {"probe"}:
            self.wait_away(name)

    def wait_away(self, name: str) -> None:
        """Return when the server no longer has a connection of the component."""
        probe = Component(f"probe.{self.domain}", self.component_port, self.secret)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            identifier = new_id("ping")
            probe.send(
                f"<iq type='get' id='{identifier}' from='{probe.jid}' to='{name}.{self.domain}'>"
                f"<ping xmlns='{PING}'/></iq>"
            )
            try:
                if condition(probe.expect(has_id(identifier), 0.1)):
                    probe.close()
                    return
            except AssertionError:
                continue
        raise AssertionError(f"{name} is still connected")

    @abc.abstractmethod
    def register(self, user: str) -> None:
        """Make the account, with the password ``pw``."""

    @abc.abstractmethod
    def unregister(self, user: str) -> None:
        """Remove the account as an administrator (or the user) would."""

    @abc.abstractmethod
    def _configure(self) -> None:
        """Write the configuration and install the module."""

    @abc.abstractmethod
    def _command(self) -> list[str]: ...

    @abc.abstractmethod
    def _environment(self) -> Mapping[str, str]: ...

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            assert self._process is not None
            code = self._process.poll()
            assert code is None, f"the server ended with {code}:\n{self._tail()}"
            try:
                Component(f"probe.{self.domain}", self.component_port, self.secret).close()
                socket.create_connection(("127.0.0.1", self.c2s_port), 1).close()
                return
            except (OSError, AssertionError):
                assert time.monotonic() < deadline, f"the server does not come up:\n{self._tail()}"
                time.sleep(0.05)

    def _tail(self) -> str:
        output = self.directory / "output.log"
        text = output.read_text(errors="replace") if output.exists() else ""
        return "\n".join((self.log() + text).splitlines()[-60:])


EJABBERD_BASE = """\
hosts: [{domain}]
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
  - {{port: {http}, ip: "127.0.0.1", module: ejabberd_http, request_handlers: {{/api: mod_http_api}}}}
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
        item = line.startswith((" ", "-")) or not line.strip() or line.startswith("#")
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

    def register(self, user: str) -> None:
        self.api("register", user=user, host=self.domain, password="pw")

    def unregister(self, user: str) -> None:
        self.api("unregister", user=user, host=self.domain)

    @property
    def modules_path(self) -> Path:
        """Where contributed modules live (``CONTRIB_MODULES_PATH``)."""
        return self.directory / "modules"

    def _configure(self) -> None:
        hosts = {f"{name}.{self.domain}": {"password": self.secret} for name in self.components}
        text = EJABBERD_BASE.format(
            domain=self.domain,
            c2s=self.c2s_port,
            component=self.component_port,
            http=self.http_port,
            hosts=json.dumps(hosts),
            listen=top_level(self.fragment, "listen"),
            modules=top_level(self.fragment, "modules"),
        )
        (self.directory / "ejabberd.yml").write_text(text)
        if self.install:
            compile_ejabberd_module("mod_event_feed", self.modules_path)

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
    found = sorted(glob.glob("/usr/lib/*/ejabberd-*/ebin/ejabberd.app"))
    assert found, "ejabberd is not installed (apt install ejabberd)"
    return Path(found[0]).parents[1]


def compile_ejabberd_module(name: str, modules: Path) -> None:
    """Do what ``ejabberdctl module_install`` does, while the server is down."""
    source, target = SHARE / "ejabberd" / name, modules / name
    shutil.rmtree(target, ignore_errors=True)
    (target / "ebin").mkdir(parents=True)
    shutil.copy(source / f"{name}.spec", target)
    includes = [f"-I{path}" for path in glob.glob("/usr/lib/erlang/lib/p1_xm*/include")]
    application = ejabberd_application()
    files = [str(path) for path in sorted((source / "src").glob("*.erl"))]
    command = ["erlc", *includes, f"-I{application}/include", "-pa", f"{application}/ebin"]
    done = subprocess.run([*command, "-o", str(target / "ebin"), *files], capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()

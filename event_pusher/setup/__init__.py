"""What ``event-pusher setup`` writes: the server's module, its configuration, and ours. Touches one folder only."""

from __future__ import annotations

import importlib.resources
import os
import secrets
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from string import Template

from event_pusher.errors import EventPusherError, InvalidJid
from event_pusher.jid import Jid
from event_pusher.settings import sample

SECRET_FILE = "component-secret"  # noqa: S105 - a file's name
CONFIG_FILE = "event-pusher.toml"
#: Stands for the secret where it is not to be shown.
PLACEHOLDER = "THE-SECRET"

#: What each server's module is made of, in ``share/``; and what its fragment is called.
MODULES = {
    "ejabberd": ("mod_event_feed",),
    "prosody": ("mod_event_feed.lua", "event_feed_ring.lib.lua"),
}
FRAGMENTS = {"ejabberd": "ejabberd.yml", "prosody": "prosody.cfg.lua"}

_SECTION = """\
[sources.component]
domain = "{component}"
server = "{server}"
secret = {{ file = "{secret}" }}
hosts = ["{domain}"]
"""


class SetupError(EventPusherError):
    """The files cannot be written, or not for these names."""


@dataclass(frozen=True, slots=True)
class Kit:
    """For `server` ("ejabberd", "prosody"): the host `domain`, served by `component` at `address`."""

    server: str
    domain: str
    component: str
    address: str = "127.0.0.1:5347"

    def __post_init__(self) -> None:
        for name in (self.domain, self.component):
            if not _is_domain(name):
                raise SetupError(f"{name[:80]!r} is not a domain; write one such as example.org")
        if self.domain == self.component:
            raise SetupError(
                "the component needs a domain of its own; write for instance --component push." + self.domain
            )
        host, _, port = self.address.rpartition(":")
        if not host or not _is_domain(host) or not port.isascii() or not port.isdigit():
            raise SetupError(f"{self.address[:80]!r} is no address; write HOST:PORT, for instance 127.0.0.1:5347")

    def fragment(self, secret: str = PLACEHOLDER) -> str:
        """What goes into the server's configuration."""
        host, _, port = self.address.rpartition(":")
        values = {"domain": self.domain, "component": self.component, "address": host, "port": port, "secret": secret}
        return Template(_shared("setup", FRAGMENTS[self.server])).substitute(values)

    def section(self, secret_file: Path | str = SECRET_FILE) -> str:
        """What goes into event-pusher's configuration, when there is one already."""
        return _SECTION.format(component=self.component, server=self.address, secret=secret_file, domain=self.domain)

    def steps(self, folder: Path) -> str:
        """What the operator does now."""
        return Template(_shared("setup", f"{self.server}.txt")).substitute(folder=folder)

    def write(self, folder: Path) -> list[str]:
        """Write it all into `folder`; the names of the files, and of what stayed as it was. Raises `SetupError`."""
        try:
            return self._write(folder.absolute())
        except OSError as error:
            raise SetupError(
                f"cannot write {error.filename or folder}: {error.strerror}; name a folder that you may write"
            ) from None

    def _write(self, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        secret = _keep_secret(folder / SECRET_FILE)
        for name in MODULES[self.server]:
            _copy(_share() / self.server / name, folder / name)
        fragment = folder / FRAGMENTS[self.server]
        fragment.unlink(missing_ok=True)
        _write_private(fragment, self.fragment(secret))
        told = [SECRET_FILE, *MODULES[self.server], FRAGMENTS[self.server]]
        config = folder / CONFIG_FILE
        if not config.exists():
            text = sample(folder=folder, domain=self.component, server=self.address, hosts=[self.domain])
            config.write_text(text, encoding="utf-8")
            return [*told, CONFIG_FILE]
        return told

    def is_in(self, config: Path) -> bool:
        """Whether the configuration at `config` has a source that serves the host through the component."""
        try:
            sources = tomllib.loads(config.read_text(encoding="utf-8")).get("sources", {})
            return any(
                one.get("domain") == self.component and self.domain in one.get("hosts", ()) for one in sources.values()
            )
        except (OSError, ValueError, AttributeError):
            return False


def _keep_secret(file: Path) -> str:
    """The secret in `file`, made if there is none."""
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(30) + "\n")
    secret = file.read_text(encoding="utf-8").strip()
    if not secret or not secret.isprintable() or not set('"\\$').isdisjoint(secret):
        raise SetupError(f"{file} holds no secret that both configurations can quote; delete it, and a new one is made")
    return secret


def _write_private(file: Path, text: str) -> None:
    """Nobody but owner and group may read it, from the first moment on."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8") as out:
        out.write(text)
    file.chmod(0o640)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _share() -> Path:
    return Path(str(importlib.resources.files("event_pusher"))) / "share"


def _shared(*names: str) -> str:
    return _share().joinpath(*names).read_text(encoding="utf-8")


def _is_domain(text: str) -> bool:
    try:
        jid = Jid.parse(text)
    except InvalidJid:
        return False
    return not jid.local and not jid.resource and "$" not in text and jid.domain == text

"""Servers and daemon as an operator installs them: with what ``event-pusher setup`` wrote, used as written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ejabberd_server import Ejabberd, compile_ejabberd_module
from prosody_server import Prosody
from pusher import event_pusher
from servers import SHARE, Server, free_port

#: How long a session that lost its connection can be resumed.
RESUME_SECONDS = 2
#: What one account may enable.
MAX_REGISTRATIONS = 4
#: The components that the tests play; the daemon's is in the fragment.
PLAYED = ("app", "muclight", "other", "probe")
#: What the operator changes in the daemon's configuration.
EDITS = {
    'content = "marker"': 'content = "full"',
    "max_registrations = 20": f"retry = {{ schedule = [0.2, 0.5] }}\nmax_registrations = {MAX_REGISTRATIONS}",
    # One after the other, so that a later push says that there was none before.
    "wpool = { workers = 200,": "wpool = { workers = 1,",
}


class SetUpEjabberd(Ejabberd):
    """ejabberd with the module and the fragment of the folder `kit`."""

    components = PLAYED

    def __init__(self, directory: Path, kit: Path) -> None:
        super().__init__(directory, (kit / "ejabberd.yml").read_text(), install=False)
        self._kit = kit

    def _configure(self) -> None:
        super()._configure()
        compile_ejabberd_module("mod_event_feed", self.modules_path, self._kit)
        file = self.directory / "ejabberd.yml"
        edit(file, {"resume_timeout: 60": f"resume_timeout: {RESUME_SECONDS}"}, file)


class SetUpProsody(Prosody):
    """Prosody that finds its modules in the folder `kit` and includes the fragment there."""

    components = PLAYED

    def __init__(self, directory: Path, kit: Path) -> None:
        super().__init__(directory, f"smacks_hibernation_time = {RESUME_SECONDS}")
        self._kit = kit

    def _configure(self) -> None:
        super()._configure()
        file = self.directory / "prosody.cfg.lua"
        edit(file, {f'"{SHARE}/prosody"': f'"{self._kit}"'}, file)
        with file.open("a") as text:
            text.write(f'Include "{self._kit}/prosody.cfg.lua"\n')


@dataclass(frozen=True)
class Wishes:
    """What a test wants otherwise. `ring_bytes`, `stanza_bytes`: the server's bounds; `edits`: of the daemon's file."""

    ring_bytes: int = 0
    stanza_bytes: int = 0
    edits: Mapping[str, str] = field(default_factory=dict)


#: As `setup` wrote it, but for `EDITS`.
AS_WRITTEN = Wishes()


def install(name: str, directory: Path, wishes: Wishes = AS_WRITTEN) -> tuple[Server, Path]:
    """The server, not started, and the daemon's configuration."""
    kit = directory / "kit"
    if name == "ejabberd":
        set_up(name, kit, Ejabberd.domain, free_port())
        fragment = kit / "ejabberd.yml"
        edit(fragment, _ejabberd_options(wishes), fragment)
        server: Server = SetUpEjabberd(directory / "server", kit)
    else:
        kit.mkdir()
        server = SetUpProsody(directory / "server", kit)
        set_up(name, kit, server.domain, server.component_port)
        fragment = kit / "prosody.cfg.lua"
        edit(fragment, _prosody_options(wishes), fragment)
    file = kit / "event-pusher.toml"
    edit(file, {**EDITS, **wishes.edits}, file)
    return server, file


def _ejabberd_options(wishes: Wishes) -> Mapping[str, str]:
    edits: dict[str, str] = {}
    if wishes.ring_bytes:
        named = f'component: "push.{Ejabberd.domain}"\n'
        edits[named] = f"{named}    ring_bytes: {wishes.ring_bytes}\n"
    if wishes.stanza_bytes:
        edits["    global_routes: false\n"] = f"    global_routes: false\n    max_stanza_size: {wishes.stanza_bytes}\n"
    return edits


def _prosody_options(wishes: Wishes) -> Mapping[str, str]:
    edits: dict[str, str] = {}
    if wishes.ring_bytes:
        edits["  event_feed_component ="] = f"  event_feed_ring_bytes = {wishes.ring_bytes}\n  event_feed_component ="
    if wishes.stanza_bytes:
        edits["gc = {"] = f"component_stanza_size_limit = {wishes.stanza_bytes}\ngc = {{"
    return edits


def set_up(name: str, kit: Path, domain: str, port: int) -> None:
    """Have everything written."""
    names = ["--domain", domain, "--component", f"push.{domain}"]
    event_pusher("setup", name, *names, "--server", f"127.0.0.1:{port}", "--output", str(kit))


def edit(source: Path, edits: Mapping[str, str], target: Path) -> None:
    """Write `source` to `target` with each of the texts, which must be there once, replaced."""
    text = source.read_text()
    for old, new in edits.items():
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {source}"
        text = text.replace(old, new)
    target.write_text(text)

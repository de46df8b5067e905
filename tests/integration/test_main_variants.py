"""The daemon with other settings: published by the component, without PubSub, and with a stranger's plugin."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from inbox import Inbox
from installation import edit
from pusher import Pusher
from world import World

from event_pusher.testing import HttpWorld

pytestmark = pytest.mark.servers

# As a port of an Erlang plugin would be written: the callbacks that differ, and nothing else.
PLUGIN = '''
from event_pusher.abc import Acc, Jid, NoSettings, PushPlugin, Registration, Stanza


class QuietPlugin(PushPlugin[NoSettings]):
    """mod_event_pusher_push_plugin_quiet: nothing from whom nobody wants to hear, and one device only."""

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        return not sender.local.startswith("mallory") and super().should_publish(sender, recipient, packet)

    def publish_notification(self, acc, sender, recipient, packet, services):
        return super().publish_notification(acc, sender, recipient, packet, services[:1])
'''


@contextmanager
def daemon_with(world: World, edits: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Another daemon in place of the world's, with its configuration but for these lines."""
    world.pusher.terminate()
    file = world.pusher.file.with_name("other.toml")
    edit(world.pusher.file, edits, file)
    pusher = Pusher(file, environment)
    try:
        pusher.start()
        yield
    finally:
        pusher.close()
        world.pusher.start()


def test_a_service_that_asks_nobody_takes_publishes_of_the_component(world: World) -> None:
    # Given a daemon that publishes in its own name, a service that knows the host only, and one that does not care
    other = world.push_service("other")
    with daemon_with(world, {'publish_as = "host"': 'publish_as = "component"'}):
        person = world.person(world.account())
        person.enable(other.jid, "anybody", {"k": "v"})
        person.enable(world.service.jid, "host-only")
        world.leave(person)
        # When alice writes
        world.alice.message(person.bare, "hello")
        # Then the latter takes it
        (notice,) = world.pushed(person.bare, "anybody", other)
        assert (notice.sender, notice.body, notice.options) == (f"push.{world.domain}", "hello", {"k": "v"})
        # And the former knows no such device
        assert world.service.refusal("host-only").sender == f"push.{world.domain}"


class MongoosePush(HttpWorld):
    """Takes everything with 200; `requests` are path and body of each."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Inbox[tuple[str, bytes]] = Inbox()

    def payload_of(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        self.requests.put((path, body))
        return body

    def answer(self, payload: bytes, *, accepted: bool) -> tuple[int, Mapping[str, str], bytes]:
        return 200, {}, b""


def test_without_pubsub_a_gateway_is_asked(world: World) -> None:
    # Given a daemon with a virtual host, whose gateway is MongoosePush
    gateway = MongoosePush()
    edits = {
        "virtual_pubsub_hosts = []": 'virtual_pubsub_hosts = ["mobile.@HOST@"]',
        "# [gateways.mongoosepush]": "[gateways.mongoosepush]",
        '# url = "https://localhost:8443"': f'url = "{gateway.url}"',
    }
    try:
        with daemon_with(world, edits):
            person = world.person(world.account())
            person.enable(f"mobile.{world.domain}", "any", {"device_id": "t0ken", "service": "fcm"})
            world.leave(person)
            # When alice writes
            world.alice.message(person.bare, "hello")
            # Then the gateway is asked to tell the device
            path, body = gateway.requests.take(lambda _: True, 20)
            assert path == "/v3/notification/t0ken"
            assert json.loads(body)["alert"]["title"] == world.alice.bare
    finally:
        gateway.close()


def test_a_strangers_plugin_decides(world: World, tmp_path: Path) -> None:
    # Given a distribution with a push plugin
    install(tmp_path / "site")
    mallory = world.person(f"{world.account('mallory')}")
    with daemon_with(world, {'"defaults"  ': '"quiet"  '}, {"PYTHONPATH": str(tmp_path / "site")}):
        person = world.person(world.account())
        person.enable(world.service.jid, "plugin-first")
        person.enable(world.service.jid, "plugin-second")
        world.leave(person)
        # When somebody unwanted writes, and then alice
        mallory.message(person.bare, "not wanted")
        mallory.settle()
        world.alice.message(person.bare, "wanted")
        # Then only alice's is pushed, to the one device
        assert world.bodies(person.bare, "plugin-first") == ["wanted"]
        assert world.service.notices.take_all(lambda one: one.node == "plugin-second") == []


def install(site: Path) -> None:
    """What pip leaves behind of a distribution with one module and one entry point."""
    information = site / "quiet_push-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "quiet_push.py").write_text(PLUGIN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: quiet-push\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[event_pusher.plugins.push]\nquiet = quiet_push:QuietPlugin\n")

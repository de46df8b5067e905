"""The XMPP servers with our module, as the tests of the feed want them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ejabberd_server import Ejabberd
from feed import Feed, carries
from prosody_server import Prosody
from servers import Server
from wire import STANZAS, Client, Component, Predicate, Stream, new_id

Options = Mapping[str, str | int | bool | list[str]]

SERVERS = ("prosody", "ejabberd")
FAILED_HOOK = "A hook failed"  # what the module logs in place of an exception


def lua(value: str | int | bool | list[str]) -> str:
    """The value as Lua writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "{ " + ", ".join(f'"{item}"' for item in value) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value)


def prosody(directory: Path, options: Options) -> Server:
    """Prosody, not started, with these options of the module."""
    given = {"component": f"push.{Prosody.domain}", **options}
    lines = [f"event_feed_{name} = {lua(value)}" for name, value in given.items()]
    lines += ['modules_enabled = { "event_feed" }', "smacks_hibernation_time = 60"]
    return Prosody(directory, "\n".join(f"  {line}" for line in lines))


def ejabberd(directory: Path, options: Options) -> Server:
    """ejabberd, not started, with these options of the module."""
    given = {"component": f"push.{Ejabberd.domain}", **options}
    lines = [f"    {name}: {json.dumps(value)}" for name, value in given.items()]
    return Ejabberd(directory, "\n".join(["modules:", "  mod_event_feed:", *lines]))


FACTORIES = {"prosody": prosody, "ejabberd": ejabberd}


class Site:
    """A running server, with accounts of the test's own and the streams that it opened."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.domain = server.domain
        self.push = f"push.{server.domain}"
        self._streams: list[Stream] = []

    def account(self, name: str = "user") -> str:
        """Make an account that no other test has; the user part of its JID."""
        user = new_id(name)
        self.server.register(user)
        return user

    def jid(self, user: str) -> str:
        """The bare JID."""
        return f"{user}@{self.domain}"

    def client(self, user: str, resource: str = "r1", *, priority: int | None = 0, bind: bool = True) -> Client:
        """A client that is closed at the end of the test."""
        client = self.server.client(user, resource, priority=priority, bind=bind)
        self._streams.append(client)
        return client

    def component(self, name: str) -> Component:
        """A component that is closed at the end of the test."""
        component = self.server.component(name)
        self._streams.append(component)
        return component

    def feed(self, *, resume: bool = True, **attributes: str) -> Feed:
        """A consumer that has got everything up to now and acknowledged it."""
        feed = Feed(self.component("push"), self.domain)
        if resume:
            feed.resume(snapshot=False, **attributes)
            catch_up(feed)
        return feed

    def close(self) -> None:
        """End what is still open."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()


@contextmanager
def serving(server: Server) -> Iterator[Site]:
    """The server, started; what was opened on it is closed, and it stops, at the end."""
    server.start()
    site = Site(server)
    try:
        yield site
    finally:
        site.close()
        server.stop()
    assert FAILED_HOOK not in server.log(), server.log()[-3000:]


@contextmanager
def running(name: str, directory: Path, **options: str | int | bool | list[str]) -> Iterator[Site]:
    """The server of this name with the module and these of its options."""
    with serving(FACTORIES[name](directory, options)) as site:
        yield site


def catch_up(feed: Feed) -> None:
    """Take everything up to the snapshot's end, acknowledge and forget it."""
    feed.ack(feed.expect("snapshot-end").get("n", ""))
    feed.component.clear()


def roundtrip(stream: Stream, domain: str) -> None:
    """Wait until the server has dealt with everything that the stream sent."""
    answer = stream.iq("get", domain, "<ping xmlns='urn:xmpp:ping'/>")
    assert answer.get("type") in ("result", "error")


def assert_none(feed: Feed, sender: Client, predicate: Predicate) -> None:
    """No such element came before an event that the sender causes now."""
    marker = sender.message(sender.bare, "marker")
    feed.of(carries(marker, "sent"))
    found = feed.component.waiting(predicate)
    assert not found, feed.component.inbox_text()


def error(kind: str, name: str) -> str:
    """An ``<error/>`` with this type and condition."""
    return f"<error type='{kind}'><{name} xmlns='{STANZAS}'/></error>"

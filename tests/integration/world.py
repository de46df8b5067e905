"""The whole way: a server, the daemon, a push service, and people."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError

from feed_servers import FAILED_HOOK
from installation import AS_WRITTEN, Wishes, install
from people import Loop, Person, StreamManagement
from push_service import Notice, PushService
from pusher import Pusher
from servers import Server
from wire import Component, local, new_id

_END = "the last one "


class World:
    """
    A running server with the daemon, the push service `service` and `alice`, who is always online.

    What a test opens with `person`, `component` and `push_service` is closed at its end.
    """

    def __init__(self, server: Server, loop: Loop, pusher: Pusher, service: PushService) -> None:
        self.server, self.loop, self.pusher, self.service = server, loop, pusher, service
        self.domain = server.domain
        self.alice = Person(loop, self.account("alice"), server.c2s_port)
        self.witness = ""
        #: What `pushed` found to have come again, as the items that they were.
        self.repeated: list[Notice] = []
        self._people: list[Person] = []
        self._components: list[Component] = []
        self._services: list[PushService] = []

    def begin(self) -> None:
        """Let alice in, and make the account by whose pushes `silent` tells that there were no others."""
        self.alice.login()
        if not self.witness:
            self.witness = self.absent("witness")

    def account(self, name: str = "user") -> str:
        """The bare JID of an account that no other test has."""
        user = new_id(name)
        self.server.register(user)
        return f"{user}@{self.domain}"

    def person(
        self, jid: str, resource: str = "phone", *, sm: StreamManagement = "off", priority: int | None = 0
    ) -> Person:
        """Somebody logged in; alice will see them go."""
        person = Person(self.loop, jid, self.server.c2s_port, resource=resource, sm=sm)
        self._people.append(person)
        person.login(priority=priority)
        if priority is not None:
            person.presence(to=self.alice.bare)
            self.alice.expect(lambda e: local(e) == "presence" and e.get("from") == person.full)
        return person

    def absent(self, node: str, options: Mapping[str, str] | None = None) -> str:
        """Somebody who has enabled push for `node` and closed their stream."""
        person = self.person(self.account())
        person.enable(self.service.jid, node, options)
        self.leave(person)
        return person.bare

    def leave(self, person: Person) -> None:
        """Close the stream, and return when the server has ended the session."""
        person.close()
        self.gone(person)

    def gone(self, person: Person) -> None:
        """Return when the server has ended the session."""
        self.alice.expect(
            lambda e: local(e) == "presence" and e.get("type") == "unavailable" and e.get("from") == person.full
        )

    def component(self, name: str) -> Component:
        """A component that says what a test wants."""
        component = self.server.component(name)
        self._components.append(component)
        return component

    def push_service(self, name: str, trusted: str | None = None) -> PushService:
        """Another push service."""
        service = PushService(self.loop, f"{name}.{self.domain}", self.server.component_port, trusted)
        self._services.append(service)
        return service.connect()

    def pushed(self, jid: str, node: str, service: PushService | None = None, *, crashed: bool = False) -> list[Notice]:
        """
        What `jid` got on `node` up to now: a last message, which must arrive on the same lane, closes the list.

        Nothing may have come twice, unless the daemon `crashed`: then what it had no time to note comes again, as
        the item that it was.
        """
        service = service or self.service
        end = new_id(_END)
        self.alice.message(jid, end)
        service.notice(node, end)
        repeated = service.repetitions.take_all(lambda one: one.node == node)
        self.repeated += repeated
        assert crashed or not repeated, repeated
        found = service.notices.take_all(lambda one: one.node == node)
        return [one for one in found if not one.body.startswith(_END)]

    def bodies(self, jid: str, node: str, *, crashed: bool = False) -> list[str]:
        """The texts of `pushed`."""
        return [one.body for one in self.pushed(jid, node, crashed=crashed)]

    def silent(self, node: str) -> None:
        """Nothing was pushed to `node`, nor will be: a push for what was said later has arrived."""
        assert self.bodies(self.witness, "witness") == []
        assert self.service.notices.take_all(lambda one: one.node == node) == []

    def restart_server(self, *accounts: str) -> None:
        """
        Kill the server, as a power cut does, and start it; alice and the push service are there again.

        `accounts` are, too: ejabberd may not have those on disk yet that were made a moment ago.
        """
        self.alice.close()
        self.service.disconnect()
        self.server.kill()
        self.server.start()
        for jid in (self.alice.bare, *accounts):
            with suppress(HTTPError):
                self.server.register(jid.partition("@")[0])
        self.service.connect()
        self.alice.login()

    def end_test(self) -> None:
        """Close what the test opened; the daemon runs again."""
        self.repeated.clear()
        self.pusher.ensure()
        for person in self._people:
            person.close()
        for component in self._components:
            component.close()
        for service in self._services:
            service.disconnect()
        for name in [*(c.jid for c in self._components), *(s.jid for s in self._services)]:
            self.server.wait_away(name.split(".")[0])
        for kept in (self._people, self._components, self._services):
            kept.clear()


@contextmanager
def running_world(name: str, directory: Path, wishes: Wishes = AS_WRITTEN) -> Iterator[World]:
    """Everything started; at the end everything ends, and the server must not have logged a failed hook."""
    server, file = install(name, directory, wishes)
    server.start()
    loop, pusher = Loop(), Pusher(file)
    service = PushService(loop, f"app.{server.domain}", server.component_port, server.domain)
    try:
        service.connect()
        pusher.upgrade()
        world = World(server, loop, pusher.start(), service)
        world.begin()
        yield world
        world.alice.close()
    finally:
        pusher.close()
        service.disconnect()
        loop.close()
        server.stop()
    assert FAILED_HOOK not in server.log(), server.log()[-3000:]

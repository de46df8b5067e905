"""Clients as people use them: slixmpp on a thread with its own loop, and a small face that waits for events."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, TypeVar
from xml.etree.ElementTree import Element, tostring
from xml.sax.saxutils import escape, quoteattr

from inbox import TIMEOUT, Inbox
from slixmpp import ClientXMPP
from slixmpp.xmlstream import StanzaBase, XMLStream
from wire import Predicate, has_id, local, new_id

R = TypeVar("R")
PUSH = "urn:xmpp:push:0"
PUBLISH_OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"
#: XEP-0198: off, on, or on with resumption.
StreamManagement = Literal["off", "on", "resume"]


class Loop:
    """The thread on which every slixmpp stream of a test run lives."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="slixmpp", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, R], timeout: float = TIMEOUT) -> R:
        """Run it there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def call(self, function: Callable[[], None]) -> None:
        """Call it there, and return when it is done."""

        async def work() -> None:
            function()

        self.run(work())

    def close(self) -> None:
        """End what still runs, and the thread."""
        self.run(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _cancel(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Arrival:
    """A stanza with a readable ``repr``."""

    def __init__(self, xml: Element) -> None:
        self.xml = xml

    def __repr__(self) -> str:
        return tostring(self.xml, "unicode")


class Person:
    """
    One session of an account.

    `priority` None = it never sends presence. Nothing but `login` connects; a lost connection stays lost.
    """

    def __init__(
        self, loop: Loop, jid: str, port: int, *, resource: str = "phone", sm: StreamManagement = "off"
    ) -> None:
        self.bare, self.full = jid, f"{jid}/{resource}"
        self._loop = loop
        self._port = port
        self._sm = sm
        self._inbox: Inbox[Arrival] = Inbox()
        self._client: ClientXMPP | None = None

    def login(self, *, priority: int | None = 0) -> "Person":
        """Connect, log in, bind, and become available."""
        self._loop.run(self._login())
        if priority is not None:
            self.presence(f"<priority>{priority}</priority>")
            self.expect(lambda e: local(e) == "presence" and e.get("from") == self.full)
        return self

    def close(self) -> None:
        """End the stream in order; nothing happens when it has ended."""
        self._loop.run(self._close())

    def cut(self) -> None:
        """Lose the network: a TCP reset, no word to the server."""
        self._loop.run(self._cut())

    def deafen(self) -> None:
        """Read nothing more: what comes now is never acknowledged."""
        client = self._client
        assert client is not None, f"{self.full} is not logged in"
        assert client.transport is not None, f"{self.full} has no connection"
        self._loop.call(client.transport.pause_reading)

    def presence(self, content: str = "", kind: str = "", to: str = "") -> None:
        """Send presence; `kind` is its type."""
        self.send(f"<presence{_attributes(type=kind, to=to)}>{content}</presence>")

    def message(self, to: str, body: str, kind: str = "chat", extra: str = "") -> str:
        """Send a message and return its id; `extra` is XML beside the body."""
        identifier = new_id("m")
        text = f"<body>{escape(body)}</body>" if body else ""
        self.send(f"<message{_attributes(to=to, type=kind, id=identifier)}>{text}{extra}</message>")
        return identifier

    def enable(self, service: str, node: str, options: Mapping[str, str] | None = None) -> None:
        """Enable push; with `options` the request has a form."""
        answer = self.iq(f"<enable xmlns='{PUSH}'{_attributes(jid=service, node=node)}>{form(options)}</enable>")
        assert answer.get("type") == "result", tostring(answer, "unicode")

    def disable(self, service: str, node: str = "") -> None:
        """Disable a node, or every node of the service."""
        answer = self.iq(f"<disable xmlns='{PUSH}'{_attributes(jid=service, node=node)}/>")
        assert answer.get("type") == "result", tostring(answer, "unicode")

    def iq(self, payload: str, *, kind: str = "set", to: str = "") -> Element:
        """Ask (the own account, unless told) and return the answer, an error too."""
        identifier = new_id("q")
        self.send(f"<iq{_attributes(type=kind, id=identifier, to=to)}>{payload}</iq>")
        return self.expect(has_id(identifier))

    def settle(self) -> None:
        """Return when the server has routed all that was sent."""
        self.iq("<ping xmlns='urn:xmpp:ping'/>", kind="get", to=self.bare.partition("@")[2])

    def expect(self, fits: Predicate, timeout: float = TIMEOUT) -> Element:
        """The next stanza that fits."""
        return self._inbox.take(lambda arrival: fits(arrival.xml), timeout).xml

    def send(self, xml: str) -> None:
        """Write the text as it is."""
        client = self._client
        assert client is not None, f"{self.full} is not logged in"
        self._loop.call(lambda: client.send_raw(xml))

    async def _login(self) -> None:
        mechanisms = {"unencrypted_plain": True, "unencrypted_scram": True}
        client = ClientXMPP(self.full, "pw", plugin_config={"feature_mechanisms": mechanisms})
        client.enable_starttls = client.enable_direct_tls = False
        client.enable_plaintext = True
        if self._sm != "off":
            client.register_plugin("xep_0198", {"allow_resume": self._sm == "resume"})
        client.add_filter("in", self._arrived)
        self._client = client
        client.connect("127.0.0.1", self._port)
        await client.wait_until("session_start", TIMEOUT)

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.disconnect()
            await dismiss(client)

    async def _cut(self) -> None:
        client, self._client = self._client, None
        assert client is not None, f"{self.full} is not logged in"
        assert client.transport is not None, f"{self.full} has no connection"
        connection: socket.socket = client.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.abort()
        await dismiss(client)

    def _arrived(self, stanza: StanzaBase) -> StanzaBase:
        self._inbox.put(Arrival(stanza.xml))
        return stanza


async def dismiss(stream: XMLStream) -> None:
    """End what slixmpp leaves running behind a connection."""
    filters = stream._run_out_filters
    if filters is not None:
        filters.cancel()
        await asyncio.gather(filters, return_exceptions=True)


def form(options: Mapping[str, str] | None) -> str:
    """The publish-options form of an ``<enable/>``; None = no form."""
    if options is None:
        return ""
    given = {"FORM_TYPE": PUBLISH_OPTIONS, **options}
    fields = "".join(
        f"<field var={quoteattr(name)}><value>{escape(value)}</value></field>" for name, value in given.items()
    )
    return f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"


def _attributes(**given: str) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in given.items() if value)

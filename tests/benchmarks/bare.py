"""
The calibration: the shortest script that does the work without durability: parse, publish, take the answer, ack.

    python tests/benchmarks/bare.py PORT

One thread, one socket, lxml and nothing else; it stands where event-pusher does, before the same `server_end`. What it
does a second, in the same run, says how fast the machine is just then.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Any
from xml.sax.saxutils import escape

from end_wire import COMPONENT, EPOCH, FEED, HOST, SERVICE
from lxml import etree

WINDOW = 2000
_ACCEPT = "{jabber:component:accept}"
_BODY = "{jabber:client}body"
_STREAM = (
    f"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' to='{COMPONENT}'"
    " xmlns:stream='http://etherx.jabber.org/streams'>"
)
_RESUME = (
    f"<message from='{COMPONENT}' to='{HOST}'><resume xmlns='urn:event-pusher:feed:0' version='0' consumer='bare'"
    f" bodies='yes' window='{WINDOW}'/></message>"
)
_ACK = (
    f"<message from='{COMPONENT}' to='{HOST}'><ack xmlns='urn:event-pusher:feed:0' feed='{FEED}' epoch='{EPOCH}'"
    " n='%s' consumer='bare'/></message>"
)
_FIELD = "<field var='%s'><value>%s</value></field>"
_PUBLISH = (
    f"<iq type='set' id='%s' from='{COMPONENT}' to='{HOST}'><publish xmlns='urn:event-pusher:feed:0' timeout='20'>"
    f"<iq xmlns='jabber:client' type='set' to='{SERVICE}' id='%s'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
    "<publish node='%s'><item id='%s'><notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'>"
    "<field var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>%s%s%s</x></notification></item></publish>"
    "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"
    "http://jabber.org/protocol/pubsub#publish-options</value></field><field var='secret'><value>s</value></field></x>"
    "</publish-options></pubsub></iq></publish></iq>"
)


class Bare:
    """The script's state: nothing but what is open."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tags = (f"{_ACCEPT}message", f"{_ACCEPT}iq", f"{_ACCEPT}handshake")
        self.parser: Any = etree.XMLPullParser(events=("end",), tag=tags)
        self.registrations: dict[str, str] = {}
        self.open: dict[str, str] = {}
        self.number = 0
        self.socket.sendall(_STREAM.encode())
        self.socket.recv(4096)
        self.parser.feed(_STREAM.encode())
        self.socket.sendall(b"<handshake>any</handshake>")

    def run(self) -> None:
        """Until the other end ends."""
        while data := self.socket.recv(65_536):
            self.parser.feed(data)
            out: list[str] = []
            last = ""
            for _, element in self.parser.read_events():
                last = self._read(element, out) or last
                element.clear()
            if last:
                out.append(_ACK % last)
            if out:
                self.socket.sendall("".join(out).encode())

    def _read(self, element: Any, out: list[str]) -> str:
        if element.tag == f"{_ACCEPT}iq":
            self.open.pop(element.get("id"), None)
            return ""
        if element.tag == f"{_ACCEPT}handshake":
            out.append(_RESUME)
            return ""
        told = element[0]
        if told.get("kind") == "received":
            self._publish(told.get("user"), element[1][-1], out)
        return told.get("n") or ""

    def _publish(self, user: str, message: Any, out: list[str]) -> None:
        self.number += 1
        identifier = f"i{self.number}"
        self.open[identifier] = user
        fields = (
            _FIELD % ("message-count", "1"),
            _FIELD % ("last-message-sender", escape(message.get("from"))),
            _FIELD % ("last-message-body", escape(message.findtext(_BODY))),
        )
        node = self.registrations.setdefault(user, f"node-of-{user}")
        out.append(_PUBLISH % (identifier, identifier, node, identifier, *fields))


if __name__ == "__main__":
    with suppress(ConnectionError):
        Bare(int(sys.argv[1])).run()

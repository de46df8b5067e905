"""What MongooseIM's ``mod_event_pusher_http_defaults`` does: what a user sends to another, as a form."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from event_pusher.abc import Acc, ChatEvent, Event, Jid, NoSettings, Stanza
from event_pusher.events import Direction
from event_pusher_http.plugin import HandlerSettings, HttpPlugin, Request


class DefaultsPlugin(HttpPlugin[NoSettings]):
    """Messages of type chat with a body, on their way in: `author`, `server`, `receiver` and `message`."""

    def prepare_request(self, acc: Acc, event: Event, opts: HandlerSettings) -> Request | None:
        """Ask the chain the model's three questions, for messages; other kinds of event make no request."""
        if not isinstance(event, ChatEvent):
            acc.skip("kind")
            return None
        first: HttpPlugin[NoSettings] = self.tools.chain.first or self
        if not first.should_make_req(acc, event.direction, event.stanza, event.sender, event.recipient, opts):
            return None
        arguments = (
            acc,
            event.direction,
            event.sender.domain,
            event.stanza.body,
            event.sender.local,
            event.recipient.local,
            opts,
        )
        return Request(first.prepare_body(*arguments), first.prepare_headers(*arguments))

    def should_make_req(
        self, acc: Acc, direction: Direction, packet: Stanza, sender: Jid, recipient: Jid, opts: HandlerSettings
    ) -> bool:
        return direction == "in" and packet.type == "chat" and bool(packet.body)

    def prepare_body(
        self,
        acc: Acc,
        direction: Direction,
        host: str,
        message: str,
        sender: str,
        receiver: str,
        opts: HandlerSettings,
    ) -> bytes:
        form = {"author": sender, "server": host, "receiver": receiver, "message": message}
        return urlencode({**form, **acc.metadata}).encode()

    def prepare_headers(
        self,
        acc: Acc,
        direction: Direction,
        host: str,
        message: str,
        sender: str,
        receiver: str,
        opts: HandlerSettings,
    ) -> Mapping[str, str]:
        return {"content-type": "application/x-www-form-urlencoded"}

    def attempt_headers(self, key: str, now: float, body: bytes, opts: HandlerSettings) -> Mapping[str, str]:
        return {}

"""The documented JSON of events (docs/event-json.md)."""

from __future__ import annotations

from collections.abc import Mapping

from event_pusher.abc import Acc, ChatEvent, Event, Jid, Section, Stanza
from event_pusher.events import Direction, to_json
from event_pusher_http.plugin import HandlerSettings, HttpPlugin, Request


class JsonSettings(Section):
    """``[plugins.http.json]``: without `bodies`, what people write stays out."""

    bodies: bool = True


class JsonPlugin(HttpPlugin[JsonSettings]):
    """Every event that the handler's `events` name, of every type, in both directions."""

    Settings = JsonSettings

    def prepare_request(self, acc: Acc, event: Event, opts: HandlerSettings) -> Request | None:
        """Plugins before this one may still say which messages (`should_make_req`), and add to the headers."""
        headers: Mapping[str, str] = {"content-type": "application/json"}
        if isinstance(event, ChatEvent):
            first: HttpPlugin[JsonSettings] = self.tools.chain.first or self
            packet, sender, recipient = event.stanza, event.sender, event.recipient
            if not first.should_make_req(acc, event.direction, packet, sender, recipient, opts):
                return None
            headers = first.prepare_headers(
                acc, event.direction, sender.domain, packet.body, sender.local, recipient.local, opts
            )
        return Request(self.body_of(acc, event), headers)

    def body_of(self, acc: Acc, event: Event) -> bytes:
        """Write the event."""
        return to_json(acc, event, body=self.settings.bodies)

    def should_make_req(
        self, acc: Acc, direction: Direction, packet: Stanza, sender: Jid, recipient: Jid, opts: HandlerSettings
    ) -> bool:
        return True

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
        return {"content-type": "application/json"}

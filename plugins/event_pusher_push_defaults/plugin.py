"""What MongooseIM's ``mod_event_pusher_push_plugin_defaults`` does: push what a user misses while offline."""

from collections.abc import Sequence

from event_pusher.abc import (
    Acc,
    ChatEvent,
    Jid,
    NoSettings,
    Notification,
    PushPlugin,
    Registration,
    Stanza,
    UnackedMessageEvent,
)


class DefaultsPlugin(PushPlugin[NoSettings]):
    """Chat and groupchat messages with a body, to a recipient who is offline, on every registration once."""

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        """Every message that gets here is worth a push."""
        return True

    def select_services(
        self, acc: Acc, event: ChatEvent | UnackedMessageEvent, services: Sequence[Registration]
    ) -> Sequence[Registration]:
        """Test the state first, then ask the chain once; leave out what this very message was enqueued for."""
        if not isinstance(event, ChatEvent) or event.state != "offline":
            acc.skip("online")
            return ()
        first = self.tools.chain.first or self
        if not first.should_publish(event.sender, event.recipient, event.stanza):
            acc.skip("plugin")
            return ()
        published = acc.published
        return [one for one in services if one not in published] if published else services

    def prepare_notification(self, acc: Acc, event: ChatEvent | UnackedMessageEvent) -> Notification | None:
        """Write the summary (XEP-0357 section 7): count, sender (bare, in a room the occupant), body."""
        body = event.stanza.body
        if not body:
            acc.skip("no-body")
            return None
        sender = event.sender if event.stanza.type == "groupchat" else event.sender.bare
        return Notification((("message-count", "1"), ("last-message-sender", str(sender)), ("last-message-body", body)))

    def publish_notification(
        self, acc: Acc, sender: Jid, recipient: Jid, packet: Stanza, services: Sequence[Registration]
    ) -> Acc:
        """Enqueue the prepared notification for each of `services`."""
        return acc.deliver(services)

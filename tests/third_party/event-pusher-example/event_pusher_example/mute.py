"""The push plugin `mute`: messages of some senders make no notification."""

from __future__ import annotations

from pydantic import field_validator

from event_pusher.abc import Jid, PushPlugin, Section, Stanza


class MuteSettings(Section):
    """``[plugins.push.mute]``: `senders` are bare JIDs."""

    senders: frozenset[Jid] = frozenset()

    @field_validator("senders", mode="before")
    @classmethod
    def _are_bare_jids(cls, value: list[str]) -> frozenset[Jid]:
        return frozenset(Jid.parse(text).bare for text in value)


class MutePlugin(PushPlugin[MuteSettings]):
    """Says no for the senders that are muted, and leaves everything else to the next plugin."""

    Settings = MuteSettings

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        return sender.bare not in self.settings.senders and super().should_publish(sender, recipient, packet)

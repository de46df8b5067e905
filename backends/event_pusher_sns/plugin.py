"""What a plugin of the sns backend may decide: ``mod_event_pusher_sns``'s callbacks, and its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from event_pusher.abc import ChatEvent, Jid, NoSettings, PluginTools, Section, UserStatusEvent

C = TypeVar("C", bound=Section)

#: What an attribute may be: String, Number, Binary; a bool is the String "true" or "false".
Attribute = str | int | float | bytes


class SnsPlugin(Generic[C]):
    """
    A policy of the sns backend (entry-point group ``event_pusher.plugins.sns``).

    Plugins form a chain, in the order of ``plugin_module``, and behind the last one stands ``defaults``. What a
    plugin does not override is answered by the next one. It runs on the core: no file, no socket, no waiting.
    """

    Settings: ClassVar[type[Section]] = NoSettings

    def __init__(self, settings: C, tools: PluginTools) -> None:
        self.settings = settings
        self.tools = tools

    def user_guid(self, jid: Jid) -> str:
        """``user_guid/1``: the name under which `jid` (a user, with or without resource, or a room) is published."""
        return self._next.user_guid(jid)

    def message_attributes(self, topic_arn: str, event: UserStatusEvent | ChatEvent) -> Mapping[str, Attribute]:
        """
        Name the SNS attributes of what is published about `event`: ``message_attributes/3`` and ``/5`` in one.

        A status event has `jid` and `status`; a message has `sender`, `recipient`, `type` (``chat`` is MongooseIM's
        ``pm``, ``groupchat`` its ``muc``) and `stanza`.
        """
        return self._next.message_attributes(topic_arn, event)

    @property
    def _next(self) -> SnsPlugin[Any]:
        behind: SnsPlugin[Any] | None = self.tools.next
        if behind is None:
            raise NotImplementedError(f"{type(self).__name__} stands last and must answer itself")
        return behind


class DefaultsPlugin(SnsPlugin[NoSettings]):
    """MongooseIM's ``mod_event_pusher_sns_defaults``."""

    def user_guid(self, jid: Jid) -> str:
        """Answer with the bare JID, in lower case."""
        return str(jid.bare).lower()

    def message_attributes(self, topic_arn: str, event: UserStatusEvent | ChatEvent) -> Mapping[str, Attribute]:
        """Set none."""
        return {}

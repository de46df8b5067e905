"""What a plugin of the HTTP backend implements (entry-point group ``event_pusher.plugins.http``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from event_pusher.abc import Acc, Event, Jid, NoSettings, PluginTools, Section, Stanza
from event_pusher.events import Direction
from event_pusher_http.settings import HandlerSettings

__all__ = ["HandlerSettings", "HttpPlugin", "Request"]

C = TypeVar("C", bound=Section)


@dataclass(frozen=True, slots=True)
class Request:
    """What a plugin makes of an event. It is stored: no credentials, which `HttpPlugin.attempt_headers` adds."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpPlugin(Generic[C]):
    """
    A policy of one handler: ``mod_event_pusher_http`` plugins, with the model's callbacks and arguments.

    Plugins form a chain, in the order of ``callback_module``, and behind the last one stands ``defaults``. What a
    plugin does not override is answered by the next one; ``super().should_make_req(…)`` asks it from inside.
    `opts` are the handler's settings. All but `attempt_headers` run on the core and wait for nothing.
    """

    Settings: ClassVar[type[Section]] = NoSettings

    def __init__(self, settings: C, tools: PluginTools) -> None:
        self.settings = settings
        self.tools = tools

    def check(self, opts: HandlerSettings) -> None:
        """Raise `ValueError` when this plugin cannot work for the handler; asked once, at the start."""
        if self.tools.next is not None:
            self._next.check(opts)

    def should_make_req(
        self, acc: Acc, direction: Direction, packet: Stanza, sender: Jid, recipient: Jid, opts: HandlerSettings
    ) -> bool:
        """``should_make_req/6``: whether this message is worth a request."""
        return self._next.should_make_req(acc, direction, packet, sender, recipient, opts)

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
        """``prepare_body/7``: `host` is the sender's domain, `sender` and `receiver` are the names before the @."""
        return self._next.prepare_body(acc, direction, host, message, sender, receiver, opts)

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
        """``prepare_headers/7``: the arguments of `prepare_body`."""
        return self._next.prepare_headers(acc, direction, host, message, sender, receiver, opts)

    def prepare_request(self, acc: Acc, event: Event, opts: HandlerSettings) -> Request | None:
        """Make the request of an event of any kind, None = none; ``defaults`` asks the three above, for messages."""
        return self._next.prepare_request(acc, event, opts)

    def attempt_headers(self, key: str, now: float, body: bytes, opts: HandlerSettings) -> Mapping[str, str]:
        """
        Make the headers of one attempt (credentials, signatures) at the UTC second `now`; they are never stored.

        `key` is the same on every attempt. Called on workers, many at once; may read files.
        """
        return self._next.attempt_headers(key, now, body, opts)

    @property
    def _next(self) -> HttpPlugin[Any]:
        behind: HttpPlugin[Any] | None = self.tools.next
        if behind is None:
            raise NotImplementedError(f"{type(self).__name__} stands last and must answer itself")
        return behind

"""
The HTTP backend: each handler's plugins decide and write, and a worker sends.

What waits in the outbox knows its handler by name, and holds body and headers; URL, credentials and signatures are
those of the moment in which it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from event_pusher.abc import Acc, Attempt, Backend, BackendTools, Delivery, Event
from event_pusher.errors import SettingsError, TemporaryPublishError
from event_pusher_http.endpoint import Endpoint
from event_pusher_http.gone import Stopped
from event_pusher_http.plugin import HttpPlugin
from event_pusher_http.settings import HandlerSettings, HttpSettings
from event_pusher_http.watch import Watch
from event_pusher_http.wire import Letter


class HttpBackend(Backend[HttpSettings]):
    """``mod_event_pusher_http``: events become requests to one or several webhooks."""

    Settings = HttpSettings
    Plugin: ClassVar[type] = HttpPlugin

    def __init__(self, settings: HttpSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self._watch = Watch(tools.name)
        self._stopped = Stopped(tools.clock)
        self._everywhere, self._by_host = self._all_endpoints(settings, tools)
        self._known = {(one.host, one.key): one for one in _flat(self._everywhere, self._by_host)}
        self._retired: list[Endpoint] = []

    def reload(self, settings: HttpSettings, tools: BackendTools) -> Callable[[], None]:
        """Go on with other plugins and other overrides; what waits for a handler that is gone is still sent by it."""
        everywhere, by_host = self._all_endpoints(settings, tools)
        fresh = {(one.host, one.key): one for one in _flat(everywhere, by_host)}

        def swap() -> None:
            self.settings, self.tools = settings, tools
            # A request may be under way on an old one: its connections are let go at the end.
            self._retired += [one for key, one in self._known.items() if key in fresh]
            self._everywhere, self._by_host, self._known = everywhere, by_host, self._known | fresh

        return swap

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        """Ask every handler; one whose plugin fails takes nothing from the others."""
        deliveries: list[Delivery] = []
        failure: Exception | None = None
        for one in self._by_host.get(acc.host, self._everywhere):
            try:
                delivery = one.decide(acc, event)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                self.tools.log.error("handler %s: %s in a plugin", one.key, type(error).__name__)  # noqa: TRY400 - its text may be private
                failure = error
            else:
                if delivery is not None:
                    deliveries.append(delivery)
        if failure is not None and not deliveries:
            raise failure
        return deliveries

    def publish(self, attempt: Attempt) -> None:
        """Send one request of the handler that wrote it."""
        letter = Letter.unpack(attempt.delivery.payload)
        endpoint = self._known.get((letter.host, letter.handler)) or self._known.get(("", letter.handler))
        if endpoint is None:
            raise TemporaryPublishError(f"no handler is called {letter.handler} any more; discard it, or add one")
        endpoint.send(attempt, letter)

    def start(self) -> None:
        """Begin to watch over requests; connections are made when they are needed."""
        self._watch.start()

    def close(self, timeout: float) -> None:
        """Give what is under way `timeout` seconds to end, then cut it off."""
        self._watch.close(timeout)
        for one in (*self._known.values(), *self._retired):
            one.close()

    def health(self) -> str | None:
        """What fails again and again."""
        return "; ".join(one.trouble for one in self._known.values() if one.trouble) or None

    def _all_endpoints(
        self, settings: HttpSettings, tools: BackendTools
    ) -> tuple[tuple[Endpoint, ...], dict[str, tuple[Endpoint, ...]]]:
        """Those of all hosts, and of the hosts that have their own. Raises `SettingsError`."""
        faults: list[str] = []
        everywhere = self._endpoints("", settings.handlers, tools, faults)
        by_host = {
            host: self._endpoints(host, special.handlers, tools, faults)
            for host, special in tools.host_settings.items()
            if special.handlers != settings.handlers
        }
        if faults:
            raise SettingsError(faults)
        return everywhere, by_host

    def _endpoints(
        self, host: str, handlers: Sequence[HandlerSettings], tools: BackendTools, faults: list[str]
    ) -> tuple[Endpoint, ...]:
        made: list[Endpoint] = []
        for number, handler in enumerate(handlers):
            try:
                chain = tools.chains[handler.callback_module]
                made.append(Endpoint(handler, host, chain, tools, self._stopped, self._watch))
            except ValueError as error:
                where = f'hosts."{host}".backends.{tools.name}' if host else f"backends.{tools.name}"
                faults.append(f"{where}.handlers[{number}]: {error}")
        return tuple(made)


def _flat(everywhere: Sequence[Endpoint], by_host: Mapping[str, Sequence[Endpoint]]) -> list[Endpoint]:
    return [*everywhere, *(one for endpoints in by_host.values() for one in endpoints)]

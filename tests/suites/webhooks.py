"""An HTTP backend for tests: made of options and plugins, without a configuration file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from event_pusher.abc import Attempt, Outcome, PluginChain
from event_pusher.testing import Reports, acc, attempt, chat_event, make_plugin_tools, make_tools
from event_pusher_http.backend import HttpBackend
from event_pusher_http.plugin import HttpPlugin
from event_pusher_http.settings import HttpSettings
from event_pusher_http_plugins.defaults import DefaultsPlugin
from event_pusher_http_plugins.json import JsonPlugin
from event_pusher_http_plugins.standard_webhooks import StandardWebhooksPlugin

SHIPPED: Mapping[str, type[HttpPlugin[Any]]] = {
    "defaults": DefaultsPlugin,
    "json": JsonPlugin,
    "standard_webhooks": StandardWebhooksPlugin,
}


def make_backend(
    settings: HttpSettings,
    classes: Mapping[str, type[HttpPlugin[Any]]] | None = None,
    sections: Mapping[str, dict[str, Any]] | None = None,
    **given: Any,
) -> HttpBackend:
    """Make a backend with the chains that its settings name; `sections` are the plugins', `given` goes to the tools."""
    known = {**SHIPPED, **(classes or {})}
    specials: Mapping[str, HttpSettings] = given.get("host_settings", {})
    chains = {}
    for _, names in [one for some in (settings, *specials.values()) for one in some.plugin_chains()]:
        chain = PluginChain()
        made: list[Any] = []
        for name in reversed([*names, "defaults"] if "defaults" not in names else names):
            cls = known[name]
            section = cls.Settings.model_validate((sections or {}).get(name, {}))
            chain.first = cls(section, make_plugin_tools(name=name, next=chain.first, chain=chain))
            made.insert(0, chain.first)
        chains[names] = tuple(made)
    return HttpBackend(settings, make_tools(name="http", chains=chains, **given))


@contextlib.contextmanager
def running(
    *handlers: dict[str, Any],
    classes: Mapping[str, type[HttpPlugin[Any]]] | None = None,
    sections: Mapping[str, dict[str, Any]] | None = None,
    **given: Any,
) -> Iterator[HttpBackend]:
    """Make a backend with these handlers, and start it."""
    backend = make_backend(HttpSettings.model_validate({"handlers": list(handlers)}), classes, sections, **given)
    backend.start()
    try:
        yield backend
    finally:
        backend.close(0.1)


def one_attempt(backend: HttpBackend, number: int = 1, **given: Any) -> Attempt:
    """Make an attempt of what a message that Alice sends makes."""
    delivery, *_ = backend.push_event(acc(), chat_event(direction="in", state=None))
    return attempt(delivery, number, **given)


def publish(backend: HttpBackend, one: Attempt | None = None) -> Outcome:
    """Publish an attempt; what was reported."""
    one = one or one_attempt(backend)
    reports = Reports()
    backend.publish_many([one], reports)
    (outcome,) = reports.of(one)
    return outcome

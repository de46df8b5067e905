"""What every plugin of the HTTP backend owes it. The backend is asked for by name: its extra must be installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from event_pusher.abc import ChatEvent, Event, NoSettings, PluginChain
from event_pusher.registry import BACKENDS, PLUGINS, Registry
from event_pusher.settings.sections import secrets_in
from event_pusher.testing import factories
from event_pusher.testing.doubles import StubRegistry, make_plugin_tools
from event_pusher.testing.guards import Contract, no_waiting

THREADS = 8
URL = "http://127.0.0.1:9/hook"


class HttpPluginContract(Contract):
    """
    Inherit it in a test class and set `plugin_class`.

    Hooks: `options` (what stands in its section), `handler` (what stands in the handler that names it, beside the URL),
    `events` (what it is asked about). Knob: `last`, whether it answers everything itself.
    """

    _is_contract: ClassVar[bool] = True

    plugin_class: ClassVar[type[Any]]
    last: ClassVar[bool] = False

    # --- hooks ----------------------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        """What stands in ``[plugins.http.NAME]``, as TOML gives it."""
        return {}

    def handler(self) -> dict[str, Any]:
        """What stands in its handler."""
        return {}

    def events(self) -> list[Event]:
        """Events to ask about."""
        return factories.one_of_each()

    # --- what the tests use ---------------------------------------------------------------------------------------

    @pytest.fixture
    def opts(self) -> Any:
        """The handler, as plugins are handed it."""
        settings: Any = (
            Registry().backend("http").Settings.model_validate({"handlers": [{"url": URL, **self.handler()}]})
        )
        return settings.handlers[0]

    @pytest.fixture
    def plugin(self) -> Any:
        chain, behind = PluginChain(), None
        settings = self.plugin_class.Settings.model_validate(self.options())
        if not self.last:
            behind = Registry().plugin("http", "defaults")(NoSettings(), make_plugin_tools(chain=chain))
        chain.first = self.plugin_class(settings, make_plugin_tools(next=behind, chain=chain))
        return chain.first

    def requests(self, plugin: Any, opts: Any) -> list[Any]:
        """What it makes of all events, without those that it makes nothing of."""
        made = [plugin.prepare_request(factories.acc(f"acc-{n}"), one, opts) for n, one in enumerate(self.events())]
        return [one for one in made if one is not None]

    # --- the duties -----------------------------------------------------------------------------------------------

    def test_the_registry_takes_the_class(self) -> None:
        http = Registry().backend("http")

        registry = StubRegistry({BACKENDS: {"http": http}, f"{PLUGINS}http": {"contract": self.plugin_class}})

        assert registry.plugin("http", "contract") is self.plugin_class

    def test_it_can_work_for_the_handler(self, plugin: Any, opts: Any) -> None:
        plugin.check(opts)

    def test_should_make_req_answers_yes_or_no(self, plugin: Any, opts: Any) -> None:
        for event in self.events():
            if isinstance(event, ChatEvent):
                asked = (factories.acc(), event.direction, event.stanza, event.sender, event.recipient, opts)
                assert plugin.should_make_req(*asked) in {True, False}

    def test_a_request_is_bytes_and_headers_of_text(self, plugin: Any, opts: Any) -> None:
        made = self.requests(plugin, opts)

        assert made, "none of `events` makes a request: override the hook"
        for one in made:
            assert isinstance(one.body, bytes)
            assert _are_headers(one.headers)

    def test_the_same_event_makes_the_same_request(self, plugin: Any, opts: Any) -> None:
        first, second = ([(one.body, one.headers) for one in self.requests(plugin, opts)] for _ in range(2))

        assert first == second

    def test_deciding_waits_for_nothing(self, plugin: Any, opts: Any) -> None:
        with no_waiting():
            self.requests(plugin, opts)

    def test_many_threads_may_ask_for_the_headers_of_attempts(self, plugin: Any, opts: Any) -> None:
        body = self.requests(plugin, opts)[0].body

        with ThreadPoolExecutor(THREADS) as pool:
            made = list(pool.map(lambda _: plugin.attempt_headers("key-1", factories.NOW, body, opts), range(THREADS)))

        assert _are_headers(made[0])
        assert made == [made[0]] * THREADS

    def test_settings_refuse_an_unknown_key(self) -> None:
        with pytest.raises(ValueError, match="surely_unknown"):
            self.plugin_class.Settings.model_validate({**self.options(), "surely_unknown": 1})

    def test_secrets_are_not_kept_in_requests(self, plugin: Any, opts: Any) -> None:
        for one in self.requests(plugin, opts):
            kept = one.body + repr(dict(one.headers)).encode()
            assert [secret for secret in _secrets(plugin, opts) if secret.encode() in kept] == []

    def test_secrets_and_bodies_are_never_shown(self, plugin: Any, opts: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        made = self.requests(plugin, opts)
        for one in made:
            plugin.attempt_headers("key-1", factories.NOW, one.body, opts)

        shown = caplog.text + repr(plugin) + repr(plugin.settings) + repr(made)

        assert [hidden for hidden in (factories.BODY, *_secrets(plugin, opts)) if hidden in shown] == []


def _are_headers(headers: Any) -> bool:
    texts = [text for pair in headers.items() for text in pair]
    return all(isinstance(text, str) and text.isprintable() for text in texts)


def _secrets(plugin: Any, opts: Any) -> list[str]:
    return [secret.reveal() for section in (plugin.settings, opts) for _, secret in secrets_in(section)]

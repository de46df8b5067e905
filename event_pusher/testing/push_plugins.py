"""What every plugin of the push backend owes it."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any, ClassVar

import pytest

from event_pusher.abc import (
    Acc,
    ChatEvent,
    NoSettings,
    Notification,
    PushPlugin,
    Registration,
    Section,
    UnackedMessageEvent,
)
from event_pusher.registry import BACKENDS, PLUGINS
from event_pusher.settings.sections import secrets_in
from event_pusher.testing import factories
from event_pusher.testing.doubles import LastPlugin, StubRegistry, make_chain
from event_pusher.testing.guards import Contract, no_waiting
from event_pusher.testing.stubs import StubPushBackend

#: An event that a push plugin is asked about.
MessageEvent = ChatEvent | UnackedMessageEvent


class PushPluginContract(Contract):
    """
    Inherit it in a test class and set `plugin_class`.

    Hooks: `options` (what stands in its section), `events` (what it is asked about). Knob: `last`, whether it stands
    at the end of the chain and so has to answer everything itself.
    """

    _is_contract: ClassVar[bool] = True

    plugin_class: ClassVar[type[PushPlugin[Any]]]
    last: ClassVar[bool] = False

    # --- hooks ----------------------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        """What stands in ``[plugins.push.NAME]``, as TOML gives it."""
        return {}

    def events(self) -> list[MessageEvent]:
        """Events to ask about."""
        return [event for event in factories.one_of_each() if isinstance(event, MessageEvent)]

    # --- what the tests use ---------------------------------------------------------------------------------------

    def services(self) -> list[Registration]:
        """Two registrations of the recipient; one has a publish option that is a credential."""
        secret = (("secret", "push-credential"),)
        return [
            Registration(1, factories.BOB, "push.example.net", "node-1"),
            Registration(2, factories.BOB, "push.example.net", "node-2", secret),
        ]

    @pytest.fixture
    def plugin(self) -> PushPlugin[Any]:
        links: list[tuple[type[PushPlugin[Any]], Section]] = [
            (self.plugin_class, self.plugin_class.Settings.model_validate(self.options()))
        ]
        return make_chain(*links, *([] if self.last else [(LastPlugin, NoSettings())]))[0]

    def publish(
        self, plugin: PushPlugin[Any], event: MessageEvent
    ) -> tuple[Acc, list[tuple[Registration, Notification]]]:
        """Go the way of one event through the plugin, as the push backend does."""
        acc, enqueued = factories.acc(), list[tuple[Registration, Notification]]()
        acc.collect(lambda registration, notification: enqueued.append((registration, notification)))
        acc.notification = plugin.prepare_notification(acc, event)
        chosen = plugin.select_services(acc, event, self.services()) if acc.notification else ()
        if chosen:
            acc = plugin.publish_notification(acc, event.sender, event.recipient, event.stanza, chosen)
        return acc, enqueued

    # --- the duties -----------------------------------------------------------------------------------------------

    def test_the_registry_takes_the_class(self) -> None:
        plugins = {"contract": self.plugin_class}

        registry = StubRegistry({BACKENDS: {"push": StubPushBackend}, f"{PLUGINS}push": plugins})

        assert registry.plugin("push", "contract") is self.plugin_class

    def test_should_publish_answers_yes_or_no(self, plugin: PushPlugin[Any]) -> None:
        for event in self.events():
            assert plugin.should_publish(event.sender, event.recipient, event.stanza) in {True, False}

    def test_it_selects_among_the_services_given(self, plugin: PushPlugin[Any]) -> None:
        for event in self.events():
            chosen = list(plugin.select_services(factories.acc(), event, self.services()))

            assert all(one in self.services() for one in chosen)
            assert len({one.id for one in chosen}) == len(chosen)

    def test_it_selects_nothing_from_nothing(self, plugin: PushPlugin[Any]) -> None:
        for event in self.events():
            assert list(plugin.select_services(factories.acc(), event, [])) == []

    def test_what_it_prepares_is_a_notification_or_nothing(self, plugin: PushPlugin[Any]) -> None:
        for event in self.events():
            assert isinstance(plugin.prepare_notification(factories.acc(), event), Notification | None)

    def test_it_enqueues_each_service_at_most_once(self, plugin: PushPlugin[Any]) -> None:
        for event in self.events():
            acc, enqueued = self.publish(plugin, event)

            ids = [registration.id for registration, _ in enqueued]
            assert isinstance(acc, Acc)
            assert len(set(ids)) == len(ids)
            assert set(ids) <= {one.id for one in self.services()}

    def test_it_waits_for_nothing(self, plugin: PushPlugin[Any]) -> None:
        with no_waiting():
            for event in self.events():
                plugin.should_publish(event.sender, event.recipient, event.stanza)
                self.publish(plugin, event)

    def test_the_same_event_gets_the_same_answer(self, plugin: PushPlugin[Any]) -> None:
        for event in self.events():
            answers = [
                [
                    (registration.id, astuple(notification))
                    for registration, notification in self.publish(plugin, event)[1]
                ]
                for _ in range(2)
            ]

            assert answers[0] == answers[1]

    def test_settings_refuse_an_unknown_key(self) -> None:
        with pytest.raises(ValueError, match="surely_unknown"):
            self.plugin_class.Settings.model_validate({**self.options(), "surely_unknown": 1})

    def test_secrets_and_bodies_are_never_shown(
        self, plugin: PushPlugin[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        results = [self.publish(plugin, event) for event in self.events()]

        shown = caplog.text + repr(plugin) + repr(plugin.settings) + repr(results)

        hidden = [factories.BODY, "push-credential", *(secret.reveal() for _, secret in secrets_in(plugin.settings))]
        assert not [text for text in hidden if text in shown]

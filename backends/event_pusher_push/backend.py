"""
The push backend: decides through its plugins, publishes as IQs through the XMPP server.

The order of the questions: kind of event → whose user → state → what would be said → who enabled → which of them.
The cheap ones come first; the look-up of registrations is one for a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from event_pusher.abc import (
    Acc,
    Attempt,
    Backend,
    BackendTools,
    ChatEvent,
    Delivery,
    Event,
    Gateway,
    IqAnswer,
    IqRequest,
    Notification,
    PushPlugin,
    Registration,
    Report,
    UnackedMessageEvent,
)
from event_pusher_push.gateways import FORMAT, Relay, VirtualHosts, pack
from event_pusher_push.settings import PushSettings
from event_pusher_push.wire import outcome_of_answer, render, reveal, with_item_id, with_metadata

#: How much sooner than the core the transport stops waiting, so that its answer is the one that counts.
_MARGIN = 4.0


class PushBackend(Backend[PushSettings]):
    """XEP-0357: every message that a user misses while offline is published to the nodes that the user enabled."""

    max_batch = 500
    formats = frozenset({1, FORMAT})
    Settings = PushSettings
    Plugin: ClassVar[type] = PushPlugin

    def __init__(self, settings: PushSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self._default, self._by_host = _policies(settings, tools)
        self._relay = Relay(tools.name, tools.gateways, tools.clock)

    def reload(self, settings: PushSettings, tools: BackendTools) -> Callable[[], None]:
        """Go on with other plugins and other overrides; gateways stay those of the start."""
        tools = replace(tools, gateways=self.tools.gateways)
        default, by_host = _policies(settings, tools)

        def swap() -> None:
            self.settings, self.tools = settings, tools
            self._default, self._by_host = default, by_host

        return swap

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        """Decide one event; see `push_events`."""
        answer = self.push_events([(acc, event)])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def push_events(self, batch: Sequence[tuple[Acc, Event]]) -> list[Sequence[Delivery] | Exception]:
        """Decide a batch with one look-up of registrations."""
        answers: list[Sequence[Delivery] | Exception] = [()] * len(batch)
        candidates: list[tuple[int, str]] = []
        for index, (acc, event) in enumerate(batch):
            try:
                user = self._policy(acc.host).candidate(acc, event)
            except Exception as error:  # noqa: BLE001 - a plugin's failure is that event's; the dispatcher logs it
                answers[index] = error
            else:
                if user is not None:
                    candidates.append((index, user))
        if candidates:
            services = self.tools.registrations.for_users(list({user for _, user in candidates}))
            for index, user in candidates:
                acc, event = batch[index]
                try:
                    answers[index] = self._policy(acc.host).decide(acc, event, user, services.get(user, ()))
                except Exception as error:  # noqa: BLE001 - as above
                    answers[index] = error
        return answers

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        """Send one IQ for each attempt, or hand it to its gateway; answers are reported as they come."""
        virtual = [(one, self._gateway_of(one)) for one in attempts if one.delivery.format == FORMAT]
        if virtual:
            self._relay.publish(virtual, report)
            attempts = [one for one in attempts if one.delivery.format != FORMAT]
        requests = [
            IqRequest(
                attempt.delivery.recipient.rpartition("@")[2],
                attempt.delivery.target,
                with_item_id(attempt.delivery.payload, attempt.key),
                attempt,
            )
            for attempt in attempts
        ]

        def answered(answers: Sequence[tuple[Attempt, IqAnswer]]) -> None:
            report([(attempt, outcome_of_answer(answer)) for attempt, answer in answers])

        self.tools.stanzas.request(requests, max(1.0, self.settings.publish_timeout - _MARGIN), answered)

    def test_delivery(self, registration: Registration) -> Delivery | None:
        """A notification that says it is a test, along the way of every other, past those that wait."""
        fields = (("message-count", "1"), ("last-message-body", "Test notification"))
        delivery = self._policy(registration.user.rpartition("@")[2]).delivery(registration, Notification(fields))
        delivery.lane = ""  # whoever tests wants an answer now, whatever waits before it
        delivery.collapse_key = None
        return delivery

    def start(self) -> None:
        """Start the gateways; publishes through the XMPP server need nothing."""
        self._relay.start()

    def close(self, timeout: float) -> None:
        """Close the gateways."""
        self._relay.close(timeout)

    def health(self) -> str | None:
        """What the gateways say."""
        return self._relay.health()

    def ready(self) -> bool:
        """Whether the stream to the XMPP server takes publishes."""
        return self.tools.stanzas.ready()

    def _policy(self, host: str) -> _Policy:
        return self._by_host.get(host, self._default) if self._by_host else self._default

    def _gateway_of(self, attempt: Attempt) -> Gateway[Any] | None:
        to = attempt.delivery
        return self._policy(to.recipient.rpartition("@")[2]).virtual.gateway(to.target, to.recipient)


def _policies(settings: PushSettings, tools: BackendTools) -> tuple[_Policy, dict[str, _Policy]]:
    """The policy of all hosts, and of those that have their own."""
    by_host = {
        host: _Policy(tools.host_settings.get(host, settings), tools.host_plugins.get(host, tools.plugins), tools)
        for host in {*tools.host_settings, *tools.host_plugins}
    }
    return _Policy(settings, tools.plugins, tools), by_host


class _Policy:
    """Settings and plugin chain as they hold for one host."""

    def __init__(self, settings: PushSettings, plugins: Sequence[PushPlugin[Any]], tools: BackendTools) -> None:
        self._settings = settings
        self.virtual = VirtualHosts(settings, tools.gateways)
        self._first = plugins[0]
        # Only a plugin that selects services itself can want to push to somebody who is not offline.
        self._offline_only = all(type(plugin).select_services is PushPlugin.select_services for plugin in plugins[:-1])

    def candidate(self, acc: Acc, event: Event) -> str | None:
        """Whose registrations to look up for `event`, None when it makes no push; sets ``acc.notification``."""
        acc.notification = None
        user = str(event.user)
        against = self._against(event, user)
        if against is not None or not isinstance(event, (ChatEvent, UnackedMessageEvent)):
            acc.skip(against or "kind")
            return None
        acc.notification = self._first.prepare_notification(acc, event)
        if acc.notification is None:
            acc.skip(acc.skipped or "plugin")
            return None
        return user

    def _against(self, event: Event, user: str) -> str | None:
        """What speaks against a push without asking anybody: a reason of ``event-pusher explain``."""
        if isinstance(event, ChatEvent):
            if event.direction != "out" or event.type not in ("chat", "groupchat"):
                return "type"
            if self._offline_only and event.state != "offline":
                return "online"
        elif isinstance(event, UnackedMessageEvent) and self._offline_only:
            return "online"
        if self._settings.only_users and user not in self._settings.only_users:
            return "only-users"
        return None

    def decide(self, acc: Acc, event: Event, user: str, services: Sequence[Registration]) -> Sequence[Delivery]:
        """The deliveries of one candidate."""
        assert isinstance(event, (ChatEvent, UnackedMessageEvent))
        if not services:
            acc.skip("no-registration")
            return ()
        selected = self._first.select_services(acc, event, services)
        if not selected:
            acc.skip(acc.skipped or "plugin")
            return ()
        deliveries: list[Delivery] = []

        def enqueue(registration: Registration, notification: Notification) -> None:
            if acc.metadata:
                notification = with_metadata(notification, acc.metadata)
            deliveries.append(self.delivery(registration, reveal(notification, self._settings.content)))

        acc.collect(enqueue)
        try:
            self._first.publish_notification(acc, event.sender, event.recipient, event.stanza, selected)
        finally:
            acc.collect(None)
        if self._settings.dry_run:
            acc.skip("dry-run")
            return ()
        if not deliveries:
            acc.skip("plugin")
        return deliveries

    def delivery(self, registration: Registration, notification: Notification) -> Delivery:
        """What is published of `notification` for `registration`: an IQ, or what its gateway is asked."""
        virtual = self.virtual.served and self.virtual.gateway(registration.service, registration.user)
        return Delivery(
            recipient=registration.user,
            target=registration.service,
            payload=(pack if virtual else render)(registration, notification),
            format=FORMAT if virtual else 1,
            lane=str(registration.id),
            registration=registration.id,
            collapse_key="newest" if self._settings.collapse else None,
        )

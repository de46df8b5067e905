"""What the framework hands in, as simple as it can be."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

from event_pusher.abc import (
    Acc,
    Attempt,
    BackendTools,
    ChatEvent,
    GatewayTools,
    IqAnswer,
    IqRequest,
    Jid,
    NoSettings,
    Notification,
    Outcome,
    PluginChain,
    PluginTools,
    PublishOptions,
    PushPlugin,
    Registration,
    Section,
    Stanza,
    UnackedMessageEvent,
)
from event_pusher.registry import Registry
from event_pusher.testing.factories import BOB, HOST, NOW

RESULT = IqAnswer("result")
UNSENT = IqAnswer("unsent")


class ManualClock:
    """A clock that goes only when it is told to."""

    def __init__(self, now: float = NOW) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set UTC `seconds` on (or back), as an administrator does."""
        self._now += seconds


class InMemoryRegistrations:
    """Who enabled what, in a list."""

    def __init__(self, *registrations: Registration) -> None:
        self._rows = list(registrations)

    def enable(
        self, user: str = BOB, service: str = "push.example.net", node: str = "node-1", options: PublishOptions = ()
    ) -> Registration:
        """Add a registration; one of the same user, service and node is replaced."""
        ids = [row.id for row in self._rows]
        row = Registration(max(ids, default=0) + 1, user, service, node, options)
        self._rows = [old for old in self._rows if (old.user, old.service, old.node) != (user, service, node)]
        self._rows.append(row)
        return row

    def disable(self, id: int) -> None:  # noqa: A002 - the registration's name for it
        """Take the registration `id` away."""
        self._rows = [row for row in self._rows if row.id != id]

    def for_users(self, users: Sequence[str]) -> Mapping[str, Sequence[Registration]]:
        found: dict[str, list[Registration]] = defaultdict(list)
        for row in self._rows:
            if row.user in users:
                found[row.user].append(row)
        return dict(found)


class StubSessions:
    """Those who are online are named; everybody else is not."""

    def __init__(self, *online: str) -> None:
        self.online = set(online)

    def is_online(self, user: str) -> bool:
        return user in self.online

    def is_available(self, user: str) -> bool:
        return user in self.online

    def available_count(self, user: str) -> int:
        return int(user in self.online)


class RecordingStanzas:
    """
    Records what was requested and answers each request at once: with `answer`, or with what it says of the request.

    None keeps it waiting; `answer_all` answers what waits. `up` is whether requests can leave.
    """

    def __init__(self, answer: IqAnswer | Callable[[IqRequest], IqAnswer | None] | None = RESULT) -> None:
        self.answer = answer
        self.requests: list[IqRequest] = []
        self.up = True
        self._waiting: list[tuple[IqRequest, Callable[[Sequence[tuple[Attempt, IqAnswer]]], None]]] = []
        self._lock = threading.Lock()

    def ready(self) -> bool:
        return self.up

    def request(
        self,
        requests: Sequence[IqRequest],
        timeout: float,
        answer: Callable[[Sequence[tuple[Attempt, IqAnswer]]], None],
    ) -> None:
        ready: list[tuple[Attempt, IqAnswer]] = []
        with self._lock:
            for request in requests:
                if self.up:
                    self.requests.append(request)
                said = self._answer_to(request)
                if said is None:
                    self._waiting.append((request, answer))
                else:
                    ready.append((request.token, said))
        if ready:
            answer(ready)

    def _answer_to(self, request: IqRequest) -> IqAnswer | None:
        if not self.up:
            return UNSENT
        return self.answer(request) if callable(self.answer) else self.answer

    def answer_all(self, said: IqAnswer = RESULT) -> None:
        """Answer everything that waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for request, answer in waiting:
            answer([(request.token, said)])


class Reports:
    """A `Report` that keeps what was reported, by the attempt's id."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outcomes: dict[int, list[Outcome]] = defaultdict(list)

    def __call__(self, outcomes: Sequence[tuple[Attempt, Outcome]]) -> None:
        with self._changed:
            for attempt, outcome in outcomes:
                self._outcomes[attempt.id].append(outcome)
            self._changed.notify_all()

    def of(self, attempt: Attempt) -> list[Outcome]:
        """All that was reported of `attempt` until now."""
        with self._changed:
            return list(self._outcomes[attempt.id])

    def wait(self, attempts: Sequence[Attempt], timeout: float) -> bool:
        """Wait until each of `attempts` was reported."""
        with self._changed:
            return self._changed.wait_for(lambda: all(self._outcomes[one.id] for one in attempts), timeout)


class StubRegistry(Registry):
    """A registry of classes that are installed nowhere: group → name → class. It checks them like installed ones."""

    def __init__(self, classes: Mapping[str, Mapping[str, Any]]) -> None:
        self._given = {(group, name): cls for group, named in classes.items() for name, cls in named.items()}
        super().__init__(EntryPoint(name, "stub:Stub", group) for group, name in self._given)

    def _import(self, point: EntryPoint) -> Any:
        return self._given[point.group, point.name]


class LastPlugin(PushPlugin[NoSettings]):
    """Stands at the end of a chain: everything with a body is worth a push with an empty notification."""

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        return bool(packet.body)

    def publish_notification(
        self, acc: Acc, sender: Jid, recipient: Jid, packet: Stanza, services: Sequence[Registration]
    ) -> Acc:
        return acc.deliver(services)

    def select_services(
        self, acc: Acc, event: ChatEvent | UnackedMessageEvent, services: Sequence[Registration]
    ) -> Sequence[Registration]:
        first = self.tools.chain.first or self
        return services if first.should_publish(event.sender, event.recipient, event.stanza) else ()

    def prepare_notification(self, acc: Acc, event: ChatEvent | UnackedMessageEvent) -> Notification | None:
        return Notification() if event.stanza.body else None


def make_tools(**given: Any) -> BackendTools:
    """Make tools for a backend; `given` are those that the test brings itself."""
    name = given.get("name", "contract")
    tools = BackendTools(
        name=name,
        hosts=(HOST,),
        registrations=InMemoryRegistrations(),
        sessions=StubSessions(),
        stanzas=RecordingStanzas(),
        plugins=(),
        clock=ManualClock(),
        log=logging.getLogger(f"event_pusher.backends.{name}"),
    )
    return replace(tools, **given)


def make_plugin_tools(**given: Any) -> PluginTools:
    """Make tools for a plugin that stands alone, unless the test says otherwise."""
    name = given.get("name", "contract")
    log = logging.getLogger(f"event_pusher.plugins.{name}")
    return replace(PluginTools(name, None, PluginChain(), StubSessions(), ManualClock(), log), **given)


def make_gateway_tools(**given: Any) -> GatewayTools:
    """Make tools for a gateway."""
    name = given.get("name", "contract")
    tools = GatewayTools(name, ManualClock(), logging.getLogger(f"event_pusher.gateways.{name}"))
    return replace(tools, **given)


def make_chain(*links: tuple[type[PushPlugin[Any]], Section], **given: Any) -> tuple[PushPlugin[Any], ...]:
    """Make a chain of push plugins, each from its class and settings; `given` goes to the tools of each."""
    chain, made = PluginChain(), list[PushPlugin[Any]]()
    for cls, settings in reversed(links):
        tools = make_plugin_tools(**given, next=made[0] if made else None, chain=chain)
        made.insert(0, cls(settings, tools))
    chain.first = made[0]
    return tuple(made)

"""
Every seam that a stranger implements or is handed: the API. It grows by methods with a default only.

=====================  =========================  =====================  ===============================================
method                 called on                  may it wait?           may it raise?
=====================  =========================  =====================  ===============================================
Backend.__init__       the main thread, once      briefly                `SettingsError`, `PluginError`: the start fails
Backend.start          the main thread, once      briefly                as above; the world may be away
Backend.push_event(s)  the core thread            no: no file, no        anything: that event makes no delivery of this
                                                  socket, no lock        backend; it is counted and logged with its name
Backend.publish        a worker, many at once     yes                    `PublishError`s; anything else is a `Retry`
Backend.publish_many   a worker, many at once     yes                    the same, for every attempt not reported yet
Report                 any thread, any time       it never does          it never does; late or twice is ignored
Backend.ready          the core thread            no                     no
Backend.health         the admin's thread         no                     no
Backend.forget         the core thread            no                     logged
Backend.test_delivery  the core thread            no                     anything: whoever asked is told
Backend.reload         the signals' thread        briefly                `SettingsError`, `PluginError`: nothing changes
… what it answers      the core thread            no                     no
Backend.close          the main thread, twice     `timeout` seconds      logged
PushPlugin, EventPlugin  the core thread          no (warned at 50 ms)   as push_event
Gateway.publish        a worker, many at once     until the deadline     `PublishError`s; anything else is a `Retry`
Gateway.start, close   the main thread            as Backend             as Backend
Source.start, close    the main thread            as Backend             as Backend
Source.acknowledge     the core thread            no                     logged
=====================  =========================  =====================  ===============================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from event_pusher.errors import (
    DestinationGone,
    NothingSent,
    PermanentPublishError,
    TemporaryPublishError,
    UnknownOutcome,
)
from event_pusher.events import Acc, ChatEvent, Event, Stanza, UnackedMessageEvent, UserStatusEvent
from event_pusher.jid import Jid
from event_pusher.notification import Notification
from event_pusher.options import (
    BackendSettings,
    GatewaySettings,
    NoSettings,
    RetrySettings,
    Secret,
    Section,
    Wpool,
)
from event_pusher.registration import PublishOptions, Registration

if TYPE_CHECKING:
    import logging

    from event_pusher.intake import Intake, Position

__all__ = [
    "DELIVERED",
    "Acc",
    "Attempt",
    "Backend",
    "BackendSettings",
    "BackendTools",
    "ChatEvent",
    "Clock",
    "Dead",
    "Delivered",
    "Delivery",
    "Event",
    "EventPlugin",
    "Gateway",
    "GatewaySettings",
    "GatewayTools",
    "Gone",
    "IqAnswer",
    "IqRequest",
    "Jid",
    "NoSettings",
    "Notification",
    "Outcome",
    "PluginChain",
    "PluginTools",
    "PublishOptions",
    "PushPlugin",
    "Registration",
    "Registrations",
    "Report",
    "Retry",
    "RetrySettings",
    "Secret",
    "Section",
    "Sessions",
    "Source",
    "SourceTools",
    "Stanza",
    "StanzaSender",
    "UnackedMessageEvent",
    "Unknown",
    "Unsent",
    "UserStatusEvent",
    "Wpool",
    "outcome_of",
]

S = TypeVar("S", bound=BackendSettings)
C = TypeVar("C", bound=Section)
G = TypeVar("G", bound=GatewaySettings)


# --- what is delivered, and what became of it -------------------------------------------------------------------


@dataclass(slots=True)
class Delivery:
    """
    One thing to get to one destination, as `Backend.push_event` yields it. The outbox keeps it and gives it an id.

    `target` is where it goes (push service, URL, exchange): batches, breakers and metrics go by it. `payload` is all
    that is needed to send it, credentials excepted. `lane`: deliveries of one lane go one after the other; None =
    (recipient, target), "" = no order. `registration`: disabled and discarded together with it. `dedupe`: copies of
    one event that say the same are delivered once per lane. `collapse_key`: a waiting delivery is replaced by a
    newer one of the same key. `ttl`: seconds until it is not worth sending any more.
    """

    recipient: str
    target: str
    payload: bytes = field(repr=False)
    format: int = 1
    lane: str | None = None
    registration: int | None = None
    dedupe: str | None = None
    collapse_key: str | None = None
    ttl: float | None = None


@dataclass(slots=True)
class Attempt:
    """
    One try of a delivery. `id` is the outbox's, `number` counts from 1, `key` is the same on every attempt.

    `deadline` is a reading of `Clock.monotonic`: an outcome reported after it comes too late.
    """

    id: int
    number: int
    key: str
    delivery: Delivery
    deadline: float


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination took it."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It failed and may succeed later; `after` seconds if the destination said so."""

    reason: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Bytes may have left and no answer came: tried again with the same key, no strike."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nothing left: tried again at the next chance, no attempt counted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """It can never succeed: a dead letter."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The destination is gone: its registration is disabled, what waits for it is discarded."""

    reason: str


Outcome = Delivered | Retry | Unknown | Unsent | Dead | Gone
DELIVERED = Delivered()

#: Any thread, any time, never blocks, never raises; late or twice is counted and ignored.
Report = Callable[[Sequence[tuple[Attempt, Outcome]]], None]


def outcome_of(error: BaseException) -> Outcome:
    """Map what `Backend.publish` raised to an outcome; a foreign error's text is left out (it may hold secrets)."""
    match error:
        case DestinationGone():
            return Gone(str(error))
        case PermanentPublishError():
            return Dead(str(error))
        case UnknownOutcome():
            return Unknown(str(error))
        case NothingSent():
            return Unsent(str(error))
        case TemporaryPublishError():
            return Retry(str(error), error.retry_after)
        case _:
            return Retry(f"{type(error).__name__} in publish")


# --- what is handed in ------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Time, so that tests can have their own."""

    def now(self) -> float:
        """UTC, in seconds since 1970."""

    def monotonic(self) -> float:
        """Seconds that never jump."""


class Registrations(Protocol):
    """Who enabled what, to be read on the core thread only."""

    def for_users(self, users: Sequence[str]) -> Mapping[str, Sequence[Registration]]:
        """The enabled registrations of each of `users` (bare JIDs), one look-up for all; without any, no key."""


class Sessions(Protocol):
    """Who is online, as the feed's snapshot and session events tell; to be read on the core thread only."""

    def is_online(self, user: str) -> bool:
        """
        Whether `user` (bare JID) has a session whose priority is not negative.

        A session that was bound and never sent presence counts with priority 0, one that sent unavailable
        does not count (MongooseIM's rule for ``should_publish``).
        """

    def is_available(self, user: str) -> bool:
        """
        Whether `user` (bare JID) has a session that sent available presence, of whatever priority.

        It changes with status events, which a session that never sent presence does not make: when `is_available`
        ends, there is an event that tells it. The table knows the whole batch in which an event is decided.
        """

    def available_count(self, user: str) -> int:
        """How many sessions of `user` (bare JID) sent available presence: MongooseIM's ``session_count``."""


class IqRequest(NamedTuple):
    """One IQ-set from the domain `host` to `to` with `payload`, its serialised only child; `token` comes back."""

    host: str
    to: str
    payload: bytes
    token: Attempt


class IqAnswer(NamedTuple):
    """
    What came back: `type` is "result", "error", "unsent" (nothing left), "lost" (sent, and then the stream broke) or
    "fatal" (the server closes the stream on it, each time; `text` says so).

    `condition` and `error_type` are RFC 6120 8.3's, `by` is who made the error, `text` what it said.
    """

    type: str
    condition: str = ""
    error_type: str = ""
    text: str = ""
    by: str = ""


class StanzaSender(Protocol):
    """The way back into the XMPP server."""

    def ready(self) -> bool:
        """Whether a request could leave now: the stream is up and what is queued on it is within bounds."""

    def request(
        self,
        requests: Sequence[IqRequest],
        timeout: float,
        answer: Callable[[Sequence[tuple[Attempt, IqAnswer]]], None],
    ) -> None:
        """
        Send a batch; never blocks. `answer` is called from any thread, once for each request at most.

        An answer that is not there after `timeout` seconds is not waited for any more.
        """


@dataclass(frozen=True, slots=True)
class BackendTools:
    """
    What a backend may use. It may grow.

    `plugins` are its plugins in order; `host_settings` and `host_plugins` hold what ``[hosts."…".backends.NAME]`` says
    otherwise for a host. `chains` are those that `BackendSettings.plugin_chains` names, by the names that stand there;
    `gateways` those that `BackendSettings.named_gateways` names. They are the backend's to start and to close.
    """

    name: str
    hosts: tuple[str, ...]
    registrations: Registrations
    sessions: Sessions
    stanzas: StanzaSender
    plugins: tuple[Any, ...]
    clock: Clock
    log: logging.Logger
    host_settings: Mapping[str, Any] = field(default_factory=dict)
    host_plugins: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    chains: Mapping[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)
    gateways: Mapping[str, Gateway[Any]] = field(default_factory=dict)


@dataclass(slots=True)
class PluginChain:
    """A chain of plugins, made known to its members before it is complete; `first` is whom the backend asks."""

    first: Any = None


@dataclass(frozen=True, slots=True)
class PluginTools:
    """
    What a plugin may use. It may grow.

    `next` is the plugin behind it in the `chain` (None for the last one, and for event plugins). Both hold plugins of
    the backend's own kind (`Backend.Plugin`).
    """

    name: str
    next: Any
    chain: PluginChain
    sessions: Sessions
    clock: Clock
    log: logging.Logger


@dataclass(frozen=True, slots=True)
class GatewayTools:
    """What a gateway may use. It may grow."""

    name: str
    clock: Clock
    log: logging.Logger


@dataclass(frozen=True, slots=True)
class SourceTools:
    """What a source may use. It may grow."""

    name: str
    intake: Intake
    clock: Clock
    log: logging.Logger


# --- what a stranger writes -------------------------------------------------------------------------------------


class Backend(ABC, Generic[S]):
    """
    A carrier to one kind of outside service. Decide in `push_event`, do in `publish` or `publish_many`.

    Override one of the latter two; the registry refuses a class that has neither. Durability, order, retries,
    back-off, dead letters and metrics come from the framework. `max_batch`: most attempts per `publish_many`;
    a batch never holds one lane twice. `formats`: the `Delivery.format`s that it still reads. `Plugin`: the base
    class of its own plugins (entry-point group ``event_pusher.plugins.<type>``), None without any.
    """

    max_batch: ClassVar[int] = 1
    formats: ClassVar[frozenset[int]] = frozenset({1})
    Settings: ClassVar[type[BackendSettings]] = BackendSettings
    Plugin: ClassVar[type | None] = None

    def __init__(self, settings: S, tools: BackendTools) -> None:
        self.settings = settings
        self.tools = tools

    @abstractmethod
    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        """Decide what `event` makes: no file, no socket, no waiting; the same input gives the same deliveries."""

    def push_events(self, batch: Sequence[tuple[Acc, Event]]) -> list[Sequence[Delivery] | Exception]:
        """Decide a batch, one answer or exception per event. Override it where one look-up can serve many."""
        answers: list[Sequence[Delivery] | Exception] = []
        for acc, event in batch:
            try:
                answers.append(list(self.push_event(acc, event)))
            except Exception as error:  # noqa: BLE001 - one event's failure is its own; the dispatcher logs it
                answers.append(error)
        return answers

    def publish(self, attempt: Attempt) -> None:
        """Do it, the simple way: return = delivered, raise a `PublishError` = not."""
        raise NotImplementedError

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        """Do it, the other way: batches, streams, confirms. `report` each attempt once, now or later."""
        for attempt in attempts:
            try:
                self.publish(attempt)
            except Exception as error:  # noqa: BLE001 - `outcome_of` knows what each means
                report([(attempt, outcome_of(error))])
            else:
                report([(attempt, DELIVERED)])

    def start(self) -> None:
        """Open what `publish` needs. A destination that is away is no reason to fail."""

    def close(self, timeout: float) -> None:
        """Let go of everything within `timeout` seconds; called twice is fine; nothing is sent afterwards."""

    def ready(self) -> bool:
        """Whether attempts could be worked on now; while it says no, deliveries wait in the outbox."""
        return True

    def health(self) -> str | None:
        """None when all is well, else one line that says what is not."""
        return None

    def test_delivery(self, registration: Registration) -> Delivery | None:
        """What ``event-pusher registrations test`` sends to `registration`; None = it is not this backend's."""
        return None

    def reload(self, settings: S, tools: BackendTools) -> Callable[[], None] | None:
        """
        Make ready to go on with other plugins and per-host overrides (SIGHUP); all else in `settings` is as it was.

        What is answered is called once on the core, between two events, and only puts in its place what was made
        here; or it is never called, when something else cannot be taken over. None = a restart is needed.
        """
        return None

    def forget(self, delivery: Delivery) -> None:
        """`delivery` will never be tried again: drop what was kept for it."""


class PushPlugin(Generic[C]):
    """
    A policy of the push backend: ``mod_event_pusher_push_plugin``, both generations of its callbacks.

    Plugins form a chain, in the order of ``plugin_module``, and behind the last one stands ``defaults``. What a
    plugin does not override is answered by the next one; ``super().should_publish(…)`` asks it from inside.
    """

    Settings: ClassVar[type[Section]] = NoSettings

    def __init__(self, settings: C, tools: PluginTools) -> None:
        self.settings = settings
        self.tools = tools

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        """``should_publish/3``: whether this message is worth a push; asked after the cheap test of the state."""
        return self._next.should_publish(sender, recipient, packet)

    def publish_notification(
        self, acc: Acc, sender: Jid, recipient: Jid, packet: Stanza, services: Sequence[Registration]
    ) -> Acc:
        """``publish_notification/5``: enqueue for `services` through `Acc.deliver`; never called without any."""
        return self._next.publish_notification(acc, sender, recipient, packet, services)

    def select_services(
        self, acc: Acc, event: ChatEvent | UnackedMessageEvent, services: Sequence[Registration]
    ) -> Sequence[Registration]:
        """``should_publish/3`` since 3.6: which of `services` shall hear of it; the default asks `should_publish`."""
        return self._next.select_services(acc, event, services)

    def prepare_notification(self, acc: Acc, event: ChatEvent | UnackedMessageEvent) -> Notification | None:
        """``prepare_notification/2``: what would be published; None = this event is not worth one."""
        return self._next.prepare_notification(acc, event)

    @property
    def _next(self) -> PushPlugin[Any]:
        behind: PushPlugin[Any] | None = self.tools.next
        if behind is None:
            raise NotImplementedError(f"{type(self).__name__} stands last and must answer itself")
        return behind


class Gateway(ABC, Generic[G]):
    """
    Push without PubSub: publishes for the registrations whose service is one of ``virtual_pubsub_hosts``.

    MongooseIM's hook ``push_notifications``: such a service is nobody on the network, its name says which gateway is
    asked. The outbox, order, retries, breakers and the metrics are the push backend's.
    """

    Settings: ClassVar[type[GatewaySettings]] = GatewaySettings

    def __init__(self, settings: G, tools: GatewayTools) -> None:
        self.settings = settings
        self.tools = tools

    @abstractmethod
    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        """
        Send `notification` to the device that `registration.options` name: return = delivered, raise a `PublishError`.

        `DestinationGone` disables the registration. What the options hold was written by a client: trust nothing of it.
        ``attempt.key`` is the same on every attempt, ``attempt.deadline`` is when the answer comes too late.
        """

    def start(self) -> None:
        """Open what `publish` needs. A destination that is away is no reason to fail."""

    def close(self, timeout: float) -> None:
        """Let go of everything within `timeout` seconds; called twice is fine; nothing is sent afterwards."""

    def health(self) -> str | None:
        """None when all is well, else one line that says what is not."""
        return None


class EventPlugin(Generic[C]):
    """A step before the backends, for every event: may stop it or add metadata (MongooseIM's ``push_event`` hook)."""

    Settings: ClassVar[type[Section]] = NoSettings

    def __init__(self, settings: C, tools: PluginTools) -> None:
        self.settings = settings
        self.tools = tools

    def push_event(self, acc: Acc, event: Event) -> bool:
        """Return True to let `event` go on; write to ``acc.metadata`` what every backend shall see."""
        return True


class Source(ABC, Generic[C]):
    """Where events come from. It hands them to `SourceTools.intake` and waits for nothing but its own input."""

    Settings: ClassVar[type[Section]] = NoSettings

    def __init__(self, settings: C, tools: SourceTools) -> None:
        self.settings = settings
        self.tools = tools

    @property
    @abstractmethod
    def hosts(self) -> tuple[str, ...]:
        """The domains whose events it brings."""

    @abstractmethod
    def start(self) -> None:
        """Begin; a server that is away is no reason to fail."""

    @abstractmethod
    def close(self, timeout: float) -> None:
        """End within `timeout` seconds; called twice is fine."""

    def stop_intake(self) -> None:
        """Take no more events; answers may still come (first step of a clean stop)."""

    def acknowledge(self, host: str, position: Position) -> None:
        """All of `host` up to `position` is committed; called at most every 256 events or 50 ms."""

    def resume_from(self, positions: Mapping[str, Sequence[Position]]) -> None:
        """Told before `start`: for each host the positions that are committed."""

    def stanzas(self) -> StanzaSender | None:
        """The way back into the server, None where there is none."""
        return None

    def health(self) -> str | None:
        """None when all is well, else one line that says what is not."""
        return None

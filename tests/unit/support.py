"""What the tests of the core share: a backend that does as it is told, and a core that turns when it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from event_pusher.abc import (
    DELIVERED,
    Acc,
    Attempt,
    Backend,
    BackendSettings,
    BackendTools,
    ChatEvent,
    Delivery,
    Event,
    NoSettings,
    Outcome,
    PushPlugin,
    Report,
    Source,
    SourceTools,
    StanzaSender,
    Unsent,
    UserStatusEvent,
)
from event_pusher.assembly import assemble, hold_lease
from event_pusher.database import open_engine, reader
from event_pusher.intake import Enable, Item, Occurrence, Position, Refusal
from event_pusher.outbox.admin import Filters, OutboxAdmin
from event_pusher.outbox.row import Row
from event_pusher.pool import Job
from event_pusher.settings.model import (
    AdminSettings,
    Database,
    LogSettings,
    NamedBackend,
    NamedPlugin,
    NamedSource,
    OutboxSettings,
    Settings,
)
from event_pusher.testing import ManualClock, RecordingStanzas, chat_event
from event_pusher.testing.factories import BOB, HOST, NOW
from event_pusher_push.backend import PushBackend
from event_pusher_push.settings import PushSettings
from event_pusher_push_defaults.plugin import DefaultsPlugin

DATABASE = "event-pusher.db"
SERVICE = "push.example.net"
FEED, EPOCH = "main", "e1"

Rigs = Callable[..., "Rig"]
Make = Callable[[Acc, Event], Iterable[Delivery]]


def one_each(_acc: Acc, event: Event) -> list[Delivery]:
    """One delivery for each message to a user, in that user's lane."""
    if not isinstance(event, ChatEvent) or event.direction != "out":
        return []
    return [Delivery(str(event.user), "target", event.stanza.body.encode())]


class Post(Backend[BackendSettings]):
    """Makes what `make` says; answers each attempt with `answer`, None = when the test calls `report`."""

    max_batch = 100

    def __init__(self, settings: BackendSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self.make: Make = one_each
        self.answer: Outcome | None = DELIVERED
        self.up = True
        self.attempts: list[Attempt] = []
        self.batches: list[list[Attempt]] = []
        self.forgotten: list[Delivery] = []
        self._report: Report = lambda _: None

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        return self.make(acc, event)

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        self._report = report
        self.attempts += attempts
        self.batches.append(list(attempts))
        if self.answer is not None:
            report([(attempt, self.answer) for attempt in attempts])

    def ready(self) -> bool:
        return self.up

    def forget(self, delivery: Delivery) -> None:
        self.forgotten.append(delivery)

    def report(self, outcome: Outcome, *attempts: Attempt) -> None:
        """Answer `attempts`, or the last one."""
        self._report([(attempt, outcome) for attempt in attempts or self.attempts[-1:]])

    @property
    def payloads(self) -> list[str]:
        """What was attempted, in order."""
        return [attempt.delivery.payload.decode() for attempt in self.attempts]


class Feed(Source[NoSettings]):
    """A source that only hears what is acknowledged; its server records what is published."""

    def __init__(self, settings: NoSettings, tools: SourceTools) -> None:
        super().__init__(settings, tools)
        self.acknowledged: list[Position] = []
        self.server = RecordingStanzas()

    @property
    def hosts(self) -> tuple[str, ...]:
        return (HOST,)

    def start(self) -> None:
        """Nothing begins."""

    def close(self, timeout: float) -> None:
        """Nothing ends."""

    def acknowledge(self, host: str, position: Position) -> None:
        self.acknowledged.append(position)

    def stanzas(self) -> StanzaSender:
        return self.server


class InlinePool:
    """Workers that are the caller's thread; `held` keeps the jobs until `run`."""

    def __init__(self) -> None:
        self.held = False
        self.jobs: list[Job] = []
        self.is_full = False

    def full(self) -> bool:
        return self.is_full

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        if not self.held:
            self.run()

    def run(self) -> None:
        """Do what waits."""
        while self.jobs:
            self.jobs.pop(0)()

    def close(self) -> None:
        """Nothing to let go."""


class _NoThread:
    """In place of the core's thread: the test turns it."""

    ident = None

    def start(self) -> None:
        """Nothing runs."""

    def is_alive(self) -> bool:
        return False


def post(name: str = "post", cls: type[Backend[Any]] = Post, **options: Any) -> NamedBackend:
    """Name a backend that does as it is told."""
    return NamedBackend(name, "post", cls, BackendSettings.model_validate(options))


def push(
    *plugins: type[PushPlugin[Any]], hosts: dict[str, tuple[type[PushPlugin[Any]], ...]] | None = None, **options: Any
) -> NamedBackend:
    """Name the push backend, with `plugins` in front of the default one."""
    by_host = {host: _chain(chain) for host, chain in (hosts or {}).items()}
    settings = PushSettings.model_validate(options)
    return NamedBackend("push", "push", PushBackend, settings, _chain(plugins), {}, by_host)


def _chain(plugins: Iterable[type[PushPlugin[Any]]]) -> tuple[NamedPlugin, ...]:
    return tuple(NamedPlugin(cls.__name__, cls, NoSettings()) for cls in (*plugins, DefaultsPlugin))


def settings(
    folder: Path, *backends: NamedBackend, event_plugins: tuple[NamedPlugin, ...] = (), **outbox: Any
) -> Settings:
    """Make settings as the reader does from a file in `folder`."""
    return Settings(
        path=folder / "event-pusher.toml",
        database=Database(f"sqlite:///{DATABASE}"),
        sources=(NamedSource("feed", "feed", Feed, NoSettings()),),
        backends=backends or (post(),),
        event_plugins=event_plugins,
        admin=AdminSettings(),
        log=LogSettings(),
        outbox=OutboxSettings.model_validate(outbox),
    )


class Rig:
    """Everything but sources' sockets and threads: real database, real core, the test turns it and owns the clock."""

    def __init__(self, folder: Path, *backends: NamedBackend, clock: ManualClock | None = None, **given: Any) -> None:
        self.clock = clock or ManualClock()
        self.folder = folder
        backends = backends or given.pop("backends", ())
        self.engine = open_engine(f"sqlite:///{DATABASE}", folder, busy_timeout=0.01)
        self._writer, self._lease = hold_lease(self.engine, self.clock)
        assert self._lease.acquire()
        self.built = assemble(settings(folder, *backends, **given), self.engine, self._writer, self._lease, self.clock)
        self.core, self.parts, self.counters = self.built.core, self.built.parts, self.built.counters
        self.pools = {name: InlinePool() for name in self.parts.publishers}
        for name, publisher in self.parts.publishers.items():
            publisher._pool = self.pools[name]  # type: ignore[assignment]  # a double
        self.core._thread = _NoThread()  # type: ignore[assignment]  # a double
        self.core.start()
        self._n = max((position.n for _, _, position in self.built.positions.all()), default=0)
        self._closed = False

    @property
    def post(self) -> Post:
        """The backend that does as it is told."""
        backend = self.built.backends["post"]
        assert isinstance(backend, Post)
        return backend

    @property
    def feed(self) -> Feed:
        """The source."""
        source = self.built.sources["feed"]
        assert isinstance(source, Feed)
        return source

    def turn(self, times: int = 1, seconds: float = 0.01) -> None:
        """Let the core turn, and `seconds` pass before each turn; nothing waits."""
        for _ in range(times):
            self.clock.advance(seconds)
            self.core.inbox.put_call(lambda: None)
            self.core._turn()

    def give(self, *items: Item) -> None:
        """Hand in what happened, in one read, and let the core turn until it is accepted and handed over."""
        self.core.inbox.put_items(items)
        self.turn(3)

    def at(self) -> Position:
        """The next place in the feed."""
        self._n += 1
        return Position(FEED, EPOCH, self._n)

    def event(self, event: Event, position: Position | None = None) -> Occurrence:
        """An event as the feed tells it."""
        place = position or self.at()
        return Occurrence("feed", HOST, place, Acc(f"{place.epoch}-{place.n}", HOST, self.clock.now()), event)

    def message(self, body: str, recipient: str = BOB, **given: Any) -> Occurrence:
        """Tell of a message to `recipient`, who is offline."""
        return self.event(chat_event(body, recipient=recipient, id=given.pop("id", body), **given))

    def enable(self, answers: list[Refusal | None], user: str = BOB, node: str = "node-1") -> Enable:
        """Make an ``<enable/>`` whose answer goes to `answers`."""
        return Enable(user, SERVICE, node, (), answers.append)

    def rows(self, **filters: Any) -> list[dict[str, Any]]:
        """What the database holds, as another process sees it."""
        with reader(self.engine) as connection:
            return OutboxAdmin(connection).list_(Filters(**filters))

    def close(self) -> None:
        """End as a clean stop does."""
        self.core.commits.settle()
        self.crash()

    def crash(self) -> None:
        """End without writing anything more."""
        if not self._closed:
            self._closed = True
            self._lease.release()
            self._writer.close()
            self.engine.dispose()


def row(id_: int, lane: str = "a", *, registration: int | None = None, due_at: float = 0.0, **given: Any) -> Row:
    """Make a waiting row."""
    delivery = Delivery(BOB, "target", b"payload", lane=lane, registration=registration)
    return Row(id_, "post", lane, delivery, f"trace-{id_}", NOW, given.pop("expires_at", None), due_at=due_at, **given)


def body_of(event: Event) -> str:
    """The text of a message."""
    assert not isinstance(event, UserStatusEvent)
    return event.stanza.body


UNSENT = Unsent("the stream is down")

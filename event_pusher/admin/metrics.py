"""The counters as Prometheus wants them. Labels are names from the configuration and fixed words, never JIDs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from event_pusher import __version__
from event_pusher.app import App
from event_pusher.assembly import Assembly
from event_pusher.dispatcher import REASONS

_P = "event_pusher_"
#: Counter → what its label is called ("" = none), and what it counts.
COUNTERS = {
    "accepted": ("backend", "Deliveries written to the outbox."),
    "delivered": ("backend", "Deliveries that their destination took."),
    "dead": ("backend", "Deliveries that can never succeed."),
    "expired": ("backend", "Deliveries that were too old to be sent."),
    "replaced": ("backend", "Deliveries whose place a newer one of the same collapse key took."),
    "discarded": ("", "Deliveries taken out with their registration, or by an operator."),
    "readmitted": ("", "Dead letters that an operator let wait again."),
    "orphaned": ("backend", "Deliveries found that no enabled backend reads."),
    "rows_refused": ("backend", "Deliveries that the database could not store."),
    "retried": ("backend", "Attempts that failed and are tried again."),
    "unknown": ("backend", "Attempts without an answer."),
    "unsent": ("backend", "Attempts of which nothing left."),
    "outcomes_late": ("backend", "Outcomes that came too late, or twice."),
    "plugin_failures": ("name", "Events on which a backend or plugin failed."),
    "decide_slow": ("name", "Batches that a backend took long to decide."),
    "registrations_disabled": ("backend", "Registrations that a push service refused for good."),
    "registrations_enable": ("", "Enables that were stored."),
    "registrations_disable": ("", "Disables that were stored."),
    "registrations_removed": ("", "Accounts and domains that were removed."),
    "events": ("source", "Events taken in."),
    "events_replayed": ("source", "Entries that came again and were dropped."),
    "commits": ("", "Commits of the core."),
    "commits_failed": ("", "Commits that the database did not take."),
}
_DECISIONS = "decisions_"


def exposition(app: App, unaccounted: int | None = None) -> tuple[str, bytes]:
    """Content type and text; `unaccounted` is the core's own word, None = it had no time."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(app, unaccounted))
    return CONTENT_TYPE_LATEST, generate_latest(registry)


class _Collector(Collector):
    """Reads plain integers that other threads count on: each is whole, the sum may be a moment apart."""

    def __init__(self, app: App, unaccounted: int | None) -> None:
        self._app = app
        self._unaccounted = unaccounted

    def collect(self) -> Iterable[Metric]:
        built = self._app.assembly
        info = GaugeMetricFamily(_P + "info", "The release that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield GaugeMetricFamily(_P + "ready", "1 when nothing is wrong.", 0 if self._app.health() else 1)
        yield GaugeMetricFamily(
            _P + "active", "1 for the owner of the database, 0 in stand-by.", int(built is not None)
        )
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory in use.", _resident())
        if built is not None:
            yield from _counted(built)
            yield from _gauges(built)
            if self._unaccounted is not None:
                yield GaugeMetricFamily(
                    _P + "unaccounted", "Accepted less what became of it: 0, or there is a fault.", self._unaccounted
                )
            yield from _of_sources(built)


def _counted(built: Assembly) -> Iterator[Metric]:
    found = list(built.counters.items())
    for name, (label, text) in COUNTERS.items():
        family = CounterMetricFamily(_P + name, text, labels=[label] if label else None)
        known = {each: number for (one, each), number in found if one == name}
        if label == "backend":
            known = dict.fromkeys(built.backends, 0) | known
        if not label:
            known = {"": sum(known.values())}
        for each, number in known.items():
            family.add_metric([each] if label else [], number)
        yield family
    decisions = CounterMetricFamily(_P + "decisions", "Decisions of backends.", labels=["backend", "reason"])
    for (name, backend), number in found:
        reason = name.removeprefix(_DECISIONS)
        if name.startswith(_DECISIONS):
            decisions.add_metric([backend, reason if reason in REASONS else "other"], number)
    yield decisions
    yield CounterMetricFamily(_P + "events_lost", "Events that a server's ring had to drop.", built.positions.lost)
    yield CounterMetricFamily(
        _P + "feed_gaps", "Feeds that started anew, losing an unknown number.", built.positions.gaps
    )


def _gauges(built: Assembly) -> Iterator[Metric]:
    core = built.core
    yield GaugeMetricFamily(_P + "outbox_waiting", "Deliveries in the outbox.", core.rows)
    yield GaugeMetricFamily(
        _P + "outbox_max_rows", "At so many, no more events are read.", built.settings.outbox.max_rows
    )
    yield GaugeMetricFamily(_P + "outbox_full", "1 while no more events are read.", int(core.is_full()))
    yield GaugeMetricFamily(_P + "sessions", "Live sessions that the feeds told of.", _sessions(built))
    flights = GaugeMetricFamily(_P + "in_flight", "Attempts without an outcome.", labels=["backend"])
    lanes = GaugeMetricFamily(_P + "lanes", "Lanes in memory.", labels=["backend"])
    breakers = GaugeMetricFamily(_P + "breakers_open", "Targets that fail for everybody.", labels=["backend"])
    for name, publisher in built.parts.publishers.items():
        breakers.add_metric([name], sum(not one.closed for one in list(publisher.breakers.values())))
        flights.add_metric([name], publisher.in_flight)
        lanes.add_metric([name], len(publisher.lanes))
    yield breakers
    yield flights
    yield lanes


def _of_sources(built: Assembly) -> Iterator[Metric]:
    up = GaugeMetricFamily(_P + "source_up", "1 while the source is well.", labels=["source"])
    for name, source in built.sources.items():
        up.add_metric([name], int(source.health() is None))
    yield up
    counters = {name: dict(getattr(source, "counters", {})) for name, source in built.sources.items()}
    for counter in sorted({counter for counted in counters.values() for counter in counted}):
        family = CounterMetricFamily(f"{_P}source_{counter}", "Counted by the source.", labels=["source"])
        for name, counted in counters.items():
            family.add_metric([name], counted.get(counter, 0))
        yield family


def _sessions(built: Assembly) -> int:
    for _ in range(3):
        try:
            return len(built.sessions)
        except RuntimeError:  # the core changed the table meanwhile
            continue
    return 0


def _resident() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return float(pages * os.sysconf("SC_PAGE_SIZE"))

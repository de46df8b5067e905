"""Event plugins: the filter of MongooseIM's documents, and where metadata arrives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from webhooks import make_backend

from event_pusher.abc import Acc, Backend, Delivery, Event, EventPlugin, NoSettings, UserStatusEvent
from event_pusher.counters import Counters
from event_pusher.dispatcher import Dispatcher
from event_pusher.events import to_json
from event_pusher.intake import Occurrence, Refusal, SessionChange
from event_pusher.settings.model import NamedPlugin
from event_pusher.testing import (
    StubSessions,
    acc,
    chat_event,
    make_plugin_tools,
    make_tools,
    unacked_message_event,
    user_status_event,
)
from event_pusher.testing.factories import BOB, HOST, NOW
from event_pusher_http.settings import HttpSettings
from event_pusher_log.backend import LogBackend, LogSettings
from event_pusher_rabbit.backend import RabbitBackend
from event_pusher_rabbit.settings import RabbitSettings
from event_pusher_sns.backend import SnsBackend
from event_pusher_sns.plugin import DefaultsPlugin as SnsDefaults
from event_pusher_sns.settings import SnsSettings
from tests.unit.push.wire_reader import read
from tests.unit.support import Rigs, post, push


class Filter(EventPlugin[NoSettings]):
    """MongooseIM's example: status events get a time and the number of sessions, all others are stopped."""

    def push_event(self, acc: Acc, event: Event) -> bool:
        if not isinstance(event, UserStatusEvent):
            return False
        acc.metadata["timestamp"] = int(acc.received_at * 1_000_000)
        acc.metadata["session_count"] = self.tools.sessions.available_count(str(event.user))
        return True


class Stamp(EventPlugin[NoSettings]):
    """Says that it was there."""

    def push_event(self, acc: Acc, event: Event) -> bool:
        acc.metadata["tenant"] = "acme"
        return True


def log_backend() -> Backend[Any]:
    return LogBackend(LogSettings(), make_tools(name="log"))


def http_backend() -> Backend[Any]:
    events = ["chat", "user_status", "unacked_message"]
    handler = {"url": "http://127.0.0.1:9/", "callback_module": "json", "events": events}
    return make_backend(HttpSettings.model_validate({"handlers": [handler]}))


def rabbit_backend() -> Backend[Any]:
    exchanges: dict[str, Any] = {"presence_exchange": {}, "chat_msg_exchange": {}}
    return RabbitBackend(RabbitSettings.model_validate(exchanges), make_tools(name="rabbit"))


def sns_backend() -> Backend[Any]:
    topics = {"presence_updates_topic": "presence", "pm_messages_topic": "messages"}
    options = {"region": "eu-west-1", "account_id": "123456789012", **topics}
    plugins = (SnsDefaults(NoSettings(), make_plugin_tools()),)
    return SnsBackend(SnsSettings.model_validate(options), make_tools(name="sns", plugins=plugins))


BACKENDS: list[Callable[[], Backend[Any]]] = [log_backend, http_backend, rabbit_backend, sns_backend]


def dispatcher(plugin: type[EventPlugin[NoSettings]], backend: Backend[Any], *online: str) -> Dispatcher:
    made = plugin(NoSettings(), make_plugin_tools(name="filter", sessions=StubSessions(*online)))
    return Dispatcher([("filter", made)], [("backend", backend)], Counters())


@pytest.mark.parametrize("make", BACKENDS)
def test_the_filter_of_the_documents_adds_a_time_and_the_number_of_sessions(make: Callable[[], Backend[Any]]) -> None:
    # Given the filter in front of a backend, and Bob with one session
    chain = dispatcher(Filter, make(), BOB)
    # When he comes online
    (decided,) = chain.push_events([(acc(), user_status_event())])
    # Then both are in what is delivered
    (delivery,) = decided.deliveries
    payload = delivery.payload.replace(b"\\", b"")
    assert b'"session_count": 1' in payload
    assert b'"timestamp": %d' % int(NOW * 1_000_000) in payload


@pytest.mark.parametrize("make", BACKENDS)
def test_the_filter_of_the_documents_stops_all_other_types(make: Callable[[], Backend[Any]]) -> None:
    chain = dispatcher(Filter, make())
    others: list[Event] = [chat_event(), chat_event(direction="in", state=None), unacked_message_event()]
    assert chain.push_events([(acc(f"a{n}"), event) for n, event in enumerate(others)]) == []
    assert {one.reason for one in chain.decisions} == {"stopped"}


@pytest.mark.parametrize("make", BACKENDS)
def test_metadata_reaches_the_payload_of_messages_too(make: Callable[[], Backend[Any]]) -> None:
    chain = dispatcher(Stamp, make())
    (decided,) = chain.push_events([(acc(), chat_event(direction="in", state=None))])
    (delivery,) = decided.deliveries
    assert b'"tenant": "acme"' in delivery.payload.replace(b"\\", b"")


def test_metadata_is_in_the_form_of_the_models_webhook() -> None:
    backend = make_backend(HttpSettings.model_validate({"handlers": [{"url": "http://127.0.0.1:9/"}]}))
    chain = dispatcher(Stamp, backend)
    (decided,) = chain.push_events([(acc(), chat_event("Hi", direction="in", state=None))])
    assert b"message=Hi&tenant=acme" in decided.deliveries[0].payload


@pytest.mark.parametrize(("content", "told"), [("full", "acme"), ("sender", None), ("marker", None), ("none", None)])
def test_metadata_reaches_push_services_where_everything_may_be_told(
    content: str, told: str | None, rigs: Rigs
) -> None:
    # Given a plugin that stamps every event, and a registration of Bob's
    plugin = NamedPlugin("stamp", Stamp, NoSettings())
    rig = rigs(backends=(push(content=content),), event_plugins=(plugin,))
    answers: list[Refusal | None] = []
    rig.give(rig.enable(answers))
    # When he misses a message
    rig.give(rig.message("Hi"))
    # Then the stamp is a field of the summary, if `content` lets everything through
    (request,) = rig.feed.server.requests
    assert dict(read(request.payload).fields).get("tenant") == told


def test_the_number_of_sessions_is_that_of_the_feed(rigs: Rigs) -> None:
    # Given the filter, and Bob at his phone

    rig = rigs(backends=(post(),), event_plugins=(NamedPlugin("filter", Filter, NoSettings()),))
    rig.post.make = lambda acc, event: [_delivery(to_json(acc, event), event)]
    phone = SessionChange("available", BOB, "phone", "s1", 0)
    rig.give(Occurrence("feed", HOST, rig.at(), change=phone))
    # When his tablet comes, too
    tablet = SessionChange("available", BOB, "tablet", "s2", 0)
    event = rig.event(user_status_event(f"{BOB}/tablet"))
    event.change = tablet
    rig.give(event)
    # Then two are told
    assert json.loads(rig.post.payloads[-1])["session_count"] == 2


def _delivery(payload: bytes, event: Event) -> Any:

    return Delivery(str(event.user), "target", payload)

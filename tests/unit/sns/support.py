"""What the tests of the sns backend share."""

from __future__ import annotations

import json
from typing import Any

from event_pusher.abc import Acc, Attempt, ChatEvent, Delivery, Event, NoSettings, Outcome, UserStatusEvent
from event_pusher.testing import Reports, StubSessions, acc, attempt, chat_event, make_plugin_tools, make_tools
from event_pusher_sns.backend import SnsBackend
from event_pusher_sns.plugin import DefaultsPlugin, SnsPlugin
from event_pusher_sns.settings import SnsSettings
from event_pusher_sns.wire import Notice

ROOM = "room@muc.example.org"
PRESENCE, PM, MUC = (f"arn:aws:sns:eu-west-1:123456789012:{name}" for name in ("presence", "pm", "muc"))
SECTION: dict[str, Any] = {
    "region": "eu-west-1",
    "account_id": "123456789012",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI",
    "presence_updates_topic": "presence",
    "pm_messages_topic": "pm",
    "muc_messages_topic": "muc",
}


def plugins(*classes: type[SnsPlugin[Any]]) -> tuple[SnsPlugin[Any], ...]:
    """A chain of these, closed with the defaults."""
    made: list[SnsPlugin[Any]] = []
    for cls in reversed((*classes, DefaultsPlugin)):
        made.insert(0, cls(NoSettings(), make_plugin_tools(next=made[0] if made else None)))
    return tuple(made)


def backend(
    *classes: type[SnsPlugin[Any]], online: tuple[str, ...] = (), tools: dict[str, Any] | None = None, **options: Any
) -> SnsBackend:
    """A backend that is not started; an option that is None is left out."""
    section = {name: value for name, value in (SECTION | options).items() if value is not None}
    given = {"name": "sns", "sessions": StubSessions(*online), "plugins": plugins(*classes)} | (tools or {})
    return SnsBackend(SnsSettings.model_validate(section), make_tools(**given))


def decide(sns: SnsBackend, event: Event, about: Acc | None = None) -> list[tuple[str, dict[str, Any]]]:
    """What an event makes: topics and what is said there."""
    return [(one.target, json.loads(notice_of(one).message)) for one in sns.push_event(about or acc(), event)]


def notice_of(delivery: Delivery) -> Notice:
    """What a delivery holds."""
    return Notice.unpack(delivery.payload)


def sent(body: str = "hi", recipient: str = "bob@example.org", **more: Any) -> ChatEvent:
    """A message that Alice sends."""
    return chat_event(body, direction="in", state=None, recipient=recipient, **more)


def attempts(sns: SnsBackend, *events: ChatEvent | UserStatusEvent, **more: Any) -> list[Attempt]:
    """The tries of what these events make."""
    return [attempt(one, **more) for event in events for one in sns.push_event(acc(), event)]


def publish(sns: SnsBackend, some: list[Attempt]) -> list[Outcome]:
    """Publish them in one call; their outcomes, each of which is one."""
    reports = Reports()
    sns.publish_many(some, reports)
    outcomes = [reports.of(one) for one in some]
    assert [len(one) for one in outcomes] == [1] * len(some)
    return [one[0] for one in outcomes]


def some(sns: SnsBackend, number: int, size: int = 1) -> list[Attempt]:
    """Attempts of so many senders, each in a lane of its own."""
    events = [sent(f"{n}:" + "x" * size, sender=f"user{n}@example.org/r", id=f"m{n}") for n in range(number)]
    return attempts(sns, *events)

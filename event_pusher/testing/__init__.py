"""
For the tests of backends and plugins: contracts to inherit, doubles to hand in, events to push.

Needs pytest (``pip install 'event-pusher[testing]'``); nothing in the product imports it. A backend's whole test::

    from event_pusher.testing import BackendContract

    class TestMyBackend(BackendContract):
        backend_class = MyBackend

==================  ===============================================================
``backends``        `BackendContract`: what every backend owes the framework
``push_plugins``    `PushPluginContract`: the same for plugins of the push backend
``http_plugins``    `HttpPluginContract`: the same for plugins of the HTTP backend
``gateways``        `GatewayContract`: what every gateway of the push backend owes
``sources``         `SourceContract`: what every source owes
``worlds``          `World`: what stands around a backend under contract; on loopback `TcpWorld`, `HttpWorld`
``doubles``         clock, registrations, sessions, stanza sender, registry, tools
``factories``       events, accumulators, attempts
``guards``          no socket while it decides; no test dropped without a reason
==================  ===============================================================
"""

# ruff: noqa: E402 - the rewriting must be registered before the first import of what it rewrites

import pytest

# Before they are imported, or a failing assert in them shows no values.
pytest.register_assert_rewrite(
    *(
        f"event_pusher.testing.{name}"
        for name in (
            *("backend_rig", "backends", "gateways", "guards", "http_plugins"),
            *("outages", "push_plugins", "sources"),
        )
    )
)

from event_pusher.testing.backends import BackendContract
from event_pusher.testing.doubles import (
    InMemoryRegistrations,
    LastPlugin,
    ManualClock,
    RecordingStanzas,
    Reports,
    StubRegistry,
    StubSessions,
    make_chain,
    make_gateway_tools,
    make_plugin_tools,
    make_tools,
)
from event_pusher.testing.factories import (
    UnknownEvent,
    acc,
    attempt,
    chat_event,
    message,
    one_of_each,
    unacked_message_event,
    user_status_event,
)
from event_pusher.testing.gateways import GatewayContract
from event_pusher.testing.guards import no_waiting
from event_pusher.testing.http import HttpWorld
from event_pusher.testing.http_plugins import HttpPluginContract
from event_pusher.testing.push_plugins import PushPluginContract
from event_pusher.testing.sources import SourceContract, SourceWorld
from event_pusher.testing.tcp import TcpWorld
from event_pusher.testing.worlds import World

__all__ = [
    "BackendContract",
    "GatewayContract",
    "HttpPluginContract",
    "HttpWorld",
    "InMemoryRegistrations",
    "LastPlugin",
    "ManualClock",
    "PushPluginContract",
    "RecordingStanzas",
    "Reports",
    "SourceContract",
    "SourceWorld",
    "StubRegistry",
    "StubSessions",
    "TcpWorld",
    "UnknownEvent",
    "World",
    "acc",
    "attempt",
    "chat_event",
    "make_chain",
    "make_gateway_tools",
    "make_plugin_tools",
    "make_tools",
    "message",
    "no_waiting",
    "one_of_each",
    "unacked_message_event",
    "user_status_event",
]

"""The plugin keeps the contract of event-pusher, and does what it is for."""

from __future__ import annotations

from typing import Any

import pytest
from event_pusher_example.mute import MutePlugin

from event_pusher.abc import Jid
from event_pusher.testing import LastPlugin, PushPluginContract, make_chain, message


class TestMutePlugin(PushPluginContract):
    plugin_class = MutePlugin

    def options(self) -> dict[str, Any]:
        return {"senders": ["spam@example.org"]}


@pytest.mark.parametrize(("sender", "published"), [("Spam@example.org/bot", False), ("alice@example.org/phone", True)])
def test_a_muted_sender_makes_no_notification(sender: str, published: bool) -> None:
    settings = MutePlugin.Settings.model_validate({"senders": ["spam@example.org"]})
    plugin, _ = make_chain((MutePlugin, settings), (LastPlugin, LastPlugin.Settings()))

    answer = plugin.should_publish(Jid.parse(sender), Jid.parse("bob@example.org"), message("Hi"))

    assert answer is published

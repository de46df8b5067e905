"""Push plugins that break one duty each, held to the contract; `test_contract.py` runs this and looks at what fails."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ConfigDict

from event_pusher.abc import (
    Acc,
    ChatEvent,
    Jid,
    NoSettings,
    Notification,
    PushPlugin,
    Registration,
    Section,
    Stanza,
    UnackedMessageEvent,
)
from event_pusher.testing import PushPluginContract

MessageEvent = ChatEvent | UnackedMessageEvent


class Contract(PushPluginContract):
    plugin_class = PushPlugin


class TestGoodPlugin(Contract):
    pass


class SelectsAStranger(PushPlugin[NoSettings]):
    def select_services(
        self, acc: Acc, event: MessageEvent, services: Sequence[Registration]
    ) -> Sequence[Registration]:
        return [replace(one, user="eve@example.org") for one in services]


class TestSelectsAStranger(Contract):
    plugin_class = SelectsAStranger


class SelectsFromNothing(PushPlugin[NoSettings]):
    def select_services(
        self, acc: Acc, event: MessageEvent, services: Sequence[Registration]
    ) -> Sequence[Registration]:
        return services or [Registration(1, "bob@example.org", "push.example.net", "node-1")]


class TestSelectsFromNothing(Contract):
    plugin_class = SelectsFromNothing


class DeliversTwice(PushPlugin[NoSettings]):
    def publish_notification(
        self, acc: Acc, sender: Jid, recipient: Jid, packet: Stanza, services: Sequence[Registration]
    ) -> Acc:
        return super().publish_notification(acc.deliver(services), sender, recipient, packet, services)


class TestDeliversTwice(Contract):
    plugin_class = DeliversTwice


class Sleeps(PushPlugin[NoSettings]):
    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        time.sleep(0.001)
        return super().should_publish(sender, recipient, packet)


class TestSleeps(Contract):
    plugin_class = Sleeps


class Counts(PushPlugin[NoSettings]):
    numbers = itertools.count()

    def prepare_notification(self, acc: Acc, event: MessageEvent) -> Notification | None:
        return Notification((("message-count", str(next(self.numbers))),))


class TestCounts(Contract):
    plugin_class = Counts


class LogsWhatWasWritten(PushPlugin[NoSettings]):
    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        self.tools.log.debug("asked about %s", packet.body)
        return super().should_publish(sender, recipient, packet)


class TestLogsWhatWasWritten(Contract):
    plugin_class = LogsWhatWasWritten


class LaxSettings(Section):
    model_config = ConfigDict(extra="ignore")


class TakesAnyKey(PushPlugin[Any]):
    Settings = LaxSettings


class TestTakesAnyKey(Contract):
    plugin_class = TakesAnyKey


class AnswersMaybe(PushPlugin[NoSettings]):
    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        return None  # type: ignore[return-value]  # the fault that is tested


class TestAnswersMaybe(Contract):
    plugin_class = AnswersMaybe

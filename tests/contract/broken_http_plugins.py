"""Plugins of the HTTP backend that break one duty each; `test_contract.py` runs this and looks at what fails."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict

from event_pusher.abc import Acc, Event, NoSettings, Secret, Section
from event_pusher.testing import HttpPluginContract
from event_pusher_http.plugin import HandlerSettings, HttpPlugin, Request


class Contract(HttpPluginContract):
    plugin_class = HttpPlugin


class TestGoodHttpPlugin(Contract):
    pass


class Stamps(HttpPlugin[NoSettings]):
    numbers = itertools.count()

    def prepare_request(self, acc: Acc, event: Event, opts: HandlerSettings) -> Request | None:
        return Request(b"%d" % next(self.numbers)) if event.kind == "chat" else None


class TestStamps(Contract):
    plugin_class = Stamps


class SleepsOnRequests(HttpPlugin[NoSettings]):
    def prepare_request(self, acc: Acc, event: Event, opts: HandlerSettings) -> Request | None:
        time.sleep(0.0001)
        return super().prepare_request(acc, event, opts)


class TestSleepsOnRequests(Contract):
    plugin_class = SleepsOnRequests


class TokenSection(Section):
    token: Secret = Secret(text="s3cret-token")


class StoresItsToken(HttpPlugin[TokenSection]):
    Settings = TokenSection

    def prepare_request(self, acc: Acc, event: Event, opts: HandlerSettings) -> Request | None:
        made = super().prepare_request(acc, event, opts)
        return made and Request(made.body, {"authorization": self.settings.token.reveal()})


class TestStoresItsToken(Contract):
    plugin_class = StoresItsToken

    #: It is in the request's `repr`, too; the test of what is kept says why.
    dropped = {"test_secrets_and_bodies_are_never_shown": "said by the other test"}  # noqa: RUF012 - as a stranger writes it


class CountsAttempts(HttpPlugin[NoSettings]):
    numbers = itertools.count()

    def attempt_headers(self, key: str, now: float, body: bytes, opts: HandlerSettings) -> Mapping[str, str]:
        return {"x-number": str(next(self.numbers))}


class TestCountsAttempts(Contract):
    plugin_class = CountsAttempts


class WritesBrokenHeaders(HttpPlugin[NoSettings]):
    def attempt_headers(self, key: str, now: float, body: bytes, opts: HandlerSettings) -> Mapping[str, str]:
        return {"x-key": f"{key}\r\nx-more: yes"}


class TestWritesBrokenHeaders(Contract):
    plugin_class = WritesBrokenHeaders


class LogsRequests(HttpPlugin[NoSettings]):
    def prepare_request(self, acc: Acc, event: Event, opts: HandlerSettings) -> Request | None:
        self.tools.log.debug("asked about %s", getattr(getattr(event, "stanza", None), "body", ""))
        return super().prepare_request(acc, event, opts)


class TestLogsRequests(Contract):
    plugin_class = LogsRequests


class LaxSection(Section):
    model_config = ConfigDict(extra="ignore")


class TakesAnyHttpKey(HttpPlugin[Any]):
    Settings = LaxSection


class TestTakesAnyHttpKey(Contract):
    plugin_class = TakesAnyHttpKey

"""The gateway to MongoosePush is held to the contract, with its API on loopback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from event_pusher.abc import PublishOptions
from event_pusher.testing import GatewayContract, HttpWorld, World
from event_pusher_mongoosepush.gateway import MongoosePushGateway


class MongoosePush(HttpWorld):
    """Takes what the real one takes (docs of 2.1): an alert with title and body, or data, never an unknown key."""

    def payload_of(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        told = json.loads(body)
        assert path.startswith("/v3/notification/")
        assert told.keys() <= {
            *("service", "mode", "priority", "topic", "mutable_content", "time_to_live", "alert", "data")
        }
        assert "data" in told or {"title", "body"} <= told["alert"].keys()
        return body


class TestMongoosePushGateway(GatewayContract):
    gateway_class = MongoosePushGateway
    _url = "http://127.0.0.1:9"

    def make_world(self) -> World:
        world = MongoosePush()
        self._url = world.url
        return world

    def gateway_options(self) -> dict[str, Any]:
        return {"url": self._url}

    def registered(self) -> PublishOptions:
        return (("device_id", "a-device-token"), ("service", "fcm"), ("mode", "prod"), ("silent", "false"))

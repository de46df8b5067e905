"""The plugins of the HTTP backend are held to the contract."""

from __future__ import annotations

from typing import Any

from event_pusher.testing import HttpPluginContract
from event_pusher_http_plugins.defaults import DefaultsPlugin
from event_pusher_http_plugins.json import JsonPlugin
from event_pusher_http_plugins.standard_webhooks import StandardWebhooksPlugin


class TestDefaultsPlugin(HttpPluginContract):
    plugin_class = DefaultsPlugin
    last = True


class TestJsonPlugin(HttpPluginContract):
    plugin_class = JsonPlugin


class TestStandardWebhooksPlugin(HttpPluginContract):
    plugin_class = StandardWebhooksPlugin

    def handler(self) -> dict[str, Any]:
        return {"secrets": ["whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"], "callback_module": "standard_webhooks"}

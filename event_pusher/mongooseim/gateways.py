"""``mod_push_service_mongoosepush`` and the pool that it names become ``[gateways.mongoosepush]``."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from event_pusher.mongooseim.reading import GATEWAY, Model, Table
from event_pusher.mongooseim.telling import Story

NAME: Final = "mongoosepush"
_MILLISECONDS: Final = 1000


def gateways(model: Model, story: Story) -> dict[str, Table]:
    """Make the section, of the module and its pool; nothing without the module."""
    if model.gateway is None:
        return {}
    story.where = GATEWAY
    given = dict(model.gateway)
    pool = story.take_pool(model, "http", str(given.pop("pool_name", "undefined")))
    connection = pool.pop("connection", {})
    server = connection.pop("host", None) or connection.pop("server", None)
    made: Table = {}
    if isinstance(server, str):
        made["url"] = _url(server, connection, story)
    if "api_version" in given:
        made["api_version"] = str(given.pop("api_version"))
    if isinstance(workers := given.pop("max_http_connections", None), int) and workers > 0:
        made["workers"] = workers
    if isinstance(timeout := connection.pop("request_timeout", None), int) and timeout > 0:
        made["timeout"] = timeout / _MILLISECONDS
    for key in sorted({"scope", "strategy", "call_timeout", "max_worker_queue_len", "workers"} & pool.keys()):
        del pool[key]
        story.tell(f"pool: {key}", "what waits is in the outbox; workers limits the rest")
    story.left(given | {f"pool: {key}": value for key, value in (pool | connection).items()})
    return {NAME: made}


def _url(server: str, connection: Table, story: Story) -> str:
    if str(connection.pop("path_prefix", "/")) != "/":
        story.tell("pool: path_prefix", "the gateway's url has no path: let MongoosePush stand at the root")
    parts = urlsplit(server if "://" in server else f"https://{server}")
    if "@" in parts.netloc:
        story.tell("pool: host", "its user and password are left out: MongoosePush asks for none")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def without_gateway(made: Table, model: Model, story: Story) -> None:
    """Take the virtual hosts out where nothing would serve them."""
    hosts: Any = made.get("virtual_pubsub_hosts")
    if hosts and model.gateway is None:
        del made["virtual_pubsub_hosts"]
        story.tell("virtual_pubsub_hosts", f"virtual PubSub hosts need a gateway, and there is no {GATEWAY}")

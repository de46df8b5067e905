"""The handlers of ``mod_event_pusher_http``, and the pools that they name."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from event_pusher.mongooseim.reading import Model, Table
from event_pusher.mongooseim.telling import Story
from event_pusher.registry import PLUGINS, Registry

POOL: Final = "http_pool"
_LONG_NAME: Final = "mod_event_pusher_http_"
_MILLISECONDS: Final = 1000


def handlers(model: Model, options: Table, story: Story, registry: Registry) -> list[Table]:
    """Make ours of theirs."""
    given = options.pop("handlers", None)
    if not isinstance(given, list):
        given, options = [options] if options else [], {}
    made = []
    outer = story.where
    for number, one in enumerate(given):
        story.where = f"{outer}.handlers[{number}]"
        if isinstance(one, dict) and (handler := _handler(model, dict(one), story, registry)):
            made.append(handler)
    story.where = outer
    story.left(options)
    _name_twins(made)
    return made


def _handler(model: Model, given: Table, story: Story, registry: Registry) -> Table | None:
    pool = story.take_pool(model, "http", str(given.pop("pool_name", POOL)))
    connection = pool.pop("connection", {})
    server = connection.pop("host", None) or connection.pop("server", None)
    if not isinstance(server, str):
        story.tell("", "its pool names no host, so it is left out")
        return None
    made: Table = {"url": _url(server, connection, given, story)}
    if "@" in urlsplit(server).netloc:
        made["headers"] = {"Authorization": story.secret(
            "url", "http-authorization", 'the header for the user and password of the URL ("Basic …")'
        )}  # fmt: skip
    made["callback_module"] = _callback(given.pop("callback_module", None), story, registry)
    timeout = connection.pop("request_timeout", None)
    if isinstance(timeout, int) and timeout > 0:
        made["read_timeout"] = timeout / _MILLISECONDS
    if isinstance(workers := pool.pop("workers", None), int):
        made["concurrency"] = workers
    if isinstance(tls := connection.pop("tls", None), dict) and (options := _tls(tls, story)):
        made["tls"] = options
    for key in sorted({"scope", "strategy", "call_timeout", "max_worker_queue_len"} & pool.keys()):
        del pool[key]
        story.tell(f"pool: {key}", "what waits is in the outbox; concurrency and [backends.http] wpool limit the rest")
    story.left(given | {f"pool: {key}": value for key, value in (pool | connection).items()})
    return made


def _url(server: str, connection: Table, given: Table, story: Story) -> str:
    """Put prefix and path together as MongooseIM does: directly, the path without its first slash."""
    prefix, path = str(connection.pop("path_prefix", "/")), str(given.pop("path", "")).removeprefix("/")
    if path and not prefix.endswith("/"):
        story.tell(
            "path", "MongooseIM puts path_prefix and path together without a slash between them; look at the url"
        )
    parts = urlsplit(server if "://" in server else f"http://{server}")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    return f"{bare}{prefix if prefix.startswith('/') else '/' + prefix}{path}"


def _callback(named: Any, story: Story, registry: Registry) -> str:
    if not isinstance(named, str):
        return "defaults"
    short = named.removeprefix(_LONG_NAME)
    if short in registry.names(f"{PLUGINS}http"):
        return short
    story.tell("callback_module", f"{named} is no plugin that is installed; port it (docs/http.md), then name it")
    return "defaults"


def _tls(given: Table, story: Story) -> Table:
    made: Table = {}
    if given.pop("verify_mode", "peer") == "none":
        made["verify"] = False
    for theirs, ours in (("cacertfile", "ca"), ("certfile", "certificate"), ("keyfile", "key")):
        if theirs in given:
            made[ours] = {"file": given.pop(theirs)}
    if "password" in given:
        del given["password"]
        made["key_password"] = story.secret("tls.password", "http-key-password", "the password of the TLS key")
    names = given.pop("server_name_indication", None)
    if isinstance(names, dict) and "host" in names:
        made["server_name"] = names["host"]
    story.left({f"pool: tls.{key}": value for key, value in given.items()})
    return made


def _name_twins(made: list[Table]) -> None:
    """Two that agree in everything that tells them apart need names."""
    seen: set[tuple[str, str]] = set()
    for number, one in enumerate(made):
        if (key := (one["url"], one["callback_module"])) in seen:
            one["name"] = f"handler-{number + 1}"
        seen.add(key)

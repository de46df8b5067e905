"""A `Model` becomes our sections; whatever has no counterpart, or needs a hand, is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from event_pusher.abc import BackendSettings
from event_pusher.errors import PluginError
from event_pusher.mongooseim.gateways import gateways, without_gateway
from event_pusher.mongooseim.handlers import handlers
from event_pusher.mongooseim.reading import Model, Table
from event_pusher.mongooseim.telling import Story
from event_pusher.registry import PLUGINS, Registry

#: The order in which sections are written.
KINDS: Final = ("push", "http", "rabbit", "sns")
EXCHANGES: Final = ("presence_exchange", "chat_msg_exchange", "groupchat_msg_exchange")
#: Older names of a connection to RabbitMQ.
_AMQP: Final = {"amqp_host": "host", "amqp_port": "port", "amqp_username": "username", "amqp_password": "password"}
_ONE_FOR_ALL: Final = frozenset(BackendSettings.model_fields)
_POOLS: Final = {"http", "rabbit"}


@dataclass(slots=True)
class Converted:
    """Our sections; `notes` tell what has no counterpart, `secrets` what belongs into which file."""

    hosts: list[str]
    backends: dict[str, Table] = field(default_factory=dict)
    per_host: dict[str, dict[str, Table]] = field(default_factory=dict)
    gateways: dict[str, Table] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)


def convert(model: Model, registry: Registry) -> Converted:
    """Convert all of it; what our settings would refuse is left out, and told."""
    story = Story()
    made = Converted(model.hosts, notes=story.notes, secrets=story.secrets)
    made.backends = _sections(model, model.backends, story, registry, "")
    for host, backends in model.per_host.items():
        _one_host(made, host, _sections(model, backends, story, registry, f'host_config "{host}": '), story)
    made.gateways = {
        name: _checked(registry.gateway, name, section, story) for name, section in gateways(model, story).items()
    }
    story.where = ""
    for kind, tag in model.pools:
        if kind in _POOLS and (kind, tag) not in story.pools:
            story.tell(f"outgoing_pools.{kind}.{tag}", "not used by mod_event_pusher")
    return made


def _sections(
    model: Model, backends: Mapping[str, Table], story: Story, registry: Registry, where: str
) -> dict[str, Table]:
    made: dict[str, Table] = {}
    for kind in sorted(backends, key=lambda name: (*KINDS, name).index(name)):
        story.where = f"{where}{kind}"
        options = dict(backends[kind])
        match kind:
            case "push":
                section = _push(options, story, registry)
                without_gateway(section, model, story)
            case "http":
                section = {"handlers": handlers(model, options, story, registry)}
            case "rabbit":
                section = _rabbit(model, options, story)
            case "sns":
                section = _sns(options, story, registry)
            case _:
                story.tell("", "there is no such backend here; a plugin may bring one")
                continue
        made[kind] = _checked(registry.backend, kind, section, story)
    return made


def _one_host(made: Converted, host: str, sections: dict[str, Table], story: Story) -> None:
    """What one host has of its own: options of a backend that all have."""
    for kind, section in sections.items():
        if kind in made.backends:
            section.pop("content", None)  # said once, for all
        story.where = f'host_config "{host}": {kind}'
        if kind not in made.backends:
            story.tell("", "only this host has it; here a backend is every host's, so it is for all of them")
            made.backends[kind] = section
            continue
        for key in sorted(_ONE_FOR_ALL & section.keys()):
            del section[key]
            story.tell(key, "cannot differ between hosts")
        if section and host not in made.hosts:
            story.tell(
                "", 'it is no host of general.hosts (a host type?): put its options under [hosts."NAME".backends]'
            )
        elif section:
            made.per_host.setdefault(host, {})[kind] = section


def _push(options: Table, story: Story, registry: Registry) -> Table:
    made: Table = {"backend": "rdbms"}
    stored = options.pop("backend", "mnesia")
    if stored != "rdbms":
        story.tell("backend", f"registrations in {stored} are not taken along: clients enable again when they log in")
    if "wpool" in options:
        made["wpool"] = options.pop("wpool")
    made["plugin_module"] = plugin(options.pop("plugin_module", None), "push", story, registry)
    if "virtual_pubsub_hosts" in options:
        made["virtual_pubsub_hosts"] = options.pop("virtual_pubsub_hosts")
    story.tell("content", 'not said there, where every notification had the whole text: "full" as before, or "marker"')
    made["content"] = "full"
    story.left(options)
    return made


def _rabbit(model: Model, options: Table, story: Story) -> Table:
    pool = story.take_pool(model, "rabbit", "event_pusher")
    given = {_AMQP.get(key, key): value for key, value in pool.pop("connection", {}).items()}
    made = _connection(given, story)
    both = pool | given
    if "confirms_enabled" in both:
        made["confirms_enabled"] = both.pop("confirms_enabled")
    if "max_worker_queue_len" in both:
        made["wpool"] = {"max_worker_queue_len": both.pop("max_worker_queue_len")}
    for key in EXCHANGES:
        if key in options or model.erlang:
            made[key] = options.pop(key, {})
    if model.erlang:
        story.tell(
            "exchanges", "before 6.5 all three were always on, so they are; take out the sections of those unused"
        )
    for key in sorted({"scope", "workers", "strategy", "call_timeout"} & both.keys()):
        del both[key]
        story.tell(f"pool: {key}", "one connection with many confirms outstanding serves all; in_flight limits them")
    story.left(options | {f"pool: {key}": value for key, value in both.items()})
    return made


def _connection(given: Table, story: Story) -> Table:
    made: Table = {key: given.pop(key) for key in ("host", "port", "username", "virtual_host") if key in given}
    if given.pop("password", "guest") != "guest":
        made["password"] = story.secret("password", "rabbit-password", "the password of the user at RabbitMQ")
    if isinstance(tls := given.pop("tls", None), dict):
        made["tls"] = _tls(tls, story)
    if given.pop("reconnect", None) is not None:
        story.tell("pool: reconnect", "it reconnects for ever, and topology is declared again each time")
    return made


def _tls(given: Table, story: Story) -> Table:
    made: Table = {}
    for key in ("verify_mode", "cacertfile", "certfile", "keyfile"):
        if key in given:
            made[key] = given.pop(key)
    if "password" in given:
        del given["password"]
        made["password"] = story.secret("tls.password", "rabbit-key-password", "the password of the TLS key")
    names = given.pop("server_name_indication", None)
    if isinstance(names, dict) and "host" in names:
        made["server_name_indication"] = names["host"]
    story.left({f"pool: tls.{key}": value for key, value in given.items()})
    return made


def _sns(options: Table, story: Story, registry: Registry) -> Table:
    plain = ("region", "account_id", "presence_updates_topic", "pm_messages_topic", "muc_messages_topic", "sns_host")
    numbers = ("pool_size", "publish_retry_count", "publish_retry_time_ms")
    made: Table = {key: str(options.pop(key)) for key in plain if key in options}
    made["plugin_module"] = plugin(options.pop("plugin_module", None), "sns", story, registry)
    for key, file, what in (
        ("access_key_id", "sns-access-key-id", "the id of the AWS access key"),
        ("secret_access_key", "sns-secret-access-key", "the secret AWS access key"),
    ):
        if key in options:
            del options[key]
            made[key] = story.secret(key, file, what)
    made |= {key: options.pop(key) for key in numbers if key in options}
    story.left(options)
    return made


def plugin(named: Any, kind: str, story: Story, registry: Registry) -> str:
    """Find our name of a plugin: MongooseIM's long ones end with it. One that is not there is told."""
    if not isinstance(named, str):
        return "defaults"
    for prefix in (f"mod_event_pusher_{kind}_plugin_", f"mod_event_pusher_{kind}_"):
        short = named.removeprefix(prefix)
        if short in registry.names(PLUGINS + kind):
            return short
    if named in registry.names(PLUGINS + kind):
        return named
    story.tell(
        "plugin_module", f"{named} is no plugin that is installed; port it (docs/writing-a-plugin.md), then name it"
    )
    return "defaults"


def _checked(find: Callable[[str], Any], kind: str, section: Table, story: Story) -> Table:
    """Take out what our settings would refuse, and tell why."""
    try:
        settings = find(kind).Settings
    except PluginError as error:
        story.tell("", str(error))
        return section
    for _ in range(len(str(section))):  # each turn takes something out
        try:
            settings.model_validate(section)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            if not _take_out(section, first["loc"]):
                break
            why = first["msg"].removeprefix("Value error, ")
            story.tell(".".join(map(str, first["loc"])), "unknown here" if first["type"] == "extra_forbidden" else why)
        else:
            break
    return section


def _take_out(section: Any, path: Sequence[str | int]) -> bool:
    """Delete what stands at `path`, as far as that leads: pydantic's paths name members of unions, too."""
    for number, part in enumerate(path):
        there = part in section if isinstance(section, dict) else isinstance(part, int) and part < len(section)
        if not there:
            continue
        if number == len(path) - 1 or not isinstance(section[part], dict | list):
            del section[part]
            return True
        section = section[part]
    return False

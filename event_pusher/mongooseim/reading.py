"""Either kind of file, MongooseIM's TOML (5.0 and later) or the older Erlang terms, becomes one `Model`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from event_pusher.errors import SettingsError
from event_pusher.mongooseim.erlang import Atom, Term, read_terms

Table = dict[str, Any]

MODULE: Final = "mod_event_pusher"
#: The module that takes the notifications of virtual PubSub hosts.
GATEWAY: Final = "mod_push_service_mongoosepush"
#: {Type, Host, Tag, PoolOptions, ConnectionOptions}
_POOL_PARTS: Final = 5


@dataclass(slots=True)
class Model:
    """
    What ``mod_event_pusher`` is told; `pools` by type and tag, `per_host` as `backends`.

    `gateway`: what ``mod_push_service_mongoosepush`` is told, None without it.
    """

    hosts: list[str] = field(default_factory=list)
    backends: dict[str, Table] = field(default_factory=dict)
    pools: dict[tuple[str, str], Table] = field(default_factory=dict)
    per_host: dict[str, dict[str, Table]] = field(default_factory=dict)
    gateway: Table | None = None
    erlang: bool = False


def read_model(text: str) -> Model:
    """Read a file's text. Raises `SettingsError` when it is neither, or has no ``mod_event_pusher``."""
    start = next((line for line in map(str.strip, text.splitlines()) if line and line[0] not in "#%"), "")
    model = _of_terms(read_terms(text)) if start.startswith(("{", "[{")) else _of_toml(text)
    if not model.backends and not model.per_host:
        raise SettingsError([f"it has no {MODULE}: name MongooseIM's own file, or what is said of the module"])
    return model


# --- TOML -------------------------------------------------------------------------------------------------------------


def _of_toml(text: str) -> Model:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"neither TOML nor Erlang terms: {error}"]) from None
    general = _table(table.get("general"))
    model = Model([str(host) for host in general.get("hosts", ())])
    model.backends = _toml_backends(table)
    modules = _table(table.get("modules"))
    model.gateway = _table(modules[GATEWAY]) if GATEWAY in modules else None
    _add_pools(model, _table(table.get("outgoing_pools")))
    for special in table.get("host_config", ()):
        name = str(special.get("host") or special.get("host_type") or "")
        if backends := _toml_backends(special):
            model.per_host[name] = backends
        _add_pools(model, _table(special.get("outgoing_pools")))
    return model


def _toml_backends(table: Mapping[str, Any]) -> dict[str, Table]:
    said = _table(_table(table.get("modules")).get(MODULE))
    said = _table(said["backend"]) if isinstance(said.get("backend"), dict) else said  # until 5.0
    return {name: _table(options) for name, options in said.items()}


def _add_pools(model: Model, pools: Mapping[str, Any]) -> None:
    for kind, tagged in pools.items():
        for tag, options in _table(tagged).items():
            model.pools[kind, tag] = _table(options)


def _table(value: Any) -> Table:
    return dict(value) if isinstance(value, dict) else {}


# --- Erlang -----------------------------------------------------------------------------------------------------------


def _of_terms(terms: list[Term]) -> Model:
    model = Model(erlang=True)
    for name, value in _named(terms):
        if name == MODULE:
            for kind, options in _backends(value):
                _merge(model.backends, kind, options)
        elif name == "hosts" and isinstance(value, list):
            model.hosts += [host for host in value if isinstance(host, str)]
        elif name == "outgoing_pools" and isinstance(value, list):
            for pool in value:
                _pool(model, pool)
        elif name == GATEWAY:
            said = plain(value)
            model.gateway = said if isinstance(said, dict) else {}
    return model


def _named(terms: Term) -> Iterator[tuple[str, Term]]:
    """Every pair of an atom and something, however deep; what stands in a pair that is known is its own affair."""
    if isinstance(terms, tuple) and len(terms) == 2 and isinstance(terms[0], Atom):  # noqa: PLR2004 - a pair
        yield str(terms[0]), terms[1]
        if terms[0] in (MODULE, "outgoing_pools"):
            return
    if isinstance(terms, list | tuple):
        for term in terms:
            yield from _named(term)


def _backends(options: Term) -> Iterator[tuple[str, Table]]:
    said = plain(options)
    backends = said.get("backends", []) if isinstance(said, dict) else []
    # As a list of pairs it may name one kind twice; `plain` would keep the last.
    pairs = (
        next((o[1] for o in options if isinstance(o, tuple) and o[:1] == ("backends",)), ())
        if isinstance(options, list)
        else ()
    )
    if not isinstance(backends, dict) or not isinstance(pairs, list):
        return
    for pair in pairs:
        if isinstance(pair, tuple) and len(pair) == 2:  # noqa: PLR2004 - a pair
            found = plain(pair[1])
            yield str(pair[0]), found if isinstance(found, dict) else {}


def _merge(backends: dict[str, Table], kind: str, options: Table) -> None:
    if kind == "http":
        several = options.pop("configs", None)
        some = several if isinstance(several, list) else [options]
        backends.setdefault(kind, {"handlers": []})["handlers"] += some
    else:
        backends.setdefault(kind, {}).update(options)


def _pool(model: Model, pool: Term) -> None:
    if isinstance(pool, tuple) and len(pool) == _POOL_PARTS:
        kind, _, tag, options, connection = pool
        given, there = plain(options), plain(connection)
        made = given if isinstance(given, dict) else {}
        model.pools[str(kind), str(tag)] = {**made, "connection": there if isinstance(there, dict) else {}}


def plain(term: Term) -> Any:
    """Make tables of lists of pairs, and texts of atoms."""
    if isinstance(term, list):
        pairs = [one for one in term if isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], Atom)]  # noqa: PLR2004 - a pair
        if term and len(pairs) == len(term):
            return {str(key): plain(value) for key, value in pairs}
        return [plain(one) for one in term]
    if isinstance(term, tuple):
        return [plain(one) for one in term]
    return str(term) if isinstance(term, Atom) else term

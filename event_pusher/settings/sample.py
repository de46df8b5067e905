"""The file that ``event-pusher init`` writes: everything an operator may want to set, and privacy first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ETC = Path("/etc/event-pusher")
VAR = Path("/var/lib/event-pusher")
RUN = Path("/run/event-pusher")

_SAMPLE = """\
# event-pusher's configuration. `event-pusher check` reads it and says what is wrong; an unknown key is an error.
# Durations are seconds, or texts such as "30s", "24h", "7d". A secret is "…", {{ file = "NAME" }} or
# {{ env = "NAME" }}; relative files are looked for in $CREDENTIALS_DIRECTORY first, then in this file's folder.

[database]
# A SQLAlchemy URL of SQLite or PostgreSQL: "postgresql://event_pusher@localhost/event_pusher".
# `event-pusher db upgrade` creates the tables, nothing else does.
url = {database}

# --- where events come from -------------------------------------------------------------------------------------

[sources.component]                     # an external component (XEP-0114) of the XMPP server
domain = {domain}
# Where the server takes components. The stream is not encrypted: keep it on this machine.
server = {server}
secret = {{ file = {secret} }}
hosts = {hosts}
publish_as = "host"                     # who notifications come from: "host" (push services look at it) or "component"

# --- where they go ----------------------------------------------------------------------------------------------

# MongooseIM's option names. What in its configuration is
#
#   {{push, [{{backend, mnesia}},
#           {{wpool, [{{workers, 200}}]}},
#           {{plugin_module, mod_event_pusher_push_plugin_defaults}}]}}
#
# is here
#
#   backend = "rdbms"                   (the registrations are rows of [database])
#   wpool = {{ workers = 200 }}
#   plugin_module = "defaults"
#
[backends.push]                         # XEP-0357: notifications to the push services that clients name
backend = "rdbms"                       # or "memory": forgotten at the end
wpool = {{ workers = 200, strategy = "available_worker" }}
plugin_module = "defaults"              # or a chain: ["mute", "defaults"]; `event-pusher plugins` lists what there is
virtual_pubsub_hosts = []               # services that are a gateway: ["push.@HOST@"], or {{ "push.@HOST@" = "NAME" }}
content = "marker"                      # what a push service learns: none | marker | sender | full
collapse = false                        # true: of what waits for one device only the newest is published
max_registrations = 20                  # what one account may enable
dry_run = false                         # true: decide and record, send nothing
only_users = []                         # when not empty: only these accounts get pushes

# [gateways.mongoosepush]               # push without PubSub: APNs and FCM by MongoosePush (docs/gateways.md)
# url = "https://localhost:8443"

# [backends.log]                        # prints every event, without its text
# bodies = false

# [hosts."example.org".backends.push]   # what one host wants otherwise
# content = "full"

# --- the daemon -------------------------------------------------------------------------------------------------

[admin]
# Where metrics, health and commands are served: "unix:PATH" or "127.0.0.1:PORT"; "" = nowhere.
listen = {listen}

[log]
level = "info"                          # debug | info | warning | error
format = "text"                         # or "json"

[outbox]
max_rows = 1_000_000                    # when so many deliveries wait, no more events are read
dead_retention = "7d"                   # dead letters are kept so long
dedupe_window = "24h"                   # a copy of a message within it is the same message
"""


def sample(
    *,
    folder: Path = ETC,
    data: Path | None = None,
    domain: str = "push.example.org",
    server: str = "127.0.0.1:5347",
    hosts: Sequence[str] = ("example.org",),
    secret_file: str | Path = "component-secret",  # noqa: S107 - a file's name
) -> str:
    """
    Write a commented configuration that stands in `folder`, which becomes part of every path in it.

    `data` is where the database lives: ``/var/lib/event-pusher`` for a file in ``/etc/event-pusher``, else `folder`.
    """
    folder = folder.absolute()
    data = (data or (VAR if folder == ETC else folder)).absolute()
    run = RUN if folder == ETC else data
    return _SAMPLE.format(
        database=_toml(f"sqlite:///{data / 'event-pusher.db'}"),
        domain=_toml(domain),
        server=_toml(server),
        secret=_toml(str(folder / secret_file)),
        hosts=f"[{', '.join(map(_toml, hosts))}]",
        listen=_toml(f"unix:{run / 'admin.sock'}"),
    )


def _toml(text: str) -> str:
    """Quote a text; TOML's basic strings escape as JSON's do."""
    return json.dumps(text, ensure_ascii=False)

"""The section ``[backends.push]``: MongooseIM's option names (``mod_event_pusher_push``)."""

import re
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator

from event_pusher.abc import BackendSettings
from event_pusher.errors import InvalidJid
from event_pusher.jid import bare
from event_pusher.options import Duration

#: What a notification may reveal; see `event_pusher_push.wire.reveal`.
Content = Literal["none", "marker", "sender", "full"]
#: A domain, or one under each of ours; the placeholder stands at the very end.
_HOST = re.compile(r"(?:[^\s@/.]+\.)+(?:[^\s@/.]+|@HOST@)")


class PushSettings(BackendSettings):
    """
    Options of the push backend.

    `backend` is where registrations are stored: ``rdbms`` (the database) or ``memory`` (gone at a restart).
    With `collapse`, of what waits for one registration only the newest is published: after an outage a phone is woken
    up once. `max_registrations` caps what one account may enable. `dry_run` decides and records, and sends nothing;
    `only_users`, unless empty, are the only accounts (bare JIDs) that are pushed to.

    `virtual_pubsub_hosts`: push services that are nobody on the network, but a gateway: domains, or ``PREFIX.@HOST@``
    for one under each host; a list when there is one gateway, else a table, host → gateway.
    """

    backend: Literal["rdbms", "memory"] = "rdbms"
    plugin_module: str | tuple[str, ...] = "defaults"
    virtual_pubsub_hosts: tuple[str, ...] | dict[str, str] = ()
    content: Content = "full"
    collapse: bool = False
    dry_run: bool = False
    only_users: frozenset[str] = frozenset()
    max_registrations: int = Field(default=20, ge=1)
    order_hold: Duration | None = 30.0

    @field_validator("backend", mode="before")
    @classmethod
    def _known_store(cls, value: object) -> object:
        if value == "mnesia":
            raise ValueError(
                'there is no Mnesia here: write backend = "rdbms", which keeps registrations in [database]'
            )
        if value == "redis":
            raise ValueError('Redis is not supported: write backend = "rdbms", which keeps registrations in [database]')
        return value

    @field_validator("virtual_pubsub_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...] | dict[str, str]) -> tuple[str, ...] | dict[str, str]:
        for host in value:
            if not _HOST.fullmatch(host):
                raise ValueError(f'{host[:80]!r} is neither a domain nor "PREFIX.@HOST@"')
        return value

    def named_gateways(self) -> Iterable[tuple[tuple[str | int, ...], str | None]]:
        """Those of the virtual hosts."""
        hosts = self.virtual_pubsub_hosts
        if isinstance(hosts, dict):
            return [(("virtual_pubsub_hosts", host), gateway) for host, gateway in hosts.items()]
        return [(("virtual_pubsub_hosts",), None)] if hosts else []

    @field_validator("only_users")
    @classmethod
    def _are_jids(cls, value: frozenset[str]) -> frozenset[str]:
        try:
            return frozenset(bare(user) for user in value)
        except InvalidJid as error:
            raise ValueError(str(error)) from None

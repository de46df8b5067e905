"""The section ``[backends.push]``: MongooseIM's option names (``mod_event_pusher_push``)."""

from typing import Literal

from pydantic import Field, field_validator

from event_pusher.abc import BackendSettings
from event_pusher.errors import InvalidJid
from event_pusher.jid import bare
from event_pusher.options import Duration

#: What a notification may reveal; see `event_pusher_push.wire.reveal`.
Content = Literal["none", "marker", "sender", "full"]


class PushSettings(BackendSettings):
    """
    Options of the push backend.

    `backend` is where registrations are stored: ``rdbms`` (the database) or ``memory`` (gone at a restart).
    With `collapse`, of what waits for one registration only the newest is published: after an outage a phone is woken
    up once. `max_registrations` caps what one account may enable. `dry_run` decides and records, and sends nothing;
    `only_users`, unless empty, are the only accounts (bare JIDs) that are pushed to.
    """

    backend: Literal["rdbms", "memory"] = "rdbms"
    plugin_module: str | tuple[str, ...] = "defaults"
    virtual_pubsub_hosts: tuple[str, ...] = ()
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
    def _no_gateway_yet(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            raise ValueError("virtual PubSub hosts need a gateway, and this release has none: leave the list empty")
        return value

    @field_validator("only_users")
    @classmethod
    def _are_jids(cls, value: frozenset[str]) -> frozenset[str]:
        try:
            return frozenset(bare(user) for user in value)
        except InvalidJid as error:
            raise ValueError(str(error)) from None

"""Registrations for people and for other machines. Values of publish options may be credentials: they are masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from event_pusher.errors import InvalidJid
from event_pusher.jid import bare
from event_pusher.registration import PublishOptions, Registration
from event_pusher.registrations import Record, RegistrationStore

_TIMES = ("created_at", "updated_at", "disabled_at", "paused_at")
_WORDS = ("disabled_reason", "paused_reason")


def shown(record: Record) -> dict[str, Any]:
    """Tell of a registration, its options masked."""
    one = record.registration
    return {
        "id": one.id,
        "user": one.user,
        "service": one.service,
        "node": one.node,
        "options": {name: "***" for name, _ in one.options},
        "enabled": record.disabled_at is None,
        "paused": record.paused_at is not None,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "disabled_at": record.disabled_at,
        "disabled_reason": record.disabled_reason,
        "paused_at": record.paused_at,
        "paused_reason": record.paused_reason,
    }


def exported(record: Record, *, with_secrets: bool) -> dict[str, Any]:
    """Write a registration so that `imported` reads it; without secrets, options have names only."""
    told = shown(record)
    del told["enabled"], told["paused"]
    options = [[name, value if with_secrets else None] for name, value in record.registration.options]
    return told | {"options": options}


def imported(told: object, store: RegistrationStore, now: float) -> Record:
    """
    Read what `exported` wrote, or somebody else: `user`, `service`, `node`, and what else is known.

    Options without values are those of the registration that `store` has. Raises `ValueError` with the cure.
    """
    if not isinstance(told, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - a line of a file, not a type of ours
    try:
        user, service = bare(_text(told, "user")), bare(_text(told, "service"))
    except InvalidJid as error:
        raise ValueError(str(error)) from None
    if "@" not in user:
        raise ValueError("user must be an account such as bob@example.org")
    node = _text(told, "node")
    times = {name: _time(told, name) for name in _TIMES}
    words = {name: None if told.get(name) is None else _text(told, name) for name in _WORDS}
    return Record(
        Registration(0, user, service, node, _options(told, store.find(user, service, node))),
        created_at=times["created_at"] or now,
        updated_at=times["updated_at"] or now,
        disabled_at=times["disabled_at"],
        disabled_reason=words["disabled_reason"],
        paused_at=times["paused_at"],
        paused_reason=words["paused_reason"],
    )


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{name} must be a text")
    return value


def _time(told: Mapping[str, Any], name: str) -> float | None:
    value = told.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number: seconds since 1970")  # noqa: TRY004 - as above
    return float(value)


def _options(told: Mapping[str, Any], old: Record | None) -> PublishOptions:
    raw = told.get("options") or []
    pairs = raw.items() if isinstance(raw, dict) else raw
    try:
        options = [(name, value) for name, value in pairs]
    except (TypeError, ValueError):
        raise ValueError("options must be a list of [name, value]") from None
    if any(not isinstance(name, str) or not isinstance(value, str | None) for name, value in options):
        raise ValueError("options must be a list of [name, value], both texts")
    if all(value is not None for _, value in options):
        return tuple((name, value) for name, value in options)
    if old is None:
        raise ValueError("its options were exported without values; export it with --with-secrets")
    return old.registration.options

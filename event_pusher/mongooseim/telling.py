"""What is told of a conversion: what has no counterpart, and which secrets belong where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from event_pusher.mongooseim.reading import Model, Table


class Story:
    """`where` is the part that is being converted; values are never told."""

    def __init__(self) -> None:
        self.where = ""
        self.notes: list[str] = []
        self.secrets: dict[str, str] = {}
        self.pools: set[tuple[str, str]] = set()

    def tell(self, what: str, why: str) -> None:
        """Note something of the part that is being converted."""
        name = f"{self.where}.{what}" if self.where and what else self.where or what
        note = f"{name}: {why}"
        if note not in self.notes:
            self.notes.append(note)

    def left(self, options: Mapping[str, Any]) -> None:
        """Note that `options` have no counterpart."""
        for key in options:
            self.tell(key, "no counterpart")

    def secret(self, what: str, file: str, content: str) -> dict[str, str]:
        """Refer to a secret that was there, and is not copied."""
        while file in self.secrets:
            file += "-2"
        self.secrets[file] = content
        self.tell(what, f"not copied: put {content} into the file {file}")
        return {"file": file}

    def take_pool(self, model: Model, kind: str, tag: str) -> Table:
        """Give a copy of an outgoing pool; one that is missing is told."""
        self.pools.add((kind, tag))
        pool = model.pools.get((kind, tag))
        if pool is None:
            self.tell("pool", f"there is no outgoing_pools.{kind}.{tag}: the defaults stand here")
        return {key: dict(value) if isinstance(value, dict) else value for key, value in (pool or {}).items()}

"""Sections as TOML: as much of it as ours are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def sections(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    """Write the section at `path`, and what is below it: values, then sections, then lists of sections."""
    yield f"[{'.'.join(map(_key, path))}]"
    yield from _body(path, table)


def _body(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    below = {key: value for key, value in table.items() if _is_section(key, value)}
    for key, value in table.items():
        if key not in below:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in below.items():
        for one in value if isinstance(value, list) else ():
            yield f"\n[[{'.'.join(map(_key, (*path, key)))}]]"
            yield from _body((*path, key), one)
        if isinstance(value, dict):
            yield ""
            yield from sections((*path, key), value)


def _is_section(key: str, value: Any) -> bool:
    """Whether it stands in a section of its own; small tables are written in line."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, dict) for one in value)
    return isinstance(value, dict) and key.endswith("_exchange")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            inside = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items())
            return f"{{ {inside} }}" if inside else "{}"
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    """Quote a text; TOML's basic strings escape as JSON's do, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

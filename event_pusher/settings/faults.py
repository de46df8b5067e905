"""What is wrong, in words for people: the dotted path, what was found, the cure. Values are never quoted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from event_pusher.options import Secret
from event_pusher.registry import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)
Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MAX_KEYS = 20
#: pydantic's types as TOML and people call them.
_TYPES = {
    "bool": "true or false",
    "dict": "a section",
    "float": "a number",
    "frozen_set": "a list",
    "int": "a whole number",
    "list": "a list",
    "set": "a list",
    "string": "a text",
    "tuple": "a list",
}


def dotted(path: Path) -> str:
    """Write a path as it would stand in the file: ``hosts."example.org".backends.push``, ``plugins[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if _BARE_KEY.fullmatch(part) else f".{json.dumps(part, ensure_ascii=False)}"
    return text.removeprefix(".")


def everything(path: Path) -> bool:
    """Every path concerns."""
    return True


class Faults:
    """Everything that is wrong, each thing once, in the order in which it was found."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)

    def add(self, path: Path, text: str) -> None:
        """Note that `text` is wrong at `path`."""
        self._lines[f"{dotted(path)}: {text}" if path else text] = None

    def unknown(self, path: Path, known: Sequence[str], what: str = "unknown key") -> None:
        """Note that nothing is called like the last part of `path`; `known` is what there is."""
        hint = did_you_mean(str(path[-1]), known)
        if not hint and len(known) <= _MAX_KEYS:
            hint = f"there are: {', '.join(known) or 'none'}"
        self.add(path, f"{what}; {hint}" if hint else what)

    def check(self, model: type[M], raw: object, path: Path, concerns: Callable[[Path], bool] = everything) -> M | None:
        """Make a `model` of the section `raw` that stands at `path`, or note what is wrong as far as it `concerns`."""
        if not isinstance(raw, dict):
            self.add(path, f"must be a section: [{dotted(path)}]")
            return None
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            self._take(error, model, raw, path, concerns)
            return None

    def _take(
        self,
        error: ValidationError,
        model: type[BaseModel],
        raw: dict[str, Any],
        path: Path,
        concerns: Callable[[Path], bool],
    ) -> None:
        texts: dict[Path, list[str]] = {}
        for detail in error.errors(include_url=False, include_input=False):
            at = _in_file(detail["loc"], raw, missing=detail["type"] == "missing")
            if not concerns(at):
                continue
            if detail["type"] == "extra_forbidden":
                self.unknown(path + at, _keys(model, at[:-1]))
            else:
                texts.setdefault(at, []).append(_text(detail))
        for at, alternatives in texts.items():
            self.add(path + at, ", or ".join(dict.fromkeys(alternatives)).replace(", or must be ", " or "))


def _in_file(loc: Path, raw: object, *, missing: bool) -> Path:
    """Cut out of a pydantic location what is not in the file: the names of a union's members."""
    at: list[str | int] = []
    here: Any = raw
    for number, part in enumerate(loc):
        known = part in here if isinstance(here, dict) else isinstance(here, list) and part in range(len(here))
        if known:
            here = here[part]
        elif not (missing and number == len(loc) - 1):
            continue
        at.append(part)
    return tuple(at)


def _text(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "model_type":
        secret = detail.get("ctx", {}).get("class_name") == Secret.__name__
        return 'must be a text, { file = "NAME" } or { env = "NAME" }' if secret else "must be a section"
    cause = detail.get("ctx", {}).get("error")
    if cause is not None:  # a ValueError of a validator: its text was written for people
        return str(cause)
    what, _, kind = detail["type"].rpartition("_")
    if what in _TYPES and kind in {"type", "parsing"}:
        return f"must be {_TYPES[what]}"
    return detail["msg"].replace("Input should", "must", 1)


def _keys(model: type[BaseModel], at: Path) -> list[str]:
    """The keys that the section of `model` at `at` may have."""
    fields = model.model_fields
    for part in at:
        field = fields.get(str(part))
        inner = next(iter(_models(field.annotation)), None) if field else None
        if inner is None:
            return []
        fields = inner.model_fields
    return [field.alias or name for name, field in fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def within(raw: Mapping[str, Any]) -> Callable[[Path], bool]:
    """Make a test whether a path leads into `raw`; a path that is empty concerns all."""

    def concerns(path: Path) -> bool:
        here: Any = raw
        for part in path:
            if not isinstance(here, dict):
                return True
            if part not in here:
                return False
            here = here[part]
        return True

    return concerns

"""One section: its model, and the secrets in it, which are read once to see that they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from event_pusher.options import Secret, Section
from event_pusher.settings.faults import everything

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from event_pusher.settings.faults import Faults, Path

M = TypeVar("M", bound=Section)


class Sections:
    """Checks sections of the file in `folder`; what is wrong goes to `faults`."""

    def __init__(self, folder: pathlib.Path, faults: Faults) -> None:
        self._folder = folder
        self._faults = faults

    def read(
        self,
        model: type[M],
        raw: object,
        path: Path,
        concerns: Callable[[Path], bool] = everything,
        secrets: Callable[[Path], bool] = everything,
    ) -> M | None:
        """
        Make a `model` of what stands at `path`, None when something is wrong with it.

        Told are the faults at paths that it `concerns`, and that a secret cannot be read at paths of `secrets`.
        """
        made = self._faults.check(model, raw, path, concerns)
        for at, secret in secrets_in(made):
            secret.relative_to(self._folder)
            if secrets(at):
                self._try(secret, path + at)
        return made

    def _try(self, secret: Secret, path: Path) -> None:
        try:
            if not secret.reveal():
                self._faults.add(path, "the secret is empty")
        except ValueError as error:
            self._faults.add(path, str(error))


def secrets_in(value: Any, at: Path = ()) -> Iterator[tuple[Path, Secret]]:
    """Find every secret in a settings model, with its path."""
    match value:
        case Secret():
            yield at, value
        case BaseModel():
            for name in type(value).model_fields:
                yield from secrets_in(getattr(value, name), (*at, name))
        case dict():
            for key, inner in value.items():
                yield from secrets_in(inner, (*at, key))
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from secrets_in(inner, (*at, number))


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay the section `above` over the section `below`, key by key."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result

"""The building blocks of settings: what every backend's section shares, durations, secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|d|w)\s*")


def parse_duration(value: object) -> float:
    """Read seconds from a number or from text such as ``"30s"``, ``"7d"``. Raises `ValueError`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a duration is a number of seconds or a text such as "30s", "5min", "24h", "7d"')
    return float(match[1]) * _UNITS[match[2]]


#: Seconds as `float`; in the file a number or ``"24h"``.
Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of the configuration: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Secret(Section):
    """
    A secret: ``"…"``, ``{ file = "NAME" }`` or ``{ env = "NAME" }``; read at each use, never shown.

    A relative file is looked for in ``$CREDENTIALS_DIRECTORY`` first, then in the configuration's folder.
    """

    file: str | None = None
    env: str | None = None
    text: str | None = Field(default=None, repr=False)
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _exactly_one(self) -> Secret:
        if sum(part is not None for part in (self.file, self.env, self.text)) != 1:
            raise ValueError('a secret is a text, { file = "NAME" } or { env = "NAME" }')
        return self

    def relative_to(self, folder: Path) -> None:
        """Let a relative file start in `folder`."""
        self._folder = folder

    def reveal(self) -> str:
        """Read the secret now. Raises `ValueError` with the cure when it is not there."""
        if self.text is not None:
            return self.text
        if self.env is not None:
            if self.env not in os.environ:
                raise ValueError(f"the environment has no variable {self.env}")
            return os.environ[self.env]
        path = self.path()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the secret file {path}: {_reason(error)}") from None

    def path(self) -> Path:
        """The file that a ``{ file = … }`` names, whether or not it exists."""
        name = Path(self.file or "")
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder and not name.is_absolute() and (Path(folder) / name).exists():
            return Path(folder) / name
        return self._folder / name

    def __repr__(self) -> str:
        if self.file is not None:
            return f"Secret(file={self.file!r})"
        return f"Secret(env={self.env!r})" if self.env is not None else "Secret('***')"

    __str__ = __repr__


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


#: MongooseIM's five names for how a job finds its worker.
Strategy = Literal["available_worker", "best_worker", "next_worker", "random_worker", "next_available_worker"]


class Wpool(Section):
    """
    The workers that publish; MongooseIM's names and units (``wpool.*``).

    `workers` threads at most, started on demand. `strategy`: one queue for all (`available_worker`), or a
    queue per worker chosen by length (`best_worker`), in turn (`next_worker`), in turn among the idle
    (`next_available_worker`), or by lot (`random_worker`). A job that no worker took within `call_timeout`
    milliseconds goes back unsent. A worker with `max_worker_queue_len` jobs waiting takes no more: the
    rest waits in the outbox.
    """

    workers: int = Field(default=10, ge=1, le=10_000)
    strategy: Strategy = "available_worker"
    call_timeout: int = Field(default=5000, ge=1)
    max_worker_queue_len: int | None = Field(default=None, ge=0)


class RetrySettings(Section):
    """When a failed delivery is tried again: the waits in turn (full jitter), the last one from then on."""

    schedule: tuple[Duration, ...] = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)

    @field_validator("schedule")
    @classmethod
    def _not_empty(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(wait <= 0 for wait in value):
            raise ValueError("a schedule names at least one wait, each longer than 0")
        return value


class BackendSettings(Section):
    """
    What every backend's section may say; a backend's own ``Settings`` inherits it.

    `in_flight`: most attempts without an outcome. `publish_timeout`: seconds until an attempt without one is
    tried again. `max_age`: seconds from acceptance until a delivery expires. `order_hold`: seconds that a
    failing head may hold its lane; None = until it is dead.
    """

    type: str | None = None
    wpool: Wpool = Wpool()
    in_flight: int = Field(default=2000, ge=1, le=100_000)
    publish_timeout: Duration = 40.0
    retry: RetrySettings = RetrySettings()
    max_age: Duration = 86400.0
    order_hold: Duration | None = None

    def plugin_chains(self) -> Iterable[tuple[tuple[str | int, ...], tuple[str, ...]]]:
        """
        Name the chains of plugins that stand elsewhere than in ``plugin_module``: (path in the section, names).

        A backend whose settings override it gets these, as `BackendTools.chains`, and none of its own.
        """
        return ()

    def named_gateways(self) -> Iterable[tuple[tuple[str | int, ...], str | None]]:
        """
        Name the gateways that it uses: (path in the section, name); None = the only one that is configured.

        It is handed these, as `BackendTools.gateways`.
        """
        return ()


class GatewaySettings(Section):
    """
    What every gateway's section may say; a gateway's own ``Settings`` inherits it.

    `workers`: threads that publish, started on demand (MongooseIM's ``max_http_connections``).
    """

    type: str | None = None
    workers: int = Field(default=100, ge=1, le=1000)


class NoSettings(Section):
    """For a plugin that has nothing to set."""

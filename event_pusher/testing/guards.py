"""What holds for every contract."""

from __future__ import annotations

import builtins
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def no_waiting() -> Iterator[None]:
    """Let everything fail that opens a socket or a file, or sleeps."""

    def refuse(*args: object, **options: object) -> NoReturn:
        raise AssertionError("deciding may not open a socket or a file, nor wait")

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (socket.socket, "connect"),
            (socket.socket, "connect_ex"),
            (socket.socket, "bind"),
            (socket, "getaddrinfo"),
            (builtins, "open"),
            (os, "open"),
            (time, "sleep"),
        ):
            patch.setattr(owner, name, refuse)
        yield


class Contract:
    """A contract whose tests are kept, or dropped with a reason: `dropped` = name → why; what a base drops counts."""

    dropped: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _skip_what_is_dropped(self, request: pytest.FixtureRequest) -> None:
        said = [cls.dropped for cls in type(self).__mro__ if issubclass(cls, Contract)]
        reason = next((why for one in said if (why := one.get(request.function.__name__))), None)
        if reason:
            pytest.skip(f"dropped from the contract: {reason}")

    def test_the_contract_is_whole(self) -> None:
        contracts = [cls for cls in type(self).__mro__ if "_is_contract" in vars(cls)]
        for name, test in {name: test for cls in contracts for name, test in _tests(cls).items()}.items():
            assert getattr(type(self), name, None) is test, f"{name} was replaced: say why in `dropped`, or use a hook"
        known = {name for cls in contracts for name in _tests(cls)}
        assert set(self.dropped) <= known, "`dropped` names tests that the contract does not have"
        assert all(reason.strip() for reason in self.dropped.values()), "`dropped` gives a reason for each test"


def _tests(cls: type) -> dict[str, Any]:
    return {name: test for name, test in vars(cls).items() if name.startswith("test_")}

"""What stands around a backend under contract: what it is handed, and the destination that it publishes to."""

from __future__ import annotations

from collections.abc import Sequence

from event_pusher.abc import BackendTools
from event_pusher.testing.doubles import make_tools


class World:
    """
    A destination that takes everything at once and cannot be asked. Inherit, and override what yours can do.

    What a world cannot do (None, False) is not tested: the test is skipped and says so. `event_pusher.testing.TcpWorld`
    and `HttpWorld` can do all of it, on loopback.
    """

    def __init__(self, tools: BackendTools | None = None) -> None:
        self.tools = tools or make_tools()

    def received(self) -> Sequence[bytes] | None:
        """The payloads that arrived, in order; None = it cannot tell."""
        return None

    def discard(self) -> None:
        """Forget what arrived until now: a test is about to send very much."""

    def go_away(self) -> bool:
        """Cut what is connected, and take no connection until `come_back`; False = it cannot."""
        return False

    def come_back(self) -> bool:
        """Be as at the beginning, at the same address; what was held back is answered. False = it cannot."""
        return False

    def stall(self) -> bool:
        """Take what comes and answer nothing until `come_back` or `close`; False = it cannot."""
        return False

    def refuse(self) -> bool:
        """Say no to everything until `come_back`; False = it cannot."""
        return False

    def close(self) -> None:
        """Let everything go; may be called twice."""

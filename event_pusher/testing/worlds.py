"""What stands around a backend under contract: what it is handed, and the destination that it publishes to."""

from __future__ import annotations

from collections.abc import Sequence

from event_pusher.abc import BackendTools
from event_pusher.testing.doubles import make_tools


class World:
    """
    A destination that takes everything at once and cannot be asked. Inherit, and override what yours can do.

    What a world cannot do is not tested: the test is skipped and says so.
    """

    def __init__(self, tools: BackendTools | None = None) -> None:
        self.tools = tools or make_tools()

    def received(self) -> Sequence[bytes] | None:
        """The payloads that arrived, in order; None = it cannot tell."""
        return None

    def leave(self) -> bool:
        """Make the destination unreachable from now on; False = it cannot."""
        return False

    def hold(self) -> bool:
        """Let the destination take no more and answer nothing until `close`; False = it cannot."""
        return False

    def close(self) -> None:
        """Let everything go; may be called twice."""

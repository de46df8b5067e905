"""The time: the machine's, and one that goes on when somebody sets the machine's clock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from event_pusher.abc import Clock

log = logging.getLogger(__name__)

#: A clock that is so many seconds off at once was set; below, it is followed.
JUMP_SECONDS = 30.0
#: A drift of so many seconds is noted (and costs a lock).
FOLLOW_SECONDS = 1.0


class SystemClock:
    """`event_pusher.abc.Clock` by the machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def since_boot() -> float:
    """Seconds that really passed: those that the machine slept through count, where the system tells."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SteadyClock:
    """
    A clock over `clock` whose UTC makes no jumps: what somebody sets it on or back by is taken out again.

    So nothing expires, and nothing waits a day longer, because a clock was set; after a restart the machine's time
    counts as it is. Small corrections are followed. `elapsed` tells what really passed (default: `clock.monotonic`).
    Any thread.
    """

    def __init__(self, clock: Clock, elapsed: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._elapsed = elapsed or clock.monotonic
        #: How far UTC was ahead of what elapsed, and the sum of the jumps: read together, replaced together.
        self._state = (clock.now() - self._elapsed(), 0.0)
        self._lock = threading.Lock()
        self.monotonic = clock.monotonic

    @property
    def jumped(self) -> float:
        """The sum of all jumps, in seconds."""
        return self._state[1]

    def now(self) -> float:
        """UTC seconds, without the jumps."""
        was_ahead, jumped = self._state
        now, ahead = self._look()
        return now - jumped if abs(ahead - was_ahead) <= FOLLOW_SECONDS else self._moved()

    def _moved(self) -> float:
        with self._lock:
            was_ahead, jumped = self._state
            now, ahead = self._look()  # anew: who was paused between the two clocks saw a jump that was none
            if abs(jump := ahead - was_ahead) > JUMP_SECONDS:
                jumped += jump
                log.warning("the machine's clock jumped by %+.0f s; what waits goes by the time that passed", jump)
            self._state = (ahead, jumped)
            return now - jumped

    def _look(self) -> tuple[float, float]:
        """UTC, and how far it is ahead of what elapsed."""
        now = self._clock.now()
        return now, now - self._elapsed()

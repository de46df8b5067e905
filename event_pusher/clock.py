"""The real time."""

import time


class SystemClock:
    """`event_pusher.abc.Clock` by the machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

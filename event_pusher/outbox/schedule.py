"""When a failed delivery is tried again: a published schedule with full jitter."""

import random
from collections.abc import Sequence


def retry_delay(schedule: Sequence[float], number: int, after: float | None, draw: random.Random) -> float:
    """
    Seconds to wait after attempt `number` (from 1) failed.

    The wait is drawn evenly from 0 to the schedule's ("full jitter"), so that many devices of one service do not come
    back at once. `after`, what the destination asked for, is kept to between the first wait and the last.
    """
    if after is not None:
        return min(max(after, schedule[0]), max(schedule))
    return draw.uniform(0.0, schedule[min(number, len(schedule)) - 1])

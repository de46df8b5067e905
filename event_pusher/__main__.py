"""``python -m event_pusher`` is ``event-pusher``."""

from event_pusher.cli import main

main()

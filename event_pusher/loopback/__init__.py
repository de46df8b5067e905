"""
A small XMPP server end on loopback: the module's side of the feed, accounts, push services.

Used by ``event-pusher quickstart``, by tests and by benchmarks. It keeps to docs/feed-protocol.md like the modules for
real servers, and it reads while it writes, so neither end can wait for the other for ever.
"""

from event_pusher.loopback.publishes import HOLD, Handler, Publish, PushService, Verdict
from event_pusher.loopback.server import LoopbackServer

__all__ = ["HOLD", "Handler", "LoopbackServer", "Publish", "PushService", "Verdict"]

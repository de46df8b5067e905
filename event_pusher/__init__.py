"""event-pusher: XMPP stanza events, fanned out to backends, delivered at least once."""

__version__ = "0.1.0"

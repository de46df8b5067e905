"""XMPP as a component speaks it: framing, the feed, delegation, publishing. Leaves: nothing here imports the core."""

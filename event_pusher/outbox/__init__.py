"""The durable queue: what waits for its delivery, and what died."""

"""The HTTP backend: events become requests to webhooks."""

"""The policies of the HTTP backend that come with it."""

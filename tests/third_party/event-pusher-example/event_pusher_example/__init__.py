"""A backend and a push plugin for event-pusher."""

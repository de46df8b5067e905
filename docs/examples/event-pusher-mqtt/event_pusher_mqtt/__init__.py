"""An MQTT backend of event-pusher."""

"""The `sns` backend: presence and messages to Amazon SNS topics."""

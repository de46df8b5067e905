"""The push backend: XEP-0357 Push Notifications."""

"""A stranger's distributions have tests of their own; tests/packaging installs them and runs those."""

collect_ignore_glob = ["event-pusher-*"]

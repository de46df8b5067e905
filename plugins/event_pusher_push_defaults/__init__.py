"""The default policy of the push backend."""

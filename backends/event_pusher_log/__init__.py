"""The `log` backend: prints each event. The shortest backend there is; read `backend.py` to write your own."""

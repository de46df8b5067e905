"""Fixtures of the server tests; the directory itself is what its modules are imported from."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

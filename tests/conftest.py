"""`suites/` holds test bodies that run on more than one database; its modules are imported by their bare names."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "suites"))
pytest.register_assert_rewrite("lease_suite", "migration_suite", "outbox_suite", "registration_suite", "writer_suite")

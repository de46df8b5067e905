"""The core's alembic environment and revisions."""

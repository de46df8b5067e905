"""Tables of a third party: an alembic branch of its own."""

"""Retries are found by when they are due"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEX, _TABLE = "ix_event_pusher_deliveries_due", "event_pusher_deliveries"


def upgrade() -> None:
    only = sa.text("due_at > 0")
    op.create_index(_INDEX, _TABLE, ["due_at"], sqlite_where=only, postgresql_where=only)


def downgrade() -> None:
    op.drop_index(_INDEX, _TABLE)

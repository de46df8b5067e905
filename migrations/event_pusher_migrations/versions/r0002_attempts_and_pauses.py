"""The last attempts of a delivery, and registrations that an operator paused"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Every column may be empty, and who does not know them writes and reads as before: the release before may still run.
_NEW = (
    ("event_pusher_deliveries", "history", sa.Text),
    ("event_pusher_registrations", "paused_at", sa.Double),
    ("event_pusher_registrations", "paused_reason", sa.Text),
)


def upgrade() -> None:
    for table, name, kind in _NEW:
        op.add_column(table, sa.Column(name, kind))


def downgrade() -> None:
    for table, name, _ in reversed(_NEW):
        op.drop_column(table, name)

"""Since when a quota runs"""

import sqlalchemy as sa
from alembic import op

revision = "acme2"
down_revision = "acme1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("acme_quotas", sa.Column("since", sa.Double))


def downgrade() -> None:
    op.drop_column("acme_quotas", "since")

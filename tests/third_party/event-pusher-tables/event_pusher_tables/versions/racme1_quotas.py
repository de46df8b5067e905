"""Quotas of users"""

import sqlalchemy as sa
from alembic import op

revision = "acme1"
down_revision = None
branch_labels = ("acme",)
depends_on = None


def upgrade() -> None:
    op.create_table("acme_quotas", sa.Column("user", sa.Text, primary_key=True), sa.Column("left", sa.Integer))


def downgrade() -> None:
    op.drop_table("acme_quotas")

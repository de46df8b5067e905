"""Registrations, the outbox, feed positions, the owner, what was seen"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = ("event_pusher",)
depends_on: Sequence[str] | None = None

_big_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _registrations()
    _deliveries()
    op.create_table(
        "event_pusher_feeds",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("feed", sa.Text, nullable=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source", "host", "feed", name="pk_event_pusher_feeds"),
    )
    op.create_table(
        "event_pusher_seen",
        sa.Column("id", _big_id, autoincrement=True, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event_pusher_seen"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_pusher_seen_expires_at", "event_pusher_seen", ["expires_at"])
    _owner()


def downgrade() -> None:
    for name in ("owner", "seen", "feeds", "deliveries", "registrations"):
        op.drop_table(f"event_pusher_{name}")


def _registrations() -> None:
    table = "event_pusher_registrations"
    op.create_table(
        table,
        sa.Column("id", _big_id, autoincrement=True, nullable=False),
        sa.Column("identity", sa.LargeBinary(32), nullable=False),
        sa.Column("user_jid", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("disabled_at", sa.Double),
        sa.Column("disabled_reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("identity", name=f"uq_{table}_identity"),
        sqlite_autoincrement=True,
    )
    op.create_index(f"ix_{table}_user_jid", table, ["user_jid"])
    op.create_index(f"ix_{table}_host", table, ["host"])


def _deliveries() -> None:
    table = "event_pusher_deliveries"
    op.create_table(
        table,
        sa.Column("id", _big_id, autoincrement=False, nullable=False),
        sa.Column("backend", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("lane_key", sa.BigInteger, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("registration_id", sa.BigInteger),
        sa.Column("registration_key", sa.BigInteger),
        sa.Column("collapse_key", sa.Text),
        sa.Column("trace", sa.Text, nullable=False),
        sa.Column("accepted_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("state", sa.String(16), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("due_at", sa.Double, server_default="0", nullable=False),
        sa.Column("overtaken", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("failed_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    )
    op.create_index(f"ix_{table}_lane_key", table, ["lane_key"])
    some, dead = sa.text("registration_key IS NOT NULL"), sa.text("state = 'dead'")
    op.create_index(
        f"ix_{table}_registration_key", table, ["registration_key"], sqlite_where=some, postgresql_where=some
    )
    op.create_index(f"ix_{table}_dead", table, ["id"], sqlite_where=dead, postgresql_where=dead)


def _owner() -> None:
    table = op.create_table(
        "event_pusher_owner",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("fence", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("machine", sa.Text),
        sa.Column("pid", sa.BigInteger),
        sa.Column("started", sa.Text),
        sa.Column("expires_at", sa.Double, server_default="0", nullable=False),
        sa.Column("next_id", sa.BigInteger, server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event_pusher_owner"),
        sa.CheckConstraint("id = 1", name=op.f("ck_event_pusher_owner_single")),
    )
    op.bulk_insert(table, [{"id": 1}])

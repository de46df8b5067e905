"""
The tables. Times are UTC seconds as floats; every name starts with ``event_pusher_``, so a database may be shared.

What makes them is alembic (``migrations/``), never ``create_all``; a test holds the two together.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: SQLite's rowid has the type INTEGER and nothing else.
BigId = BigInteger().with_variant(Integer, "sqlite")

# `user_jid`: a plain `user` is PostgreSQL's current role, in anyone's ad-hoc query. `identity` is the digest of
# (user, service, node): a node of 4,096 characters is too long for a B-tree entry of PostgreSQL (2,704 bytes).
registrations = Table(
    "event_pusher_registrations",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("identity", LargeBinary(32), nullable=False, unique=True),
    Column("user_jid", Text, nullable=False, index=True),
    Column("host", Text, nullable=False, index=True),
    Column("service", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("disabled_at", Double),
    Column("disabled_reason", Text),
    Column("paused_at", Double),
    Column("paused_reason", Text),
    sqlite_autoincrement=True,
)

# `lane_key` and `registration_key` hold a delivery's block of ids in front, a checksum behind (see `outbox.blocks`).
# Indexes on the lane and the registration themselves write all over their pages: with 300,000 rows waiting they cost
# 60 us a delivery. Dead letters have an index of their own, which a delivery that goes well never touches.
# `history` holds the last attempts that failed (see `outbox.history`).
deliveries = Table(
    "event_pusher_deliveries",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False),
    Column("backend", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("lane_key", BigInteger, nullable=False, index=True),
    Column("target", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("format", Integer, nullable=False),
    Column("registration_id", BigInteger),
    Column("registration_key", BigInteger),
    Column("collapse_key", Text),
    Column("trace", Text, nullable=False),
    Column("accepted_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("state", String(16), nullable=False, server_default="waiting"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", Double, nullable=False, server_default="0"),
    Column("overtaken", Boolean, nullable=False, server_default=false()),
    Column("reason", Text),
    Column("failed_at", Double),
    Column("history", Text),
)
Index(
    "ix_event_pusher_deliveries_registration_key",
    deliveries.c.registration_key,
    sqlite_where=text("registration_key IS NOT NULL"),
    postgresql_where=text("registration_key IS NOT NULL"),
)
Index(
    "ix_event_pusher_deliveries_dead",
    deliveries.c.id,
    sqlite_where=text("state = 'dead'"),
    postgresql_where=text("state = 'dead'"),
)

# A delivery that goes well is never due later, and never in this index.
Index(
    "ix_event_pusher_deliveries_due",
    deliveries.c.due_at,
    sqlite_where=text("due_at > 0"),
    postgresql_where=text("due_at > 0"),
)

feeds = Table(
    "event_pusher_feeds",
    metadata,
    Column("source", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("feed", Text, primary_key=True),
    Column("epoch", Text, nullable=False),
    Column("n", BigInteger, nullable=False),
)

# One row: who may write (`fence` counts the takeovers) and the next id of a delivery.
owner = Table(
    "event_pusher_owner",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("holder", Text),
    Column("machine", Text),
    Column("pid", BigInteger),
    Column("started", Text),
    Column("expires_at", Double, nullable=False, server_default="0"),
    Column("next_id", BigInteger, nullable=False, server_default="1"),
    CheckConstraint("id = 1", name="single"),
)

# The keys of one commit share a row: 16 bytes each, end to end. They are looked up in memory.
seen = Table(
    "event_pusher_seen",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
    Column("keys", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

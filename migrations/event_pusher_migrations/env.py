"""
Run by alembic: on the connection that `event_pusher.migrate` hands in, else on ``EVENT_PUSHER_DATABASE_URL``.

The second is for a checkout: ``alembic upgrade head``, ``alembic revision --autogenerate --rev-id 0002``.
"""

import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection

from event_pusher.database import open_engine
from event_pusher.errors import SettingsError
from event_pusher.migrate import VERSION_TABLE
from event_pusher.schema import metadata
from event_pusher.writer import Writer

_log = logging.getLogger("event_pusher.migrate")


def _ours(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
    """In a shared database, other people's tables are none of our business."""
    return kind != "table" or (name or "") in metadata.tables


def _tell(ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]) -> None:
    direction = "to" if step.is_upgrade else "back from"
    _log.info("migrated %s revision %s", direction, step.up_revision_id)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_ours,
        render_as_batch=True,
        version_table=VERSION_TABLE,
        on_version_apply=_tell,
    )
    context.run_migrations()


def _run_alone() -> None:
    url = os.environ.get("EVENT_PUSHER_DATABASE_URL")
    if not url:
        raise SettingsError(["set EVENT_PUSHER_DATABASE_URL, or run `event-pusher db upgrade`"])
    writer = Writer(open_engine(url, Path.cwd(), create=True))
    try:
        with writer.transaction() as connection:
            _run(connection)
    finally:
        writer.close()


handed_in: Connection | None = context.config.attributes.get("connection")
if handed_in is None:
    _run_alone()
else:
    _run(handed_in)

"""
The core's one writing connection.

Both databases run in the driver's autocommit mode and every transaction is begun by name: SQLite's with
``BEGIN IMMEDIATE``, because a reader that turns into a writer fails under load, whatever its timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from event_pusher.errors import LeaseLost, StorageError
from event_pusher.storage_errors import STORAGE_ERRORS, storage_error


class Writer:
    """
    The one connection that writes, for one thread. Every method raises `StorageError` when the database fails.

    While `fence` is set, a transaction of a process that lost its lease raises `LeaseLost` and writes nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self.fence: int | None = None
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._open: Connection | None = None
        self._driver: Any = None
        self._in_transaction = False
        self._doom: StorageError | None = None
        self._undo: list[Callable[[], None]] = []
        self._driver_error: Any = engine.dialect.loaded_dbapi.Error
        self._begin = "BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN"
        lock = "" if self.is_sqlite else " FOR UPDATE"
        self._check = f"SELECT fence FROM event_pusher_owner WHERE id = 1{lock}"  # noqa: S608 - a constant

    @property
    def connection(self) -> Connection:
        """The connection, opened anew when it broke; outside a transaction every statement stands alone."""
        if self._open is not None and not self._in_transaction and (self._open.invalidated or self._open.closed):
            self._drop()
        if self._open is None:
            try:
                self._open = self.engine.connect()
            except STORAGE_ERRORS as error:
                raise storage_error(error) from None
            # In the driver's autocommit mode this is a word between SQLAlchemy and alembic: who finds it begun
            # already, does not commit at its own end.
            self._open.begin()
            self._driver = self._open.connection.driver_connection
        return self._open

    @property
    def in_transaction(self) -> bool:
        """Whether `transaction` is entered."""
        return self._in_transaction

    def sql(self, statement: str) -> str:
        """Write `statement`, whose parameters are ``?``, as the driver wants it."""
        return statement if self.is_sqlite else statement.replace("?", "%s")

    def run(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """
        Run one of the statements that every commit makes, and give the driver's cursor; what it found must be fetched.

        Past SQLAlchemy, whose context costs more than most of them. Raises its errors all the same.
        """
        connection = self.connection
        try:
            return self._driver.execute(statement, values)
        except self._driver_error as error:
            dialect = self.engine.dialect
            if dialect.is_disconnect(error, self._driver, None):
                connection.invalidate(error)
            raise DBAPIError.instance(
                statement, None, error, self._driver_error, hide_parameters=True, dialect=dialect
            ) from None

    def on_rollback(self, call: Callable[[], None]) -> None:
        """Call `call` if the running transaction, or the savepoint it is in, does not come to stay."""
        self._undo.append(call)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend the connection for statements that only read, in or outside a transaction."""
        try:
            yield self.connection
        except STORAGE_ERRORS as error:
            raise storage_error(error) from None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """
        Commit what the block does, or nothing of it. Raises `StorageError`, `RowRefused`, `LeaseLost`.

        When the connection breaks in the commit itself, nobody knows which of the two it was: what is done in
        transactions stands being done again.
        """
        if self._in_transaction:
            raise RuntimeError("a transaction is running already; use `savepoint`")
        connection = self._begun()
        self._in_transaction, self._doom = True, None
        try:
            self._check_fence()
            yield connection
            self._commit()
        except BaseException as error:
            self._roll_back(connection)
            if isinstance(error, STORAGE_ERRORS):
                raise storage_error(error) from None
            raise
        finally:
            self._in_transaction = False
            self._undo.clear()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """
        Let a part of a transaction fail alone, with `StorageError`; the rest goes on and commits.

        If the failure took the whole transaction with it (a full disk may), the rest fails at its end.
        """
        if not self._in_transaction:
            raise RuntimeError("a savepoint needs a transaction around it")
        connection = self.connection
        connection.exec_driver_sql("SAVEPOINT event_pusher")
        undo_before = len(self._undo)
        try:
            yield
        except BaseException as error:
            told = storage_error(error) if isinstance(error, STORAGE_ERRORS) else None
            self._back_to_savepoint(connection, told or StorageError("the savepoint is gone"))
            for call in self._undo[undo_before:]:
                call()
            if told is not None:
                raise told from None
            raise
        connection.exec_driver_sql("RELEASE SAVEPOINT event_pusher")

    def close(self) -> None:
        """Let go of the connection; called twice is fine."""
        if self._open is not None:
            self._drop()

    def _begun(self) -> Connection:
        """Begin; a connection that broke while it was idle (the server restarted) is replaced once, unnoticed."""
        connection = self.connection
        try:
            self.run(self._begin)
        except STORAGE_ERRORS as error:
            if not connection.invalidated:
                self._roll_back(connection)  # in case it began all the same: it would keep everybody out
                raise storage_error(error) from None
            connection = self.connection
            try:
                self.run(self._begin)
            except SQLAlchemyError as again:
                raise storage_error(again) from None
        return connection

    def _check_fence(self) -> None:
        # Sound at the beginning: the lock (SQLite's file, PostgreSQL's row) keeps a takeover out until the commit.
        if self.fence is None:
            return
        found = self.run(self._check).fetchall()
        if found != [(self.fence,)]:
            raise LeaseLost("another process owns the database now; this one stops")

    def _commit(self) -> None:
        if self._doom is not None:
            raise self._doom
        # PostgreSQL answers the COMMIT of a failed transaction with a silent rollback.
        if not self.is_sqlite and self._driver.info.transaction_status.name == "INERROR":
            raise StorageError("a statement of the transaction had failed")
        self.run("COMMIT")

    def _roll_back(self, connection: Connection) -> None:
        try:
            # The driver's own: does nothing where the database has rolled back by itself.
            connection.connection.rollback()
        except Exception:  # noqa: BLE001 - whatever a broken connection raises, a new one is the cure
            self._drop()
        for call in self._undo:
            call()

    def _back_to_savepoint(self, connection: Connection, error: StorageError) -> None:
        try:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT event_pusher")
            connection.exec_driver_sql("RELEASE SAVEPOINT event_pusher")
        except STORAGE_ERRORS:
            # Gone altogether. What still follows must not commit by itself: it goes into a transaction that will not.
            self._doom = error
            with suppress(*STORAGE_ERRORS):
                connection.exec_driver_sql("BEGIN")

    def _drop(self) -> None:
        connection, self._open, self._driver = self._open, None, None
        if connection is not None:
            with suppress(Exception):
                connection.invalidate()
            with suppress(Exception):
                connection.close()

"""Statements recorded as they are executed, and executed again without the engine around them.

A benchmark compares the engine with this: the same work for the database, and no other.
"""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, event

from engine.store.database import Database
from engine.store.driver_quirks import run


class Statement(Struct, frozen=True):
    """A statement as the driver gets it; `many` for one that is executed once per row of parameters."""

    text: str
    parameters: Any
    many: bool


class Transaction(Struct):
    """The statements of one transaction."""

    statements: list[Statement]
    write: bool


class Recorder:
    """Records every transaction of a database from its construction on."""

    def __init__(self, database: Database) -> None:
        self.transactions: list[Transaction] = []

        def begin(connection: Connection) -> None:
            write = bool(connection.get_execution_options().get("gridpatrol_write"))
            self.transactions.append(Transaction([], write))

        def before_execute(_: Connection, cursor: Any, text: str, parameters: Any, context: Any, many: bool) -> None:
            if not text.startswith("BEGIN"):
                self.transactions[-1].statements.append(Statement(text, parameters, many))

        event.listen(database.db, "begin", begin)
        event.listen(database.db, "before_cursor_execute", before_execute)


def execute(database: Database, transaction: Transaction) -> None:
    """Execute a recorded transaction, and fetch what it reads."""
    with database.begin() if transaction.write else database.read() as connection:
        for statement in transaction.statements:
            run(connection, statement.text, statement.parameters, many=statement.many)


def backend_pid(database: Database) -> int | None:
    """The server process behind a connection to PostgreSQL; None on SQLite."""
    if database.dialect == "sqlite":
        return None
    with database.db.connect() as connection:
        raw: Any = connection.connection.driver_connection
        pid: int = raw.info.backend_pid
        return pid

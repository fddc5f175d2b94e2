"""The one private function of SQLAlchemy that we use (2.1.9), so that statements can go straight to its driver.

For each statement SQLAlchemy makes a context, and a result that knows its columns: 22 µs beside the driver's own time
for a query, 9 for a write. The statements of a slice and of what follows it are texts whose rows are taken as they
come, so nothing of that is of use to them, and an event that comes alone takes more than a dozen.

Whoever listens to statements hears of them nevertheless: where somebody does, they go the long way. An error is raised
as SQLAlchemy raises it, which also gives up connections that are broken (`_handle_dbapi_exception`).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection


def run(connection: Connection, statement: str, values: Sequence[Any], *, many: bool = False) -> list[Any]:
    """Execute a statement as the driver takes it, within a transaction, and fetch its rows as tuples; none where it
    returns none. `many`: `values` are rows of values, and it is executed once for each."""
    if connection.dispatch.before_cursor_execute:
        result = connection.exec_driver_sql(statement, (list(values) if many else tuple(values)) or None)
        return [tuple(row) for row in result] if result.returns_rows else []
    cursor = connection.connection.cursor()
    try:
        if many:
            cursor.executemany(statement, values)
            return []
        cursor.execute(statement, values) if values else cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description is not None else []
    except connection.dialect.loaded_dbapi.Error as error:
        connection._handle_dbapi_exception(error, statement, None, cursor, None)

"""How much the tables hold, for measurements: what is stored, and the room that it takes."""

from sqlalchemy import Connection, Table, Text

from engine.store.sql import execute, is_sqlite
from engine.store.tables import DeflatedText, metadata

NUMBER_BYTES = 8
"""What a number counts."""


def read_room(connection: Connection) -> dict[str, int]:
    """The bytes of each table's pages, with those of its indexes; what is free in a page counts. Empty where this build
    of SQLite cannot tell."""
    if is_sqlite(connection):
        able = "SELECT count(*) FROM pragma_compile_options WHERE compile_options = 'ENABLE_DBSTAT_VTAB'"
        if not execute(connection, able).scalar_one():
            return {}
        sql = """SELECT m.tbl_name, sum(d.pgsize) FROM dbstat d JOIN sqlite_schema m ON m.name = d.name
                 WHERE d.aggregate = 1 GROUP BY m.tbl_name"""
    else:
        names = ", ".join(f"('{name}')" for name in metadata.tables)
        sql = f"SELECT name, pg_total_relation_size(CAST(name AS regclass)) FROM (VALUES {names}) AS t(name)"
    return {name: int(size) for name, size in execute(connection, sql) if name in metadata.tables}


def bytes_of_row(connection: Connection, table: Table) -> str:
    """The SQL of the bytes in a row of a table: texts in UTF-8 as they are stored, and eight for every number."""
    length = "length(CAST({} AS BLOB))" if is_sqlite(connection) else "octet_length({})"
    texts = [column.name for column in table.columns if isinstance(column.type, Text | DeflatedText)]
    numbers = [column.name for column in table.columns if column.name not in texts]
    parts = [f"coalesce({length.format(name)}, 0)" for name in texts]
    parts += [f"CASE WHEN {name} IS NULL THEN 0 ELSE {NUMBER_BYTES} END" for name in numbers]
    return " + ".join(parts)


def read(connection: Connection) -> dict[str, int]:
    """The bytes in each table."""
    found = {}
    for table in metadata.tables.values():
        sql = f"SELECT coalesce(sum({bytes_of_row(connection, table)}), 0) FROM {table.name}"
        found[table.name] = int(execute(connection, sql).scalar_one())
    return found

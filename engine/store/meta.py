"""The table `meta`: single values of an installation by their names, such as the number of partitions."""

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import tables, writes
from engine.store.sql import execute, fetch, is_sqlite


class MetaRow(Struct):
    """A line of `meta`."""

    name: str
    value: str


def read_meta(connection: Connection, name: str, *, lock: bool = False) -> str | None:
    """A value by its name. With `lock`, other writers wait for it until the transaction ends."""
    tail = " FOR UPDATE" if lock and not is_sqlite(connection) else ""
    found = fetch(connection, f"SELECT value FROM meta WHERE name = ?{tail}", name)
    return found[0][0] if found else None


def write_meta(connection: Connection, name: str, value: str, *, keep: bool = False) -> None:
    """Set a value; with `keep`, only where there is none yet."""
    write = writes.insert_missing if keep else writes.upsert
    write(connection, tables.meta, [MetaRow(name, value)])


def remove_meta(connection: Connection, name: str) -> None:
    """Take a value away, if there is one."""
    execute(connection, "DELETE FROM meta WHERE name = ?", name)

"""People with tokens of their own: a row for each token that was ever issued, by its digest.

Each change has a number, the last of which stands in `meta`: who keeps the rows in memory reads what has changed since.
"""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import tables, writes
from engine.store.meta import read_meta, write_meta
from engine.store.sql import execute

CHANGES = "people"
"""Name in `meta` of the number of the last change."""
ROTATED, REVOKED = "rotated", "revoked"
"""Why a token has ended, or ends, before its time."""


class PersonRow(Struct):
    """A token of a person. Instants in ms UTC; `reads` is JSON, empty: by the role of the post."""

    digest: str
    name: str
    post: str
    reads: str
    issued_at: int
    expires_at: int
    ended: str = ""
    change: int = 0


_COLUMNS = ", ".join(PersonRow.__struct_fields__)


def last_change(connection: Connection) -> int:
    """The number of the last change; 0: there was none."""
    return int(read_meta(connection, CHANGES) or 0)


def changed_since(connection: Connection, change: int) -> list[PersonRow]:
    """Rows that were written after a change, in that order."""
    sql = f"SELECT {_COLUMNS} FROM people WHERE change > ? ORDER BY change, digest"
    return [PersonRow(*row) for row in execute(connection, sql, change)]


def lock(connection: Connection) -> int:
    """Wait for other writers of people, and keep them waiting until the transaction ends. The number of this change."""
    write_meta(connection, CHANGES, "0", keep=True)
    return int(read_meta(connection, CHANGES, lock=True) or 0) + 1


def write(connection: Connection, change: int, rows: Sequence[PersonRow]) -> None:
    """Rows as they are from this change on."""
    for row in rows:
        row.change = change
    writes.upsert(connection, tables.people, rows)
    write_meta(connection, CHANGES, str(change))


def of_post(connection: Connection, post: str, now: int) -> list[PersonRow]:
    """The tokens of a post that have not ended, the earliest first."""
    sql = f"SELECT {_COLUMNS} FROM people WHERE post = ? AND expires_at > ? ORDER BY issued_at, digest"
    return [PersonRow(*row) for row in execute(connection, sql, post, now)]


def listed(connection: Connection, now: int, *, ended: bool = False) -> list[PersonRow]:
    """Tokens that have not ended, or all, by post."""
    sql = f"SELECT {_COLUMNS} FROM people WHERE expires_at > ? ORDER BY post, issued_at, digest"
    return [PersonRow(*row) for row in execute(connection, sql, -1 if ended else now)]

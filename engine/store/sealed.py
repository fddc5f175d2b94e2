"""What is sealed of a case, for erasing it. In: the open transaction. Out: how many bodies were blanked.

Each row says which case it is about, so nothing is searched, wherever the log lies.
"""

from typing import NamedTuple

from sqlalchemy import Connection

from engine.store import writes

LETTER = "letter:"
"""How the token of a dead letter's bytes begins; that of an event does not."""


class Blanked(NamedTuple):
    """Of how many events, and of how many dead letters, something was erased."""

    events: int
    letters: int


def knows(connection: Connection, case: str) -> bool:
    """Whether there is a case of this name, or anything was ever sealed of one."""
    mark = writes.mark(connection)
    sql = (
        f"SELECT EXISTS (SELECT 1 FROM sealed WHERE subject = {mark}) OR EXISTS (SELECT 1 FROM cases WHERE id = {mark})"
    )
    return bool(connection.exec_driver_sql(sql, (case, case)).scalar_one())


def blank(connection: Connection, case: str) -> Blanked:
    """Erase what is sealed of a case. The rows stay: a resend, which is the same, brings nothing back."""
    if connection.dialect.name == "sqlite":  # what is erased is overwritten in the file as well
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    mark = writes.mark(connection)
    sql = f"UPDATE sealed SET body = '' WHERE subject = {mark} AND body <> '' AND substr(token, 1, {len(LETTER)})"
    return Blanked(*(connection.exec_driver_sql(f"{sql} {is_} '{LETTER}'", (case,)).rowcount for is_ in ("<>", "=")))

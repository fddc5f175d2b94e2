"""Erasing what is sealed of a case.

Each sealed row names its case, so nothing has to be searched, whether the log is a table or a topic.
"""

from sqlalchemy import Connection

from engine.store.sql import execute, is_sqlite

LETTER = "letter:"
"""How the token of a dead letter's bytes begins. The token of an event never begins so."""


def knows(connection: Connection, case: str) -> bool:
    """Whether there is a case of this name, or anything was ever sealed of one."""
    sql = "SELECT EXISTS (SELECT 1 FROM sealed WHERE subject = ?) OR EXISTS (SELECT 1 FROM cases WHERE id = ?)"
    return bool(execute(connection, sql, case, case).scalar_one())


def blank(connection: Connection, case: str) -> tuple[int, int]:
    """Erase what is sealed of a case; of how many events and dead letters that was. The rows stay, so that the same
    event, sent again, brings nothing back."""
    if is_sqlite(connection):  # what is erased is overwritten in the file as well
        execute(connection, "PRAGMA secure_delete = ON")
    sql = f"UPDATE sealed SET body = '' WHERE subject = ? AND body <> '' AND substr(token, 1, {len(LETTER)})"
    events = execute(connection, f"{sql} <> '{LETTER}'", case).rowcount
    letters = execute(connection, f"{sql} = '{LETTER}'", case).rowcount
    execute(connection, "UPDATE dead_letters SET size = 0 WHERE case_id = ? AND size > 0", case)
    return events, letters

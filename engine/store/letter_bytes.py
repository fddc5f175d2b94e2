"""The bytes of dead letters: how many are kept of whom, and the emptying of the oldest. The letters themselves stay."""

from collections.abc import Collection

from sqlalchemy import Connection

from engine.store.sealed import LETTER, blank, untaken
from engine.store.sql import among, execute


def held(connection: Connection) -> dict[str, int]:
    """How many bytes are kept of the letters of each principal."""
    sql = "SELECT principal, sum(size) FROM dead_letters WHERE size > 0 GROUP BY principal"
    return {principal: int(size) for principal, size in execute(connection, sql)}


def oldest(
    connection: Connection, most: int, *, principal: str | None = None, before: int | None = None
) -> list[tuple[str, int]]:
    """Letters that have bytes and how many, those first that were kept first: of one principal, of before an instant
    (ms UTC), or any."""
    terms, values = ["size > 0"], list[object]()
    if principal is not None:
        terms.append("principal = ?")
        values.append(principal)
    if before is not None:
        terms.append("kept_at < ?")
        values.append(before)
    sql = f"SELECT id, size FROM dead_letters WHERE {' AND '.join(terms)} ORDER BY kept_at, id LIMIT ?"
    return [(id_, int(size)) for id_, size in execute(connection, sql, *values, most)]


def empty(connection: Connection, ids: Collection[str]) -> None:
    """Let the bytes of letters go, and what was sealed of their events unless a case has taken it.

    The sealed rows of letters stay, so that the same bytes, sent again, bring nothing back. Those of events do not:
    whoever sends one again when it can be taken is to be heard.
    """
    condition, words = among(connection, "token", sorted(untaken(connection, ids)))
    blank(connection, [f"{LETTER}{id_}" for id_ in ids])
    execute(connection, f"DELETE FROM sealed WHERE {condition}", words)

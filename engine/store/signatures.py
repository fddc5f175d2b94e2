"""Who has signed which list of responsibilities: read from the cases of signatures, along the index of reporters."""

from collections.abc import Collection

from sqlalchemy import Connection

from engine.store.sql import among, execute


def read_signatures(connection: Connection, definition: str, posts: Collection[str]) -> list[tuple[str, int, str]]:
    """(post, when it signed, body of the case) of what these posts have signed, the first one first."""
    condition, wanted = among(connection, "reporter", sorted(posts))
    sql = f"""
        SELECT reporter, opened_at, body FROM cases
        WHERE reporter <> '' AND definition = ? AND {condition} ORDER BY opened_at, id"""
    return [(post, at, body) for post, at, body in execute(connection, sql, definition, wanted)]

"""What was sealed of the steps of a case, by their tokens."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection

from engine.store.audit import Act
from engine.store.sql import among, execute


class SealedWords(NamedTuple):
    """What was sealed of an event: JSON, empty where it was erased; and when that was (ms UTC; 0: not known)."""

    body: str
    erased_at: int


def read_words(connection: Connection, tokens: Collection[str]) -> dict[str, SealedWords]:
    """What lies under these tokens."""
    condition, wanted = among(connection, "token", sorted(tokens))
    rows = execute(connection, f"SELECT token, body, erased_at FROM sealed WHERE {condition}", wanted)
    return {token: SealedWords(body, erased_at) for token, body, erased_at in rows}


def last_erasure(connection: Connection, case: str) -> int:
    """When a case was erased last, as the audit knows (ms UTC); 0: it does not."""
    sql = "SELECT coalesce(max(at), 0) FROM audit WHERE act = ? AND object = ?"
    return int(execute(connection, sql, Act.INCIDENT_ERASED.value, case).scalar_one())

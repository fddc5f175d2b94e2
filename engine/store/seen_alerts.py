"""Which alerts and notices a post has seen (已读), as it said itself: beside the deliveries, and no fact."""

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.sql import among, execute
from engine.store.tables import alerts_seen


class SeenRow(Struct):
    """A post has seen an alert or a notice, at an instant (ms UTC)."""

    alert: str
    post: str
    seen_at: int
    principal: str


def told_to(connection: Connection, post: str, ids: Collection[str]) -> set[str]:
    """Those of these alerts and notices that tell a post."""
    found = set()
    for table in ("alerts", "notices"):
        condition, wanted = among(connection, "id", ids)
        for id_, recipients in execute(connection, f"SELECT id, recipients FROM {table} WHERE {condition}", wanted):
            if post in msgspec.json.decode(recipients):
                found.add(id_)
    return found


def write(connection: Connection, rows: Sequence[SeenRow]) -> None:
    """Alerts that were seen; what was seen before stays as it was."""
    writes.insert_missing(connection, alerts_seen, rows)


def seen_at(connection: Connection, post: str, ids: Collection[str]) -> dict[str, int]:
    """When a post has seen these alerts and notices, those that it has seen."""
    if not post or not ids:
        return {}
    condition, wanted = among(connection, "alert", ids)
    sql = f"SELECT alert, seen_at FROM alerts_seen WHERE post = ? AND {condition}"
    return {alert: at for alert, at in execute(connection, sql, post, wanted)}

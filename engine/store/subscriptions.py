"""Subscriptions of principals to the alert feed. Each is a channel of its own in the tables of channels, by its id.

Each change has a number, the last of which stands in `meta`: who keeps the rows in memory reads what has changed since.
"""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import channels, tables, writes
from engine.store.meta import read_meta, write_meta
from engine.store.sql import execute

CHANGES = "subscriptions"
"""Name in `meta` of the number of the last change."""


class SubscriptionRow(Struct):
    """A subscription. Instants in ms UTC; `ended_at` 0: it stands; `asks` is a `Selection` in JSON."""

    id: str
    principal: str
    name: str
    kind: str
    url: str
    secret: str
    asks: str
    wait_s: int
    made_at: int
    old_secret: str = ""
    old_until: int = 0
    ended_at: int = 0
    why: str = ""
    change: int = 0


_COLUMNS = ", ".join(SubscriptionRow.__struct_fields__)


def last_change(connection: Connection) -> int:
    """The number of the last change; 0: there was none."""
    return int(read_meta(connection, CHANGES) or 0)


def changed_since(connection: Connection, change: int) -> list[SubscriptionRow]:
    """Rows that were written after a change, in that order."""
    sql = f"SELECT {_COLUMNS} FROM subscriptions WHERE change > ? ORDER BY change, id"
    return [SubscriptionRow(*row) for row in execute(connection, sql, change)]


def lock(connection: Connection) -> int:
    """Wait for other writers of subscriptions, and keep them waiting until the transaction ends. The number of this
    change."""
    write_meta(connection, CHANGES, "0", keep=True)
    return int(read_meta(connection, CHANGES, lock=True) or 0) + 1


def write(connection: Connection, change: int, rows: Sequence[SubscriptionRow]) -> None:
    """Rows as they are from this change on."""
    for row in rows:
        row.change = change
    writes.upsert(connection, tables.subscriptions, rows)
    write_meta(connection, CHANGES, str(change))


def of_id(connection: Connection, id_: str) -> SubscriptionRow | None:
    """A subscription, also one that has ended."""
    for row in execute(connection, f"SELECT {_COLUMNS} FROM subscriptions WHERE id = ?", id_):
        return SubscriptionRow(*row)
    return None


def listed(connection: Connection, principal: str = "", *, ended: bool = False) -> list[SubscriptionRow]:
    """The subscriptions of a principal, or of all, that stand; or all of them, by principal and name."""
    which = "(principal = ? OR ? = '') AND (ended_at = 0 OR ?)"
    sql = f"SELECT {_COLUMNS} FROM subscriptions WHERE {which} ORDER BY principal, name, made_at, id"
    return [SubscriptionRow(*row) for row in execute(connection, sql, principal, principal, ended)]


def counts(connection: Connection) -> dict[str, int]:
    """How many stand, by kind."""
    sql = "SELECT kind, count(*) FROM subscriptions WHERE ended_at = 0 GROUP BY kind"
    return {kind: count for kind, count in execute(connection, sql)}


def end(connection: Connection, change: int, rows: Sequence[SubscriptionRow], now: int, why: str) -> None:
    """These tell nothing any more: what waited is given up, address and secrets are forgotten."""
    for row in rows:
        row.url = row.secret = row.old_secret = ""
        row.ended_at, row.why = now, why
        channels.close(connection, row.id, now, why)
    write(connection, change, rows)


def end_of(connection: Connection, principal: str, now: int, why: str) -> int:
    """End all that a principal has. Returns how many."""
    if not listed(connection, principal):
        return 0
    change = lock(connection)
    rows = listed(connection, principal)
    end(connection, change, rows, now, why)
    return len(rows)


def forget(connection: Connection, before: int) -> None:
    """Take away those that ended before an instant."""
    execute(connection, "DELETE FROM subscriptions WHERE ended_at > 0 AND ended_at < ?", before)

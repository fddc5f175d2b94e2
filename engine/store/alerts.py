"""Alerts and their feed: what the alert consumer writes, and what supervisors read.

The lines of the feed are numbered without gaps, from 1. Its epoch stands in `meta`.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.sql import among, execute
from engine.store.tables import alerts, deliveries

EPOCH = "feed_epoch"
"""Name in `meta` of what tells one numbering of the feed from another."""
TOLD = "alerts_told"
"""Name in `meta` of the instant up to which waiting alerts have been told."""


class AlertRow(Struct):
    """An alert. Instants in ms UTC; `recipients` and `acknowledged_by` are JSON lists of posts, the latter sorted."""

    id: str
    partition: int
    case_id: str
    kind: str
    clock: str
    level: int
    cycle: int
    definition: str
    path: str
    category: str
    recipients: str
    due_at: int
    due: int | None
    raised_at: int
    not_before: int | None
    status: str
    ended_at: int | None
    ended_by: str
    acknowledged_by: str
    department: str


class DeliveryRow(Struct):
    """A line of the feed: what was told of an alert, to whom, when and why. `body` is what the stream sends."""

    number: int
    alert: str
    what: str
    definition: str
    path: str
    channel: str
    recipients: str
    reason: str
    told_at: int
    body: str


_ALERT = ", ".join(AlertRow.__struct_fields__)
_DELIVERY = ", ".join(DeliveryRow.__struct_fields__)


# ---- what the consumer reads and writes --------------------------------------------------------------


def read_open(connection: Connection, cases: Iterable[str]) -> list[AlertRow]:
    """The alerts of these cases that are firing."""
    condition, ids = among(connection, "case_id", sorted(cases))
    sql = f"SELECT {_ALERT} FROM alerts WHERE {condition} AND status = 'firing'"
    return [AlertRow(*row) for row in execute(connection, sql, ids)]


def read_waiting(connection: Connection, after: int, upto: int, raised_since: int) -> list[AlertRow]:
    """Firing alerts whose telling waited for an instant after `after`, up to `upto`, in that order."""
    sql = f"""SELECT {_ALERT} FROM alerts WHERE raised_at >= ? AND status = 'firing'
              AND not_before > ? AND not_before <= ? ORDER BY not_before, id"""
    return [AlertRow(*row) for row in execute(connection, sql, raised_since, after, upto)]


def write(connection: Connection, rows: Sequence[AlertRow], lines: Sequence[DeliveryRow]) -> None:
    """Alerts as they are now, and new lines of the feed."""
    writes.upsert(connection, alerts, rows)
    writes.insert(connection, deliveries, lines)


def last_number(connection: Connection) -> int:
    """The number of the feed's last line, 0 before the first."""
    number: int = execute(connection, "SELECT coalesce(max(number), 0) FROM deliveries").scalar_one()
    return number


# ---- what supervisors read ---------------------------------------------------------------------------


def listed(
    connection: Connection,
    *,
    path: str = "/",
    status: str | None = None,
    clock: str | None = None,
    case: str | None = None,
    definition: str | None = None,
    before: tuple[int, str] | None = None,
    limit: int = 100,
) -> list[AlertRow]:
    """Alerts of a subtree, the latest first; `before` is the (raised_at, id) where the last page ended."""
    terms, values = ["substr(path, 1, ?) = ?"], [len(path), path]
    for name, value in (("status", status), ("clock", clock), ("case_id", case), ("definition", definition)):
        if value is not None:
            terms.append(f"{name} = ?")
            values.append(value)
    if before is not None:
        terms.append("(raised_at, id) < (?, ?)")
        values += before
    sql = f"SELECT {_ALERT} FROM alerts WHERE {' AND '.join(terms)} ORDER BY raised_at DESC, id DESC LIMIT ?"
    return [AlertRow(*row) for row in execute(connection, sql, *values, limit)]


def read_feed(
    connection: Connection, number: int, path: str, definition: str, limit: int, *, kind: str = "", post: str = ""
) -> list[DeliveryRow]:
    """Lines of the feed after a number, of a subtree and of one definition, or of all where it is empty; in order.
    `kind`: alert or notice; `post`: what it is told."""
    terms, values = ["number > ?", "substr(path, 1, ?) = ?"], list[object]((number, len(path), path))
    if definition:
        terms.append("definition = ?")
        values.append(definition)
    if kind:
        terms.append("what = 'told'" if kind == "notice" else "what <> 'told'")
    if post:
        terms.append("replace(recipients, ?, '') <> recipients")
        values.append(f'"{post}"')
    sql = f"SELECT {_DELIVERY} FROM deliveries WHERE {' AND '.join(terms)} ORDER BY number LIMIT ?"
    return [DeliveryRow(*row) for row in execute(connection, sql, *values, limit)]

"""Alerts and the feed in the database: what the alert consumer writes, and what supervisors read.

In: the open transaction, rows. Out: rows. The feed's numbers are dense; its epoch stands in `meta`.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.figures import dialect, marks
from engine.store.tables import alerts, deliveries, meta

EPOCH = "feed_epoch"
TOLD = "alerts_told"
"""Name in `meta` of the instant up to which waiting alerts have been told."""


class AlertRow(Struct):
    """An alert. Instants in ms UTC; `recipients` is a JSON list of posts."""

    id: str
    partition: int
    case_id: str
    kind: str
    clock: str
    level: int
    cycle: int
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


class DeliveryRow(Struct):
    """A line of the feed: what was told of an alert, to whom, when and why. `body` is what the stream
    sends."""

    number: int
    alert: str
    what: str
    path: str
    channel: str
    recipients: str
    reason: str
    told_at: int
    body: str


class MetaRow(Struct):
    """A line of `meta`."""

    name: str
    value: str


_ALERT = ", ".join(AlertRow.__struct_fields__)
_DELIVERY = ", ".join(DeliveryRow.__struct_fields__)


# ---- what the consumer reads and writes --------------------------------------------------------------


def read_open(connection: Connection, cases: Iterable[str]) -> list[AlertRow]:
    """The alerts of these cases that are firing or acknowledged."""
    names = ", ".join(f"a.{name}" for name in AlertRow.__struct_fields__)
    open_ = "a.status IN ('firing', 'acknowledged')"
    wanted = sorted(cases)
    if dialect(connection) == "sqlite":
        sql = f"SELECT {names} FROM json_each(?) j CROSS JOIN alerts a ON a.case_id = j.value WHERE {open_}"
        rows = connection.exec_driver_sql(sql, (msgspec.json.encode(wanted).decode(),))
    else:
        sql = f"SELECT {names} FROM alerts a WHERE a.case_id = ANY(%s) AND {open_}"
        rows = connection.exec_driver_sql(sql, (wanted,))
    return [AlertRow(*row) for row in rows]


def read_waiting(connection: Connection, after: int, upto: int, raised_since: int) -> list[AlertRow]:
    """Firing alerts whose telling waited for an instant after `after`, up to `upto`, in that order."""
    sql = f"""SELECT {_ALERT} FROM alerts WHERE raised_at >= ? AND status = 'firing'
              AND not_before > ? AND not_before <= ? ORDER BY not_before, id"""
    rows = connection.exec_driver_sql(marks(connection, sql), (raised_since, after, upto))
    return [AlertRow(*row) for row in rows]


def write(connection: Connection, rows: Sequence[AlertRow], told: Sequence[DeliveryRow]) -> None:
    """Alerts as they are now, and new lines of the feed."""
    writes.upsert(connection, alerts, rows)
    writes.insert(connection, deliveries, told)


def last_number(connection: Connection) -> int:
    """The number of the feed's last line, 0 before the first."""
    value: int = connection.exec_driver_sql("SELECT coalesce(max(number), 0) FROM deliveries").scalar_one()
    return value


def read_meta(connection: Connection, name: str, *, lock: bool = False) -> str | None:
    """A value of `meta`; with `lock`, held against other writers until the transaction ends."""
    tail = " FOR UPDATE" if lock and dialect(connection) == "postgresql" else ""
    sql = f"SELECT value FROM meta WHERE name = ?{tail}"
    value: str | None = connection.exec_driver_sql(marks(connection, sql), (name,)).scalar_one_or_none()
    return value


def write_meta(connection: Connection, name: str, value: str, *, keep: bool = False) -> None:
    """Set a value of `meta`; with `keep`, only where there is none yet."""
    (writes.ignore if keep else writes.upsert)(connection, meta, [MetaRow(name, value)])


# ---- what supervisors read ---------------------------------------------------------------------------


def listed(
    connection: Connection,
    *,
    path: str = "/",
    status: str | None = None,
    clock: str | None = None,
    case: str | None = None,
    before: tuple[int, str] | None = None,
    limit: int = 100,
) -> list[AlertRow]:
    """Alerts of a subtree, the latest first; `before` is the (raised_at, id) where the last page ended."""
    parts, values = ["substr(path, 1, ?) = ?"], [len(path), path]
    for name, value in (("status", status), ("clock", clock), ("case_id", case)):
        if value is not None:
            parts.append(f"{name} = ?")
            values.append(value)
    if before is not None:
        parts.append("(raised_at, id) < (?, ?)")
        values += before
    condition = " AND ".join(parts)
    sql = f"SELECT {_ALERT} FROM alerts WHERE {condition} ORDER BY raised_at DESC, id DESC LIMIT ?"
    rows = connection.exec_driver_sql(marks(connection, sql), (*values, limit))
    return [AlertRow(*row) for row in rows]


def told_after(connection: Connection, number: int, path: str, limit: int) -> list[DeliveryRow]:
    """Lines of the feed after a number, of a subtree, in order."""
    sql = f"""SELECT {_DELIVERY} FROM deliveries WHERE number > ? AND substr(path, 1, ?) = ?
              ORDER BY number LIMIT ?"""
    rows = connection.exec_driver_sql(marks(connection, sql), (number, len(path), path, limit))
    return [DeliveryRow(*row) for row in rows]

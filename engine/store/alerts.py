"""Alerts and their feed: what the alert consumer writes, and what supervisors read.

The lines of the feed are numbered without gaps, from 1. Its epoch stands in `meta`.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import notices, writes
from engine.store.meta import read_meta
from engine.store.reading import line_term
from engine.store.sql import among_few, execute, fetch, is_sqlite, text_of
from engine.store.tables import alerts, deliveries
from workflows.reading import READS_EVERYTHING, Readable

EPOCH = "feed_epoch"
"""Name in `meta` of what tells one numbering of the feed from another."""
TOLD = "alerts_told"
"""Name in `meta` of the instant up to which waiting alerts have been told."""
TOLD_AMID = "alerts_told_amid"
"""Name in `meta` of the alert up to which those of the next instant have been told, if some were: `instant|id`."""


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
_LINE = ", ".join(DeliveryRow.__struct_fields__[:-1])


# ---- what the consumer reads and writes --------------------------------------------------------------


def read_open(connection: Connection, cases: Iterable[str]) -> list[AlertRow]:
    """The alerts of these cases that are firing."""
    condition, ids = among_few(connection, "case_id", sorted(cases))
    sql = f"SELECT {_ALERT} FROM alerts WHERE {condition} AND status = 'firing'"
    return [AlertRow(*row) for row in fetch(connection, sql, *ids)]


def read_waiting(
    connection: Connection, after: tuple[int, str], upto: int, raised_since: int, limit: int
) -> list[AlertRow]:
    """Firing alerts whose telling waited for an instant up to `upto`, in the order of instant and id, after one."""
    instant, id_ = after
    sql = f"""SELECT {_ALERT} FROM alerts WHERE raised_at >= ? AND status = 'firing' AND not_before >= ?
              AND not_before <= ? AND (not_before > ? OR id > ?) ORDER BY not_before, id LIMIT ?"""
    rows = execute(connection, sql, raised_since, instant, upto, instant, id_, limit)
    return [AlertRow(*row) for row in rows]


def look(connection: Connection, after: int, upto: int, raised_since: int) -> tuple[int, bool]:
    """The number of the feed's last line, 0 before the first; and whether any alert or notice waited until `upto`."""
    sql = """SELECT (SELECT coalesce(max(number), 0) FROM deliveries),
                    EXISTS (SELECT 1 FROM alerts WHERE raised_at >= ? AND status = 'firing'
                            AND not_before > ? AND not_before <= ?)
                    OR EXISTS (SELECT 1 FROM notices WHERE number = 0 AND not_before <= ? AND NOT daily)"""
    [(number, waiting)] = fetch(connection, sql, raised_since, after, upto, upto)
    return number, bool(waiting)


def look_locked(connection: Connection, upto: int, longest: int) -> tuple[int, int, bool] | None:
    """The instant up to which alerts have been told, locked against others who tell; and what `look` says from there,
    of alerts that were raised at most `longest` ms before it. None: that instant was never stored."""
    if not is_sqlite(connection):  # a statement does not see what was committed while it waited for a lock
        found = read_meta(connection, TOLD, lock=True)
        if found is None:
            return None
        last = int(found)
        return last, *look(connection, last, max(upto, last), last - longest)
    sql = """WITH told AS (SELECT CAST(value AS INTEGER) AS last FROM meta WHERE name = ?)
             SELECT last, (SELECT coalesce(max(number), 0) FROM deliveries),
                    EXISTS (SELECT 1 FROM alerts WHERE raised_at >= last - ? AND status = 'firing'
                            AND not_before > last AND not_before <= max(last, ?))
                    OR EXISTS (SELECT 1 FROM notices WHERE number = 0 AND not_before <= max(last, ?) AND NOT daily)
             FROM told"""
    for last, number, waiting in fetch(connection, sql, TOLD, longest, upto, upto):
        return last, number, bool(waiting)
    return None


def write(
    connection: Connection,
    rows: Sequence[AlertRow],
    lines: Sequence[DeliveryRow],
    told: Sequence[notices.NoticeRow] = (),
) -> None:
    """Alerts as they are now, new lines of the feed, and new notices."""
    with writes.together(connection) as new:
        notices.write(new, told)
        writes.upsert(new, alerts, rows)
        writes.insert(new, deliveries, lines)


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
    rung: str | None = None,
    case: str | None = None,
    definition: str | None = None,
    post: str = "",
    before: tuple[int, str] | None = None,
    limit: int = 100,
    readable: Readable = READS_EVERYTHING,
) -> list[AlertRow]:
    """Alerts of a subtree, the latest first; `before` is the (raised_at, id) where the last page ended."""
    own, given_by_reader = line_term(connection, readable)
    terms, values = ["substr(path, 1, ?) = ?", own], [len(path), path, *given_by_reader]
    given = {"status": status, "clock": clock, "kind": rung, "case_id": case, "definition": definition}
    for name, value in given.items():
        if value is not None:
            terms.append(f"{name} = ?")
            values.append(value)
    if post:
        terms.append("replace(recipients, ?, '') <> recipients")
        values.append(f'"{post}"')
    if before is not None:
        terms.append("(raised_at, id) < (?, ?)")
        values += before
    sql = f"SELECT {_ALERT} FROM alerts WHERE {' AND '.join(terms)} ORDER BY raised_at DESC, id DESC LIMIT ?"
    return [AlertRow(*row) for row in execute(connection, sql, *values, limit)]


def read_feed(
    connection: Connection,
    number: int,
    path: str,
    definition: str,
    limit: int,
    *,
    kind: str = "",
    post: str = "",
    readable: Readable = READS_EVERYTHING,
) -> list[DeliveryRow]:
    """Lines of the feed after a number, of a subtree and of one definition, or of all where it is empty; in order.
    `kind`: alert or notice; `post`: what it is told."""
    own, given = line_term(connection, readable)
    terms, values = ["number > ?", "substr(path, 1, ?) = ?", own], [number, len(path), path, *given]
    if definition:
        terms.append("definition = ?")
        values.append(definition)
    if kind:
        terms.append("what = 'told'" if kind == "notice" else "what <> 'told'")
    if post:
        terms.append("replace(recipients, ?, '') <> recipients")
        values.append(f'"{post}"')
    body = text_of(connection, "body")
    sql = f"SELECT {_LINE}, {body} FROM deliveries WHERE {' AND '.join(terms)} ORDER BY number LIMIT ?"
    return [DeliveryRow(*row) for row in execute(connection, sql, *values, limit)]

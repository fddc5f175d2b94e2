"""How far the log and the tables go that follow from it, and the rows of cases, for `gridpatrol verify`: numbers, gaps,
marks of readers, what is missing. Nothing is judged here."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection

from engine.store.alerts import TOLD
from engine.store.checks import CAUSED_BY
from engine.store.sql import among, execute, is_sqlite, text_of
from schemas.derived_ids import HOME

UNPARKED = '"incident.unparked"'
"""How the body of a step shows that an event left the waiting room in it."""


def numbering(connection: Connection) -> list[tuple[int, int, int, int, int]]:
    """(partition, its n, steps stored, lowest n, highest n) for every partition that has or should have
    steps."""
    sql = """
        SELECT partition, max(n), max(stored), max(lowest), max(highest)
        FROM (SELECT partition, n, 0 AS stored, 0 AS lowest, 0 AS highest FROM partitions
              UNION ALL SELECT partition, 0, count(*), min(n), max(n) FROM facts GROUP BY partition) AS sides
        GROUP BY partition ORDER BY partition"""
    return [(*row,) for row in execute(connection, sql)]


def first_gap(connection: Connection, partition: int) -> int:
    """The first number that is missing in a partition's steps."""
    sql = """SELECT coalesce(min(n) + 1, 1) FROM (SELECT n FROM facts WHERE partition = ?
             UNION ALL SELECT 0) AS known
             WHERE NOT EXISTS (SELECT 1 FROM facts s WHERE s.partition = ? AND s.n = known.n + 1)"""
    value: int = execute(connection, sql, partition, partition).scalar_one()
    return value


def received(connection: Connection) -> list[tuple[int, int, int, int]]:
    """(partition, next position to decide, records stored, head) of every partition. The head is the first free
    position."""
    sql = """
        SELECT p.partition, p.position, count(i.position), coalesce(max(i.position) + 1, 0)
        FROM partitions p LEFT JOIN inbox i ON i.partition = p.partition
        GROUP BY p.partition, p.position ORDER BY p.partition"""
    return [(*row,) for row in execute(connection, sql)]


def first_record_lost(connection: Connection, partition: int) -> int:
    """The first position at which a partition's log has no record."""
    sql = """SELECT min(position) + 1 FROM (SELECT position FROM inbox WHERE partition = ? UNION ALL SELECT -1) AS known
             WHERE NOT EXISTS (SELECT 1 FROM inbox i WHERE i.partition = ? AND i.position = known.position + 1)"""
    value: int = execute(connection, sql, partition, partition).scalar_one()
    return value


def clocks(connection: Connection) -> dict[int, int]:
    """The clock of each partition: the arrival of its last record."""
    return {row[0]: row[1] for row in execute(connection, "SELECT partition, clock FROM partitions")}


def unseen(connection: Connection, partition: int, since: int, types: Sequence[str]) -> list[tuple[str, int, str, str]]:
    """(case, n, source, id) of steps by events of these types that arrived since an instant and that nothing is known
    of in `seen`. What leaves the waiting room was seen when it was parked: that step counts, not this one."""
    if is_sqlite(connection):
        kind, source, id_, actor = (f"json_extract(s.cause, '$.{name}')" for name in CAUSED_BY)
        parked = "instr(inflated(s.body), ?) = 0"
    else:
        kind, source, id_, actor = (f"(CAST(s.cause AS jsonb) ->> '{name}')" for name in CAUSED_BY)
        parked = "strpos(s.body, ?) = 0"
    of_types, wanted = among(connection, kind, types)
    sql = f"""
        SELECT s.case_id, s.n, {source}, {id_} FROM facts s LEFT JOIN seen e
             ON e.partition = s.partition AND e.source = {source} AND e.id = {id_}
             AND (e.actor = '' OR e.actor = coalesce({actor}, '')
                               AND e.home = substr(s.case_id, 1, length(s.case_id) - 37))
        WHERE s.partition = ? AND s.at >= ? AND e.id IS NULL AND {parked} AND {of_types} ORDER BY s.n"""
    rows = execute(connection, sql, partition, since, UNPARKED, wanted)
    return [(*row,) for row in rows]


def feed_numbers(connection: Connection) -> tuple[int, int, int]:
    """(lines of the feed, lowest number, highest number); zeros before the first."""
    sql = "SELECT count(*), coalesce(min(number), 0), coalesce(max(number), 0) FROM deliveries"
    count, lowest, highest = execute(connection, sql).one()
    return count, lowest, highest


def first_line_lost(connection: Connection) -> int:
    """The first number that is missing in the feed."""
    sql = """SELECT min(number) + 1 FROM (SELECT number FROM deliveries UNION ALL SELECT 0) AS known
             WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.number = known.number + 1)"""
    value: int = execute(connection, sql).scalar_one()
    return value


def lines_missing(connection: Connection) -> list[tuple[str, str]]:
    """(alert, what) of alerts that the feed never told firing, nor as they stand now, nor who has acknowledged them.

    Of alerts that had to wait only those are asked for that still fire, and whose time to be told has come.
    """
    if is_sqlite(connection):
        posts, by = "json_each(acknowledged_by) j", "json_extract(inflated(body), '$.by')"
    else:
        posts = "LATERAL jsonb_array_elements_text(CAST(acknowledged_by AS jsonb)) AS j(value)"
        by = "CAST(body AS jsonb) ->> 'by'"
    sql = f"""SELECT id, what FROM (
                  SELECT id, 'firing' AS what FROM alerts WHERE not_before IS NULL OR (status = 'firing'
                      AND not_before <= (SELECT CAST(value AS BIGINT) FROM meta WHERE name = ?))
                  UNION SELECT id, status FROM alerts WHERE not_before IS NULL
                  UNION SELECT alerts.id, 'acknowledged by ' || j.value FROM alerts CROSS JOIN {posts}
                        WHERE not_before IS NULL) AS due
              EXCEPT SELECT alert, what || CASE WHEN what = 'acknowledged' THEN ' by ' || coalesce({by}, '') ELSE '' END
                     FROM deliveries ORDER BY 1, 2"""
    return [(*row,) for row in execute(connection, sql, TOLD)]


def positions(connection: Connection) -> list[tuple[str, int, int, int]]:
    """(consumer, partition, where it stands, where the partition ends), for both consumers and every
    partition."""
    sql = """
        SELECT c.consumer, p.partition, coalesce(s.n, 0), p.n
        FROM (SELECT 'performance' AS consumer UNION ALL SELECT 'alerts') AS c CROSS JOIN partitions p
        LEFT JOIN positions s ON s.consumer = c.consumer AND s.partition = p.partition
        ORDER BY 1, 2"""
    return [(*row,) for row in execute(connection, sql)]


def marks_ahead(connection: Connection) -> list[tuple[str, int, int, int]]:
    """(topic, partition, up to where it was published, where that ends) of what was published beyond its end."""
    sql = """
        SELECT s.consumer, s.partition, s.n, p.n FROM positions s JOIN partitions p ON p.partition = s.partition
        WHERE s.consumer = 'facts.topic' AND s.n > p.n
        UNION ALL
        SELECT s.consumer, s.partition, s.n, d.last
        FROM positions s CROSS JOIN (SELECT coalesce(max(number), 0) AS last FROM deliveries) AS d
        WHERE s.consumer = 'alerts.topic' AND s.n > d.last ORDER BY 1, 2"""
    return [(*row,) for row in execute(connection, sql)]


def page_of_steps(connection: Connection, case: str, seq: int, limit: int) -> list[tuple[Any, ...]]:
    """Steps by case and sequence number, after one of them."""
    body = text_of(connection, "body")
    sql = f"""SELECT case_id, seq, partition, n, policy, definition, path, category, grp, department, post, cause,
             {body} FROM facts WHERE (case_id, seq) > (?, ?) ORDER BY case_id, seq LIMIT ?"""
    rows = execute(connection, sql, case, seq, limit)
    return [(*row,) for row in rows]


def doubled_steps(connection: Connection) -> list[tuple[str, int, int]]:
    """(case, seq, how often) where a case has the same step more than once."""
    sql = "SELECT case_id, seq, count(*) FROM facts GROUP BY case_id, seq HAVING count(*) > 1 ORDER BY 1, 2"
    return [(*row,) for row in execute(connection, sql)]


def case_rows(connection: Connection, names: tuple[str, ...], ids: list[str]) -> dict[str, tuple[Any, ...]]:
    """These columns of these cases."""
    if not ids:
        return {}
    condition, wanted = among(connection, "id", ids)
    columns = ", ".join(f'"{name}"' for name in names)
    sql = f"SELECT id, {columns} FROM cases WHERE {condition}"
    return {row[0]: tuple(row[1:]) for row in execute(connection, sql, wanted)}


def cases_without_steps(connection: Connection, names: Collection[str]) -> list[tuple[Any, ...]]:
    """The ids and these columns of cases that no fact speaks of."""
    columns = ", ".join(f'"{name}"' for name in names)
    sql = f"""
        SELECT id, {columns} FROM cases
        WHERE NOT EXISTS (SELECT 1 FROM facts s WHERE s.case_id = cases.id) ORDER BY id"""
    return [(*row,) for row in execute(connection, sql)]


def home_rows(connection: Connection, partition: int) -> dict[str, str]:
    """The bodies of the cases of the homes of a partition, by their ids."""
    sql = "SELECT id, body FROM cases WHERE partition = ? AND definition = ?"
    return {row[0]: row[1] for row in execute(connection, sql, partition, HOME)}


def shared_work(connection: Connection, ids: list[str]) -> dict[str, list[tuple[int, str, int | None]]]:
    """Who may act on each of these cases, where several may: (level, grid, deadline), by level."""
    condition, wanted = among(connection, "case_id", ids)
    found: dict[str, list[tuple[int, str, int | None]]] = {}
    sql = f"SELECT case_id, level, grid, due_at FROM shared_work WHERE {condition} ORDER BY 1, 2"
    for case, *work in execute(connection, sql, wanted):
        found.setdefault(case, []).append((*work,))
    return found


def parked_rows(connection: Connection, ids: list[str]) -> dict[str, dict[str, tuple[str, int, int]]]:
    """What is counted of events that wait with these cases: by case and principal the home, partition and number."""
    condition, wanted = among(connection, "case_id", ids)
    found: dict[str, dict[str, tuple[str, int, int]]] = {}
    sql = f"SELECT case_id, principal, home, partition, number FROM parked WHERE {condition} ORDER BY 1, 2"
    for case, principal, *counted in execute(connection, sql, wanted):
        found.setdefault(case, {})[principal] = (*counted,)
    return found


def parked_without_steps(connection: Connection) -> list[str]:
    """Cases of which events are counted as waiting, and no fact speaks."""
    sql = """SELECT DISTINCT case_id FROM parked WHERE NOT EXISTS (SELECT 1 FROM facts s
             WHERE s.case_id = parked.case_id) ORDER BY case_id"""
    return [row[0] for row in execute(connection, sql)]


def count_steps(connection: Connection) -> int:
    """How many steps are stored."""
    value: int = execute(connection, "SELECT count(*) FROM facts").scalar_one()
    return value


def activations(connection: Connection) -> dict[int, str]:
    """The packs that each partition activated, as JSON."""
    return {row[0]: row[1] for row in execute(connection, "SELECT partition, packs FROM partitions")}

"""Rows of different tables held against each other, for `gridpatrol verify`: what one of them says, the other has to
say as well. Each function lists the rows that do not."""

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection

from engine.store.sql import among, execute, is_sqlite, text_of

PARKED = '%"fact":"incident.parked"%'
UNPARKED = '%"fact":"incident.unparked"%'
RELEASED = '%"why":"released"%'
"""How the body of a step shows that an event came to wait in it, stopped waiting, and was done then. The text of the
event itself, which is in the body too, has its quotes escaped."""


OF_ACTOR = ('%"actor":"%', '%"actor":"', '"%')
"""How the body of a step by nobody names whose event is given up in it, where several actors' wait under one id."""


CAUSED_BY = ("type", "source", "id", "actor")
"""What names the event that caused a step."""


def outcomes_unlike_steps(connection: Connection, types: Sequence[str]) -> list[tuple[int, str, str, str, str]]:
    """(partition, source, id, outcome that follows, outcome that is stored) of events of these types: the last step
    that an event caused says whether it is done, waits, or was given up; an event without a step was refused.

    SQLite would scan all steps once for each event; after CROSS JOIN it looks up each step's event by its key.
    """
    if is_sqlite(connection):
        kind, source, id_, actor = (f"json_extract(s.cause, '$.{name}')" for name in CAUSED_BY)
    else:
        kind, source, id_, actor = (f"(CAST(s.cause AS jsonb) ->> '{name}')" for name in CAUSED_BY)
    of_types, wanted = among(connection, kind, types)
    body = text_of(connection, "s.body")
    sql = f"""
        WITH last AS (
            SELECT e.partition, e.source, e.id, e.home, e.actor,
                   max(s.n * 4 + CASE WHEN {body} LIKE ? THEN 1
                                      WHEN {body} LIKE ? AND {body} NOT LIKE ? THEN 2 ELSE 0 END) AS word
            FROM facts s CROSS JOIN seen e
            WHERE e.partition = s.partition AND e.source = {source} AND e.id = {id_} AND e.case_id = s.case_id
                  AND (e.actor IN (coalesce({actor}, ''), '')
                       OR coalesce({actor}, '') = '' AND ({body} NOT LIKE ? OR {body} LIKE ? || e.actor || ?))
                  AND s.at >= e.arrival AND {of_types}
            GROUP BY e.partition, e.source, e.id, e.home, e.actor),
        following AS (
            SELECT e.partition, e.source, e.id, e.outcome,
                   CASE l.word - l.word / 4 * 4 WHEN 0 THEN 'done' WHEN 1 THEN 'parked' ELSE 'refused' END AS follows
            FROM seen e LEFT JOIN last l ON l.partition = e.partition AND l.source = e.source AND l.id = e.id
                 AND l.home = e.home AND l.actor = e.actor)
        SELECT partition, source, id, follows, outcome FROM following
        WHERE follows <> outcome AND outcome <> 'pending' ORDER BY 1, 2, 3"""
    values = (PARKED, UNPARKED, RELEASED, *OF_ACTOR, wanted)
    return [(*row,) for row in execute(connection, sql, *values)]


def refusals_without_letter(connection: Connection) -> list[tuple[int, str, str, str]]:
    """(partition, source, id, reason) of events that were refused and have no dead letter with this reason."""
    sql = """
        SELECT partition, source, id, reason FROM seen WHERE outcome = 'refused'
        EXCEPT SELECT partition, source, event_id, reason FROM dead_letters WHERE partition IS NOT NULL
        ORDER BY 1, 2, 3"""
    return [(*row,) for row in execute(connection, sql)]


def last_outcomes(connection: Connection) -> dict[int, int]:
    """The last position that has an outcome or a dead letter, by partition."""
    sql = """
        SELECT partition, max(position) FROM (
            SELECT partition, position FROM seen
            UNION ALL SELECT partition, position FROM dead_letters WHERE position IS NOT NULL) AS known
        WHERE partition IS NOT NULL GROUP BY partition"""
    return {partition: position for partition, position in execute(connection, sql)}


def letters_among(connection: Connection, ids: Collection[str]) -> set[str]:
    """Which of these dead letters there are."""
    condition, wanted = among(connection, "id", ids)
    return set(execute(connection, f"SELECT id FROM dead_letters WHERE {condition}", wanted).scalars())


def steps_before_their_own(connection: Connection, partition: int) -> list[tuple[int, int, int]]:
    """(n, arrival of the step before, arrival) of steps that are dated before an earlier step of their case."""
    sql = """
        SELECT s.n, p.at, s.at FROM facts s JOIN facts p ON p.case_id = s.case_id AND p.seq = s.seq - 1
        WHERE s.partition = ? AND s.at < p.at ORDER BY s.n"""
    return [(n, before, at) for n, before, at in execute(connection, sql, partition)]


def heard(connection: Connection, sent: str) -> list[tuple[str, str, str, bool]]:
    """(who said it, who heard it, in which step and as which thing, whether it was heard at another arrival than it was
    said) of what cases have said to each other, by the type of such a step's cause."""
    if is_sqlite(connection):
        kind, source, id_ = (f"json_extract(s.cause, '$.{name}')" for name in ("type", "source", "id"))
        seq = f"CAST(substr({id_}, 1, instr({id_}, '.') - 1) AS INTEGER)"
    else:
        kind, source, id_ = (f"(CAST(s.cause AS jsonb) ->> '{name}')" for name in ("type", "source", "id"))
        seq = f"CAST(split_part({id_}, '.', 1) AS bigint)"
    sql = f"""
        SELECT said.case_id, s.case_id, {id_}, said.at <> s.at FROM facts s
             JOIN facts said ON said.case_id = {source} AND said.seq = {seq}
        WHERE s.cause LIKE ? AND {kind} = ? ORDER BY s.case_id, s.seq"""
    return [(said, by, what, bool(late)) for said, by, what, late in execute(connection, sql, f"%{sent}%", sent)]


def times_of_steps(connection: Connection, partition: int, page: int = 5000) -> Iterator[tuple[int, int, str | None]]:
    """(n, arrival, the body if an event came to wait in it) of the steps of a partition, in their order."""
    body = text_of(connection, "body")
    sql = f"""
        SELECT n, at, CASE WHEN {body} LIKE ? THEN {body} END FROM facts WHERE partition = ? AND n > ?
        ORDER BY n LIMIT ?"""
    last = 0
    while rows := [(*row,) for row in execute(connection, sql, PARKED, partition, last, page)]:
        yield from rows
        last = rows[-1][0]

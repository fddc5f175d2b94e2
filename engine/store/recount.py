"""Figures, outcomes and alerts counted once more, by SQL over the stored facts, for `gridpatrol verify`.

It shares no code with the consumers, so that a mistake of theirs shows. It counts the facts that a consumer has read.
The JSON functions differ between the databases, the statements above them do not.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from engine.store.figures import Selection, counted_by, found_by, key_of, segment, where
from engine.store.rows import OpenCountRow
from engine.store.sql import execute, is_sqlite
from schemas.facts import Acknowledged, Reopened
from schemas.members import tag_of
from workflows.case import TOTAL, Clock
from workflows.definitions import DEFINITIONS, ENDINGS, MEASURES
from workflows.figures import Measure

NAMES = {
    "fact": "text",
    "clock": "text",
    "level": "int",
    "cycle": "int",
    "target": "int",
    "result": "text",
    "why": "text",
    "judged": "int",
    "started": "int",
    "due": "int",
    "elapsed": "int",
    "consumed": "int",
    "breach": "flag",
    "lapsed": "flag",
    "claimed": "flag",
    "again": "flag",
    "how": "text",
    "rung": "text",
    "by": "text",
    "alert": "text",
    "kind": "text",
    "due_at": "int",
    "not_before": "int",
    "on": "text",
    "daily": "flag",
    "charged.path": "text",
    "charged.department": "text",
    "charged.post": "text",
    "unit.path": "text",
    "unit.department": "text",
    "stage": "text",
    "unit": "text",
    "granted": "flag",
} | {
    member: "flag" if isinstance(dict(measure.where).get(member), bool) else "text"
    for measure in MEASURES
    for member in measure.members
}
"""The members of facts that anything is counted by; those of a member of theirs behind a dot."""
ZERO = ("level", "cycle", "consumed")
"""Those that are zero where they are left out."""
REOPENED = tag_of(Reopened)
OF_CLOCKS = ("clock.rung", "clock.contradicted", "clock.recharged", "clock.stopped", "exemption.decided", REOPENED)
COUNTED = tuple(dict.fromkeys((*OF_CLOCKS, *(tag_of(measure.fact) for measure in MEASURES))))
LAPSED_BY = ("clock", "level", "cycle", "target", "result", "why", "breach", "lapsed", "claimed", "again")
CHARGED_BY = ("charged.path", "charged.department", "charged.post")
COUNTED_BY = tuple(
    dict.fromkeys((*LAPSED_BY, "granted", *CHARGED_BY, *(member for measure in MEASURES for member in measure.members)))
)
STOPPED_BY = ("clock", "level", "cycle", "target", "started", "due", "judged", "result", "why", "elapsed", "consumed")
OF_ALERTS = ("clock", "level", "cycle", "target", "rung", "how", "by", "alert", "kind", "due", "due_at", "not_before")
ALERTED_BY = (*OF_ALERTS, "unit.path", "unit.department")

OPEN_COUNT = OpenCountRow.__struct_fields__
_DUE, _SINCE, _BREACHED = (Clock.__struct_fields__.index(name) for name in ("due", "since", "breached"))
"""Where a clock's members stand in its array."""

CELL = ("definition", "measure", "day", "path", "department", "category", "grp", "post")
OUTCOME = (
    "case_id",
    "clock",
    "level",
    "cycle",
    "target",
    "partition",
    "definition",
    "path",
    "department",
    "category",
    "grp",
    "post",
    "started",
    "due",
    "stopped",
    "arrival",
    "day",
    "result",
    "why",
    "elapsed",
    "charged_path",
    "charged_department",
    "charged_post",
    "consumed",
    "claimed",
    "unit",
    "lapsed",
    "exempted",
    "reopened_at",
)
UNIT = ("case_id", "clock", "level", "unit")
ALERT = (
    "id",
    "partition",
    "case_id",
    "kind",
    "clock",
    "level",
    "cycle",
    "definition",
    "path",
    "category",
    "recipients",
    "due_at",
    "due",
    "raised_at",
    "not_before",
    "status",
    "ended_at",
    "ended_by",
    "acknowledged_by",
    "department",
)

NOTICE = (
    "id",
    "partition",
    "case_id",
    "move",
    "definition",
    "path",
    "category",
    "recipients",
    "raised_at",
    "not_before",
    "daily",
)

_DIMENSIONS = (
    "s.partition, s.case_id, s.seq, s.at, s.day, s.definition, s.path, s.department, s.category, s.grp, s.post"
)


def _declared(measure: Measure) -> str:
    """The SQL of what some kinds of case count: a row for each fact of theirs."""
    name = f"'{measure.name}:' || coalesce({measure.per}, '')" if measure.per else f"'{measure.name}'"
    kinds = ", ".join(f"'{name}'" for name, definition in DEFINITIONS.items() if measure in definition.measures)
    terms = [f"fact = '{tag_of(measure.fact)}'", f"definition IN ({kinds})"]
    for member, value in measure.where:
        yes = member if value else f"NOT {member}"
        terms.append(f"coalesce({member}, '') = '{value}'" if isinstance(value, str) else yes)
    at = ", charged_path, charged_department, charged_post" if measure.charged else ""
    return f"UNION ALL SELECT {name}, case_id, seq{at} FROM facts_read WHERE {' AND '.join(terms)}"


ENDING = "CASE why " + " ".join(f"WHEN '{trigger}' THEN '{name}'" for trigger, name in ENDINGS.items()) + " END"
"""The SQL of the measure of an ending, by the trigger."""
CELLS = f"""
missed AS (
    SELECT *, row_number() OVER (PARTITION BY case_id, clock, level, cycle, target
               ORDER BY CASE WHEN fact = 'clock.stopped' THEN 1 ELSE 0 END, seq DESC, item DESC) AS back
    FROM facts_read
    WHERE fact IN ('clock.contradicted', 'clock.recharged') OR (fact = 'clock.rung' AND breach)
          OR (fact = 'clock.stopped' AND (result = 'overdue' OR lapsed) AND NOT again)),
lapses AS (
    SELECT case_id, clock, level, cycle, target,
           min(CASE WHEN fact IN ('clock.rung', 'clock.stopped') THEN seq END) AS seq,
           max(CASE WHEN back = 1 THEN charged_path END) AS charged_path,
           max(CASE WHEN back = 1 THEN charged_department END) AS charged_department,
           max(CASE WHEN back = 1 THEN charged_post END) AS charged_post
    FROM missed GROUP BY case_id, clock, level, cycle, target
    HAVING sum(CASE WHEN fact = 'clock.contradicted' THEN 1 ELSE 0 END) = 0),
overdue AS (SELECT case_id, min(seq) AS seq FROM lapses WHERE clock = 'total' GROUP BY case_id),
exemptions AS (
    SELECT case_id, clock, level, cycle, target, max(CASE WHEN granted THEN at END) AS exempted_at
    FROM facts_read WHERE fact = 'clock.recharged' OR (fact = 'exemption.decided' AND granted)
    GROUP BY case_id, clock, level, cycle, target
    HAVING max(CASE WHEN granted THEN seq END) > coalesce(max(CASE WHEN NOT granted THEN seq END), 0)),
exempted AS (
    SELECT l.case_id, l.clock, l.level, l.cycle, l.target, l.seq, l.charged_path, l.charged_department, l.charged_post,
           e.exempted_at
    FROM lapses l JOIN exemptions e ON e.case_id = l.case_id AND e.clock = l.clock AND e.level = l.level
         AND e.cycle = l.cycle AND e.target = l.target),
overdue_held AS (
    SELECT l.case_id FROM lapses l LEFT JOIN exempted e ON e.case_id = l.case_id AND e.clock = l.clock
         AND e.level = l.level AND e.cycle = l.cycle AND e.target = l.target
    WHERE l.clock = 'total' AND e.seq IS NULL),
reopened AS (SELECT case_id, seq, at, coalesce(lag(seq) OVER (PARTITION BY case_id ORDER BY seq), 0) AS earlier
             FROM facts_read WHERE fact = '{REOPENED}'),
stopped AS (SELECT f.*, r.at AS reopened_at FROM facts_read f LEFT JOIN reopened r ON r.case_id = f.case_id
            AND f.clock = 'total' AND f.seq < r.seq AND f.seq > r.earlier
            WHERE f.fact = 'clock.stopped'),
stops AS (SELECT * FROM stopped WHERE reopened_at IS NULL),
ended AS (SELECT case_id, seq, result, {ENDING} AS ending FROM stops WHERE clock = 'total'),
counted(measure, case_id, seq) AS (
    SELECT 'overdue', case_id, seq FROM overdue
    UNION ALL SELECT 'overdue_exempted', case_id, seq FROM overdue
              WHERE case_id NOT IN (SELECT case_id FROM overdue_held)
    {" ".join(_declared(measure) for measure in MEASURES if not measure.charged)}
    UNION ALL SELECT ending, case_id, seq FROM ended WHERE ending <> 'closed'
    UNION ALL SELECT 'overdue_closed', o.case_id, o.seq FROM overdue o JOIN ended e ON e.case_id = o.case_id
              WHERE e.ending = 'closed'
    UNION ALL SELECT 'closed_late', e.case_id, e.seq FROM ended e JOIN overdue o ON o.case_id = e.case_id
              WHERE e.ending = 'closed'
    UNION ALL SELECT e.result, e.case_id, e.seq FROM ended e LEFT JOIN overdue o ON o.case_id = e.case_id
              WHERE e.ending = 'closed' AND o.case_id IS NULL),
charged(measure, case_id, seq, path, department, post) AS (
    SELECT 'breach:' || clock, case_id, seq, charged_path, charged_department, charged_post FROM lapses
    UNION ALL SELECT 'exempted:' || clock, case_id, seq, charged_path, charged_department, charged_post FROM exempted
    UNION ALL SELECT result || ':' || clock, case_id, seq, charged_path, charged_department, charged_post
              FROM stops WHERE result IN ('passed_on', 'void')
    UNION ALL SELECT 'claimed:' || clock, case_id, seq, charged_path, charged_department, charged_post FROM stops
              WHERE claimed
    {" ".join(_declared(measure) for measure in MEASURES if measure.charged)}),
cells AS (SELECT c.case_id, s.definition, c.measure, s.day, s.path, s.department, s.category, s.grp, s.post
          FROM counted c JOIN facts s ON s.case_id = c.case_id AND s.seq = c.seq
          UNION ALL
          SELECT c.case_id, s.definition, c.measure, s.day, coalesce(c.path, s.path),
                 CASE WHEN c.path IS NULL THEN s.department ELSE coalesce(c.department, '') END, s.category, s.grp,
                 CASE WHEN c.path IS NULL THEN s.post ELSE coalesce(c.post, '') END
          FROM charged c JOIN facts s ON s.case_id = c.case_id AND s.seq = c.seq)
"""
"""From `facts_read` to `cells`: what each case counts, a row each time. Of clocks that have `stopped` those `stops`
count that stand: that of the whole case until it is taken up again."""


_ORDERED = tuple(
    (name, clock.name, tag_of(clock.unit))
    for name, definition in DEFINITIONS.items()
    for clock in definition.clocks.values()
    if clock.unit is not None
)
"""The clocks that have a responsible unit: the kind of case, the clock, and the tag of the order that names it."""
TIMED = ("clock.started", "clock.stopped", *dict.fromkeys(tag for _, _, tag in _ORDERED))
_ORDERS = " UNION ALL ".join(
    f"SELECT case_id, seq, '{clock}' AS clock, CAST(stage AS TEXT) AS stage, unit FROM facts_read "
    f"WHERE fact = '{tag}' AND definition = '{name}'"
    for name, clock, tag in _ORDERED
)
_UNITS = f"""
orders AS ({_ORDERS}),
runs AS (
    SELECT f.case_id, f.clock, f.level, f.cycle, f.target, f.fact, coalesce(o.unit, '') AS unit,
           sum(CASE WHEN f.fact = 'clock.started' THEN 1 ELSE 0 END)
               OVER (PARTITION BY f.case_id, f.clock, f.level ORDER BY f.seq, f.item) AS run
    FROM facts_read f LEFT JOIN orders o ON o.case_id = f.case_id AND o.seq = f.seq AND o.clock = f.clock
         AND o.stage = CAST(f.level AS TEXT) AND f.fact = 'clock.started'
    WHERE f.fact IN ('clock.started', 'clock.stopped') AND f.clock IN (SELECT clock FROM orders)),
units AS (
    SELECT case_id, clock, level, max(unit) AS unit,
           max(CASE WHEN fact = 'clock.stopped' THEN cycle END) AS cycle,
           max(CASE WHEN fact = 'clock.stopped' THEN target END) AS target
    FROM runs GROUP BY case_id, clock, level, run HAVING max(unit) <> '')"""
"""The responsible units of clocks, from each start to the next one. An order stands in the step in which its clock
starts; of one that has stopped, cycle and target are those of its end."""


def facts_read(
    connection: Connection,
    consumer: str,
    facts: tuple[str, ...],
    members: tuple[str, ...],
    upto: int | None = None,
    only: tuple[str, Sequence[object]] = ("", ()),
) -> tuple[str, list[Any]]:
    """The facts of some kinds that a consumer has read, one row each; perhaps only of early arrivals, and of the cases
    that another condition on a step `s` lets pass, which comes with its values."""
    names = ", ".join(f'{_member(connection, name)} AS "{name.replace(".", "_")}"' for name in ("fact", *members))
    if is_sqlite(connection):
        item, each = "j.key", "json_each(inflated(s.body)) j"
        recipients = "json_extract(j.value, '$.to')"
    else:
        item, recipients = "j.item", "CAST(j.value -> 'to' AS text)"
        each = "LATERAL jsonb_array_elements(CAST(s.body AS jsonb)) WITH ORDINALITY AS j(value, item)"
    arrived = "" if upto is None else " AND s.at <= ?"
    arrived += f" AND {only[0]}" if only[0] else ""
    kinds = ", ".join(f"'{fact}'" for fact in facts)
    sql = f"""
        facts_read AS (SELECT {_DIMENSIONS}, {item} AS item, {names}, {recipients} AS recipients
                 FROM positions p JOIN facts s ON s.partition = p.partition AND s.n <= p.n{arrived}
                 CROSS JOIN {each} WHERE p.consumer = ? AND {_member(connection, "fact")} IN ({kinds}))"""
    return sql, [*([] if upto is None else [upto]), *only[1], consumer]


def _member(connection: Connection, name: str) -> str:
    """The SQL of a fact's member. Levels, cycles and what was consumed are zero where they are left out."""
    kind = NAMES[name]
    if is_sqlite(connection):
        value = f"json_extract(j.value, '$.{name}')"
        return f"coalesce({value}, 0)" if kind == "flag" or name in ZERO else value
    if kind == "flag":
        return f"coalesce(j.value ->> '{name}', '') = 'true'"
    value = f"(j.value #>> '{{{name.replace('.', ',')}}}')"
    value = f"CAST({value} AS bigint)" if kind == "int" else value
    return f"coalesce({value}, 0)" if name in ZERO else value


# ---- readings ----------------------------------------------------------------------------------------


def sums_as_of(connection: Connection, selection: Selection) -> list[tuple[str, str, int]]:
    """(key, measure, value) as they stood when nothing after `selection.upto` had arrived. By unit there are none.

    Who reported a case that was archived is not known any more: by who found them there are none of these.
    """
    if selection.by == "unit":
        return []
    only = found_by(connection, selection, "s.case_id") if selection.of_some_cases else ("", ())
    read, values = facts_read(connection, "performance", COUNTED, COUNTED_BY, selection.upto, only)
    condition, chosen = where(selection)
    names = ", ".join(CELL)
    archived = "" if selection.of_some_cases else f"UNION ALL SELECT {names}, value FROM archived_figures WHERE at <= ?"
    sql = f"""WITH {read}, {CELLS}
        SELECT {key_of(connection, selection)} AS k, measure, CAST(sum(value) AS BIGINT)
        FROM (SELECT {names}, 1 AS value FROM cells WHERE {counted_by(selection)} {archived}) AS all_cells
        WHERE {condition} GROUP BY 1, 2 HAVING sum(value) <> 0 ORDER BY 1, 2"""
    rows = execute(connection, sql, *values, *([] if selection.of_some_cases else [selection.upto]), *chosen)
    return [(*row,) for row in rows]


# ---- where the tables are wrong ----------------------------------------------------------------------


def wrong_figures(connection: Connection) -> Iterator[tuple[tuple[Any, ...], int, int]]:
    """(cell, expected, found) of every figure that is not what the facts say."""
    read, values = facts_read(connection, "performance", COUNTED, COUNTED_BY)
    names = ", ".join(CELL)
    sql = f"""WITH {read}, {CELLS}
        SELECT {names}, CAST(sum(expected) AS BIGINT), CAST(sum(found) AS BIGINT)
        FROM (SELECT {names}, 1 AS expected, 0 AS found FROM cells
              UNION ALL SELECT {names}, value, 0 FROM archived_figures
              UNION ALL SELECT {names}, 0, value FROM figures) AS both_sides
        GROUP BY {names} HAVING sum(expected) <> sum(found) ORDER BY {names}"""
    for row in execute(connection, sql, *values):
        yield tuple(row[:-2]), row[-2], row[-1]


def wrong_outcomes(connection: Connection) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(row, side) of every outcome that stands on one side only: `expected` or `found`."""
    members = tuple(dict.fromkeys((*STOPPED_BY, *COUNTED_BY, "stage", "unit")))
    read, values = facts_read(connection, "performance", tuple(dict.fromkeys((*TIMED, *COUNTED))), members)
    expected = """SELECT f.case_id, f.clock, f.level, f.cycle, f.target, f.partition, definition, path, department,
                         category, grp, post, started, due, judged, at, day, result, coalesce(why, ''), elapsed,
                         coalesce(f.charged_path, path),
                         CASE WHEN f.charged_path IS NULL THEN department ELSE coalesce(f.charged_department, '') END,
                         CASE WHEN f.charged_path IS NULL THEN post ELSE coalesce(f.charged_post, '') END,
                         consumed, claimed, coalesce(u.unit, ''), l.seq IS NOT NULL, e.exempted_at, f.reopened_at
                  FROM stopped f LEFT JOIN units u ON u.case_id = f.case_id AND u.clock = f.clock
                       AND u.level = f.level AND u.cycle = f.cycle AND u.target = f.target
                       LEFT JOIN lapses l ON l.case_id = f.case_id AND l.clock = f.clock AND l.level = f.level
                       AND l.cycle = f.cycle AND l.target = f.target
                       LEFT JOIN exempted e ON e.case_id = f.case_id AND e.clock = f.clock AND e.level = f.level
                       AND e.cycle = f.cycle AND e.target = f.target"""
    found = f"SELECT {', '.join(OUTCOME)} FROM outcomes"
    return _one_sided(connection, f"{read}, {CELLS}, {_UNITS}", values, expected, found)


def wrong_units(connection: Connection) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(case, clock, level, responsible unit) of clocks that run, where the fold keeps another unit, or none."""
    members = ("clock", "level", "cycle", "target", "stage", "unit")
    read, values = facts_read(connection, "performance", TIMED, members)
    if is_sqlite(connection):
        parts = ", ".join(f"json_extract(j.value, '$[{k}]')" for k in range(3))
        found = f"SELECT c.case_id, {parts} FROM contributions c CROSS JOIN json_each(c.body, '$[1]') j"
    else:
        found = (
            "SELECT c.case_id, j.value ->> 0, CAST(j.value ->> 1 AS bigint), j.value ->> 2 FROM contributions c "
            "CROSS JOIN LATERAL jsonb_array_elements(coalesce(CAST(c.body AS jsonb) -> 1, '[]')) AS j(value)"
        )
    expected = "SELECT case_id, clock, level, unit FROM units WHERE cycle IS NULL"
    return _one_sided(connection, f"{read}, {_UNITS}", values, expected, found)


OPEN_CASES = ("id", "partition", "definition", "level", "state", "path", "department", "category", "grp")


def open_cases(connection: Connection) -> str:
    """The SQL that gives each open case that any list shows, with how the deadline of the whole case stands (`total`),
    who must act (`held_by`, `holder_department`, `post`), and the earliest deadline that it has missed (`missed`)."""
    shown = ", ".join(f"'{name}'" for name, definition in DEFINITIONS.items() if definition.listed != "never")
    if is_sqlite(connection):
        each, member = "json_each(c.body, '$.clocks') j", "json_extract(j.value, '$[{}]')"
        breached = member.format(_BREACHED)
        unit = "json_extract(c.body, '$.holdings[#-1][1].{}')"
    else:
        each = "jsonb_array_elements(coalesce(CAST(c.body AS jsonb) -> 'clocks', '[]')) AS j(value)"
        member, breached = "(j.value ->> {})", f"(j.value ->> {_BREACHED}) = 'true'"
        unit = "(CAST(c.body AS jsonb) -> 'holdings' -> -1 -> 1 ->> '{}')"
    due = f"CAST({member.format(_DUE)} AS bigint)"
    path, post = unit.format("path"), f"coalesce({unit.format('post')}, '')"
    missed = f"""(SELECT min({due}) FROM {each} WHERE {breached} AND {member.format(_SINCE)} IS NOT NULL)"""
    total = f"""coalesce((SELECT CASE WHEN {due} IS NULL THEN 'none' WHEN {breached} THEN 'missed' ELSE 'ahead' END
                          FROM {each} WHERE {member.format(0)} = '{TOTAL}'), 'none')"""
    return f"""
        SELECT {", ".join(f"c.{name}" for name in OPEN_CASES)},
               {total} AS total,
               coalesce({path}, '/' || c.holder || '/') AS held_by, c.holder_department, {post} AS post,
               {missed} AS missed
        FROM cases c WHERE c.open AND c.definition IN ({shown})"""


def wrong_open_counts(connection: Connection) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(cell and value, side) of every standing count that the cases do not give."""
    third = "'/' || " + " || ".join(
        f"CASE WHEN {part} <> '' THEN {part} || '/' ELSE '' END"
        for part in (segment(connection, "path", level) for level in (1, 2, 3))
    )
    cte = f"""open_cases AS ({open_cases(connection)}),
        counted({", ".join(OPEN_COUNT[:-1])}) AS (
            SELECT partition, definition, 'state', level, state, '', '', '', '', '', '', 0 FROM open_cases
            UNION ALL
            SELECT partition, definition, 'place', 0, '', path, department, '', category, grp, total, 0 FROM open_cases
            UNION ALL
            SELECT partition, definition, 'holder', 0, '', held_by, holder_department, post, '', '',
                   CASE WHEN missed IS NULL THEN 'ahead' ELSE 'missed' END, 0 FROM open_cases
            UNION ALL
            SELECT partition, definition, 'late', 0, '', {third}, '', '', '', grp, '', missed / 3600000
            FROM open_cases WHERE missed IS NOT NULL)"""
    names = ", ".join(OPEN_COUNT[:-1])
    expected = f"SELECT {names}, count(*) FROM counted GROUP BY {names}"
    return _one_sided(
        connection, cte, [], expected, f"SELECT {', '.join(OPEN_COUNT)} FROM open_counts WHERE value <> 0"
    )


def wrong_contributions(connection: Connection) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(case, clock, level, cycle, target) of every lapse that stands on one side only."""
    read, values = facts_read(connection, "performance", COUNTED, COUNTED_BY)
    if is_sqlite(connection):
        parts = ", ".join(f"json_extract(j.value, '$[{k}]')" for k in range(4))
        found = f"SELECT c.case_id, {parts} FROM contributions c CROSS JOIN json_each(c.body, '$[0]') j"
    else:
        numbers = ", ".join(f"CAST(j.value ->> {k} AS bigint)" for k in range(1, 4))
        found = (
            f"SELECT c.case_id, j.value ->> 0, {numbers} FROM contributions c "
            "CROSS JOIN LATERAL jsonb_array_elements(CAST(c.body AS jsonb) -> 0) AS j(value)"
        )
    expected = "SELECT case_id, clock, level, cycle, target FROM lapses"
    return _one_sided(connection, f"{read}, {CELLS}", values, expected, found)


def wrong_alerts(connection: Connection) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(row, side) of every alert that stands on one side only.

    The first end that resolves or withdraws an alert counts; the total clock's end ends everything of its case. Before
    it, the posts among its recipients that acknowledged its rung; of facts that name no rung, the first alone.
    """
    seen = tag_of(Acknowledged)
    kinds = ("alert.raised", "alert.ended", "clock.stopped", seen)
    read, values = facts_read(connection, "alerts", kinds, ALERTED_BY)
    number, target = (segment(connection, "alert || '|'", place, "|") for place in (2, 3))
    if is_sqlite(connection):
        posts, told = "json_group_array(who)", "EXISTS (SELECT 1 FROM json_each(r.recipients) WHERE value = a.by)"
        ordered = "SELECT alert, who FROM seen ORDER BY alert, who"
    else:
        posts, told = (
            """CAST(jsonb_agg(who ORDER BY who COLLATE "C") AS text)""",
            "jsonb_exists(CAST(r.recipients AS jsonb), a.by)",
        )
        ordered = "SELECT alert, who FROM seen"
    cte = f"""{read},
        raised AS (SELECT *, CASE WHEN kind = 'urge' THEN 0 ELSE CAST({number} AS BIGINT) END AS of_cycle,
                          CASE WHEN clock <> '' THEN CAST({target} AS BIGINT) END AS of_target
                   FROM facts_read WHERE fact = 'alert.raised'),
        ends AS (
            SELECT case_id, seq, item, at, clock, level, cycle, how, coalesce(by, '') AS who, 0 AS of_all
            FROM facts_read WHERE fact = 'alert.ended' AND how <> 'acknowledged'
            UNION ALL
            SELECT case_id, seq, item, at, clock, level, cycle, 'resolved', '',
                   CASE WHEN clock = 'total' THEN 1 ELSE 0 END FROM facts_read WHERE fact = 'clock.stopped'),
        matched AS (
            SELECT r.alert, e.how, e.at, e.seq, e.item, e.who,
                   row_number() OVER (PARTITION BY r.alert ORDER BY e.seq, e.item) AS place
            FROM raised r JOIN ends e ON e.case_id = r.case_id
                 AND (e.seq > r.seq OR (e.seq = r.seq AND e.item > r.item))
                 AND (e.of_all = 1 OR (e.clock = coalesce(r.clock, '') AND e.level = r.level
                                       AND e.cycle = r.of_cycle))),
        acknowledged AS (
            SELECT r.alert, a.by AS who, a.fact,
                   row_number() OVER (PARTITION BY r.alert ORDER BY a.seq, a.item) AS place
            FROM raised r JOIN facts_read a ON a.case_id = r.case_id AND coalesce(a.clock, '') = coalesce(r.clock, '')
                 AND a.level = r.level AND a.cycle = r.of_cycle
                 AND (a.seq > r.seq OR (a.seq = r.seq AND a.item > r.item))
                 AND ((a.fact = 'alert.ended' AND a.how = 'acknowledged')
                      OR (a.fact = '{seen}' AND a.rung = r.kind AND {told}
                          AND r.of_target = coalesce(a.target, 0)))
                 LEFT JOIN matched m ON m.alert = r.alert AND m.place = 1
            WHERE m.alert IS NULL OR a.seq < m.seq OR (a.seq = m.seq AND a.item < m.item)),
        seen AS (SELECT DISTINCT alert, who FROM acknowledged WHERE fact = '{seen}' OR place = 1),
        listed AS (SELECT alert, {posts} AS posts FROM ({ordered}) AS ordered GROUP BY alert)"""
    expected = """SELECT r.alert, r.partition, r.case_id, r.kind, coalesce(r.clock, ''), r.level, r.of_cycle,
                         r.definition, r.path, r.category, r.recipients, r.due_at, r.due, r.at, r.not_before,
                         coalesce(m.how, 'firing'), m.at, coalesce(m.who, ''), coalesce(l.posts, '[]'),
                         CASE WHEN r.unit_path IS NULL THEN r.department ELSE coalesce(r.unit_department, '') END
                  FROM raised r LEFT JOIN matched m ON m.alert = r.alert AND m.place = 1
                       LEFT JOIN listed l ON l.alert = r.alert"""
    found = f"SELECT {', '.join(ALERT)} FROM alerts"
    if not is_sqlite(connection):
        for column in ("recipients", "acknowledged_by"):
            found = found.replace(column, f"CAST(CAST({column} AS jsonb) AS text)")
    return _one_sided(connection, cte, values, expected, found)


def wrong_notices(connection: Connection) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(row, side) of every notice that stands on one side only."""
    read, values = facts_read(connection, "alerts", ("notice.given",), ("on", "not_before", "daily"))
    expected = """SELECT case_id || '|' || CASE WHEN daily THEN 'daily' ELSE "on" END || '|' || seq, partition, case_id,
                         "on", definition, path, category, recipients, at, not_before, daily FROM facts_read"""
    found = f"SELECT {', '.join(NOTICE)} FROM notices"
    if not is_sqlite(connection):
        found = found.replace("recipients", "CAST(CAST(recipients AS jsonb) AS text)")
    return _one_sided(connection, read, values, expected, found)


def wrong_tellings(connection: Connection) -> list[tuple[str, int]]:
    """(notice, number) of notices that waited for nothing and have no line, or name a line that is not theirs; and of
    lines that no notice names."""
    sql = """SELECT n.id, n.number FROM notices n LEFT JOIN deliveries d ON d.number = n.number AND d.what = 'told'
             WHERE CASE WHEN n.number = 0 THEN n.not_before IS NULL
                        WHEN n.daily THEN coalesce(d.recipients, '') <> n.recipients
                        ELSE coalesce(d.alert, '') <> n.id END
             UNION ALL
             SELECT d.alert, d.number FROM deliveries d WHERE d.what = 'told'
             AND d.number NOT IN (SELECT number FROM notices) ORDER BY 1, 2"""
    return [(*row,) for row in execute(connection, sql)]


def lines_of_another_kind(connection: Connection) -> list[tuple[int, str, str]]:
    """(number, definition of its alert or notices, its own) of lines of the feed that say another kind of case."""
    sql = """SELECT d.number, a.definition, d.definition FROM deliveries d JOIN alerts a ON a.id = d.alert
             WHERE d.what <> 'told' AND a.definition <> d.definition
             UNION SELECT d.number, n.definition, d.definition FROM deliveries d JOIN notices n ON n.number = d.number
             WHERE d.what = 'told' AND n.definition <> d.definition ORDER BY 1, 2"""
    return [(*row,) for row in execute(connection, sql)]


def _one_sided(
    connection: Connection, cte: str, values: list[Any], expected: str, found: str
) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Rows that only one of two queries gives. Both are asked once, since one of them reads all facts."""
    sql = f"""WITH {cte}, expected_rows AS MATERIALIZED ({expected}), found_rows AS MATERIALIZED ({found})
        SELECT 'expected', * FROM (SELECT * FROM expected_rows EXCEPT SELECT * FROM found_rows) AS missing
        UNION ALL SELECT 'found', * FROM (SELECT * FROM found_rows EXCEPT SELECT * FROM expected_rows) AS surplus
        ORDER BY 1, 2, 3, 4"""
    for row in execute(connection, sql, *values):
        yield tuple(row[1:]), row[0]

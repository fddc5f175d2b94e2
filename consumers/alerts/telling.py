"""Notices on their way to the feed: who is told of a move of a case (告知).

1. A notice is a row from the step on, and has a line once it is told; it never changes otherwise.
2. One that waits for the end of the quiet hours is told then.
3. What reporters need not hear at once is told once a day: one line for each reporter and kind of case, with the cases
   and their present states. Such a line is told when every step has been read. What comes later than that belongs to
   the next one.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from engine.store import notices
from engine.store.alerts import DeliveryRow
from engine.store.database import Connection
from engine.store.meta import read_meta, write_meta
from engine.store.notices import NoticeRow
from schemas import facts
from schemas.messages import Line, encode_line
from workflows.clocks.limits import DAY_MS

CHANNEL = "feed"
KIND = "notice"
TOLD = "told"
"""What has become of a notice that has a line."""
DAILY = "daily"
"""The move that a daily line tells of."""
PAGE = 500
"""Notices, or recipients of daily lines, that are told in one transaction."""
MOST_CASES = 100
"""Cases that a daily line names; it says how many more there are."""


def row_of(step: facts.Step, fact: facts.NoticeGiven) -> NoticeRow:
    """The row of a notice."""
    move = DAILY if fact.daily else fact.on  # a step may tell one move to some at once and to its reporter later
    return NoticeRow(
        f"{step.case}|{move}|{step.seq}",
        step.partition,
        step.case,
        fact.on,
        step.definition,
        step.path,
        step.category,
        msgspec.json.encode(fact.to).decode(),
        step.at,
        fact.not_before,
        fact.daily,
    )


def line_of(row: NoticeRow, why: str, now: int) -> DeliveryRow:
    """The line of a notice, under the number that it has got."""
    posts: list[str] = msgspec.json.decode(row.recipients)
    body = Line(
        id=f"{row.id}|{TOLD}",
        alert=row.id,
        what=TOLD,
        case=row.case_id,
        kind=KIND,
        clock="",
        level=0,
        path=row.path,
        category=row.category,
        recipients={post: f"{row.id}|{TOLD}|{post}" for post in posts},
        due_at=row.raised_at,
        raised_at=row.raised_at,
        definition=row.definition,
        on=row.move,
    )
    text = encode_line(body).decode()
    return DeliveryRow(row.number, row.id, TOLD, row.definition, row.path, CHANNEL, row.recipients, why, now, text)


def move_of(line: DeliveryRow) -> str:
    """The move that a line tells of; empty: it is of an alert."""
    return line.alert.split("|")[1] if line.what == TOLD else ""


def tell_waiting(connection: Connection, number: int, now: int) -> list[DeliveryRow]:
    """The lines of notices that have waited long enough, after the line `number`."""
    rows = notices.read_waiting(connection, now, PAGE)
    for row in rows:
        number += 1
        row.number = number
    notices.mark_told(connection, rows)
    return [line_of(row, "the quiet hours are over", now) for row in rows]


def tell_daily(connection: Connection, number: int, now: int) -> list[DeliveryRow]:
    """The daily lines that are due, after the line `number`: those of the earliest instant, as many as fit a page.

    Every step has been read. What was read after its own line had been told comes with the next one, or after a day.
    """
    last = int(read_meta(connection, notices.DAILY_TOLD) or 0)
    instant = notices.first_daily(connection, last, now)
    if instant is None:
        instant = now if now - last >= DAY_MS else 0
    rows = notices.read_daily(connection, instant, PAGE)
    states = notices.states_of(connection, {row.case_id for row in rows})
    lines = []
    for _, group in groupby(rows, lambda row: (row.recipients, row.definition)):
        number += 1
        lines.append(daily_line(list(group), states, number, instant, now))
    notices.mark_told(connection, rows)
    if len(lines) < PAGE and instant > last and lines:
        write_meta(connection, notices.DAILY_TOLD, str(instant))
    return lines


def daily_line(rows: Sequence[NoticeRow], states: dict[str, str], number: int, instant: int, now: int) -> DeliveryRow:
    """The line of one reporter: the cases that moved, in the order in which they did so last."""
    post: str = msgspec.json.decode(rows[0].recipients)[0]
    latest = {row.case_id: row for row in sorted(rows, key=lambda row: (row.raised_at, row.id))}
    for row in rows:
        row.number = number
    id_ = f"{post}|{DAILY}|{rows[0].definition}|{instant}"
    cases = list(latest)
    path = common_path(row.path for row in rows)
    body = Line(
        id=f"{id_}|{TOLD}",
        alert=id_,
        what=TOLD,
        case="",
        kind=KIND,
        clock="",
        level=0,
        path=path,
        category="",
        recipients={post: f"{id_}|{TOLD}|{post}"},
        due_at=instant,
        raised_at=instant,
        definition=rows[0].definition,
        on=DAILY,
        cases={case: states.get(case, "") for case in cases[:MOST_CASES]},
        more=max(0, len(cases) - MOST_CASES),
    )
    text = encode_line(body).decode()
    why = "the daily line"
    return DeliveryRow(number, id_, TOLD, body.definition, path, CHANNEL, rows[0].recipients, why, now, text)


def common_path(paths: Iterable[str]) -> str:
    """The path of the lowest grid that contains several."""
    shared: list[str] = []
    for codes in zip(*(path.strip("/").split("/") for path in paths), strict=False):
        if len(set(codes)) > 1:
            break
        shared.append(codes[0])
    return f"/{'/'.join(shared)}/" if shared else "/"

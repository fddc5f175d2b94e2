"""What stood open, and what was late, at five instants of the city's record, in summer and in winter: counted from the
columns of its CSV by these few lines, which share no code with the engine, and read from one replay of the whole record
that went on for months after each of them.
"""

from __future__ import annotations

import csv
import gzip
from datetime import datetime
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from engine.runtime import Engine
from engine.store.database import Connection
from engine.store.incident_queries import Filters
from engine.views.past import Order, fits, past_page
from gridpatrol.importers.boston311 import SHIPPED
from tests.city import judge
from tests.city.outcomes import KEYS, figures_by
from workflows.case import TOTAL
from workflows.definitions import DEFINITIONS

BOSTON = ZoneInfo("America/New_York")
EVERY = 10**6
INSTANTS = (
    datetime(2015, 4, 20, 17, tzinfo=BOSTON),  # Patriots' Day
    datetime(2015, 5, 25, tzinfo=BOSTON),  # midnight, Memorial Day
    datetime(2015, 7, 3, 17, tzinfo=BOSTON),
    datetime(2015, 11, 20, 8, 30, tzinfo=BOSTON),  # winter time
    datetime(2016, 1, 5, 12, tzinfo=BOSTON),
)


class Row(NamedTuple):
    """A row of the city, as far as it counts here."""

    number: str
    opened: datetime
    target: datetime | None
    closed: datetime | None


def local(text: str) -> datetime | None:
    """A local time of the city; None where the cell is empty."""
    return datetime.fromisoformat(text).replace(tzinfo=BOSTON) if text else None


@cache
def read_rows() -> list[Row]:
    """The CSV of the city."""
    with gzip.open(SHIPPED, "rt", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    found = []
    for row in table:
        opened, closed = local(row["open_dt"]), local(row["closed_dt"])
        assert opened is not None
        found.append(Row(row["case_enquiry_id"], opened, local(row["target_dt"]), closed))
    return found


def open_and_late(rows: list[Row], then: datetime) -> tuple[set[str], set[str]]:
    """The numbers of the cases that were open, and of those that were late. A closing before the opening (clerks did it
    28 times) ends the case at its opening. Compared as instants: subtraction of local times forgets the hour between
    summer and winter."""
    at = then.timestamp()
    known = [row for row in rows if row.opened.timestamp() <= at]
    opened = [row for row in known if row.closed is None or row.closed.timestamp() > at]
    late = {row.number for row in opened if row.target is not None and row.target.timestamp() < at}
    return {row.number for row in opened}, late


def check_as_of(connection: Connection, rows: list[Row], then: datetime) -> None:
    """The list as of an instant is what the city's own columns say."""
    at, kinds = round(then.timestamp() * 1000), tuple(DEFINITIONS)
    found = [
        case for _, case in past_page(connection, Filters(now=at, definitions=kinds), Order("id", False, None), EVERY)
    ]
    overdue = Filters(now=at, definitions=kinds, overdue=True, clock=TOTAL)
    opened, late = open_and_late(rows, then)
    assert {case.reference for case in found} == opened
    assert {case.reference for case in found if fits(case, overdue)} == late
    assert late and late < opened


def check_figures(engine: Engine, cases: list[judge.Case], then: datetime) -> None:
    """The figures as of an instant, and what stood open and late beside them, by district, department and type, are the
    judge's."""
    at = round(then.timestamp() * 1000)
    for by, key in KEYS.items():
        assert figures_by(engine, by, at) == judge.figures_by(cases, at, key), by

"""Readings as of an instant: what stood, as known then, on each database.

The truth is told twice: by the steps that had arrived, folded case by case in memory, and by a database that was filled
up to that instant and no further, whose list is that of its now.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from consumers.performance.consume import consume
from engine.policies import Policies
from engine.store import archives, known_then, sql
from engine.store.database import Database, open_database
from engine.views import figure_question, past, performance
from engine.views.incident_detail import incident_detail
from engine.views.incident_list import IncidentLine, IncidentQuestion, incident_page
from engine.views.names import Names
from engine.views.past import cases_at, standing_at
from engine.views.questions import BadQuestion
from schemas.instants import written
from tests.support.builders import at, instant
from tests.support.examples import examples
from tests.support.histories import DAY, IN_THE_FIELD, MINUTE, Life, Teller, live, numbered, plots, write
from workflows import evolve
from workflows.case import Case
from workflows.clocks.limits import HOUR_MS
from workflows.policy.index import Policy

WALL = at("12-31 00:00")
"""The wall of these tests, months after all that is told in them."""


class OnePack:
    """The pack of the histories, whatever is asked for."""

    def get(self, connection: Any, digest: str) -> Policy:
        return IN_THE_FIELD


PACK = cast(Policies, OnePack())


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    database.create_fresh()
    yield database
    database.close()


def store(database: Database, lives: list[Life], folded: bool = True) -> None:
    """Write these lives in the order of their arrivals, under a pack that is active."""
    steps = sorted((step for life in lives for step in life.steps), key=lambda step: (step.at, step.case, step.seq))
    write(database, numbered(steps), [life.case for life in lives])
    with database.begin() as connection:
        connection.exec_driver_sql("""UPDATE partitions SET packs = '[["of the histories", 0]]'""")
    while folded and consume(database):
        pass


def known(life: Life, then: int) -> Life:
    """A life up to what had arrived by an instant."""
    case, steps = Case(id=life.case.id), [step for step in life.steps if step.at <= then]
    for step in steps:
        for fact in step.facts:
            case = evolve.evolve(case, fact)
        case.seq = step.seq
    return Life(steps, case)


def listed(database: Database, now: int = WALL, **asked: Any) -> list[IncidentLine]:
    """The whole list, page by page."""
    found, cursor = list[IncidentLine](), ""
    while True:
        with database.read() as connection:
            page = incident_page(connection, PACK, IncidentQuestion(**{"cursor": cursor, "limit": 3, **asked}), now)
        found += page.incidents
        if page.next is None:
            return found
        cursor = page.next


QUESTIONS: list[dict[str, Any]] = [
    *({"sort": sort, "open": open_} for sort in ("due_at", "-due_at", "opened_at", "-opened_at", "id", "-id")
      for open_ in (True, False, None)),
    {"overdue": True},
    {"overdue": True, "clock": "total", "sort": "id"},
    {"grid": "WY01"},
    {"state": "handling,reported,closed"},
    {"owner": "WY01"},
    {"holder": "WY02", "sort": "-opened_at"},
    {"unit": "WY01", "open": None},
    {"unit": "WY-URBAN", "open": None, "sort": "id"},
    {"category": "D3-01", "open": None},
    {"definition": "service_request"},
    {"clock": "handle", "due_before": "2026-03-20T00:00:00+08:00"},
]  # fmt: skip


@settings(max_examples=examples(6), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(plots, st.integers(1, 60 * 24 * 40), st.booleans())
def test_a_list_as_of_an_instant_is_the_one_that_was_shown_at_that_instant(
    tmp_path_factory: pytest.TempPathFactory, plot: Any, minutes: int, folded: bool
) -> None:
    lives, then = [live(k + 1, row) for k, row in enumerate(plot)], at("03-02 09:00") + minutes * MINUTE
    folder, urls = tmp_path_factory.mktemp("past"), list[Database]()
    for name in ("whole", "then"):
        database = open_database(f"sqlite:///{folder / name}.db")
        database.create_fresh()
        urls.append(database)
    whole, early = urls
    store(whole, lives, folded)
    store(early, [life for each in lives if (life := known(each, then)).steps and life.case.definition])
    with early.begin() as connection:
        connection.exec_driver_sql(f"UPDATE partitions SET clock = {then}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past, "CHUNK", 2)
        for question in QUESTIONS:
            shown = listed(early, then, **question)
            assert listed(whole, at=written(then), **question) == shown, question
    for database in urls:
        database.close()


# ---- one history on each database ---------------------------------------------------------------------------


def request(number: int, after: int, due_in: int | None, closed_after: int | None, late: int = 0) -> Life:
    """A service request that is reported `after` the first morning, with a deadline, closed or not, told late."""
    teller = Teller(number, start=at("03-02 09:00") + after)
    deadline = None if due_in is None else instant(teller.now + MINUTE + due_in)
    said: dict[str, Any] = {
        "category": "D3-04",
        "source": "hotline",
        "grid": "WY01-01",
        "definition": "service_request",
    }
    assert teller.say("report.submitted", "WY-12345", deadline=deadline, **said)
    if closed_after is not None:
        assert teller.say("incident.closed", "WY-DISPATCH", closed_after, late)
    teller.until(WALL)
    return teller.life


HISTORY = [
    (0, 5 * DAY, 3 * DAY),
    (0, DAY, 9 * DAY),
    (2 * DAY, None, 30 * DAY),
    (2 * DAY, 5 * DAY, None),
    (40 * DAY, DAY, 90 * DAY),
    (40 * DAY, HOUR_MS, 30 * MINUTE),
]


END = max(step.at for number, each in enumerate(HISTORY, 1) for step in request(number, *each).steps)
"""The last record."""


def history() -> list[Life]:
    return [request(k + 1, *each) for k, each in enumerate(HISTORY)]


def stood(then: int) -> set[int]:
    """The numbers of the requests that were open, by the table above alone."""
    begin = at("03-02 09:00") + MINUTE
    return {
        number
        for number, (after, _, closed) in enumerate(HISTORY, 1)
        if begin + after <= then and (closed is None or then < begin + after + closed)
    }


INSTANTS = [
    at(text) for text in ("03-02 09:01", "03-05 09:00", "03-05 09:01", "04-11 09:20", "04-11 10:00", "12-30 00:00")
]


@pytest.mark.parametrize("folded", [True, False])
def test_what_stood_open_at_an_instant_is_found_however_long_it_stood(db: Database, folded: bool) -> None:
    store(db, history(), folded)
    for then in INSTANTS:
        with db.read() as connection:
            found = known_then.find_open(connection, then, ["service_request"])
            open_then = [case for case in cases_at(connection, [id_ for id_, _ in found], then) if case.closed is None]
        numbers = {int(case.id[-12:], 16) for case in open_then}
        assert numbers == stood(then), then
        lines = listed(db, at=written(then), sort="id")
        assert {int(line.id[-12:], 16) for line in lines} == numbers and all(line.open for line in lines)


def test_what_was_late_at_an_instant_is_late_before_any_tick_has_told_it(db: Database) -> None:
    [life] = [request(1, 0, DAY, 9 * DAY)]
    due = life.case.opened + DAY
    store(db, [known(life, due)])  # no tick has come after the deadline
    for then, late in ((due, 0), (due + 1, 1)):
        assert len(listed(db, at=written(then), overdue=True, clock="total")) == late
        with db.read() as connection:
            selection = figure_question.select(IN_THE_FIELD, definition="service_request")
            rows = performance.open_cases(
                connection, Names(IN_THE_FIELD), selection, standing_at(connection, "service_request", then)
            )
        assert [(row.open, row.overdue) for row in rows] == [(1, late)]


def test_a_closing_that_came_late_had_not_happened_as_known_then(db: Database) -> None:
    teller = Teller(1)
    teller.say("report.submitted", "WY01-01-MEMBER", category="D3-04", source="patrol", grid="WY01-01")
    assert teller.say("dissuasion.recorded", "WY01-01-MEMBER", 3 * HOUR_MS, 2 * HOUR_MS, outcome="effective")
    store(db, [teller.life])
    told = teller.steps[-1].at
    [before] = listed(db, at=written(told - 1))
    [after] = listed(db, at=written(told))
    assert (before.state, after.state) != (after.state, after.state) and before.state == "discovered"


def test_an_instant_that_is_to_come_is_refused_and_before_the_first_record_nothing_stood(db: Database) -> None:
    store(db, history())
    with db.read() as connection, pytest.raises(BadQuestion) as refused:
        incident_page(connection, PACK, IncidentQuestion(at=written(WALL + 1)), WALL)
    assert refused.value.field == "at" and refused.value.remedy
    with db.read() as connection:
        page = incident_page(connection, PACK, IncidentQuestion(at="2026-01-01T00:00:00Z"), WALL)
    assert page.incidents == [] and page.reading == "as_known_then"
    assert page.remark.startswith("nothing had arrived by then: the first record is of 2026-03-02T09:01")


def test_without_an_instant_a_history_is_read_as_of_its_last_record(db: Database) -> None:
    store(db, history())
    with db.read() as connection:
        page, now = (incident_page(connection, PACK, IncidentQuestion(), wall) for wall in (2 * WALL, END + DAY))
    assert (page.reading, page.as_of) == ("last_record", IN_THE_FIELD.clock_of_days.local(END))
    assert (now.reading, now.as_of) == ("now", IN_THE_FIELD.clock_of_days.local(END + DAY))


def test_what_is_read_is_in_proportion_to_what_stood_and_not_to_the_history(db: Database) -> None:
    """Sixty cases that were open for an hour each, one a day, and one that was open all the time."""
    short = [request(k + 10, k * DAY, DAY, HOUR_MS) for k in range(60)]
    store(db, [*short, request(1, 0, None, 80 * DAY)])
    with db.read() as connection:
        found = known_then.find_open(connection, at("04-01 09:30"), ["service_request"])
        assert len(found) == 2  # the long one, and that day's
        plan = plan_of(connection, at("04-01 09:30"))
    assert "outcomes_stood" in plan
    if db.dialect == "sqlite":  # it plans by rules; PostgreSQL by what stands in the tables
        assert all(f"INDEX {name} (" in plan for name in ("cases_due", "cases_undated"))
        assert "cases_opened" not in plan and "sqlite_autoindex_facts_1 (partition=? AND n>?)" in plan


def plan_of(connection: Any, then: int) -> str:
    """How the database finds them."""
    statements = list[tuple[str, Any]]()
    original = sql.execute

    def noted(connection: Any, statement: str, *values: Any) -> Any:
        statements.append((statement, values))
        return original(connection, statement, *values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_then, "execute", noted)
        known_then.find_open(connection, then, ["service_request"])
    [(statement, values)] = statements
    if connection.dialect.name == "sqlite":
        return str(original(connection, f"EXPLAIN QUERY PLAN {statement}", *values).all())
    original(connection, "SET LOCAL enable_seqscan = off")  # a table of so few rows is read whole otherwise
    return str(original(connection, f"EXPLAIN {statement}", *values).all())


# ---- beside figures -----------------------------------------------------------------------------------------


DAYS = ("2026-04-12", "2026-05-12", "2026-06-09")


def page(database: Database, now: int, **asked: str) -> performance.PerformancePage:
    """Figures of service requests, in one row."""
    question = figure_question.PerformanceQuestion(definition="service_request", **asked)
    with database.read() as connection:
        return performance.performance_page(connection, PACK, question, now)


def test_a_month_that_is_over_shows_what_stood_at_its_end_and_the_running_one_what_stands_now(db: Database) -> None:
    store(db, history())
    april, now = at("04-30 23:59") + MINUTE - 1, at("06-09 12:00")
    past_month = page(db, now, period="month", day="2026-04-12")
    assert past_month.standing_at.startswith("2026-04-30T23:59:59.999")
    assert (past_month.standing_reading, past_month.reading) == ("as_known_then", "now")
    [row] = past_month.standing
    assert row.open == len(stood(april)) == 2
    assert row.overdue == 2 and sum(held.open for held in past_month.held) == 2
    running = page(db, now, period="month")
    assert (running.standing_reading, running.standing_at) == ("now", running.as_of)
    assert [row.open for row in running.standing] == [1]  # as the log has told it: the other was closed in the end
    assert page(db, now, period="all").standing == running.standing


def test_a_period_whose_end_lies_before_the_archive_says_what_is_not_in_its_standing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(db, history())
    monkeypatch.setattr(archives, "latest", lambda connection: at("05-01 12:00"))
    april, may, june = (page(db, at("06-09 12:00"), period="month", day=day) for day in DAYS)
    assert april.remark.startswith("cases that had ended before 2026-05-01T12:00")
    assert may.remark == june.remark == ""


def test_figures_as_of_an_instant_are_those_that_were_read_at_that_instant(db: Database, tmp_path: Path) -> None:
    store(db, history())
    for number, then in enumerate(INSTANTS):
        early = open_database(f"sqlite:///{tmp_path / f'{number}.db'}")
        early.create_fresh()
        store(early, [life for each in history() if (life := known(each, then)).steps])
        with early.begin() as connection:
            connection.exec_driver_sql(f"UPDATE partitions SET clock = {then}")
        for period in ("month", "all"):
            shown, of_then = page(db, WALL, at=written(then), period=period), page(early, then, period=period)
            assert (shown.rows, shown.since, shown.until) == (of_then.rows, of_then.since, of_then.until)
            assert (shown.reading, shown.as_of) == ("as_known_then", of_then.as_of)
            assert sum(row.open for row in shown.standing) == len(stood(then))
        early.close()


def test_what_was_published_and_what_was_known_are_two_questions(db: Database) -> None:
    store(db, history())
    with pytest.raises(BadQuestion) as refused:
        page(db, WALL, at="2026-04-01T00:00:00+08:00", period="month", published="true")
    assert refused.value.field == "published" and refused.value.remedy
    with pytest.raises(BadQuestion, match="still to come"):
        page(db, WALL, at="2027-04-01T00:00:00+08:00")
    assert page(db, WALL, at="2026-01-01T00:00:00+08:00").remark.startswith("nothing had arrived by then")


# ---- one case -----------------------------------------------------------------------------------------------


def test_one_case_is_shown_as_it_was_known_then_with_the_history_up_to_then(db: Database) -> None:
    life = request(1, 0, 5 * DAY, 3 * DAY)
    store(db, [life])
    reported, closed = life.steps[0].at, life.steps[-1].at
    with db.read() as connection:
        before, after = (
            incident_detail(connection, PACK, life.case.id, WALL, written(t)) for t in (closed - 1, closed)
        )
        assert (before.open, before.reading, len(before.history)) == (True, "as_known_then", len(life.steps) - 1)
        assert (after.open, after.closed_at is not None, len(after.history)) == (False, True, len(life.steps))
        [total] = [clock for clock in before.clocks if clock.name == "total"]
        assert not total.overdue and total.remaining is not None and total.remaining.wall_ms == 2 * DAY + 1
        with pytest.raises(BadQuestion) as refused:
            incident_detail(connection, PACK, life.case.id, WALL, written(reported - 1))
    assert refused.value.field == "at" and refused.value.remedy

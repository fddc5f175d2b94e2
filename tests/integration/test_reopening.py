"""A request that is taken up again, on an engine and both databases: as now, as of an instant, as published.

Enters: a request that is closed in March and taken up again after the month was published, an older database, files of
an older release. Leaves: figures, lists and cases that say one end, and a log that says the same when it is replayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from consumers.performance import consume
from consumers.verify import verify
from engine import archive_file
from engine.policies import Policies
from engine.store import archives
from engine.views.deadlines import ledgers
from engine.views.figure_cases import FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.figure_rows import FigureRow
from engine.views.incident_list import IncidentQuestion, incident_page
from engine.views.performance import performance_page
from gridpatrol.run.following import follow
from lab.parts.postgres import fresh_database
from schemas.instants import written
from tests.integration.test_archiving import APRIL, LATER, answers, archive, check_whole, consumed
from tests.integration.test_archiving import write as leave
from tests.integration.test_migrations import to
from tests.simulation.line import Line, check_export, line_on
from tests.support.builders import DAY, HOTLINE, HOUR, at, subject, weiyang
from tests.support.opened import check_opened
from workflows import case as cases
from workflows.clocks.explain import explain
from workflows.clocks.limits import parse_limit

REPORTED, DUE, CLOSED = at("03-02 09:00"), at("03-12 09:00"), at("03-04 09:00")
AGAIN, LAST = at("04-20 09:00"), at("04-21 09:00")
"""Taken up again when March is published, and closed for good."""
NOW = at("05-10 09:00")


@pytest.fixture
def line(sqlite_url: str) -> Iterator[Line]:
    with line_on(sqlite_url, records=3, steps=2) as found:
        yield found


@pytest.fixture
def line_of_each(database_url: str) -> Iterator[Line]:
    """The same on both databases."""
    with line_on(database_url, records=3, steps=2) as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """What the tests of readings read, on each database."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path_factory.mktemp('reopened') / 'a.db'}"
        if request.param == "postgresql":
            server, template = (request.getfixturevalue(f"postgres_{name}") for name in ("server", "template"))
            url = stack.enter_context(fresh_database(server, template))
        line = stack.enter_context(line_on(url, records=3, steps=2))
        live(line)
        yield line


def reopen(line: Line, when: int, number: int = 1) -> None:
    line.say("case.reopened", HOTLINE, when, case=subject("WY01", number), reason="dissatisfied")


def live(line: Line) -> None:
    """Closed, taken up again and closed; a second one is open, and a third one is taken up again and open."""
    line.report(1, REPORTED, DUE)
    line.report(2, REPORTED, None)
    line.report(3, REPORTED, DUE)
    for number in (1, 3):
        line.close(number, CLOSED)
    for number in (1, 3):
        reopen(line, AGAIN, number)
    line.close(1, LAST)
    line.engine.drain()
    while follow(line.engine.database):
        pass


def row_of(line: Line, day: str, **asked: Any) -> FigureRow:
    question = PerformanceQuestion(definition="service_request", period="month", day=day, **asked)
    with line.engine.database.read() as connection:
        [row] = performance_page(connection, Policies(), question, NOW).rows
        return row


def ids(line: Line, **asked: Any) -> list[str]:
    question = IncidentQuestion(definition="service_request", sort="id", limit=50, **asked)
    with line.engine.database.read() as connection:
        return [each.id[-1] for each in incident_page(connection, Policies(), question, NOW).incidents]


def test_it_is_closed_once_in_every_reading_and_where_it_was_closed_when_that_was_known(
    lived: Line, tmp_path: Path
) -> None:
    line = lived
    assert verify(line.engine.database) == []
    check_export(line, tmp_path)
    march, april = row_of(line, "2026-03-31", published="true"), row_of(line, "2026-04-30")
    assert march.published is not None and march.restated is True
    assert (march.published.counts["closed"], march.published.counts["on_time"]) == (2, 2)
    assert (march.published.durations_n, march.published.median_ms) == (2, 2 * DAY)
    assert "closed" not in march.counts and march.durations_n == 0 and march.median_ms is None
    assert (april.counts["closed"], april.counts["on_time"], april.counts["reopened"]) == (1, 1, 2)
    # Two days in March and one in April: while it was over nothing elapsed.
    assert (april.durations_n, april.median_ms) == (1, 3 * DAY)
    for then, closed in ((CLOSED - 1, 0), (CLOSED, 2), (AGAIN - 1, 2), (AGAIN, 0), (LAST - 1, 0), (LAST, 0)):
        found = row_of(line, "2026-03-31", at=written(then))
        assert (found.counts.get("closed", 0), found.durations_n) == (closed, closed), written(then)


def test_every_number_opens_into_the_cases_that_it_counts(lived: Line) -> None:
    line = lived
    for asked in (
        {"day": "2026-03-31"},
        {"day": "2026-04-30", "by": "grid"},
        {"day": "2026-03-31", "at": written(CLOSED)},
    ):
        question = PerformanceQuestion(definition="service_request", period="month", **asked)
        with line.engine.database.read() as connection:
            assert check_opened(connection, Policies(), question, NOW) > 3
    median = FigureCasesQuestion(definition="service_request", period="all", measure="median_ms")
    with line.engine.database.read() as connection:
        page = figure_cases_page(connection, Policies(), median, NOW)
    assert [(each.id, each.cycle, each.value) for each in page.cases] == [(subject("WY01", 1), 1, 3 * DAY)]
    clock = PerformanceQuestion(definition="service_request", period="all", clock="total")
    with line.engine.database.read() as connection:
        [row] = performance_page(connection, Policies(), clock, NOW).rows
    assert row.counts["on_time:total"] == 1


def test_lists_show_what_is_open_now_and_what_was_open_then(lived: Line) -> None:
    line = lived
    assert ids(line) == ["2", "3"] and ids(line, open=False) == ["1"]
    for then, open_ in (
        (CLOSED - 1, "123"),
        (CLOSED, "2"),
        (AGAIN - 1, "2"),
        (AGAIN, "123"),
        (LAST - 1, "123"),
        (LAST, "23"),
    ):
        assert ids(line, at=written(then)) == [*open_], written(then)
        question = PerformanceQuestion(definition="service_request", period="all", at=written(then))
        with line.engine.database.read() as connection:
            [standing] = performance_page(connection, Policies(), question, NOW).standing
        assert standing.open == len(open_)


def test_its_deadline_is_explained_with_the_time_in_which_it_was_over(line: Line) -> None:
    line.report(1, REPORTED, None)
    order = {"clock": "total", "limit": "9工作日"}
    line.say("deadline.ordered", "XA-OFFICE", REPORTED + HOUR, case=subject("WY01", 1), **order)
    line.close(1, CLOSED)
    reopen(line, AGAIN)
    line.engine.drain()
    last = [ledger for ledger in ledgers(line.steps()) if ledger.clock == "total"][-1]
    assert (last.started, last.pauses, last.cycle) == (REPORTED, [(CLOSED, AGAIN)], 1)
    explained = explain(weiyang().calendars[last.calendar], last.started, parse_limit(last.limit), last.pauses)
    assert last.due is not None and explained.due_ms == last.due


@pytest.mark.parametrize("limit", [1, 500])
def test_the_fold_takes_back_an_end_of_its_own_batch_and_of_an_earlier_one(line_of_each: Line, limit: int) -> None:
    line = line_of_each
    line.report(1, REPORTED, DUE)
    for turn in range(3):
        line.close(1, CLOSED + turn * DAY)
        reopen(line, CLOSED + turn * DAY + HOUR)
    line.close(1, CLOSED + 9 * DAY)
    line.engine.drain()
    while consume.consume(line.engine.database, limit=limit):
        pass
    found = verify(line.engine.database, live=True)
    assert [each for each in found if each.what in ("figure", "outcome", "contribution")] == []
    counts = row_of(line, "2026-03-31").counts
    assert (counts["closed"], counts["reopened"]) == (1, 3)
    consume.rebuild(line.engine.database)
    while consume.consume(line.engine.database, limit=limit):
        pass
    assert row_of(line, "2026-03-31").counts == counts


def test_a_request_that_an_older_release_closed_is_taken_up_again(line_of_each: Line, tmp_path: Path) -> None:
    """Its figures were folded by that release, its row was written by it, and its deadline was missed."""
    line = line_of_each
    line.report(1, REPORTED, at("03-03 09:00"))
    line.report(2, REPORTED, None)
    line.say("deadline.ordered", "XA-OFFICE", REPORTED + HOUR, case=subject("WY01", 2), clock="total", limit="9工作日")
    for number in (1, 2):
        line.close(number, CLOSED)
    line.engine.drain()
    while follow(line.engine.database):
        pass
    database = line.engine.database
    with database.read() as connection:
        before = connection.exec_driver_sql("SELECT id, body FROM cases ORDER BY id").all()
    to(database, "0030")
    with database.read() as connection:
        old = connection.exec_driver_sql("SELECT id, body FROM cases ORDER BY id").all()
        assert not any("ended" in body for _, body in old)
    database.upgrade()
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT id, body FROM cases ORDER BY id").all() == before
    assert verify(database) == []
    for number in (1, 2):
        reopen(line, AGAIN, number)
        line.close(number, LAST)
    line.engine.drain()
    while follow(database):
        pass
    assert verify(database) == []
    check_export(line, tmp_path)
    assert len(line.breaches(1)) == 1 and line.breaches(2) == []
    assert "closed" not in row_of(line, "2026-03-31").counts
    counts = row_of(line, "2026-04-30").counts
    assert (counts["closed"], counts["closed_late"], counts["on_time"]) == (2, 1, 1)


def test_what_has_been_archived_stays_over_and_what_was_taken_up_again_is_not(line: Line, tmp_path: Path) -> None:
    for number in (1, 2):
        line.report(number, REPORTED, DUE)
        line.close(number, CLOSED)
    reopen(line, CLOSED + DAY, 2)
    line.close(2, CLOSED + 2 * DAY)
    line.report(3, REPORTED, DUE)
    line.close(3, CLOSED)
    reopen(line, APRIL + DAY, 3)
    line.engine.drain()
    consumed(line)
    counts = row_of(line, "2026-03-31").counts
    archive(line)
    assert leave(line, tmp_path / "files").cases == 2
    reopen(line, LATER + HOUR, 1)
    line.engine.drain()
    consumed(line)
    assert answers(line) == [("archived", subject("WY01", 1))]
    assert row_of(line, "2026-03-31").counts == counts and counts["closed"] == 2
    check_whole(line, tmp_path / "files", tmp_path)


def test_files_of_an_older_release_are_read_with_the_clock_that_a_case_keeps(line: Line) -> None:
    line.report(1, REPORTED, DUE)
    line.close(1, CLOSED)
    line.engine.drain()
    with line.engine.database.read() as connection:
        rows = list(archives.read_rows(connection, [subject("WY01", 1)]))
    [case] = [row for table, row in rows if table == "cases"]
    steps = [row for table, row in rows if table == "facts"]
    place = archives.COLUMNS["cases"].index("body")
    kept = cases.decode(case[place])
    assert kept.ended is not None and kept.ended.due == DUE
    kept.ended = None
    older = (*case[:place], cases.encode(kept).decode(), *case[place + 1 :])
    assert archive_file.with_end(older, steps) == case == archive_file.with_end(case, steps)

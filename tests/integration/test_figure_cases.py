"""Every number opens into the cases behind it, and they add up to it.

Enters: lives of cases, folded, on both databases. Leaves: the cases behind counts, rates, percentiles and open cases;
pages, and refusals. The demo's month and the city's weeks: tests/drill/test_opened_figures.py.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from engine.policies import Policies
from engine.store.database import open_database
from engine.views.figure_cases import FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.incident_detail import incident_detail
from engine.views.performance import performance_page
from engine.views.questions import BadQuestion
from lab.parts.postgres import fresh_database
from tests.integration.test_reconcile import fill, random_lives, told_lives
from tests.support.builders import at, subject, weiyang
from tests.support.opened import check_opened, opened
from workflows.policy.index import Policy

NOW = at("2027-01-01 00:00")
MARCH = {"since": "2026-03-01", "until": "2026-03-31"}


class TheSample(Policies):
    """Whatever hash is asked for: the sample pack."""

    def get(self, connection: Any, digest: str) -> Policy:
        return weiyang()


SAMPLE = TheSample()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def db(request, tmp_path_factory):
    """Folded lives on a database of each kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('opened') / 'a.db'}"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        database = open_database(url)
        stack.callback(database.close)
        database.create_fresh()
        fill(database, [*random_lives(16), *told_lives()])
        with database.begin() as connection:
            connection.exec_driver_sql("""UPDATE partitions SET packs = '[["of the lives", 0]]'""")
        yield database


def page(database, **asked):
    with database.read() as connection:
        return figure_cases_page(connection, SAMPLE, FigureCasesQuestion(**asked), NOW)


def test_a_case_tells_what_it_missed_and_what_became_of_its_exemption(db):
    with db.read() as connection:
        found = [incident_detail(connection, SAMPLE, subject("WY01", number), NOW).missed for number in (111, 112, 113)]
    [appealed, refused, taken_back] = [{each.clock: each for each in missed} for missed in found]
    total = appealed["total"]
    assert (total.part, total.cycle, total.target, total.charged.grid.code) == (0, 0, 0, "WY01")
    assert (total.found, total.prompt, total.reported) == (False, True, True)
    granted, kept = total.exemption, refused["total"].exemption
    assert granted is not None and (granted.stage, granted.ground) == ("granted", "emergency")
    assert appealed["accept"].exemption is None
    assert kept is not None and kept.stage == "refused" and kept.appeal_until
    assert "accept" not in taken_back


def test_an_exemption_opens_into_the_cases_that_it_takes_out(db):
    asked = {"definition": "service_request", "period": "all"}
    for measure in ("exempted:total", "exempted:accept", "overdue_exempted"):
        found = page(db, measure=measure, **asked)
        assert found.lines and found.value == sum(line.value for line in found.cases) > 0, measure
        assert found.measure.zh and found.measure.en and "免责" in found.measure.zh
    before = page(db, measure="on_time_rate", clock="total", limit=500, **asked)
    after = page(db, measure="on_time_rate_after", clock="total", limit=500, **asked)
    assert (before.value, 0 < after.of < before.of) == (after.value, True)


@pytest.mark.parametrize("definition", ["incident", "service_request"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"by": "grid", "level": "3"},
        {"by": "level", "period": "all"},
        {"by": "department", **MARCH},
        {"by": "grid", "level": "4", "group": "dust", "at": "2026-03-09T12:00:00+08:00"},
    ],
    ids=str,
)
def test_every_number_of_an_answer_opens_into_cases_that_give_it(db, definition, asked):
    question = PerformanceQuestion(definition=definition, **({"period": "month", "day": "2026-03-01"} | asked))
    if "since" in asked or asked.get("period") == "all":
        question = PerformanceQuestion(definition=definition, **asked)
    with db.read() as connection:
        assert check_opened(connection, SAMPLE, question, NOW, limit=7) > 3


@pytest.mark.parametrize(
    ("by", "clock"), [("", "handle"), ("grid", "handle"), ("grid", "rectify"), ("unit", "rectify")]
)
def test_every_number_of_one_clock_opens_into_the_cases_whose_clock_it_was(db, by, clock):
    question = PerformanceQuestion(definition="incident", by=by, clock=clock, period="all")
    with db.read() as connection:
        assert check_opened(connection, SAMPLE, question, NOW, limit=4) > 3


def test_as_published_a_figure_opens_into_what_was_known_when_the_days_of_grace_were_over(db):
    with db.read() as connection:
        asked: Any = {"definition": "service_request", "period": "month", "day": "2026-03-01", "published": "true"}
        (row,) = performance_page(connection, SAMPLE, PerformanceQuestion(**asked), NOW).rows
        assert row.published is not None and row.published.counts
        for name, value in row.published.counts.items():
            found = opened(connection, SAMPLE, FigureCasesQuestion(measure=name, **asked), NOW)
            assert (found.value, sum(line.value for line in found.cases)) == (value, value), name


def test_a_unit_without_a_grouping_is_a_grid_with_all_below_it_or_a_department_or_a_post(db):
    asked = {"definition": "service_request", "period": "all", "measure": "reported"}
    whole, district, street, other = (page(db, unit=unit, **asked) for unit in ("", "WY", "WY01", "WY02"))
    assert whole.value == district.value == street.value + other.value and street.value and other.value
    assert (street.name, street.by) == (weiyang().grids["WY01"].name, "")
    assert page(db, unit="WY03", **asked).value == 0
    department = page(db, unit="WY-URBAN", **asked)
    assert department.value == page(db, by="department", **asked | {"unit": "WY-URBAN"}).value
    assert page(db, unit="WY-12345", **asked).name == weiyang().posts["WY-12345"].title


def test_a_line_says_what_the_case_is_and_the_next_page_begins_after_it(db):
    asked = {"definition": "service_request", "period": "all", "measure": "reported"}
    with db.read() as connection:
        whole = opened(connection, SAMPLE, FigureCasesQuestion(limit=500, **asked), NOW)
        paged = opened(connection, SAMPLE, FigureCasesQuestion(limit=1, **asked), NOW)
    assert whole == paged and len(whole.cases) > 3
    line = whole.cases[0]
    assert line.case is not None and line.case.id == line.id and line.case.definition == "service_request"
    assert [each.day for each in whole.cases] == sorted(each.day for each in whole.cases)
    assert whole.measure.zh == "上报" and whole.measure.says_en == "cases reported in the period"


@pytest.mark.parametrize(
    ("asked", "field", "text"),
    [
        ({"measure": "nonsense"}, "measure", "no such figure"),
        ({"measure": ""}, "measure", "no such figure"),
        ({"measure": "on_time:handle"}, "measure", "figure of one clock"),
        ({"measure": "consumed_p90_ms"}, "measure", "figure of one clock"),
        ({"measure": "reported", "clock": "handle"}, "measure", "no figure of one clock"),
        ({"measure": "coverage"}, "measure", "no such figure"),
        ({"measure": "standing.open", "by": "day"}, "measure", "no row in this grouping"),
        ({"measure": "held.open", "by": "category"}, "measure", "no row in this grouping"),
        ({"measure": "breach:handle", "by": "post"}, "measure", "no post holds this clock"),
        ({"measure": "reported", "unit": "NOBODY"}, "unit", "no unit of this code"),
        ({"measure": "reported", "unit": "WY01-01", "by": "grid"}, "unit", "no row of this grid at level 2"),
        ({"measure": "reported", "cursor": "bm9uZQ"}, "cursor", "does not belong"),
        ({"measure": "reported", "limit": 501}, "limit", "not from 1 to 500"),
        ({"measure": "reported", "at": "2027-06-01T00:00:00Z"}, "at", "still to come"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_the_field_that_is_wrong(db, asked, field, text):
    with pytest.raises(BadQuestion, match=text) as refused:
        page(db, definition="incident", **asked)
    assert refused.value.field == field


def test_a_cursor_of_another_figure_is_not_taken(db):
    asked = {"definition": "service_request", "period": "all", "limit": 1}
    first = page(db, measure="reported", **asked)
    with pytest.raises(BadQuestion, match="does not belong"):
        page(db, measure="closed", cursor=first.next, **asked)

"""A sheet follows from the figures, opens into cases, is read by who may, and rises for nobody who does less.

Enters: a quarter of seven streets, told by the rules, folded, on both databases; for fairness the same quarter in which
one street does one thing otherwise. Leaves: sheets, the cases behind each of their sides, and refusals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from engine.policies import Policies
from engine.store import assessments
from engine.store.database import Database, open_database
from engine.store.figures import Selection
from engine.views.assessment import AssessmentPage, AssessmentQuestion, SubjectLine, assessment_page, bounds
from engine.views.figure_cases import FigureCasesQuestion
from engine.views.figure_question import PerformanceQuestion
from engine.views.performance import performance_page
from engine.views.questions import BadQuestion
from engine.views.readers import NotReadable
from engine.views.spreadsheet import page_lines
from lab.parts.postgres import fresh_database
from tests.integration.test_reconcile import fill
from tests.support.builders import BARE, DAY, HOTLINE, at, changed, shipped
from tests.support.histories import IN_THE_FIELD, MINUTE, Teller
from tests.support.opened import check_lines, opened
from workflows.policy.index import Policy
from workflows.policy.model import IndicatorRow, ScorecardRow
from workflows.reading import READS_EVERYTHING, Readable, Sight

NOW = at("2027-01-01 00:00")
TOWN = changed(IN_THE_FIELD, options={"min_n": 4, "grace_days": 4})
STREETS = [f"WY0{k}" for k in range(1, 8)]
QUARTER = AssessmentQuestion(card="TOWN-QUARTER", period="2026-Q1")
HALF_A_DAY = 12 * 60 * MINUTE


class TheTown(Policies):
    """Whatever hash is asked for: the pack of the town."""

    policy = TOWN

    def get(self, connection: Any, digest: str) -> Policy:
        return self.policy


# ---- a quarter ----------------------------------------------------------------------------------------------


class Quarter:
    """The cases of a quarter, each with a number of its own."""

    def __init__(self) -> None:
        self.tellers: list[Teller] = []

    def begin(self, street: str, by: str = HOTLINE, source: str = "hotline", category: str = BARE) -> Teller:
        """A problem that is reported in the first leaf of a street."""
        teller = Teller(len(self.tellers) + 1, TOWN, home=street)
        self.tellers.append(teller)
        assert teller.say("report.submitted", by, category=category, source=source, grid=f"{street}-01")
        return teller

    def solve(self, teller: Teller, street: str, after: int = MINUTE, unsolved: int = 0) -> None:
        """Accepted, handled after a while, found unsolved so often, checked and closed."""
        chief = f"{street}-CHIEF"
        for times in range(unsolved + 1):
            assert teller.say("incident.accepted", chief)
            assert teller.say("handling.completed", chief, after if not times else MINUTE)
            outcome = "solved" if times == unsolved else "unsolved"
            assert teller.say("verification.recorded", f"{street}-01-CHIEF", outcome=outcome)
        assert teller.say("incident.closed", f"{street}-01-CHIEF")

    def usual(self, street: str, late: int, unsolved: int) -> None:
        """Six problems that others found: some handled too late, some not at the first time."""
        for k in range(6):
            teller = self.begin(street, category=(BARE, "D3-01")[k % 2])
            self.solve(teller, street, 40 * DAY if k < late else HALF_A_DAY, unsolved=int(k >= 6 - unsolved))

    def end(self) -> list[Any]:
        """The lives of all, with a later one that moves the clock beyond the days of grace."""
        last = Teller(len(self.tellers) + 1, TOWN, home="WY12", start=at("04-20 09:00"))
        assert last.say("report.submitted", HOTLINE, category=BARE, source="hotline", grid="WY12-01")
        for teller in self.tellers:
            teller.until(at("04-20 09:00"))
        return [teller.life for teller in (*self.tellers, last)]


def others(quarter: Quarter) -> None:
    """What all streets but the first do."""
    for number, street in enumerate(STREETS[1:]):
        quarter.usual(street, late=number % 3, unsolved=number % 2)
        given = quarter.begin(street, category="D3-01")
        assert given.say("incident.accepted", f"{street}-CHIEF")
        assert given.say("incident.dispatched", f"{street}-CHIEF", lead="WY-URBAN")
        if street == STREETS[-1]:  # it comes back in the same cycle
            assert given.say("incident.returned", "WY-URBAN-H", 60 * MINUTE, reason="not_our_duty")
            assert given.say("incident.dispatched", f"{street}-CHIEF", lead="WY-URBAN")
        assert given.say("handling.completed", "WY-URBAN-H")


def first_street(quarter: Quarter) -> None:
    """What the first street does when nothing is otherwise: one too late, one found unsolved."""
    quarter.usual("WY01", late=1, unsolved=1)


def made(url: str, tell: Callable[[Quarter], None]) -> Database:
    """A database of a quarter in which the first street does this."""
    quarter = Quarter()
    tell(quarter)
    others(quarter)
    database = open_database(url)
    database.create_fresh()
    fill(database, quarter.end())
    with database.begin() as connection:
        connection.exec_driver_sql("""UPDATE partitions SET packs = '[["of the town", 0]]'""")
    return database


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The quarter on a database of each kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('assessed') / 'a.db'}"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        database = made(url, first_street)
        stack.callback(database.close)
        yield database


def sheet(database: Database, readable: Readable = READS_EVERYTHING, **asked: str) -> AssessmentPage:
    question = AssessmentQuestion(**({"card": "TOWN-QUARTER", "period": "2026-Q1"} | asked))
    with database.read() as connection:
        return assessment_page(connection, TheTown(), question, NOW, readable)


def of(page: AssessmentPage, key: str) -> SubjectLine:
    return next(each for each in page.scores if each.key == key)


# ---- the sheet ----------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M92")
def test_a_sheet_counts_what_others_found_as_known_when_the_days_of_grace_were_over(db):
    page = sheet(db)
    assert (page.since, page.until, page.reading) == ("2026-01-01", "2026-03-31", "final")
    assert page.as_of == "2026-04-04T23:59:59.999+08:00"
    first = of(page, "WY01")
    sides = {code: (line.above, line.below) for code, line in first.lines.items()}
    assert sides["on-time"] == (5, 6) and sides["rework"] == (1, 6)
    assert sides["set-aside"][0] == 0 and sides["set-aside"][1] > 12
    assert sides["coverage"] == (0, 0) and first.lines["coverage"].left_out == "nothing"
    # 83.33 %: 40 × 23.33/35 = 26.67; nothing set aside: 15; 16.67 %: 15 × 43.33/55 = 11.82; of 70, scaled to 100
    assert [first.lines[code].points for code in ("on-time", "set-aside", "rework")] == [2667, 1500, 1182]
    assert first.total == 7641 and not first.thin
    assert of(page, "WY12").thin and of(page, "WY12").place is None
    assert [each.place for each in page.scores if not each.thin] == sorted(e.place for e in page.scores if e.place)


def test_a_sheet_has_the_same_hash_on_each_database_and_however_often_it_is_read(db, fair):
    page = sheet(db)
    assert page.sheet == sheet(db).sheet == fair.sheet  # the latter of a file of SQLite
    assert page.pack == TOWN.hash and page.form == 1


def test_every_side_of_every_line_opens_into_cases_that_give_it(db):
    for card, subject in (("TOWN-QUARTER", "WY01"), ("VILLAGE-QUARTER", "WY03-01"), ("DEPARTMENT-QUARTER", "WY-URBAN")):
        page = sheet(db, card=card)
        for code, line in of(page, subject).lines.items():
            indicator = next(row.indicator for row in lines_of(card) if row.indicator.code == code)
            values = {}
            for term, asked in line.opens.items():
                values[term] = value_of(db, asked)
            signed = [(term.removeprefix("-"), -1 if term[0] == "-" else 1) for term in indicator.numerator]
            assert sum(values[term] * sign for term, sign in signed) == line.above
            if "expected" not in indicator.denominator:
                assert sum(values[term] for term in indicator.denominator) == line.below


def lines_of(card: str) -> Any:
    from workflows.assessment.cards import card_of

    found = card_of(TOWN.pack, card, 2026)
    assert found is not None
    return found.lines


def value_of(database: Database, url: str) -> int:
    """What all pages behind a question of a sheet come to."""
    asked = dict(parse_qsl(urlsplit(url).query))
    names = {"from": "since", "to": "until"}
    question = FigureCasesQuestion(**{names.get(name, name): value for name, value in asked.items()})  # type: ignore[arg-type]
    with database.read() as connection:
        found = opened(connection, TheTown(), question, NOW)
        check_lines(found, url, found.value, None)
    return found.value or 0


def test_what_is_passed_on_and_comes_back_in_the_cycle_stays_below_the_line(db):
    """Each street but the first gives one problem to the department, and the last of them twice."""
    line = of(sheet(db, card="DEPARTMENT-QUARTER"), "WY-URBAN").lines["handled"]
    assert (line.above, line.below) == (6, 7)
    aside = of(sheet(db, card="DEPARTMENT-QUARTER"), "WY-URBAN").lines["set-aside"]
    assert (aside.above, aside.below) == (1, 7)


def test_posts_are_assessed_by_what_they_owe(db, monkeypatch):
    kept = IndicatorRow("kept", ("kept",), ("due",), ("void", "excused"), "percent", definition="duty")
    line = ScorecardRow("POSTS", 2026, "quarter", "post", 4, "kept", 10, 0, 10_000)
    duties = shipped().pack.duties
    monkeypatch.setattr(TheTown, "policy", changed(TOWN, duties=duties, indicators=(kept,), scorecards=(line,)))
    page = sheet(db, card="")
    assert len(page.scores) == 105 * 2 and {each.key for each in page.scores} >= {"WY01-01-MEMBER", "WY01-01-SPONSOR"}
    assert all(each.thin and each.lines["kept"].left_out == "nothing" for each in page.scores)


def test_a_sheet_is_a_table_for_a_spreadsheet_with_columns_for_each_line(db):
    page = sheet(db)
    head, *rows = page_lines(page).removeprefix("\ufeff").splitlines()
    columns = head.split(",")
    assert {"key", "place", "total", "lines_on-time_points", "lines_on-time_above", "lines_rework_below"} <= {*columns}
    assert len(rows) == len(page.scores) and not any("/v1/" in row for row in rows)


@pytest.mark.mechanism("M84")
def test_the_last_of_a_district_is_proposed_and_nothing_else_happens(db):
    page = sheet(db)
    placed = [each for each in page.scores if each.place is not None]
    worst = max(placed, key=lambda each: each.place or 0)
    told = {(each.action, each.subject, each.within, each.of) for each in page.proposals}
    lowest = [each.key for each in placed if each.place == worst.place]
    assert told == {(action, key, "WY", len(placed)) for action in ("exposure", "watch") for key in lowest}
    assert all(each.tied == (len(lowest) > 1) for each in page.proposals)


def test_while_a_period_runs_the_days_that_are_over_are_counted(db):
    page = sheet(db, at="2026-03-10T12:00:00+08:00")
    assert (page.reading, page.until) == ("as_known_then", "2026-03-09")
    running = sheet(db, period="2026-04-11")
    assert (running.reading, running.since, running.until) == ("running", "2026-04-01", "2026-04-19")
    assert page.proposals == running.proposals == []
    late = sheet(db, at="2026-04-20T08:00:00+08:00")
    assert late.until == "2026-03-31" and late.sheet != sheet(db).sheet


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"card": "NONE"}, "card"),
        ({"card": ""}, "card"),
        ({"period": "2026"}, "period"),
        ({"period": "2026-Q5"}, "period"),
        ({"period": "soon"}, "period"),
        ({"period": "2025-Q4"}, "period"),
        ({"period": "2026-Q4"}, "period"),
        ({"at": "2026-01-01T00:00:00+08:00"}, "period"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused_with_the_field(db, asked, field):
    with pytest.raises(BadQuestion) as refused:
        sheet(db, **asked)
    assert refused.value.field == field


def test_a_period_is_written_as_people_write_it():
    assert bounds("2026-q3", "quarter", 0) == bounds("2026Q3", "quarter", 0) == (20260701, 20260930)
    assert bounds("2026", "year", 0) == (20260101, 20261231)
    assert bounds("2026-H2", "half", 0) == (20260701, 20261231)
    assert bounds("2026-02", "month", 0) == bounds("2026-02-11", "month", 0) == (20260201, 20260228)
    assert bounds("", "month", 20260211) == (20260201, 20260228)


def test_a_street_reads_its_own_line_and_is_told_how_many_others_there_are(db):
    street = Readable("street", usual=Sight(prefixes=("/XA/WY/WY01/",)))
    page = sheet(db, readable=street)
    whole = sheet(db)
    assert [each.key for each in page.scores] == ["WY01"] and page.unread == 11
    assert of(page, "WY01") == of(whole, "WY01") and page.sheet == whole.sheet
    assert {each.subject for each in page.proposals} <= {"WY01"}
    with pytest.raises(NotReadable):
        sheet(db, readable=street, card="DEPARTMENT-QUARTER")


def test_a_period_with_archived_cases_is_refused(db, monkeypatch):
    monkeypatch.setattr(assessments, "has_archived", lambda connection, selection: True)
    with pytest.raises(BadQuestion, match="archived"):
        sheet(db)


def test_figures_are_read_by_who_found_the_problem(db):
    def counts(found: str, **rest: str) -> dict[str, int]:
        asked = {"grid": "WY01", "period": "quarter", "day": "2026-03-01", "found": found} | rest
        with db.read() as connection:
            (row,) = performance_page(connection, TheTown(), PerformanceQuestion(**asked), NOW).rows
        return row.counts

    assert counts("others") == counts("", clock="") and counts("own") == {}
    handled = counts("others", clock="handle")
    assert handled["on_time:handle"] + handled["overdue:handle"] == 6 and counts("own", clock="handle") == {}
    with db.read() as connection, pytest.raises(BadQuestion, match="several"):
        performance_page(connection, TheTown(), PerformanceQuestion(found="own", by="grid"), NOW)
    assert Selection(definition="incident").found == ""


# ---- fairness -----------------------------------------------------------------------------------------------


def trivial(quarter: Quarter) -> None:
    """Twenty small problems that its member finds, talks away and closes."""
    first_street(quarter)
    for _ in range(20):
        found_by_itself(quarter, checked_by="WY01-01-MEMBER")


def confirmed(quarter: Quarter) -> None:
    """The same, but its chief has looked at them on site."""
    first_street(quarter)
    for _ in range(20):
        found_by_itself(quarter, checked_by="WY01-01-CHIEF")


def found_by_itself(quarter: Quarter, checked_by: str) -> None:
    member = "WY01-01-MEMBER"
    teller = quarter.begin("WY01", by=member, source="patrol", category="D3-01")
    assert teller.say("dissuasion.recorded", member, outcome="effective")
    assert teller.say("verification.recorded", checked_by, outcome="solved")
    assert teller.say("incident.closed", member)


def claimed(quarter: Quarter) -> None:
    """The same, and it claims that the public told them."""
    first_street(quarter)
    for _ in range(20):
        teller = quarter.begin("WY01", by="WY01-01-MEMBER", source="public", category="D3-01")
        quarter.solve(teller, "WY01")


def passing_on(quarter: Quarter) -> None:
    """What it would handle too late it passes to the district, which handles it as late."""
    for k in range(6):
        teller = quarter.begin("WY01", category=(BARE, "D3-01")[k % 2])
        if k:
            quarter.solve(teller, "WY01", HALF_A_DAY, unsolved=int(k == 5))
        else:
            assert teller.say("incident.escalated", "WY01-CHIEF", reason="coordination")


def rejecting(quarter: Quarter) -> None:
    """What it would handle too late it rejects."""
    for k in range(6):
        teller = quarter.begin("WY01", category=(BARE, "D3-01")[k % 2])
        if k:
            quarter.solve(teller, "WY01", HALF_A_DAY, unsolved=int(k == 5))
        else:
            assert teller.say("incident.rejected", "WY01-CHIEF", reason="not_found")


def closing_early(quarter: Quarter) -> None:
    """Every problem is called handled before it is, and taken up again."""
    for k in range(6):
        teller = quarter.begin("WY01", category=(BARE, "D3-01")[k % 2])
        quarter.solve(teller, "WY01", 40 * DAY if not k else MINUTE, unsolved=1 + int(k == 5))


def worst_of_all(quarter: Quarter) -> Teller:
    """What it does with five of its problems; the sixth it would handle too late, and not at the first time."""
    for k in range(1, 6):
        teller = quarter.begin("WY01", category=(BARE, "D3-01")[k % 2])
        quarter.solve(teller, "WY01", HALF_A_DAY)
    return quarter.begin("WY01")


def late_and_unsolved(quarter: Quarter) -> None:
    """When nothing is otherwise it handles the worst of all too late, and not at the first time."""
    quarter.solve(worst_of_all(quarter), "WY01", 14 * DAY, unsolved=1)


def rejecting_the_worst(quarter: Quarter) -> None:
    """It rejects that one."""
    assert worst_of_all(quarter).say("incident.rejected", "WY01-CHIEF", reason="not_found")


def passing_on_the_worst(quarter: Quarter) -> None:
    """It passes that one to the district, which handles it in time and at the first time."""
    teller = worst_of_all(quarter)
    assert teller.say("incident.accepted", "WY01-CHIEF")
    assert teller.say("incident.escalated", "WY01-CHIEF", reason="coordination")
    assert teller.say("incident.accepted", "WY-CHIEF")
    assert teller.say("handling.completed", "WY-CHIEF", HALF_A_DAY)
    for by in ("WY01-CHIEF", "WY01-01-CHIEF"):
        teller.say("verification.recorded", by, outcome="solved")
    assert teller.say("incident.closed", "WY01-01-CHIEF")


@pytest.mark.parametrize("behaviour", [rejecting_the_worst, passing_on_the_worst], ids=lambda each: each.__name__)
def test_who_gets_rid_of_what_it_would_do_worst_does_not_rise(behaviour, worst, tmp_path):
    database = made(f"sqlite:///{tmp_path / 'a.db'}", behaviour)
    try:
        before, after = of(worst, "WY01"), of(sheet(database), "WY01")
    finally:
        database.close()
    assert [before.lines[code].above for code in ("on-time", "rework")] == [5, 1]
    assert after.total <= before.total and (after.place or 99) >= (before.place or 99)


@pytest.fixture(scope="module")
def worst(tmp_path_factory: pytest.TempPathFactory) -> AssessmentPage:
    """The sheet when the worst of all is handled."""
    database = made(f"sqlite:///{tmp_path_factory.mktemp('worst') / 'a.db'}", late_and_unsolved)
    try:
        return sheet(database)
    finally:
        database.close()


BEHAVIOURS = [trivial, confirmed, claimed, passing_on, rejecting, closing_early]


@pytest.mark.mechanism("M87")
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: each.__name__)
def test_who_does_one_thing_otherwise_rises_by_the_capped_bonus_at_most(behaviour, fair, tmp_path):
    database = made(f"sqlite:///{tmp_path / 'a.db'}", behaviour)
    try:
        before, after = of(fair, "WY01"), of(sheet(database), "WY01")
    finally:
        database.close()
    assert after.total - after.bonus <= before.total - before.bonus
    if behaviour in (confirmed, claimed):
        assert (before.bonus, after.bonus) == (0, 300)  # twenty confirmed, as many points as ten
    else:
        assert after.bonus == 0 and (after.place or 99) >= (before.place or 99)
    if behaviour is closing_early:
        assert after.total < before.total


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> AssessmentPage:
    """The sheet when nothing is otherwise."""
    database = made(f"sqlite:///{tmp_path_factory.mktemp('fair') / 'a.db'}", first_street)
    try:
        return sheet(database)
    finally:
        database.close()

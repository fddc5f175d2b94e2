"""Figures in the database: folded from the stored steps, and read as counts, rates and durations."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from consumers import verify
from consumers.performance import faust_app
from consumers.performance.consume import consume, fold_messages, rebuild
from engine.cluster.relay import message
from engine.metrics import gauges
from engine.policies import Policies
from engine.store.database import Database, open_database
from engine.store.figures import segment
from engine.store.steps import FactsGap
from engine.views import figure_question, performance
from engine.views.figure_rows import CHARGED, FigureRow
from engine.views.names import Names
from engine.views.questions import BadQuestion
from lab import runs
from schemas import facts
from schemas.members import Fact
from tests.support.builders import at, changed, instant, weiyang
from tests.support.examples import examples
from tests.support.histories import DAY, MINUTE, Teller, live, numbered, plots, shuffled, write
from tests.support.serving import prepared, served
from tests.unit.test_exemption_figures import exempt, exempted_running
from tests.unit.test_fold import figures, rectified
from workflows.definitions import DEFINITIONS
from workflows.definitions.service_request import SERVICE_REQUEST
from workflows.figures import Rate, period_bounds


@pytest.fixture
def db(database_url):
    database = open_database(database_url)
    database.create_fresh()
    yield database
    database.close()


def stored(database) -> dict[tuple[str, tuple[object, ...]], int]:
    with database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT measure, day, path, department, category, grp, post, CAST(sum(value) AS BIGINT) FROM figures "
            "GROUP BY measure, day, path, department, category, grp, post HAVING sum(value) <> 0"
        )
        return {(row[0], tuple(row[1:7])): row[7] for row in rows}


def drain(database, limit=500) -> int:
    total = 0
    while read := consume(database, limit=limit):
        total += read
    return total


def figure_rows(database, policy, published=False, **asked) -> list[FigureRow]:
    """The rows that a reading gives; `period` and `day` stand for a first and a last day."""
    if "period" in asked:
        asked["since"], asked["until"] = period_bounds(asked.pop("day"), asked.pop("period"))
    selection = figure_question.select(policy, **{"definition": "service_request", **asked})
    with database.read() as connection:
        return performance.figure_rows(connection, Names(policy), selection, published=published)


def open_cases(database, policy, **asked) -> list[performance.OpenCases]:
    selection = figure_question.select(policy, **{"definition": "service_request", **asked})
    with database.read() as connection:
        return performance.open_cases(connection, Names(policy), selection)


def request(number: int, due_in: int | None, closed_after: int | None, late: int = 0, leaf: str = "WY01-01") -> Teller:
    """A service request with this deadline, closed (or not) so long after it was reported."""
    teller = Teller(number, home=leaf[:4])
    deadline = None if due_in is None else instant(teller.now + MINUTE + due_in)
    assert teller.say(
        "report.submitted",
        "WY-12345",
        category="D3-04",
        source="hotline",
        grid=leaf,
        deadline=deadline,
        definition="service_request",
    )
    if closed_after is not None:
        assert teller.say("incident.closed", "WY-DISPATCH", closed_after, late)
    return teller


def tell(database, tellers, until: str = "04-30 00:00") -> None:
    """Write these cases' steps as of an instant."""
    for teller in tellers:
        teller.until(at(until))
    steps = sorted((s for t in tellers for s in t.steps), key=lambda step: (step.at, step.case, step.seq))
    write(database, numbered(steps), [t.case for t in tellers])


MIXED = [
    (5 * DAY, DAY, "WY01-01"),
    (5 * DAY, 2 * DAY, "WY01-01"),
    (5 * DAY, 9 * DAY, "WY01-01"),
    (5 * DAY, None, "WY01-01"),
    (None, 3 * DAY, "WY02-01"),
    (None, None, "WY02-01"),
    (90 * DAY, None, "WY02-01"),
]


def mixed() -> list[Teller]:
    return [request(k + 1, due, closed, leaf=leaf) for k, (due, closed, leaf) in enumerate(MIXED)]


def test_folding_in_small_slices_gives_the_figures_of_the_whole_history(db):
    plot = [[(k * 7 + j * 3) % 64 for j in range(12)] for k in range(6)]
    lives = [live(k + 1, _choices(row)).steps for k, row in enumerate(plot)]
    steps = numbered(shuffled(lives, list(range(200))))
    write(db, steps)
    assert drain(db, limit=3) == len(steps)
    assert stored(db) == {(m, tuple(place)): v for (m, place), v in figures(steps).items()}
    assert consume(db) == 0


def _choices(numbers):
    from tests.support.histories import Choice

    spans = [MINUTE, 300 * MINUTE, DAY, 4 * DAY]
    return [Choice(n, spans[n % 4], (0, 90 * MINUTE)[n % 5 == 0], n % 4) for n in numbers]


@settings(max_examples=examples(15))
@given(plots, st.lists(st.integers(0, 7), max_size=60), st.integers(1, 40))
def test_any_history_folds_to_the_same_figures_whatever_the_slices(tmp_path_factory, plots, order, limit):
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('fold') / 'a.db'}")
    database.create_fresh()
    steps = numbered(shuffled([live(k + 1, plot).steps for k, plot in enumerate(plots)], order))
    write(database, steps)
    drain(database, limit)
    assert stored(database) == {(m, tuple(place)): v for (m, place), v in figures(steps).items()}
    database.close()


def test_a_step_that_is_missing_stops_the_fold_visibly_and_nothing_after_it_counts(db):
    steps = numbered(request(1, 5 * DAY, DAY).steps, count=1)
    assert len(steps) > 1
    write(db, [steps[0], *steps[2:]] if len(steps) > 2 else steps[1:])
    with pytest.raises(FactsGap, match=r"is missing for performance\. Run `gridpatrol verify`"):
        consume(db)
    assert stored(db) == {}


def test_steps_that_are_missing_at_the_end_are_noticed_too(db):
    steps = numbered(request(1, 5 * DAY, DAY).steps, count=1)
    write(db, steps)
    with db.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM facts WHERE n = {len(steps)}")
    with pytest.raises(FactsGap, match=f"step {len(steps)} of partition 0"):
        drain(db)


def test_two_processes_that_fold_at_once_count_nothing_twice(db):
    lives = [request(k, 5 * DAY, DAY).steps for k in range(1, 40)]
    steps = numbered(shuffled(lives, [1, 5, 2] * 30))
    write(db, steps)
    read: list[int] = []
    threads = [threading.Thread(target=lambda: read.append(drain(db, 5))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(read) == len(steps)
    assert stored(db) == {(m, tuple(place)): v for (m, place), v in figures(steps).items()}


def test_the_whole_city_in_one_row(db):
    tell(db, mixed())
    drain(db)
    (row,) = figure_rows(db, weiyang())
    expected = {
        "reported": 7,
        "closed": 4,
        "closable": 4,
        "on_time": 2,
        "overdue": 2,
        "overdue_closed": 1,
        "closed_late": 1,
        "without_deadline": 1,
    }
    assert {measure: row.counts[measure] for measure in expected} == expected
    assert row.close_rate == Rate(3, 4, 7500, True)
    assert row.on_time_rate == Rate(2, 4, 5000, True)
    assert row.rework_rate == Rate(0, 0, None, True)
    assert (row.durations_n, row.median_ms, row.p90_ms) == (4, 2 * DAY, 9 * DAY)
    assert (row.n, row.thin) == (4, True)


@pytest.mark.parametrize(
    ("by", "level", "keys"),
    [
        ("grid", None, {"WY": 7}),
        ("grid", 1, {"XA": 7}),
        ("grid", 3, {"WY01": 4, "WY02": 3}),
        # What the streets let lapse is theirs, beside what their leaves reported.
        ("grid", 4, {"WY01": None, "WY02": None, "WY01-01": 4, "WY02-01": 3}),
        ("level", None, {"3": None, "4": 7}),
        ("category", None, {"D3-04": 7}),
        ("post", None, {"WY-12345": 7, "WY-DISPATCH": None, "": None}),
        (
            "day",
            None,
            {"20260302": 7, "20260303": None, "20260304": None, "20260305": None, "20260307": None, "20260311": None},
        ),
    ],
)
def test_rows_by_a_dimension_add_up_to_the_whole(db, by, level, keys):
    tell(db, mixed())
    drain(db)
    rows = figure_rows(db, weiyang(), by=by, level=level)
    assert {row.key: row.counts.get("reported") for row in rows} == keys
    (whole,) = figure_rows(db, weiyang())
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row.counts)
    # No post holds a clock of a service request, so none is charged with one.
    told = {m: n for m, n in whole.counts.items() if by != "post" or m.partition(":")[0] not in CHARGED}
    assert total == told and (by != "post" or told != whole.counts)
    assert [row.key for row in rows] == sorted(row.key for row in rows)


def test_what_a_post_let_lapse_is_told_by_post_where_posts_hold_the_work(db, monkeypatch):
    """Each missed deadline, and each clock that nothing fulfilled, counts at the post that the fact charges."""
    tellers, post = mixed(), "WY01-01-MEMBER"
    for teller in tellers:
        teller.until(at("04-30 00:00"))
        teller.steps[:] = [
            structs.replace(step, facts=tuple(map(partial(charged_to, post), step.facts))) for step in teller.steps
        ]
    tell(db, tellers)
    drain(db)
    assert [m for m in verify.verify(db) if m.what in ("figure", "contribution")] == []
    (whole,) = figure_rows(db, weiyang())
    assert {row.key: row.counts.get("breach:total") for row in figure_rows(db, weiyang(), by="post")}[""] is None
    held = [structs.replace(state, hands="post") for state in SERVICE_REQUEST.states.values()]
    by_posts = structs.replace(SERVICE_REQUEST, states={state.name: state for state in held})
    monkeypatch.setitem(DEFINITIONS, "service_request", by_posts)
    rows = {row.key: row.counts for row in figure_rows(db, weiyang(), by="post")}
    assert {m: n for m, n in rows[post].items() if ":" in m} == {
        m: n for m, n in whole.counts.items() if m.partition(":")[0] in CHARGED
    }
    assert rows[post]["breach:total"] == whole.counts["breach:total"] > 0


@pytest.mark.parametrize("by", ["grid", "department", "level", "category", ""])
def test_what_became_of_a_clock_is_asked_by_the_unit_that_is_charged(db, by):
    """Counts and nearest ranks of one clock, told a second time from the facts that stopped it."""
    teller = Teller(1)
    assert teller.say("report.submitted", "WY-12345", category="D2-01", source="hotline", grid="WY01-01")
    assert teller.say("incident.dispatched", "WY-CHIEF", 30 * MINUTE, lead="WY-URBAN")
    assert teller.say("incident.returned", "WY-URBAN-H", 60 * MINUTE, reason="not_our_duty")
    assert teller.say("incident.dispatched", "WY-CHIEF", 20 * MINUTE, lead="WY-URBAN")
    assert teller.say("handling.completed", "WY-URBAN-H", 90 * MINUTE)
    plots = [[(k * 5 + j * 3) % 64 for j in range(12)] for k in range(8)]
    lives = [teller.life, *(live(k + 2, _choices(plot)) for k, plot in enumerate(plots))]
    steps = numbered(shuffled([life.steps for life in lives], []))
    write(db, steps)
    drain(db)
    compared: dict[str, int] = {}
    for clock in ("accept", "handle", "verify"):
        wanted: dict[str, list[facts.ClockStopped]] = {}
        for step in (step for step in steps if step.definition == "incident"):
            for fact in step.facts:
                if isinstance(fact, facts.ClockStopped) and fact.clock == clock and fact.charged:
                    wanted.setdefault(key_of_unit(by, fact.charged, step.category), []).append(fact)
        rows = figure_rows(db, weiyang(), definition="incident", by=by, level=4 if by == "grid" else None, clock=clock)
        said = {row.key: row for row in rows}
        only_late = said.keys() - wanted.keys()  # their clock runs still
        assert {m for key in only_late for m in said[key].counts} <= {f"breach:{clock}"}
        for key, stopped in wanted.items():
            results = Counter(f"{fact.result}:{clock}" for fact in stopped)
            row, done = said[key], [f for f in stopped if f.result not in ("passed_on", "void")]
            assert {m: n for m, n in row.counts.items() if m in results} == dict(results)
            spans = (row.median_ms, row.p90_ms, row.consumed_median_ms, row.consumed_p90_ms)
            assert spans == (*ranks([f.elapsed for f in done]), *ranks([f.consumed for f in done]))
            assert (row.durations_n, row.n) == (len(done), len([f for f in done if f.due is not None]))
        compared[clock] = sum(map(len, wanted.values()))
    assert min(compared["accept"], compared["handle"]) > 2 and compared["verify"] > 0


UNITS = {
    "": {"on_time:rectify": 2},
    "SITE-1": {"void:rectify": 2, "breach:rectify": 2},
    "SITE-2": {"on_time:rectify": 2},
    "SITE-3": {"on_time:rectify": 2, "void:rectify": 1, "breach:rectify": 1},
}
"""What became of the orders of two cases, of which one was merged at last."""


def test_what_became_of_ordered_rectifications_is_told_by_the_responsible_unit(db):
    """Beside the department that is charged: of all departments, of that one, of another one; and verified by SQL."""
    running = rectified(2, upto=12)
    running.until(running.now + 2 * DAY)
    lives = [rectified(1).life, running.life]
    write(db, numbered(shuffled([life.steps for life in lives], [1, 0, 0, 1] * 9)), [life.case for life in lives])
    for limit in (1, 7, 500):
        drain(db, limit)
    assert [m for m in verify.verify(db) if m.what in ("figure", "outcome", "contribution")] == []
    for asked, expected in (({}, UNITS), ({"department": "WY-URBAN"}, UNITS), ({"department": "WY-GREEN"}, {})):
        rows = figure_rows(db, weiyang(), definition="incident", by="unit", **asked)
        assert {row.key: row.counts for row in rows} == expected
        assert [row.name for row in rows] == [row.key for row in rows]
    rates = {row.key: (row.on_time_rate.numerator, row.n, row.durations_n) for row in rows_by_unit(db)}
    assert rates == {"": (2, 2, 2), "SITE-1": (0, 0, 0), "SITE-2": (2, 2, 2), "SITE-3": (2, 2, 2)}
    days = rows_by_unit(db, since=20260305, until=20260331)
    assert {row.key: row.counts for row in days} == {"SITE-3": {"void:rectify": 1, "breach:rectify": 1}}
    whole = figure_rows(db, weiyang(), definition="incident", clock="rectify")[0].counts
    stopped = {name: sum(counts.get(name, 0) for counts in UNITS.values()) for name in whole}
    assert whole == stopped | {"breach:rectify": stopped["breach:rectify"] + 1}  # one runs still, and is late


def rows_by_unit(database, **asked) -> list[FigureRow]:
    return figure_rows(database, weiyang(), definition="incident", by="unit", clock="rectify", **asked)


def test_what_was_published_of_a_unit_is_not_restated_by_what_stops_later(db):
    """A clock counts on the day on which its end arrived; the month after has what came too late for this one."""
    teller = rectified(upto=7)
    assert teller.say("rectification.completed", "WY-URBAN-H", 40 * DAY, stage=2)
    write(db, numbered(teller.steps), [teller.case])
    drain(db)
    march = {row.key: row for row in rows_by_unit(db, period="month", day=20260315, published=True)}
    assert sorted(march) == ["SITE-1", "SITE-2"]
    assert [(row.restated, row.published and row.published.counts == row.counts) for row in march.values()] == [
        (False, True),
        (False, True),
    ]
    (april,) = rows_by_unit(db, period="month", day=20260415)
    assert (april.key, april.counts) == ("SITE-3", {"overdue:rectify": 1, "breach:rectify": 1})


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"definition": "service_request"}, "by"),
        ({"definition": "incident", "clock": "handle"}, "clock"),
    ],
)
def test_a_clock_whose_orders_name_no_unit_is_refused_by_unit(asked, field):
    with pytest.raises(BadQuestion) as refused:
        figure_question.select(weiyang(), by="unit", **asked)
    assert refused.value.field == field


def key_of_unit(by: str, unit: facts.Unit, category: str) -> str:
    """The key under which a reading by this has what is charged to a unit."""
    keys = {"grid": unit.grid, "department": unit.department, "level": str(unit.level), "category": category, "": ""}
    return keys[by]


def ranks(values: list[int]) -> tuple[int | None, int | None]:
    """Median and 90th percentile by nearest rank."""
    ordered = sorted(values)
    return (nearest(ordered, 50), nearest(ordered, 90)) if ordered else (None, None)


def nearest(ordered: list[int], share: int) -> int:
    """The smallest value that is not below this share of all, in per cent."""
    return next(value for k, value in enumerate(ordered, 1) if 100 * k >= share * len(ordered))


@pytest.mark.parametrize(("asked", "field"), [({"by": "post"}, "by"), ({"post": "WY-CHIEF"}, "post")])
def test_a_clock_by_post_is_refused_where_no_post_holds_it(asked, field):
    with pytest.raises(BadQuestion) as refused:
        figure_question.select(weiyang(), definition="incident", clock="handle", **asked)
    assert refused.value.field == field


def test_a_clock_that_a_kind_of_case_does_not_have_is_refused_with_those_that_it_has():
    with pytest.raises(BadQuestion) as refused:
        figure_question.select(weiyang(), definition="service_request", clock="verify")
    assert refused.value.field == "clock" and "accept" in str(refused.value)


def charged_to(post: str, fact: Fact) -> Fact:
    """A fact that charges a post where it charged a unit."""
    unit = getattr(fact, "charged", None)
    return fact if unit is None else structs.replace(fact, charged=structs.replace(unit, post=post))


def test_a_reading_is_of_a_subtree_a_category_and_a_period(db):
    tell(db, mixed())
    drain(db)
    policy = weiyang()
    (row,) = figure_rows(db, policy, grid="WY02")
    assert row.counts["reported"] == 3
    assert figure_rows(db, policy, category="D3-01")[0].counts == {}
    assert figure_rows(db, policy, department="WY-ENV")[0].counts == {}
    assert figure_rows(db, policy, period="day", day=20260307)[0].counts["overdue"] == 2
    (week,) = figure_rows(db, policy, period="week", day=20260311)
    assert week.counts["closed_late"] == 1
    assert "closable" not in week.counts
    with pytest.raises(BadQuestion, match="no grid of this code"):
        figure_rows(db, policy, grid="NOWHERE")


def test_the_names_of_the_active_pack_stand_beside_the_codes(db):
    tell(db, mixed())
    drain(db)
    policy = weiyang()
    (row,) = figure_rows(db, policy, by="grid", level=2)
    assert (row.key, row.name) == ("WY", policy.grids["WY"].name)
    levels = {str(level.level): level.name_zh for level in policy.pack.levels}
    rows = figure_rows(db, policy, by="level")
    assert len(rows) > 1 and {row.key: row.name for row in rows}.items() <= levels.items()


def test_few_cases_are_marked_as_thin(db):
    tell(db, mixed())
    drain(db)
    few, enough = (changed(options={"min_n": n}) for n in (5, 4))
    assert figure_rows(db, few)[0].thin
    assert not figure_rows(db, enough)[0].thin


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        # Before anything was due: one closed on time, one closed without a deadline is still open.
        ("03-04 00:00", (6, 0, 4, 2)),
        ("03-10 00:00", (4, 2, 1, 1)),
        ("04-30 00:00", (3, 1, 1, 1)),
    ],
)
def test_open_cases_stand_overdue_not_due_or_without_a_deadline(db, until, expected):
    since = at(until) - at("03-02 09:02")
    tellers = [
        request(k + 1, due, closed if closed is not None and closed < since else None, leaf=leaf)
        for k, (due, closed, leaf) in enumerate(MIXED)
    ]
    tell(db, tellers, until)
    (row,) = open_cases(db, weiyang())
    assert (row.open, row.overdue, row.not_due, row.without_deadline) == expected
    by_grid = open_cases(db, weiyang(), by="grid", level=3)
    assert sum(r.open for r in by_grid) == row.open
    assert open_cases(db, weiyang(), grid="WY03") == []


@pytest.mark.parametrize(("after", "overdue"), [(0, 0), (1, 1)])
def test_a_case_due_this_very_instant_is_not_overdue(db, after, overdue):
    teller = request(1, 5 * DAY, None)
    total = teller.case.clock("total")
    assert total is not None and total.due is not None
    teller.until(total.due + after)
    write(db, numbered(teller.steps), [teller.case])
    (row,) = open_cases(db, weiyang())
    assert (row.overdue, row.not_due) == (overdue, 1 - overdue)


@pytest.mark.mechanism("M4")
def test_open_cases_are_counted_by_who_must_act_too(db):
    """Two that lie in one leaf: one with the department that handles it, one with the street that must accept it."""
    handled, reported = Teller(1), Teller(2)
    for teller, category in ((handled, "D2-01"), (reported, "D3-04")):
        assert teller.say("report.submitted", "WY-12345", category=category, source="hotline", grid="WY01-01")
    assert handled.say("incident.dispatched", "WY-CHIEF", lead="WY-URBAN")
    reported.until(at("03-20 00:00"))
    write(db, numbered([*handled.steps, *reported.steps], 1), [handled.case, reported.case])
    incidents = partial(figure_question.select, weiyang(), definition="incident")
    with db.read() as connection:
        held = partial(performance.held_cases, connection, Names(weiyang()))
        units = {row.key: (row.open, row.overdue) for row in held(incidents(by="grid", grid="WY"))}
        departments = [(row.key, row.open) for row in held(incidents(by="department"))]
        assert held(incidents(by="category")) == []
        street = incidents(grid="WY01")
        assert [(row.open, row.overdue) for row in held(street)] == [(1, 1)]
        lying = performance.open_cases(connection, Names(weiyang()), street)
    assert units == {"WY": (1, 0), "WY01": (1, 1)}
    assert departments == [("", 1), ("WY-URBAN", 1)]
    assert [row.open for row in lying] == [2]
    assert [m for m in verify.verify(db) if m.what == "open count"] == []


def test_what_arrives_after_the_days_of_grace_restates_what_was_published(db):
    """A case due on 5 March is closed in April; March was published three days into April."""
    tellers = [request(1, 3 * DAY, 2 * DAY), request(2, 3 * DAY, 40 * DAY)]
    tell(db, tellers)
    drain(db)
    policy = changed(options={"grace_days": 4})
    (now,) = figure_rows(db, policy, period="month", day=20260315, published=True)
    assert now.restated is True
    assert now.close_rate == Rate(2, 2, 10000, True)
    assert now.published is not None
    assert now.published.close_rate == Rate(1, 2, 5000, True)
    assert now.published.on_time_rate == now.on_time_rate == Rate(1, 2, 5000, True)
    (day,) = figure_rows(db, policy, period="day", day=20260302, published=True)
    assert day.restated is False


def test_as_published_and_as_now_agree_when_everything_arrived_in_time(db):
    tell(db, mixed())
    drain(db)
    for by in ("", "grid", "category", "post", "day"):
        for row in figure_rows(db, weiyang(), by=by, period="half", day=20260302, published=True):
            assert row.restated is False
            assert row.published is not None
            assert row.published.counts == row.counts
            assert row.published.median_ms == row.median_ms


def test_a_rate_is_read_before_and_after_exemption_and_an_exemption_after_the_grace_restates_it(db):
    """One of two late requests is exempted in April: March was published without it."""
    tellers = [request(1, 5 * DAY, DAY), request(2, 5 * DAY, 9 * DAY), request(3, 5 * DAY, 9 * DAY)]
    tellers[1].now += 30 * DAY
    exempt(tellers[1], "total")
    granted = tellers[1].now
    tell(db, tellers)
    drain(db)
    policy, march = changed(options={"grace_days": 4}), {"since": 20260301, "until": 20260331}
    [row] = figure_rows(db, policy, published=True, **march)
    after = row.rates["on_time_rate_after"]
    assert (row.on_time_rate.numerator, row.on_time_rate.denominator) == (1, 3)
    assert (after.numerator, after.denominator, after.basis_points) == (1, 2, 5000)
    assert (row.counts["overdue"], row.counts["overdue_exempted"]) == (2, 1)
    assert (row.counts["breach:total"], row.counts["exempted:total"]) == (2, 1)
    assert row.restated is True and row.published is not None
    assert row.published.rates["on_time_rate_after"] == row.published.on_time_rate == row.on_time_rate
    assert "exempted:total" not in row.published.counts and row.published.counts["breach:total"] == 2
    for asked in ({}, {"by": "level"}):
        [row] = figure_rows(db, policy, published=True, clock="total", **march, **asked)
        after = row.rates["on_time_rate_after"]
        assert (row.on_time_rate.numerator, row.on_time_rate.denominator) == (1, 3)
        assert (after.numerator, after.denominator, row.counts["exempted:total"]) == (1, 2, 1)
        assert row.published is not None and row.published.rates["on_time_rate_after"].denominator == 3
        assert "exempted:total" not in row.published.counts
    for upto, denominator in ((granted - 1, 3), (granted, 2)):
        [row] = figure_rows(db, policy, clock="total", upto=upto, **march)
        assert row.rates["on_time_rate_after"].denominator == denominator


def test_what_is_exempted_of_a_clock_counts_at_the_unit_that_is_charged(db):
    teller = exempted_running()
    tell(db, [teller])
    drain(db)
    rows = {row.key: row for row in figure_rows(db, weiyang(), by="department", clock="handle")}
    found = rows["WY-URBAN"]
    assert (found.counts["breach:handle"], found.counts["exempted:handle"]) == (2, 2)
    assert (found.on_time_rate.denominator, found.rates["on_time_rate_after"].denominator) == (1, 0)


def test_only_a_period_that_ends_was_ever_published(db):
    with pytest.raises(BadQuestion, match="give a period, or the last day"):
        figure_rows(db, weiyang(), published=True)


@pytest.mark.parametrize("level", [-1, 0, 5, 99, 10**30])
def test_a_level_that_the_pack_does_not_have_is_refused_by_every_reading(db, level):
    for reading in (
        lambda: figure_rows(db, weiyang(), by="grid", level=level),
        lambda: open_cases(db, weiyang(), by="grid", level=level),
    ):
        with pytest.raises(BadQuestion, match="no such level, only levels 1 to 4"):
            reading()


def test_the_row_of_a_leaf_by_grid_is_the_leaf_itself(db):
    tell(db, mixed())
    drain(db)
    (row,) = figure_rows(db, weiyang(), grid="WY01-01", by="grid")
    assert (row.key, row.counts["reported"]) == ("WY01-01", 4)


def test_a_part_of_a_text_is_the_same_on_each_database_however_deep_it_lies(db):
    texts = ["/", "/a/", "/a/b/", "/a/b/c/d/e/", '/a"b/c\\d/市/']
    with db.read() as connection:
        for text in texts:
            for number in range(1, 8):
                known = text.split("/")
                sql = f"SELECT {segment(connection, literal(text), number)}"
                found = connection.exec_driver_sql(sql).scalar_one()
                assert found == (known[number] if number < len(known) else ""), (text, number)
        lengths = [len(segment(connection, "path", number)) for number in range(10, 100, 10)]
    assert len(set(lengths)) == 1, "the statement must not grow with the level"


def literal(text: str) -> str:
    """A text as SQL writes it; none of these holds a quote of SQL."""
    return f"'{text}'"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"level": "99"}, "no such level, only levels 1 to 4"),
        ({"level": "0"}, "no such level"),
        ({"level": "9" * 5000}, "level: this is no whole number of at most 18 digits"),
        ({"level": "-1"}, "is no whole number"),
        ({"day": "9999-12-31", "period": "week"}, "not of the years 1900 to 2999"),
        ({"day": "0001-01-01", "period": "week"}, "not of the years 1900 to 2999"),
        ({"to": "9999-12-30", "published": "true"}, "not of the years 1900 to 2999"),
    ],
)
def test_a_question_out_of_range_is_refused_over_http_with_the_range(sqlite_url, asked, why):
    with prepared(sqlite_url) as engine, served(engine) as door:
        answer = door.client.get("/v1/performance", params={"by": "grid", **asked})
        assert answer.status_code == 400 and why in answer.json()["detail"], answer.text


def test_the_gauges_of_the_present_day_and_month_say_what_a_reading_says(database_url):
    with runs.engine_on(database_url, 4, consumers=[consume]) as engine:
        runs.replayed(engine, runs.month(60))
        policy, now = engine.active(), at("03-30 18:00")
        assert policy is not None
        with engine.database.read() as connection:
            family = gauges.sums_of_figures(connection, Policies(), now)
        shown: dict[tuple[str, str, str], dict[str, float]] = {}
        for sample in family.samples:
            labels = sample.labels
            place = labels["definition"], labels["period"], labels["grid"]
            shown.setdefault(place, {})[labels["measure"]] = sample.value
        kinds = [kind.name for kind in DEFINITIONS.values() if kind.listed != "never"]
        for name, period in itertools.product(kinds, ("day", "month")):
            asked = {"by": "grid", "level": 2, "since": 20260330 if period == "day" else 20260301, "until": 20260330}
            rows = figure_rows(engine.database, policy, definition=name, **asked)
            sums = ("reported", "closed", "closable")
            read = {row.key: {m: v for m, v in row.counts.items() if m not in sums} for row in rows}
            assert {place[2]: told for place, told in shown.items() if place[:2] == (name, period)} == read
        month, day = (shown["incident", period, "WY"] for period in ("month", "day"))
        assert month["handled"] > day.get("handled", 0) > 0


def pages(database: Database, now: int) -> dict[str, performance.PerformancePage]:
    """What `/v1/performance` says of everything, by each dimension."""
    with database.read() as connection:
        return {
            by: performance.performance_page(
                connection, Policies(), figure_question.PerformanceQuestion(by=by, period="all"), now
            )
            for by in figure_question.GROUPINGS
        }


def test_service_requests_change_no_figure_of_incidents(database_url, tmp_path):
    """结案率 to the basis point: folded in the process, and from messages as the performance role folds."""
    lines, now = runs.storm(5, 40), at("03-30 18:00")
    with runs.engine_on(f"sqlite:///{tmp_path / 'alone.db'}", 4, consumers=runs.consumers()) as engine:
        runs.replayed(engine, [line for line in lines if b'"service_request"' not in line])
        alone = pages(engine.database, now)
    assert alone[""].definition == "incident" and (alone[""].rows[0].close_rate.basis_points or 0) > 0
    with runs.engine_on(database_url, 4, consumers=runs.consumers()) as engine:
        runs.replayed(engine, lines)
        database, policy = engine.database, engine.active()
        assert policy is not None
        (requests,) = figure_rows(database, policy, definition="service_request")
        assert requests.counts["reported"] > 5 and requests.counts["closed"] > 0
        assert pages(database, now) == alone
        assert verify.verify(database) == []
        messages = [message(row) for row in runs.steps(engine)]
        rebuild(database)
        news, bad = faust_app.decode([(json.loads(value)["partition"], 0, value) for value in messages])
        assert (fold_messages(database, news).folded, bad) == (len(messages), 0)
        assert pages(database, now) == alone
        assert verify.verify(database) == []


def test_figures_of_a_kind_that_there_is_not_are_refused_with_those_that_there_are(sqlite_url):
    with prepared(sqlite_url) as engine, served(engine) as door:
        for route in ("/v1/performance", "/v1/incidents", "/v1/alerts", "/v1/alerts/stream"):
            answer = door.client.get(route, params={"definition": "permit"})
            assert answer.status_code == 400, route
            problem = answer.json()
            assert problem["field"] == "definition" and "incident, service_request" in problem["remedy"], problem
            assert "permit" not in answer.text
        answer = door.client.get("/v1/performance", params={"definition": "service_request"})
        assert answer.json()["definition"] == "service_request"


def test_without_a_pack_no_day_is_local_and_no_gauge_of_figures_is_told(db):
    with db.read() as connection:
        assert gauges.sums_of_figures(connection, Policies(), at("03-30 18:00")).samples == []


def test_figures_folded_anew_are_the_same_also_after_an_interruption(db):
    steps = numbered(shuffled([live(k + 1, _choices([k, k + 3, 5, 9, 14, 2])).steps for k in range(6)], [1, 4, 2] * 40))
    write(db, steps)
    drain(db)
    before = stored(db)
    with db.begin() as connection:
        connection.exec_driver_sql("UPDATE figures SET value = value + 1")
        connection.exec_driver_sql("DELETE FROM outcomes")
        connection.exec_driver_sql("DELETE FROM contributions")
    assert rebuild(db) == len(steps)
    assert stored(db) == {}
    assert consume(db, limit=5) > 0  # and then it was interrupted
    drain(db)
    assert stored(db) == before
    assert [m for m in verify.verify(db, live=True) if m.what in ("figure", "outcome", "contribution")] == []

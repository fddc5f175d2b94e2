"""What one case adds to the figures, step by step."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from consumers.performance import fold
from schemas import facts
from tests.support.builders import instant, subject
from tests.support.histories import DAY, MINUTE, Teller
from workflows.case import TOTAL
from workflows.figures import with_sums

LEAF, MEMBER, STREET, HOTLINE = "WY01-01", "WY01-01-MEMBER", "WY01-CHIEF", "WY-12345"


def figures(steps) -> dict[fold.Cell, int]:
    """The sum over all steps of all cases, contributions carried along."""
    held: dict[str, fold.Contribution | None] = {}
    ends: dict[str, fold.OutcomeRow] = {}
    total: Counter[fold.Cell] = Counter()
    for step in steps:
        result = fold.fold(held.get(step.case), step, ends.get(step.case))
        held[step.case] = result.contribution
        ends |= ends_of(result)
        for cell, value in result.cells.items():
            total[cell] += value
    return {cell: value for cell, value in total.items() if value}


def ends_of(result: fold.Folded) -> dict[str, fold.OutcomeRow]:
    """The outcome with which a case has ended in a step."""
    return {row.case_id: row for row in result.outcomes if row.clock == TOTAL}


def measures(steps) -> dict[str, int]:
    """The figures without their places."""
    total: Counter[str] = Counter()
    for (measure, _), value in figures(steps).items():
        total[measure] += value
    return with_sums(dict(total))


def days(steps, measure: str) -> list[int]:
    return sorted(place.day for (name, place), _ in figures(steps).items() if name == measure)


def reported(due_in: int | None, **rest) -> Teller:
    """A service request reported now, to be closed within `due_in` ms; None: whenever."""
    teller = Teller()
    deadline = None if due_in is None else instant(teller.now + MINUTE + due_in)
    teller.say(
        "report.submitted",
        HOTLINE,
        category="D3-04",
        source="hotline",
        grid=LEAF,
        deadline=deadline,
        definition="service_request",
        **rest,
    )
    return teller


def closed(due_in: int | None, after: int, late: int = 0) -> Teller:
    teller = reported(due_in)
    assert teller.say("incident.closed", "WY-DISPATCH", after, late)
    return teller


def test_each_time_that_a_holder_has_a_clock_is_an_outcome_and_the_last_one_says_what_it_consumed_in_all():
    """Two holders in one cycle, one of them twice: three rows, told apart by the target of the clock."""
    teller = Teller()
    assert teller.say("report.submitted", HOTLINE, category="D2-01", source="hotline", grid=LEAF)
    assert teller.say("incident.dispatched", "WY-CHIEF", 10 * MINUTE, lead="WY-URBAN")
    assert teller.say("incident.returned", "WY-URBAN-H", 30 * MINUTE, reason="not_our_duty")
    assert teller.say("incident.dispatched", "WY-CHIEF", 5 * MINUTE, lead="WY-GREEN")
    assert teller.say("incident.returned", "WY-GREEN-H", 20 * MINUTE, reason="not_our_duty")
    assert teller.say("incident.dispatched", "WY-CHIEF", 5 * MINUTE, lead="WY-URBAN")
    assert teller.say("handling.completed", "WY-URBAN-H", 7 * MINUTE)
    rows = [row for step in teller.steps for row in fold.fold(None, step).outcomes if row.clock == "handle"]
    keys = [(row.case_id, row.clock, row.level, row.cycle, row.target) for row in rows]
    assert len(rows) == len(set(keys)) == 3
    assert [(row.charged_department, row.result) for row in rows] == [
        ("WY-URBAN", "passed_on"),
        ("WY-GREEN", "passed_on"),
        ("WY-URBAN", "on_time"),
    ]
    first, other, last = (row.consumed for row in rows)
    assert (first, other, last) == (30 * MINUTE, 20 * MINUTE, 37 * MINUTE)


def outcomes_of(steps) -> list[fold.OutcomeRow]:
    """The outcomes of one case, its contribution carried along."""
    held, rows = None, dict[tuple[str, int, int, int], fold.OutcomeRow]()
    for step in steps:
        end = next((row for row in reversed(rows.values()) if row.clock == TOTAL), None)
        held, _, stopped = fold.fold(held, step, end)
        rows |= {(row.clock, row.level, row.cycle, row.target): row for row in stopped}
    return list(rows.values())


def rectified(number: int = 1, upto: int = 99) -> Teller:
    """A department orders units to rectify, the first stage of another one anew, and again when it was not solved; told
    as far as so many sayings."""
    teller = Teller(number)
    order = {"kind": "rectification.ordered", "by": "WY-URBAN-H"}
    sayings = [
        {"kind": "report.submitted", "by": HOTLINE, "category": "D2-01", "source": "hotline", "grid": LEAF},
        {"kind": "incident.dispatched", "by": "WY-CHIEF", "after": 10 * MINUTE, "lead": "WY-URBAN"},
        {**order, "unit": "SITE-1", "limit": "1自然日"},
        {**order, "unit": "SITE-2", "limit": "1自然日", "after": 2 * DAY},
        {**order, "unit": "SITE-3", "stage": 2, "limit": "30自然日"},
        {**order, "stage": 3, "limit": "30自然日"},
        {"kind": "rectification.completed", "by": "WY-URBAN-H", "after": 60 * MINUTE, "stage": 1},
        {"kind": "handling.completed", "by": "WY-URBAN-H", "after": 60 * MINUTE},
        {"kind": "verification.recorded", "by": "WY01-CHIEF", "outcome": "unsolved"},
        {"kind": "verification.recorded", "by": MEMBER, "outcome": "unsolved"},
        {"kind": "incident.dispatched", "by": "WY01-CHIEF", "lead": "WY-URBAN"},
        {**order, "unit": "SITE-3", "limit": "1自然日"},
        {"kind": "incident.merged", "by": "WY-DISPATCH", "into": subject("WY01", 999), "after": 2 * DAY},
    ]
    for saying in sayings[:upto]:
        assert teller.say(**saying), saying  # type: ignore[arg-type]
    return teller


def test_an_outcome_names_the_unit_that_was_ordered_beside_the_department_that_is_charged():
    """Ordered anew, what the first unit did not do stays its own; each cycle has its own; a merged case's as well."""
    rows = [row for row in outcomes_of(rectified().steps) if row.clock == "rectify"]
    assert {row.charged_department for row in rows} == {"WY-URBAN"}
    assert [(row.level, row.cycle, row.unit, row.result, row.lapsed) for row in rows] == [
        (1, 0, "SITE-1", "void", True),
        (1, 0, "SITE-2", "on_time", False),
        (2, 0, "SITE-3", "on_time", False),
        (3, 0, "", "on_time", False),
        (1, 1, "SITE-3", "void", True),
    ]
    assert {row.unit for row in outcomes_of(rectified().steps) if row.clock != "rectify"} == {""}


def test_a_unit_is_remembered_as_long_as_its_clock_runs_and_no_longer():
    for upto, units in ((3, [(1, "SITE-1")]), (6, [(1, "SITE-2"), (2, "SITE-3")]), (7, [(2, "SITE-3")]), (8, [])):
        held = None
        for step in rectified(upto=upto).steps:
            held = fold.fold(held, step).contribution
        assert held is not None and [(level, unit) for _, level, unit in held.units] == units, upto


def test_what_the_fold_kept_before_it_knew_units_is_still_read():
    kept = fold.NOTHING.naming("rectify", 1, "SITE-1")
    assert fold.decode(b"[[]]") == fold.NOTHING
    assert fold.decode(fold.encode(kept)) == kept
    assert kept.naming("rectify", 1, "") == fold.NOTHING


JUDGED = (
    "closed",
    "closable",
    "on_time",
    "overdue",
    "overdue_closed",
    "closed_late",
    "without_deadline",
    "breach:total",
)


@pytest.mark.parametrize(
    ("due_in", "after", "late", "expected"),
    [
        (5 * DAY, DAY, 0, {"closed": 1, "closable": 1, "on_time": 1}),
        # At its deadline is on time.
        (5 * DAY, 5 * DAY, 0, {"closed": 1, "closable": 1, "on_time": 1}),
        (5 * DAY, 5 * DAY + 1, 0, dict.fromkeys(set(JUDGED) - {"on_time", "without_deadline"}, 1)),
        # Closed on site in time, told ten hours later: the lapse is taken back.
        (5 * DAY, 5 * DAY + 9 * 60 * MINUTE, 10 * 60 * MINUTE, {"closed": 1, "closable": 1, "on_time": 1}),
        (None, 40 * DAY, 0, {"closed": 1, "without_deadline": 1}),
    ],
)
def test_a_closed_case_is_on_time_late_or_without_a_deadline(due_in, after, late, expected):
    found = measures(closed(due_in, after, late).steps)
    assert {m: found[m] for m in JUDGED if m in found} == expected


def test_an_open_case_past_its_deadline_is_closable_and_overdue_on_the_day_of_the_deadline():
    teller = reported(5 * DAY)
    assert "closable" not in measures(teller.steps)
    teller.until(teller.now + 9 * DAY)
    assert days(teller.steps, "overdue") == [20260307]
    assert measures(teller.steps)["closable"] == 1
    assert "overdue_closed" not in measures(teller.steps)


def test_a_late_closing_counts_as_closed_on_its_day_and_among_the_closable_of_the_due_day():
    steps = closed(5 * DAY, 30 * DAY).steps
    assert days(steps, "overdue") == days(steps, "overdue_closed") == [20260307]
    assert days(steps, "closed_late") == [20260401]


def test_a_later_deadline_does_not_erase_that_the_first_one_was_missed():
    teller = reported(5 * DAY)
    later = instant(teller.now + 20 * DAY)
    assert teller.say("deadline.ordered", "XA-OFFICE", 6 * DAY, clock="total", due=later)
    assert teller.say("incident.closed", "WY-DISPATCH", DAY)
    found = measures(teller.steps)
    assert found["overdue"] == found["closed_late"] == found["closable"] == found["extended"] == 1
    assert "on_time" not in found


@pytest.mark.parametrize(
    ("trigger", "by", "data", "measure"),
    [
        ("incident.rejected", "WY-DISPATCH", {"reason": "not_found"}, "rejected"),
        ("incident.withdrawn", HOTLINE, {}, "withdrawn"),
        ("incident.merged", "WY-DISPATCH", {"into": "WY01.01900000-0000-7000-8000-000000000009"}, "merged"),
        ("incident.force_closed", "XA-OFFICE", {"reason": "policy"}, "force_closed"),
    ],
)
def test_an_ending_that_is_no_closing_has_its_own_measure_and_is_never_closable(trigger, by, data, measure):
    teller = reported(5 * DAY)
    assert teller.say(trigger, by, DAY, **data)
    found = measures(teller.steps)
    assert found[measure] == 1
    assert not {"closed", "closable", "on_time", "without_deadline"} & set(found)


def test_a_rejection_after_the_deadline_leaves_the_case_overdue():
    teller = reported(5 * DAY)
    assert teller.say("incident.rejected", "WY-DISPATCH", 6 * DAY, reason="not_found")
    found = measures(teller.steps)
    assert (found["overdue"], found["closable"], found["rejected"]) == (1, 1, 1)
    assert "overdue_closed" not in found


def test_a_case_whose_clocks_stood_still_is_overdue_when_it_is_rejected_late():
    teller = reported(5 * DAY)
    teller.quarantine(True)
    assert teller.say("incident.rejected", "WY-DISPATCH", 9 * DAY, reason="not_found")
    found = measures(teller.steps)
    assert (found["overdue"], found["void:total"], found["rejected"]) == (1, 1, 1)


def test_work_that_is_given_back_is_counted_as_passed_on_and_a_lapse_before_it_stays():
    teller = reported(None)
    assert teller.say("incident.returned", STREET, DAY, reason="not_our_duty")
    assert measures(teller.steps)["passed_on:accept"] == 1
    (accept,) = (o for o in fold.fold(None, teller.steps[-1]).outcomes if o.clock == "accept")
    assert (accept.result, accept.why) == ("passed_on", "incident.returned")
    assert measures(teller.steps)["breach:accept"] == 1


def test_what_rests_on_the_sender_s_word_is_counted_beside_on_time_at_the_unit_charged():
    teller = Teller()
    assert teller.say("report.submitted", MEMBER, category="D3-01", source="patrol", grid=LEAF)
    assert teller.say("dissuasion.recorded", MEMBER, 120 * MINUTE, late=115 * MINUTE, outcome="ineffective")
    (dissuade,) = (o for o in fold.fold(None, teller.steps[-1]).outcomes if o.clock == "dissuade")
    assert (dissuade.result, dissuade.claimed, dissuade.charged_path) == ("on_time", True, "/XA/WY/WY01/WY01-01/")
    [(place, value)] = [(p, v) for (m, p), v in figures(teller.steps).items() if m == "claimed:dissuade"]
    assert (value, place.path, place.department, place.post) == (1, "/XA/WY/WY01/WY01-01/", "", "")
    assert "breach:dissuade" not in measures(teller.steps)


def test_a_missed_deadline_of_the_whole_case_counts_where_the_problem_lies_and_at_the_unit_charged():
    """Twice on purpose: the street has an overdue problem, and the department is late."""
    teller = Teller()
    due = instant(teller.now + 5 * DAY)
    teller.say("report.submitted", HOTLINE, category="D2-14", source="hotline", grid=LEAF, deadline=due)
    assert teller.say("incident.dispatched", "WY-CHIEF", lead="WY-URBAN")
    teller.until(teller.now + 6 * DAY)
    found = {m: (p.path, p.department, v) for (m, p), v in figures(teller.steps).items()}
    assert found["overdue"] == ("/XA/WY/WY01/WY01-01/", "WY-URBAN", 1)
    assert found["breach:total"] == ("/XA/WY/", "WY-URBAN", 1)


def test_a_case_whose_clocks_stood_still_is_overdue_when_it_is_closed_late():
    teller = reported(5 * DAY)
    teller.quarantine(True)
    assert teller.say("incident.closed", "WY-DISPATCH", 9 * DAY)
    rungs = [fact for step in teller.steps for fact in step.facts if isinstance(fact, facts.ClockRung)]
    assert not [rung for rung in rungs if rung.clock == "total"]
    assert days(teller.steps, "overdue") == days(teller.steps, "closed_late") == [20260311]


def test_each_check_that_decides_counts_and_the_unsolved_ones_are_rework():
    teller = Teller()
    assert teller.say("report.submitted", MEMBER, category="D3-01", source="patrol", grid=LEAF)
    assert teller.say("dissuasion.recorded", MEMBER, outcome="effective")
    assert teller.say("verification.recorded", MEMBER, outcome="unsolved")
    assert teller.say("incident.accepted", STREET)
    assert teller.say("handling.completed", STREET)
    assert teller.say("verification.recorded", MEMBER, outcome="solved")
    found = measures(teller.steps)
    assert found["dissuaded_on_spot"] == 1
    assert (found["handled"], found["verified"], found["rework"]) == (2, 2, 1)


def test_who_reported_it_and_where_stands_in_the_cell():
    teller = Teller()
    teller.say("report.submitted", MEMBER, category="D3-01", source="patrol", grid=LEAF)
    place = fold.Place(20260302, "/XA/WY/WY01/WY01-01/", "", "D3-01", teller.case.group, MEMBER)
    assert figures(teller.steps) == {("reported:patrol", place): 1}
    assert measures(teller.steps) == {"reported:patrol": 1, "reported": 1}


def test_a_stopped_clock_is_an_outcome_with_its_arrival():
    teller = closed(5 * DAY, DAY, late=MINUTE)
    (total,) = (o for o in fold.fold(None, teller.steps[-1]).outcomes if o.clock == "total")
    assert total.arrival - total.stopped == MINUTE
    assert (total.result, total.why, total.elapsed) == ("on_time", "incident.closed", DAY - MINUTE)
    assert total.elapsed == total.stopped - total.started


def test_what_may_still_move_is_all_that_a_contribution_keeps():
    teller = reported(5 * DAY)
    assert fold.fold(None, teller.steps[0]).contribution is None
    assert teller.say("incident.closed", "WY-DISPATCH", 6 * DAY)
    held = None
    for step in teller.steps:
        held = fold.fold(held, step).contribution
    assert held is not None
    assert fold.decode(fold.encode(held)) == held
    assert [lapse.clock for lapse in held.lapses].count("total") == 1


def test_a_step_that_nothing_counts_changes_nothing():
    teller = reported(5 * DAY)
    teller.say("comment.added", HOTLINE)
    held = fold.Contribution()
    assert fold.fold(held, teller.steps[-1]) == (held, {}, [])
    assert msgspec.structs.asdict(held) == {"lapses": (), "units": (), "exempted": ()}

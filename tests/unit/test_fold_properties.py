"""The figures are sums: whatever the order between cases and however the log is sliced."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from consumers.performance import fold
from schemas import facts
from schemas.kinds import KINDS
from schemas.kinds.duty import DutyExcused
from tests.support.histories import live, plots, shuffled
from tests.unit.test_fold import ends_of, figures
from workflows.case import TOTAL
from workflows.definitions import DEFINITIONS, ENDINGS
from workflows.definitions.target import SCORED
from workflows.figures import with_sums

orders = st.lists(st.integers(0, 7), max_size=80)


def steps_of(plots):
    return [live(number + 1, plot).steps for number, plot in enumerate(plots)]


@given(plots, orders)
def test_the_order_between_cases_changes_no_figure(plots, order):
    lives = steps_of(plots)
    assert figures(shuffled(lives, order)) == figures([step for steps in lives for step in steps])


@given(plots, orders, st.lists(st.integers(1, 9), max_size=20))
def test_any_slicing_of_the_log_gives_the_same_figures(plots, order, sizes):
    """Between slices a contribution is nothing but its bytes."""
    steps = shuffled(steps_of(plots), order)
    cuts = [0, *accumulate(sizes), len(steps)]
    stored: dict[str, bytes] = {}
    ends: dict[str, fold.OutcomeRow] = {}
    total: Counter[fold.Cell] = Counter()
    for a, b in pairwise(cuts):
        held = {case: fold.decode(body) for case, body in stored.items()}
        for step in steps[a:b]:
            result = fold.fold(held.get(step.case), step, ends.get(step.case))
            ends |= ends_of(result)
            if result.contribution is not None:
                held[step.case] = result.contribution
            total.update(result.cells)
        stored = {case: fold.encode(value) for case, value in held.items()}
    assert {cell: value for cell, value in total.items() if value} == figures(steps)


@given(plots)
def test_the_figures_of_all_cases_are_the_sum_of_the_figures_of_each(plots):
    lives = steps_of(plots)
    total: Counter[fold.Cell] = Counter()
    for steps in lives:
        total.update(figures(steps))
    together = figures([step for steps in lives for step in steps])
    assert {cell: value for cell, value in total.items() if value} == together


@given(plots)
def test_every_closable_case_is_on_time_or_overdue_and_nothing_is_ever_negative(plots):
    counts: Counter[str] = Counter()
    for (measure, _), value in figures([s for steps in steps_of(plots) for s in steps]).items():
        assert value > 0, measure
        counts[measure] += value
    total = Counter(with_sums(dict(counts)))
    assert total["closable"] == total["on_time"] + total["overdue"]
    assert total["overdue_closed"] == total["closed_late"] <= total["overdue"]
    assert total["closed"] == total["on_time"] + total["closed_late"] + total["without_deadline"]
    assert total["rework"] <= total["verified"]
    assert total["reported"] == sum(v for m, v in total.items() if m.startswith("reported:")) == len(plots)


@given(plots)
def test_no_stopped_clock_is_told_twice(plots):
    keys = [
        (step.case, fact.clock, fact.level, fact.cycle, fact.target)
        for steps in steps_of(plots)
        for step in steps
        for fact in step.facts
        if isinstance(fact, facts.ClockStopped)
    ]
    assert len(keys) == len(set(keys))


@given(plots)
def test_a_case_ends_once_in_the_figures_and_only_if_it_has_ended(plots):
    """However often it is taken up again: the clock of the whole case, whose end counts it, starts with it and goes on
    then alone."""
    ends = {"on_time", "closed_late", "without_deadline", *ENDINGS.values()}
    for plot in plots:
        steps, case = live(1, plot)
        told = [fact for step in steps for fact in step.facts if isinstance(fact, facts.ClockFact)]
        total = [type(fact) for fact in told if fact.clock == TOTAL]
        closed = case.closed is not None
        again = sum(isinstance(fact, facts.Reopened) for step in steps for fact in step.facts)
        assert (total.count(facts.ClockStarted), total.count(facts.ClockStopped)) == (1 + again, again + closed)
        assert sum(value for (measure, _), value in figures(steps).items() if measure in ends) == closed


def test_an_end_that_follows_an_end_is_counted_by_its_own_fact_alone():
    """An exemption after a missed duty, a value after a target was scored: no clock stops with it, so it is no second
    end of the case. What else takes up a case that is over is of a kind that says so, and the fold takes its end
    back."""
    further = [
        (definition.name, row.trigger, source, row.dest)
        for definition in DEFINITIONS.values()
        for row in definition.rows
        for source in row.sources
        if definition.states[source].terminal and row.dest not in ("=", source)
    ]
    assert further == [
        ("service_request", "case.reopened", "closed", "reported"),
        ("duty", "duty.excused", "missed", "excused"),
        ("supervision", "supervision.revoked", "cleared", "rescinded"),
        *(("target", "measurement.recorded", was, now) for was in SCORED for now in SCORED if was != now),
        ("assessment", "assessment.computed", "announced", "restating"),
        ("petition", "case.reopened", "settled", "accepted"),
    ]
    assert [definition.name for definition in KINDS if definition.reopens] == [
        "service_request",
        "assessment",
        "petition",
    ]
    assert [measure.name for measure in DEFINITIONS["duty"].measures if measure.fact is DutyExcused] == ["excusal"]

"""Who held a case and its clocks, and by how much deadlines were missed: as the rules charge it.

Enters: lives of cases as the rules tell them. Leaves: spans, what clocks consumed in them, and how late they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from engine.views.holders import CaseHistory, ClockOutcome, HeldSpan, held_spans, history_of, outcomes_of
from engine.views.names import Names
from schemas import facts
from tests.integration.test_reconcile import random_lives, told_lives
from tests.support.histories import MINUTE, Life, Teller
from workflows.clocks.limits import Kind

HOUR = 60 * MINUTE


def told(life: Life, names: Names, now: int) -> tuple[CaseHistory, list[HeldSpan], list[ClockOutcome]]:
    steps = ((step.seq, facts.encode_facts(step.facts).decode()) for step in life.steps)
    history = history_of(steps, life.case, now)
    return history, held_spans(history, names, now), list(outcomes_of(history.clocks, names, now))


def lives() -> Iterator[Life]:
    yield from random_lives(40)
    yield from told_lives()


def test_the_clock_of_the_whole_case_is_consumed_by_those_who_held_it_and_nothing_is_left_over() -> None:
    names, compared = Names(Teller().rules), 0
    for life in lives():
        if not life.case.definition:
            continue
        now = max(step.at for step in life.steps)
        _, spans, outcomes = told(life, names, now)
        ended = [outcome for outcome in outcomes if outcome.name == "total"]
        again = {
            names.instant(fact.judged) for step in life.steps for fact in step.facts if isinstance(fact, facts.Reopened)
        }
        for a, b in pairwise(spans):  # nobody held it while it was over
            assert a.held_until is not None and (a.held_until == b.held_from or b.held_from in again)
        assert all(span.natural_ms >= 0 for span in spans)
        for total in ended[-1:] if life.case.closed is not None else []:
            shares = [c.consumed_ms for span in spans for c in span.clocks if c.name == "total"]
            assert sum(shares) == total.consumed_ms, life.case.id
            compared += 1
    assert compared > 10


def test_a_clock_is_late_where_its_deadline_was_missed_and_only_there() -> None:
    names, late = Names(Teller().rules), 0
    for life in lives():
        _, _, outcomes = told(life, names, max(step.at for step in life.steps))
        for outcome in outcomes:
            if outcome.due_at is None:
                assert outcome.late_by_ms is None
            elif outcome.result in ("on_time", "overdue") and not outcome.claimed:
                assert (outcome.late_by_ms == 0) is (outcome.result == "on_time"), (life.case.id, outcome)
                late += outcome.result == "overdue"
    assert late > 5


@pytest.mark.mechanism("M29")
def test_late_is_said_in_the_clock_s_own_time_and_nights_count_only_where_they_do() -> None:
    """Accepting is due in working hours: what is due at noon on a Monday and done on Tuesday morning is hours late."""
    case = Teller(1)
    assert case.say("report.submitted", "WY-12345", category="D3-04", source="hotline", grid="WY01-01")
    accept = case.case.clock("accept", case.case.owner.level)
    assert accept is not None and accept.due is not None
    assert case.say("incident.accepted", "WY01-CHIEF", after=24 * HOUR)
    _, spans, outcomes = told(case.life, Names(case.rules), case.now)
    [outcome] = [each for each in outcomes if each.name == "accept"]
    assert outcome.kind is Kind.working_hour and outcome.result == "overdue"
    assert outcome.late_by_ms is not None and 0 < outcome.late_by_ms < case.now - accept.due
    assert outcome.natural_ms == 24 * HOUR and outcome.consumed_ms < outcome.natural_ms
    assert outcome.charged is not None and outcome.charged.grid.code == "WY01"
    shares = {span.unit.grid.code: [c.consumed_ms for c in span.clocks if c.name == "accept"] for span in spans}
    assert shares == {"WY01": [outcome.consumed_ms]}

"""The petition (信访): taken in, accepted, answered, asked afterwards; cycles, stages, and one ending.

In: what posts of the sample pack say, in March 2026. Out: states, hands, clocks, what is kept and what is counted.
"""

from __future__ import annotations

from typing import Any

import pytest

from schemas.facts import Moved
from schemas.kinds.petition import Petition, PetitionAnswered
from schemas.refusals import Reason
from tests.support.builders import DAY, STREET, Story
from tests.unit.test_supervision import counts_of
from workflows.case import Clock, Owner
from workflows.definitions import held_by
from workflows.definitions.petition import RATIOS, SUMS
from workflows.figures import derived

HOTLINE, EPB = "WY-12345", "WY-EPB-H"


class Asked(Story):
    """A petition and what is said to it."""

    def asked(self, by: str = HOTLINE, **data: Any) -> Asked:
        said = {"category": "D3-01", "channel": "phone", "grid": "WY01-01", "description": "…", "contact": "…"}
        self.done("petition.submitted", by, **{**said, **data})
        return self

    @property
    def own(self) -> Petition:
        assert isinstance(self.case.own, Petition)
        return self.case.own

    def clock(self, name: str) -> Clock:
        """A clock that runs."""
        found = self.case.clock(name)
        assert found is not None, f"{name} does not run"
        return found


# ---- from the asking to the ending ------------------------------------------------------------------------


@pytest.mark.mechanism("M49", "M63", "M76")
def test_a_petition_is_answered_and_who_asked_is_asked_by_the_reception():
    asked = Asked().asked()
    assert (asked.case.state, asked.case.path) == ("submitted", ("XA", "WY", "WY01", "WY01-01"))
    assert (asked.own.reception, asked.own.place, asked.own.unit) == ("WY01", "WY01-01", "WY01")
    assert asked.case.source == "hotline" and held_by(asked.case).grid == "WY01"
    assert asked.clock("accept").limit == "15自然日"
    asked.done("petition.accepted", STREET)
    assert asked.clock("response").limit == "60自然日"
    asked.done("petition.answered", STREET, found="true", answer="…")
    assert asked.own.answer == asked.of(PetitionAnswered)[0].token
    asked.refused(Reason.FORBIDDEN, "petition.revisited", STREET, outcome="satisfied")
    asked.done("petition.revisited", HOTLINE, outcome="satisfied")
    assert asked.case.state == "revisited" and asked.case.closed is None
    asked.done("petition.ended", HOTLINE)
    assert asked.case.closed == asked.now
    counts = {measure: n for (_, measure, _), n in counts_of(asked).items()}
    assert (counts["petitions:phone"], counts["petition_answers"], counts["revisits:satisfied"]) == (1, 1, 1)


def test_what_is_transferred_is_taken_on_anew_by_a_department():
    asked = Asked().asked()
    asked.done("petition.accepted", STREET)
    asked.done("petition.transferred", STREET, to_department="WY-EPB")
    assert asked.case.state == "submitted" and asked.case.owner == Owner("WY", 2, "WY-EPB")
    asked.done("petition.accepted", EPB)
    assert (asked.own.unit, asked.own.level, asked.own.department) == ("WY", 2, "WY-EPB")
    asked.done("petition.answered", EPB, found="partly")
    assert asked.case.owner == Owner("WY01", 3)
    asked.done("petition.revisited", STREET, outcome="unreachable")
    assert asked.case.state == "revisited"


def test_more_time_is_asked_for_below_and_given_above():
    asked = Asked().asked()
    asked.done("petition.accepted", STREET)
    due = asked.clock("response").due
    asked.done("extension.requested", STREET, clock="response", reason="coordination", limit="90自然日")
    asked.done("extension.granted", "WY-OFFICE", clock="response")
    assert due is not None and asked.clock("response").due == due + 30 * DAY


def test_the_hotline_begins_another_cycle_and_the_petition_ends_once():
    asked = Asked().asked()
    asked.done("petition.accepted", STREET)
    asked.done("petition.answered", STREET, found="untrue")
    asked.done("petition.revisited", HOTLINE, outcome="dissatisfied")
    assert (asked.case.state, asked.case.cycle, asked.case.owner) == ("accepted", 1, Owner("WY01", 3))
    asked.done("petition.answered", STREET, found="true")
    asked.done("petition.revisited", HOTLINE, outcome="satisfied")
    asked.done("petition.ended", HOTLINE)
    asked.done("case.reopened", HOTLINE, reason="dissatisfied")
    assert (asked.case.state, asked.case.cycle, asked.case.closed) == ("accepted", 2, None)
    assert held_by(asked.case).grid == "WY01"
    asked.done("petition.answered", STREET, found="true")
    asked.done("petition.revisited", HOTLINE, outcome="leaves_it")
    asked.done("petition.ended", HOTLINE)
    ends = [fact for step in asked.steps for fact in step.facts if isinstance(fact, Moved) and fact.state == "settled"]
    assert len(ends) == 2 and asked.case.closed == ends[-1].judged  # the end that stands is the last one


@pytest.mark.mechanism("M76")
def test_satisfaction_is_a_share_of_those_who_could_be_asked():
    counts = {"revisits:satisfied": 3, "revisits:dissatisfied": 1, "revisits:leaves_it": 1, "revisits:unreachable": 4}
    shown, rates = derived({**counts, "petition_answers": 9, "petition_answers_late": 3}, SUMS, RATIOS)
    assert rates["satisfaction_rate"].basis_points == 6000 and rates["in_time_rate"].basis_points == 6667
    assert shown["answered_in_time"] == 6


def test_a_late_answer_is_counted_as_late():
    asked = Asked().asked()
    asked.done("petition.accepted", STREET)
    asked.done("petition.answered", STREET, asked.now + 61 * DAY, found="true")
    assert asked.of(PetitionAnswered)[0].late and asked.case.lapses


def test_where_a_position_lies_elsewhere_the_petition_lies_at_its_reception():
    asked = Asked(home="XA").asked("XA-OFFICE", channel="letter", grid="WY01-02")
    assert (asked.case.path, asked.own.place, asked.case.source) == (("XA",), "WY01-02", "petition")
    assert asked.own.reception == "XA" and asked.case.owner == Owner("XA", 1)
    refusal = Asked().refused(
        Reason.UNKNOWN_CODE, "petition.submitted", HOTLINE, category="D3-01", channel="fax", grid="NOWHERE"
    )
    assert refusal.field == "data.grid"

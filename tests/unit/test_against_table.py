"""A case is given to another department than the pack names for its category: by whom, why, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from consumers.performance import fold
from engine.views.names import Names
from gridpatrol.render.story import story
from schemas import facts
from schemas.facts import Unit
from schemas.refusals import Reason
from tests.support.builders import BARE, CENTRE, HOTLINE, LEAF, STREET, Story, changed, weiyang
from tests.support.histories import Teller, step_row
from workflows.policy.model import encode

NAMED, OTHER = "WY-GREEN", "WY-URBAN"  # who leads where ground lies bare
ASKED = changed(options={"against_table": ("dispatcher", "chief")})


def accepted(rules: Any = ASKED) -> Story:
    return Story(rules).reported(BARE).accepted()


def test_as_the_table_says_it_needs_no_reason_and_nothing_is_told() -> None:
    life = accepted()
    life.done("incident.dispatched", STREET, lead=NAMED, reason="nearer")
    assert life.of(facts.GivenAgainstTable) == [] and life.case.owner.department == NAMED


@pytest.mark.parametrize(
    ("kind", "by", "data", "at"),
    [
        ("incident.dispatched", CENTRE, {"lead": OTHER}, Unit("/XA/WY/", "", CENTRE)),
        ("incident.dispatched", STREET, {"lead": OTHER}, Unit("/XA/WY/WY01/", "", STREET)),
        ("incident.reassigned", CENTRE, {"to_department": OTHER}, Unit("/XA/WY/", "", CENTRE)),
    ],
)
def test_against_it_the_reason_is_asked_for_and_both_departments_are_told(
    kind: str, by: str, data: Any, at: Unit
) -> None:
    life = accepted()
    refusal = life.refused(Reason.INVALID, kind, by, **data)
    assert refusal.field == "data.reason" and NAMED in refusal.detail
    life.done(kind, by, reason="expertise", **data)
    told = life.one(facts.GivenAgainstTable)
    assert told == facts.GivenAgainstTable(named=NAMED, department=OTHER, reason="expertise", by=by, charged=at)
    assert life.case.owner.department == OTHER


def test_it_is_counted_at_the_grid_of_who_gave_it() -> None:
    teller = Teller(1, changed(options={"against_table": ("dispatcher",)}))
    assert teller.say("report.submitted", HOTLINE, category=BARE, source="hotline", grid=LEAF)
    assert teller.say("incident.dispatched", CENTRE, lead=OTHER, reason="capacity")
    cells = fold.fold(None, teller.steps[-1]).cells
    [cell] = [(measure, place) for measure, place in cells if measure.startswith("given_against_table")]
    assert (cell[0], cells[cell]) == ("given_against_table:capacity", 1)
    assert (cell[1].path, cell[1].department, cell[1].post, cell[1].category) == ("/XA/WY/", "", CENTRE, BARE)


def test_its_story_names_both_departments_and_the_reason() -> None:
    teller = Teller(1, ASKED)
    assert teller.say("report.submitted", HOTLINE, category=BARE, source="hotline", grid=LEAF)
    assert teller.say("incident.dispatched", CENTRE, lead=OTHER, reason="nearer")
    line = list(story([step_row(step) for step in teller.steps], Names(teller.rules)))[-1]
    assert "不按责任部门 against the table 区城管执法局, 应为 instead of 区市容园林局: 就近处置 nearer by" in line


def test_a_role_that_the_pack_does_not_name_gives_it_as_the_table_says() -> None:
    life = accepted(changed(options={"against_table": ("dispatcher",)}))
    refusal = life.refused(Reason.FORBIDDEN, "incident.dispatched", STREET, lead=OTHER, reason="nearer")
    assert refusal.field == "data.lead" and NAMED in refusal.detail and "dispatcher" in refusal.detail
    life.done("incident.dispatched", STREET, lead=NAMED)


def test_where_the_table_names_nobody_who_serves_the_place_any_department_may_get_it() -> None:
    pack = weiyang().pack
    for department in ("", "XA-NOWHERE"):
        categories = tuple(replace(each, department=department) for each in pack.categories)
        life = accepted(changed(categories=categories, options={"against_table": ("chief",)}))
        life.done("incident.dispatched", STREET, lead=OTHER)
        assert life.of(facts.GivenAgainstTable) == []


def test_a_pack_that_does_not_ask_is_as_it_was() -> None:
    """What older packs and logs meant they still mean: no reason is asked for, and no fact is told."""
    assert b"against_table" not in encode(weiyang().pack), "hashes are what they were"
    life = accepted(weiyang())
    life.done("incident.dispatched", STREET, lead=OTHER)
    assert life.of(facts.GivenAgainstTable) == []
    life = accepted(weiyang())
    life.done("incident.dispatched", STREET, lead=OTHER, reason="nearer")
    assert life.of(facts.GivenAgainstTable) == []


def test_a_case_keeps_the_rules_under_which_it_was_reported() -> None:
    life = accepted(weiyang())
    life.register = ASKED
    life.done("incident.dispatched", STREET, lead=OTHER)
    assert LEAF in life.case.path and life.of(facts.GivenAgainstTable) == []

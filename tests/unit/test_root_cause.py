"""What lay at the root of a problem is said at its closing: who has to say it, what is told, and what is counted."""

from __future__ import annotations

import pytest

from consumers.performance import fold
from engine.console.forms import form_for
from engine.views.names import Names
from gridpatrol.render.story import story
from schemas import facts
from schemas.refusals import Reason
from tests.support.builders import CENTRE, HOTLINE, MEMBER, Story, changed, weiyang
from tests.support.histories import Teller, step_row
from workflows.policy.model import encode

ASKED = changed(options={"root_cause": "required"})


def verified(rules=None) -> Story:
    life = Story(rules or weiyang()).reported().accepted().handled()
    life.done("verification.recorded", MEMBER, outcome="solved")
    return life


@pytest.mark.mechanism("M99")
@pytest.mark.parametrize("cause", ["polluter", "supervision", "service"])
def test_who_closes_a_case_says_what_lay_at_its_root(cause: str) -> None:
    life = verified()
    life.done("incident.closed", MEMBER, root_cause=cause)
    assert life.one(facts.RootCauseFound) == facts.RootCauseFound(root_cause=cause, by=MEMBER)
    assert (life.case.state, life.case.root_cause) == ("closed", cause)


def test_an_app_that_does_not_say_it_goes_on_working_unless_the_pack_asks_for_it() -> None:
    life = verified()
    life.done("incident.closed", MEMBER)
    assert life.of(facts.RootCauseFound) == [] and life.case.root_cause == ""
    asked = verified(ASKED)
    refusal = asked.refused(Reason.INVALID, "incident.closed", MEMBER)
    assert refusal.field == "data.root_cause" and "polluter, supervision or service" in refusal.detail
    asked.done("incident.closed", MEMBER, root_cause="polluter")


def test_a_case_is_closed_by_the_rules_under_which_it_was_reported() -> None:
    life = verified()
    life.register = ASKED
    life.done("incident.closed", MEMBER)
    assert b"root_cause" not in encode(weiyang().pack), "hashes are what they were"


def test_it_counts_and_is_told_and_a_request_that_is_taken_up_again_has_none_any_more() -> None:
    teller = Teller(5, changed())
    assert teller.say(
        "report.submitted", HOTLINE, category="D3-04", source="hotline", grid="WY01", definition="service_request"
    )
    assert teller.say("incident.closed", CENTRE, root_cause="service")
    cells = fold.fold(None, teller.steps[-1]).cells
    assert [(place.path, n) for (name, place), n in cells.items() if name == "root_cause:service"] == [
        ("/XA/WY/WY01/", 1)
    ]
    line = list(story([step_row(step) for step in teller.steps], Names(teller.rules)))[-1]
    assert "问题根源 at its root: 服务缺位 service was missing" in line
    assert teller.say("case.reopened", HOTLINE, reason="dissatisfied")
    assert teller.case.root_cause == ""


def test_the_console_asks_for_it_with_its_words() -> None:
    [field] = [field for field in form_for("incident.closed").fields if field.name == "root_cause"]
    assert field.shape == "choice" and not field.needed
    assert ("polluter", "污染主体责任", "the polluter") in field.choices

"""What a rung calls for (督办建议): a supervision about its case, once for each target of a clock, of who is charged.

In: the sample pack with rungs that call for actions, and what is said to cases of it. Out: what is borne, when its
clocks begin, who has to answer, and what becomes of it where the deadline turns out to have been met.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts
from schemas.derived_ids import called_subject
from schemas.kinds.supervision import Supervision, SupervisionCalledFor, SupervisionContradicted
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    DAY,
    HOUR,
    LEAF,
    MEMBER,
    STREET,
    Story,
    at,
    changed,
    in_the_field,
    undissuaded,
    weiyang,
)
from tests.support.examples import examples
from workflows.case import Owner
from workflows.clocks.limits import parse_limit
from workflows.definitions import shown_path
from workflows.policy.index import Policy
from workflows.policy.model import RungRow

OFFICE, SUPERVISOR = "WY-OFFICE", "WY-SUPERVISOR"
ONE_DAY = parse_limit("1工作日")
OF_SUPERVISION = tuple(row for row in weiyang().pack.rungs if row.definition == "supervision")


def calling(*rows: RungRow, **more: Any) -> Policy:
    """The sample pack with these rungs, in which what a desk says late is believed as well."""
    return changed(undissuaded(), rungs=(*rows, *OF_SUPERVISION), roles=in_the_field(), **more)


DUE = RungRow("accept", "due", "at", tell=("holder",), act="bear:letter")
AGAIN = RungRow("accept", "overdue", "after", ONE_DAY, ONE_DAY, 3, ("holder_chief",), "bear:letter")
LISTED = RungRow("accept", "late", "after", parse_limit("2工作日"), act="bear:listed")
TOTAL = RungRow("total", "due", "at", tell=("holder",), act="bear:interview")
CHECK = RungRow("verify", "due", "at", act="bear:letter")
LADDER = (DUE, AGAIN, LISTED, TOTAL, CHECK)


def told(*rows: RungRow, **data: Any) -> Story:
    """A problem that the hotline has told, under these rungs."""
    return Story(calling(*rows or LADDER)).reported(BARE, **data)


def due_of(case: Story, clock: str = "accept") -> int:
    """The deadline of a clock that runs."""
    found = case.case.clock(clock)
    assert found is not None and found.due is not None
    return found.due


def called(case: Story, action: str = "letter", clock: str = "accept", level: int = 3, **more: int) -> Story:
    """What a clock of a case has called for."""
    number = {"cycle": 0, "target": 0} | more
    id_ = called_subject(case.case.id, "supervision", clock, level, number["cycle"], number["target"], action)
    found = case.beside.stories[id_]
    found.now = max(found.now, case.now)
    return found


def borne(case: Story) -> list[Story]:
    """All supervisions beside a case."""
    return [each for each in case.beside.stories.values() if each.case.definition == "supervision"]


def own(called: Story) -> Supervision:
    """What it keeps."""
    assert isinstance(called.case.own, Supervision)
    return called.case.own


# ---- what is borne ------------------------------------------------------------------------------------------


def test_a_rung_that_fires_bears_a_supervision_about_its_case_as_of_its_own_instant():
    case = told()
    due = due_of(case)
    case.until(due + 5 * HOUR)  # released late
    letter = called(case)
    assert (letter.case.state, letter.case.category, letter.case.about) == ("proposed", "letter", case.case.id)
    assert (letter.case.path, own(letter).unit, letter.case.owner) == (case.case.path, "WY01", Owner("WY", 2))
    assert (letter.case.by, letter.case.opened, own(letter).clock, own(letter).rung) == ("", due, "accept", "due")
    clocks = {clock.name: clock.since for clock in letter.case.clocks}
    assert clocks == {"decision": due, "total": due}
    assert letter.history(SupervisionCalledFor) == [
        SupervisionCalledFor(clock="accept", level=3, cycle=0, target=0, rung="due")
    ]


def test_nobody_who_reads_the_case_reads_of_it_and_it_lies_nowhere():
    case = told()
    case.until(due_of(case) + DAY)
    letter = called(case)
    assert shown_path(letter.case) == "/"
    assert letter.case.id not in b"".join(facts.encode_facts(step.facts) for step in case.steps).decode()
    posts = {post for fact in letter.history(facts.NoticeGiven) for post in fact.to}
    assert posts and posts <= {OFFICE, SUPERVISOR, "WY-CHIEF", "WY-SUPERVISOR-2"}


def test_repeats_and_other_rungs_of_the_target_bear_nothing_new_but_another_action():
    case = told(DUE, AGAIN, LISTED)
    case.until(due_of(case) + 7 * DAY)
    assert len(case.history(facts.ClockRung)) >= 4
    assert sorted(each.case.category for each in borne(case)) == ["letter", "listed"]


@pytest.mark.parametrize("said", ["supervision.proposed", "report.submitted"])
def test_who_takes_the_id_of_what_a_rung_will_call_for_does_not_keep_it_from_being_called_for(said: str):
    case = told(DUE)
    taken = called_subject(case.case.id, "supervision", "accept", 3, 0, 0, "letter")
    other = Story(case.rules, id=taken, beside=case.beside)
    if said == "report.submitted":
        other.reported(BARE)
    else:
        other.done(said, SUPERVISOR, action="letter", about=case.case.id)
    case.until(due_of(case) + 1)
    (letter,) = [each for each in borne(case) if each.case.id != taken]
    assert (letter.case.state, letter.case.about, own(letter).clock) == ("proposed", case.case.id, "accept")
    accepted_in_time(case, due_of(case) + HOUR)  # by a phone that was offline
    assert letter.case.state == "withdrawn" and other.case.state != "withdrawn"


def test_another_deadline_that_is_missed_calls_for_another_one():
    case = told(DUE)
    case.until(due_of(case) + DAY)
    case.done("case.deadline_ordered", "WY-CHIEF", case.now + DAY, clock="accept", limit="30工作日")
    assert [each.case.id for each in borne(case)] == [called(case).case.id]
    case.until(due_of(case) + 1)
    assert {each.case.id for each in borne(case)} == {called(case).case.id, called(case, target=1).case.id}


def test_who_is_charged_with_the_clock_has_to_answer_and_not_who_owns_the_case():
    case = told().accepted().handled()
    assert case.case.owner.grid == "WY01"
    case.until(due_of(case, "verify") + 1)
    letter = called(case, clock="verify", level=4)
    assert own(letter).unit == LEAF and letter.case.owner == Owner("WY", 2)
    departmental = told(RungRow("handle", "due", "at", act="bear:letter")).accepted()
    departmental.done("incident.dispatched", STREET, lead="WY-GREEN")
    departmental.until(due_of(departmental, "handle") + 1)
    letter = called(departmental, clock="handle")
    assert (own(letter).unit, own(letter).department) == ("WY01", "WY-GREEN")


def test_where_a_phone_was_offline_it_begins_when_the_rung_could_be_known():
    case = Story(calling(RungRow("accept", "due", "at", act="bear:letter")))
    long_ago, came = at("03-02 09:00"), at("03-04 15:00")
    case.done("report.submitted", MEMBER, came, occurred=long_ago, category=BARE, source="patrol", grid=LEAF)
    due = due_of(case)
    assert due < came
    case.until(came + HOUR)
    letter = called(case)
    assert (letter.case.opened, {clock.since for clock in letter.case.clocks}) == (came, {came})
    assert all(clock.next is None or clock.next >= came for clock in letter.case.clocks)


def test_nothing_is_called_for_about_a_supervision():
    every = RungRow("*", "due", "at", tell=("holder",), act="bear:letter")
    case = Story(changed(rungs=(every,))).reported(BARE)
    case.until(due_of(case) + 1)
    letter = called(case)
    letter.until(letter.now + 200 * DAY)
    assert any(fact.breach for fact in letter.history(facts.ClockRung))
    assert borne(case) == [letter]


def test_where_no_office_may_decide_it_the_birth_is_a_fact_that_says_so():
    roles = tuple(row for row in weiyang().pack.roles if row.trigger != "supervision.decided")
    case = Story(changed(rungs=(DUE,), roles=roles)).reported(BARE)
    case.until(due_of(case) + DAY)
    letter = called(case)
    assert letter.case.state == "awaited"
    assert letter.one(facts.Unserved).field == "data.action"


def test_it_goes_on_as_any_other_and_nobody_withdraws_it():
    case = told()
    case.until(due_of(case) + DAY)
    letter = called(case)
    letter.refused(Reason.FORBIDDEN, "supervision.withdrawn", SUPERVISOR, reason="error")
    letter.done("supervision.decided", SUPERVISOR)  # nobody has proposed it: each of the office may decide
    letter.done("supervision.served", OFFICE)
    assert letter.case.owner == Owner("WY01", 3)
    letter.done("supervision.answered", STREET)
    letter.done("supervision.reviewed", OFFICE, outcome="passed")
    letter.done("supervision.cleared", OFFICE)
    assert shown_path(letter.case) == "/XA/WY/WY01/WY01-01/"


def test_what_it_lists_bars_the_case():
    case = told()
    case.until(due_of(case) + 5 * DAY)
    account = called(case, "listed")
    account.done("supervision.decided", OFFICE)
    account.done("supervision.served", OFFICE)
    assert case.case.holds == (account.case.id,)


# ---- the deadline was met after all -------------------------------------------------------------------------


def accepted_in_time(case: Story, came: int) -> None:
    """The street says late that it had accepted in time."""
    case.done("incident.accepted", STREET, came, occurred=due_of(case) - 60_000)
    assert case.of(facts.ClockContradicted)


def test_undecided_it_is_withdrawn_and_what_the_office_let_pass_stays():
    case = told()
    case.until(due_of(case) + HOUR)
    accepted_in_time(case, case.now + 2 * HOUR)
    letter = called(case)
    assert (letter.case.state, own(letter).contradicted) == ("withdrawn", case.now)
    assert shown_path(letter.case) == "/"
    results = {fact.clock: (fact.result, fact.lapsed) for fact in letter.history(facts.ClockStopped)}
    assert results == {"decision": ("void", False), "total": ("void", False)}
    assert letter.history(facts.Moved)[-1].judged == case.now
    letter.refused(Reason.IMPOSSIBLE, "supervision.decided", OFFICE)


@pytest.mark.parametrize("said", ["decided", "served", "answered", "cleared"])
def test_decided_it_goes_on_and_who_reviews_it_is_shown_that_the_deadline_was_met(said: str):
    case = told()
    case.until(due_of(case) + HOUR)
    letter = called(case)
    way: list[tuple[str, str, dict[str, Any]]] = [
        ("decided", OFFICE, {}),
        ("served", OFFICE, {}),
        ("answered", STREET, {}),
        ("reviewed", OFFICE, {"outcome": "passed"}),
        ("cleared", OFFICE, {}),
    ]
    for name, post, data in way:
        letter.done(f"supervision.{name}", post, **data)
        if name == said:
            break
    state = letter.case.state
    accepted_in_time(case, letter.now + HOUR)
    assert (letter.case.state, own(letter).contradicted) == (state, case.now)
    assert letter.one(SupervisionContradicted).at == case.now


def test_what_was_missed_and_put_off_later_stays_missed_and_what_it_called_for_stays():
    case = told(DUE)
    case.until(due_of(case) + HOUR)
    case.done("case.deadline_ordered", "WY-CHIEF", clock="accept", limit="30工作日")
    case.done("incident.accepted", STREET)
    assert not case.history(facts.ClockContradicted)
    assert (called(case).case.state, own(called(case)).contradicted) == ("proposed", None)


# ---- random lives -------------------------------------------------------------------------------------------

SAID: dict[str, list[dict[str, Any]]] = {
    "incident.accepted": [{}],
    "incident.dispatched": [{"lead": "WY-GREEN"}],
    "handling.completed": [{}],
    "verification.recorded": [{"outcome": "solved"}, {"outcome": "unsolved"}],
    "incident.closed": [{}],
    "incident.returned": [{"reason": "insufficient"}],
    "incident.suspended": [{"reason": "season"}],
    "incident.resumed": [{}],
    "incident.force_closed": [{"reason": "policy"}],
    "case.deadline_ordered": [{"clock": "accept", "limit": "2工作日"}, {"clock": "total", "limit": "9工作日"}],
}
OF_IT: dict[str, list[dict[str, Any]]] = {
    "supervision.decided": [{}],
    "supervision.refused": [{"reason": "unfounded"}],
    "supervision.served": [{}],
    "supervision.answered": [{}],
    "supervision.reviewed": [{"outcome": "passed"}, {"outcome": "sent_back"}],
    "supervision.cleared": [{}],
    "supervision.revoked": [{"reason": "other"}],
}
EVERY = calling(*LADDER, RungRow("handle", "due", "at", act="bear:listed"), RungRow("handle", "more", "after", ONE_DAY))


@settings(max_examples=examples(40))
@given(st.data())
def test_whatever_is_said_each_missed_target_bears_once_and_a_met_one_leaves_nothing_undecided(
    data: st.DataObject,
) -> None:
    case, now = Story(EVERY).reported(BARE), at("03-02 09:00")
    for _ in range(data.draw(st.integers(6, 24))):
        now += data.draw(st.sampled_from([60_000, HOUR, 3 * HOUR, DAY, 8 * DAY]))
        late = data.draw(st.sampled_from([0, 0, HOUR, DAY, 2 * DAY]))
        story = data.draw(st.sampled_from([case, case, *borne(case)]))
        said = SAID if story is case else OF_IT
        kind = data.draw(st.sampled_from(sorted(said)))
        post = data.draw(st.sampled_from((STREET, OFFICE, SUPERVISOR, MEMBER, CENTRE, "WY-CHIEF")))
        for each in (case, *borne(case)):
            each.until(now)
        story.say(kind, post, now, occurred=now - late, **data.draw(st.sampled_from(said[kind])))
        check(case)


def check(case: Story) -> None:
    """What holds of a case and of all that its rungs have called for."""
    wanted = {(row.clock, row.rung): row.calls_for for row in EVERY.pack.rungs if row.calls_for}
    fired = {
        (fact.clock, fact.level, fact.cycle, fact.target, action)
        for fact in case.history(facts.ClockRung)
        if (action := wanted.get((fact.clock, fact.rung)))
    }
    expected = {called_subject(case.case.id, "supervision", *key) for key in fired}
    found = borne(case)
    assert {each.case.id for each in found} == expected and len(found) == len(expected)
    met = {
        called_subject(case.case.id, "supervision", fact.clock, fact.level, fact.cycle, fact.target, action)
        for fact in case.history(facts.ClockContradicted)
        for action in {*wanted.values()}
    }
    for each in found:
        assert len(each.history(facts.Born)) == 1
        told_so = len(each.history(SupervisionContradicted))
        ended_unheard = each.case.state in ("declined", "withdrawn") and not told_so
        assert told_so == (1 if each.case.id in met and not ended_unheard else 0)
        assert each.case.state != "proposed" or each.case.id not in met
        assert all(clock.started >= each.case.opened for clock in each.case.clocks)

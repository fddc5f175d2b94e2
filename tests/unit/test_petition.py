"""The petition (信访): taken in, accepted, answered, asked afterwards; cycles, stages, and one ending.

In: what posts of the sample pack say, in March 2026. Out: states, hands, clocks, what is kept and what is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from schemas.facts import Moved, NoticeGiven
from schemas.kinds.incident import PETITIONED, Petitioned
from schemas.kinds.petition import Petition, PetitionAnswered, PetitionJoined, PetitionWeighed
from schemas.members import Source
from schemas.refusals import Reason
from tests.support.builders import DAY, DISTRICT, LEAF_CHIEF, STREET, Story, weiyang
from tests.unit.test_supervision import counts_of
from workflows.case import Clock, Owner
from workflows.definitions import held_by
from workflows.definitions.petition_figures import RATIOS, SUMS
from workflows.figures import derived
from workflows.petitioning import MOST_WAITING
from workflows.policy.index import Policy
from workflows.policy.lint.context import LintContext
from workflows.policy.lint.public import lint_rewards, lint_sources
from workflows.policy.model import Pack, digest
from workflows.policy.problems import Finding
from workflows.policy.public import RewardRow, SourceRow
from workflows.reading import WordRights, word_rights

HOTLINE, EPB, CENTRE, CASHIER = "WY-12345", "WY-EPB-H", "WY-DISPATCH", "WY-FINANCE-PAY"


class Asked(Story):
    """A petition and what is said to it."""

    def asked(self, by: str = HOTLINE, **data: Any) -> Asked:
        said: dict[str, Any] = {
            "category": "D3-01",
            "channel": "phone",
            "grid": "WY01-01",
            "description": "…",
            "contact": "…",
        }
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
    assert (asked.case.state, asked.case.closed) == ("revisited", None)
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


# ---- the case in which it is worked on --------------------------------------------------------------------

HERE: dict[str, Any] = {"position": {"lon": 108.9, "lat": 34.3, "crs": "CGCS2000"}}


def case_of(asked: Asked) -> Story:
    """The case in which its work is done."""
    return asked.beside.stories[asked.own.case]


def through(work: Story) -> None:
    """Handled, checked on site, and closed."""
    work.done("incident.accepted", STREET)
    work.done("handling.completed", STREET)
    work.done("verification.recorded", LEAF_CHIEF, outcome="solved")
    work.done("incident.closed", LEAF_CHIEF)


def petitioned(asked: Asked) -> Petitioned:
    """What a petition says to the case that it joins."""
    return Petitioned(
        petition=asked.case.id, category="D3-01", source=Source.PETITION, grid="WY01-01", by=asked.case.by
    )


def test_an_accepted_petition_bears_an_incident_and_hears_of_its_end():
    asked = Asked().asked()
    asked.done("petition.accepted", STREET)
    work = case_of(asked)
    assert (work.case.state, work.case.source, work.case.path) == ("reported", "hotline", asked.case.path)
    assert (work.case.petitions, asked.own.case_state, asked.own.before) == ((asked.case.id,), "reported", False)
    work.now = asked.now
    through(work)
    assert (work.case.state, asked.own.case_state) == ("closed", "closed")
    assert asked.of(NoticeGiven)[0].on == "ended"


@pytest.mark.mechanism("M77")
def test_a_petition_joins_a_similar_case_that_we_had_found_before():
    found = Story(number=5)
    found.done("report.submitted", LEAF_CHIEF, category="D3-01", source="patrol", grid="WY01-01", **HERE)
    asked = Asked(beside=found.beside)
    asked.now = found.now
    said: dict[str, Any] = {"category": "D3-01", "channel": "online", "grid": "WY01-01", **HERE}
    asked.done("petition.submitted", HOTLINE, nearby=(found.case,), **said)
    asked.done("petition.accepted", STREET)
    assert (asked.own.case, asked.own.before, found.case.petitions) == (found.case.id, True, (asked.case.id,))
    other = Asked(beside=found.beside, number=2)
    other.now = asked.now
    other.asked()
    other.done("petition.accepted", STREET, into=found.case.id)
    assert found.case.petitions == (asked.case.id, other.case.id)
    other.done("petition.attached", STREET, into=found.case.id)  # said again it changes nothing
    assert found.case.petitions == (asked.case.id, other.case.id)


def test_what_asks_for_no_work_bears_no_case():
    asked = Asked().asked()
    asked.refused(Reason.INVALID, "petition.accepted", STREET, alone=True, into=asked.case.id)
    asked.done("petition.accepted", STREET, alone=True)
    assert (asked.own.case, asked.own.asked, list(asked.beside.stories)) == ("", "", [asked.case.id])


def test_a_petition_goes_elsewhere_and_follows_what_is_merged():
    asked = Asked().asked()
    asked.done("petition.accepted", STREET)
    first, second = case_of(asked), Story(number=6, beside=asked.beside)
    second.done("report.submitted", LEAF_CHIEF, asked.now, category="D3-02", source="patrol", grid="WY01-01")
    asked.done("petition.attached", STREET, into=second.case.id)
    assert (first.case.petitions, second.case.petitions) == ((), (asked.case.id,))
    third = Story(number=7, beside=asked.beside)
    third.done("report.submitted", LEAF_CHIEF, asked.now, category="D3-02", source="patrol", grid="WY01-01")
    second.now = third.now = asked.now
    second.done("incident.merged", CENTRE, into=third.case.id)
    assert (second.case.petitions, third.case.petitions) == ((), (asked.case.id,))
    late = Asked(number=3, beside=asked.beside)
    late.now = asked.now
    late.asked()
    late.done("petition.accepted", STREET, into=second.case.id)  # which goes on in the third one
    assert (late.own.case, third.case.petitions) == (third.case.id, (asked.case.id, late.case.id))
    third.done("incident.rejected", CENTRE, reason="unfounded")
    assert asked.own.case == late.own.case == third.case.id
    assert (asked.own.case_state, late.own.case_state) == ("rejected", "rejected")


def test_a_case_takes_so_many_petitions_as_can_hear_of_its_end():
    work = Story(number=5)
    work.done("report.submitted", LEAF_CHIEF, category="D3-01", source="patrol", grid="WY01-01")
    for number in range(MOST_WAITING):
        asked = Asked(number=100 + number, beside=work.beside)
        asked.now = work.now
        asked.asked()
        asked.done("petition.accepted", STREET, into=work.case.id)
    one_more = Asked(number=99, beside=work.beside)
    one_more.now = work.now
    one_more.asked()
    refusal = one_more.refused(Reason.OVER_LIMIT, "petition.accepted", STREET, into=work.case.id)
    assert refusal.field == "data.into"
    heard = one_more.beside.stories[work.case.id]
    heard.hear(PETITIONED, petitioned(one_more), sender=one_more.case.id)
    assert len(work.case.petitions) == MOST_WAITING and one_more.of(PetitionJoined)[0].crowded
    work.done("incident.rejected", CENTRE, work.now + DAY, reason="unfounded")
    ends = [story.own.case_state for story in work.beside.stories.values() if isinstance(story, Asked)]
    assert ends.count("rejected") == MOST_WAITING


# ---- sources, rewards, who is known to whom ---------------------------------------------------------------


@pytest.mark.mechanism("M126")
def test_a_message_is_handled_in_the_lane_of_a_leader_s_instruction_and_weighs_twice():
    asked = Asked().asked(channel="online")
    assert (asked.own.via, asked.own.lane, asked.own.weight) == ("message-board", "leader", 2)
    assert asked.clock("accept").limit == "1工作日"
    asked.done("petition.accepted", STREET)
    assert asked.clock("response").limit == "5工作日"
    asked.done("petition.answered", STREET, found="no_report")
    assert len(asked.of(PetitionWeighed)) == 2 and asked.of(PetitionAnswered)[0].lane == "leader"


@pytest.mark.mechanism("M117")
def test_a_volunteer_is_a_post_that_hands_in_what_neighbours_ask():
    post = structs.replace(weiyang().posts["WY01-01-MEMBER"], code="WY01-01-V1", kind="volunteer")
    pack = structs.replace(weiyang().pack, posts=(*weiyang().pack.posts, post))
    asked = Asked(Policy(pack, digest(pack))).asked("WY01-01-V1", channel="visit")
    assert (asked.own.reception, asked.case.by, asked.case.owner) == ("WY01", "WY01-01-V1", Owner("WY01", 3))


def test_a_letter_goes_up_to_reexamination_and_review_and_then_it_is_final():
    asked = Asked().asked(STREET, channel="letter")
    asked.done("petition.accepted", STREET)
    asked.done("petition.answered", STREET, found="untrue")
    asked.done("petition.revisited", "WY01-STAFF1", outcome="dissatisfied")
    assert (asked.case.state, asked.own.stage, asked.case.owner) == ("reexamination", "reexamination", Owner("WY", 2))
    assert asked.clock("reexamine").limit == "30自然日"
    asked.done("petition.answered", "WY-OFFICE", found="untrue")
    asked.done("petition.revisited", STREET, outcome="dissatisfied")
    assert (asked.case.state, asked.case.owner) == ("review", Owner("XA", 1))
    asked.done("petition.answered", "XA-OFFICE", found="partly")
    asked.done("petition.revisited", STREET, outcome="dissatisfied")
    assert asked.case.state == "revisited"
    asked.done("petition.ended", STREET)
    refusal = asked.refused(Reason.IMPOSSIBLE, "case.reopened", "WY-OFFICE", reason="dissatisfied")
    assert "final" in refusal.detail


def test_what_comes_by_an_app_is_looked_at_before_it_is_worked_on():
    asked = Asked().asked("WY-PUBLIC", channel="app")
    asked.done("petition.accepted", STREET)
    assert (asked.case.state, asked.own.case) == ("examining", "")
    asked.done("petition.examined", LEAF_CHIEF, outcome="confirmed")
    assert asked.case.state == "accepted" and asked.own.case
    other = Asked(number=2).asked("WY-PUBLIC", channel="app")
    other.done("petition.accepted", STREET)
    other.done("petition.examined", LEAF_CHIEF, outcome="untrue")
    assert (other.case.state, other.own.case) == ("accepted", "")
    nowhere = Asked(home="XA").asked("WY-PUBLIC", channel="app", grid="WY")  # no street is named
    nowhere.done("petition.accepted", DISTRICT)
    nowhere.refused(Reason.FORBIDDEN, "petition.examined", STREET, outcome="untrue")
    nowhere.done("petition.examined", DISTRICT, outcome="untrue")
    assert nowhere.case.state == "accepted"
    wrong: dict[str, Any] = {"category": "D3-01", "channel": "app", "grid": "WY01-01"}
    assert Asked(number=3).refused(Reason.INVALID, "petition.submitted", HOTLINE, **wrong, via="fax").field
    assert Asked(number=4).refused(Reason.UNKNOWN_CODE, "petition.submitted", HOTLINE, **wrong, via="x").field


@pytest.mark.mechanism("M61")
def test_a_report_found_true_proposes_rewards_that_the_cashier_pays_once():
    asked = Asked().asked(category="D3-04")
    assert asked.case.group == "dust"
    asked.done("petition.accepted", STREET)
    asked.refused(Reason.IMPOSSIBLE, "petition.rewarded", CASHIER, line="report", outcome="paid")
    asked.done("petition.answered", STREET, found="true")
    proposed = [(each.line, each.amount_fen, each.outcome) for each in asked.own.rewards]
    assert proposed == [("report", 20_000, ""), ("subsidy", 50_000, "")]
    asked.refused(Reason.FORBIDDEN, "petition.rewarded", STREET, line="report", outcome="paid")
    asked.done("petition.rewarded", CASHIER, line="report", outcome="paid", document="2026-3")
    asked.refused(Reason.IMPOSSIBLE, "petition.rewarded", CASHIER, line="report", outcome="paid")
    asked.done("petition.revisited", HOTLINE, outcome="dissatisfied")
    asked.done("petition.answered", STREET, found="true")
    assert len(asked.own.rewards) == 2  # each line once, however often it is answered
    asked.done("petition.rewarded", CASHIER, line="subsidy", outcome="refused")
    assert [each.outcome for each in asked.own.rewards] == ["paid", "refused"]
    plain = Asked(number=2).asked(category="D3-01")
    plain.done("petition.accepted", STREET)
    plain.done("petition.answered", STREET, found="partly")
    assert plain.own.rewards == ()


def test_who_asked_is_known_to_who_asks_about_the_answer_and_who_pays():
    asked = Asked().asked()

    def rights(code: str) -> WordRights:
        return word_rights(asked.register.posts[code], asked.case, asked.register, asked.now)

    assert rights(HOTLINE) == rights(CASHIER) == WordRights(True, True)
    asked.done("petition.accepted", "WY01-STAFF1")
    asked.done("petition.transferred", STREET, to_department="WY-EPB")
    assert rights(EPB) == WordRights(True, False)  # who has to answer reads what was said, and not by whom
    assert rights("WY-SUPERVISOR") == WordRights(True, False)
    assert rights("WY02-CHIEF") == WordRights(False, False)


@pytest.mark.parametrize(
    ("rows", "begins"),
    [
        ({"sources": (SourceRow("a", "fax", "x", "x", ladder=("review",), basis="-"),)}, "sources.csv:2 ladder"),
        ({"sources": (SourceRow("a", "fax", "x", "x", weight=10, basis="-"),)}, "sources.csv:2 weight"),
        ({"sources": (SourceRow("a", "fax", "x", "x"),)}, "sources.csv:2 basis"),
        ({"sources": ()}, "limits.csv"),
        ({"rewards": (RewardRow("a", "report", "x", "x", 0, basis="-"),)}, "rewards.csv:2 amount_fen"),
        ({"rewards": (RewardRow("a", "report", "x", "x", 1, category="Z", basis="-"),)}, "rewards.csv:2 category"),
        ({"rewards": (RewardRow("a", "report", "x", "x", 1, group="Z", basis="-"),)}, "rewards.csv:2 group"),
        ({"rewards": (RewardRow("a", "report", "x", "x", 1),)}, "rewards.csv:2 basis"),
    ],
)
def test_a_row_of_the_public_that_can_mean_nothing_is_named(rows: dict[str, Any], begins: str):
    limits = () if rows.get("sources") else weiyang().pack.limits
    pack = structs.replace(weiyang().pack, limits=limits, **rows)
    told = [str(each) for check in (lint_sources, lint_rewards) for each in problems_of(check, pack)]
    assert told and all(each.startswith(begins) for each in told), told


def problems_of(check: Callable[[LintContext], None], pack: Pack) -> list[Finding]:
    """What one check finds."""
    context = LintContext(pack)
    check(context)
    return context.problems

"""The supervision (督办): proposed, decided by another, served, answered, reviewed, cleared; raised, refused, revoked.

In: what posts of the sample pack say, in March 2026. Out: states, hands, clocks, what is counted, and who reads it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.channels.routing import Routing
from consumers.channels.settings import Channel, ChannelFile, Route
from consumers.performance.fold import fold
from engine.people import BY_ROLE
from schemas import facts
from schemas.derived_ids import home_subject
from schemas.kinds.supervision import Supervision, SupervisionDecided, SupervisionServed
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    CITY,
    DAY,
    DISTRICT,
    HOUR,
    LEAF,
    LEAF_CHIEF,
    MEMBER,
    STREET,
    Beside,
    Story,
    at,
    changed,
    shipped,
    subject,
    weiyang,
)
from tests.support.channel_feed import CHIEF, alert
from tests.support.examples import examples
from workflows.case import Case, Clock, Owner, decode, encode
from workflows.definitions import DEFINITIONS, held_by, shown_path
from workflows.definitions.supervision import RATIOS, SUMS, SUPERVISION
from workflows.figures import derived, with_sums
from workflows.policy.index import Policy
from workflows.policy.model import NoticeRow
from workflows.reading import resolve, word_rights
from workflows.saying import sayable

OFFICE, SUPERVISOR, OTHER = "WY-OFFICE", "WY-SUPERVISOR", "WY-SUPERVISOR-2"
EPB = "WY-EPB-H"


class Supervised(Story):
    """A supervision and what is said to it."""

    def proposed(self, action: str = "letter", by: str = SUPERVISOR, **data: Any) -> Supervised:
        about = data if data else {"grid": "WY01"}
        self.done("supervision.proposed", by, action=action, **about)
        return self

    def decided(self, by: str = OFFICE, **data: Any) -> Supervised:
        self.done("supervision.decided", by, **data)
        return self

    def served(self, by: str = OFFICE) -> Supervised:
        self.done("supervision.served", by)
        return self

    @property
    def own(self) -> Supervision:
        assert isinstance(self.case.own, Supervision)
        return self.case.own

    def clock(self, name: str) -> Clock:
        """A clock that runs or is paused."""
        found = self.case.clock(name)
        assert found is not None, f"{name} does not run"
        return found

    def due(self, name: str) -> int:
        """The deadline of a clock."""
        due = self.clock(name).due
        assert due is not None
        return due

    @property
    def results(self) -> list[tuple[str, str]]:
        """The clocks that have stopped, with what came of them."""
        return [(fact.clock, fact.result) for fact in self.history(facts.ClockStopped)]


def at_root(**rest: Any) -> Supervised:
    """One of the root's home."""
    return Supervised(home="XA", **rest)


def counts_of(story: Story) -> Counter[tuple[str, str, str]]:
    """(definition, measure, path) -> value, of all that a story and those beside it have counted."""
    counted = Counter[tuple[str, str, str]]()
    for each in story.beside.stories.values():
        contribution, after = None, Case(id=each.case.id)
        for step in each.steps:
            after = step.case
            told = facts.Step(
                partition=0,
                n=1,
                case=after.id,
                seq=after.seq,
                at=0,
                day=20260302,
                policy="",
                definition=after.definition,
                path=shown_path(after),
                department=step.department,
                category=after.category,
                group=after.group,
                post=step.post,
                cause=step.cause,
                facts=step.facts,
            )
            found = fold(contribution, told)
            contribution = found.contribution
            for (measure, place), value in found.cells.items():
                counted[after.definition, measure, place.path] += value
    return counted


# ---- from the proposal to the clearing ----------------------------------------------------------------------


def test_a_letter_goes_from_the_office_to_the_street_and_back():
    letter = Supervised().proposed()
    assert (letter.case.state, letter.case.category, letter.case.path) == ("proposed", "letter", ("XA", "WY", "WY01"))
    assert letter.case.owner == Owner("WY", 2) and held_by(letter.case).grid == "WY"
    letter.decided(document="2026-12").served()
    assert letter.case.owner == Owner("WY01", 3) and letter.own.document == "2026-12"
    assert letter.clock("response").limit == "10工作日"
    letter.done("supervision.answered", STREET, answer="…")
    assert letter.case.owner == Owner("WY", 2)
    letter.done("supervision.reviewed", SUPERVISOR, outcome="sent_back")
    assert (letter.case.state, letter.case.owner) == ("sent_back", Owner("WY01", 3))
    letter.done("supervision.answered", STREET)
    letter.done("supervision.reviewed", OFFICE, outcome="passed")
    letter.done("supervision.cleared", OFFICE)
    assert (letter.case.state, letter.case.closed is not None, letter.own.answers) == ("cleared", True, 2)
    run = ["decision", "handover", "response", "review", "response", "review", "total", "clear"]
    assert sorted(letter.results) == sorted((clock, "on_time") for clock in run)


def test_an_answer_that_comes_late_counts_as_late_and_the_unit_is_charged():
    letter = Supervised().proposed().decided().served()
    due = letter.due("response")
    letter.until(due + 1)
    told = letter.of(facts.AlertRaised)[-1]
    assert set(told.to) >= {STREET, SUPERVISOR, OFFICE}
    letter.done("supervision.answered", STREET, due + HOUR)
    [stopped] = [fact for fact in letter.of(facts.ClockStopped) if fact.clock == "response"]
    assert (stopped.result, stopped.charged.grid) == ("overdue", "WY01")
    letter.done("supervision.reviewed", OFFICE, outcome="passed")
    letter.done("supervision.cleared", OFFICE)
    counted = Counter[str]()
    for (_, measure, _), value in counts_of(letter).items():
        counted[measure] += value
    shown, rates = derived(with_sums(counted), SUMS, RATIOS)
    assert {name: shown[name] for name in ("served", "answered", "answered_in_time", "cleared", "revoked")} == {
        "served": 1,
        "answered": 1,
        "answered_in_time": 0,
        "cleared": 1,
        "revoked": 0,
    }
    assert (rates["in_time_rate"].numerator, rates["in_time_rate"].denominator) == (0, 1)
    assert counted["on_time"] == 1  # cleared in the time for the whole


def test_that_a_public_act_is_over_is_told_as_that_it_was_served():
    rules = changed(notices=(NoticeRow("published", ("supervisor",)),))
    act = Supervised(rules).proposed("blacklist", grid="WY01", site="SITE-0042").decided().served()
    assert told_on(act) == ["published"]
    act.done("supervision.cleared", OFFICE)
    assert told_on(act) == ["published"]


def told_on(story: Story) -> list[str]:
    """The moves that the last event told of."""
    return [fact.on for fact in story.facts if isinstance(fact, facts.NoticeGiven)]


def test_it_is_cleared_without_an_answer_where_the_action_asks_none():
    circular = Supervised().proposed("circular").decided().served()
    assert circular.case.clock("response") is None
    circular.refused(Reason.FORBIDDEN, "supervision.cleared", STREET)
    circular.done("supervision.cleared", OFFICE)
    assert circular.case.state == "cleared"
    letter = Supervised(number=2).proposed().decided().served()
    letter.parked("supervision.cleared", OFFICE)  # it waits for the answer and its review


@pytest.mark.mechanism("M60")
def test_nobody_decides_what_he_has_proposed():
    letter = Supervised().proposed()
    assert letter.refused(Reason.FORBIDDEN, "supervision.decided", SUPERVISOR).field == "actor"
    assert letter.refused(Reason.FORBIDDEN, "supervision.refused", SUPERVISOR, reason="settled").field == "actor"
    letter.done("supervision.refused", OTHER, reason="unfounded")
    assert letter.case.state == "declined" and letter.case.closed is not None
    assert sorted(letter.results) == [("decision", "on_time"), ("total", "void")]


def test_who_proposed_it_withdraws_it_until_it_is_decided():
    letter = Supervised().proposed()
    letter.refused(Reason.FORBIDDEN, "supervision.withdrawn", OTHER, reason="error")
    letter.done("supervision.withdrawn", SUPERVISOR, reason="error")
    assert letter.case.state == "withdrawn"
    later = Supervised(number=2).proposed().decided()
    later.refused(Reason.IMPOSSIBLE, "supervision.withdrawn", SUPERVISOR, reason="error")
    later.done("supervision.revoked", OFFICE, reason="error")
    assert later.case.state == "withdrawn" and shown_path(later.case) == "/"  # nobody has heard of it
    served = Supervised(number=3).proposed().decided().served()
    served.done("supervision.revoked", OFFICE, reason="error")
    assert served.case.state == "rescinded" and shown_path(served.case) == "/XA/WY/WY01/"


# ---- what it is about, and who decides ----------------------------------------------------------------------


def test_about_a_case_it_lies_where_that_does_and_its_owner_has_to_answer():
    beside = Beside()
    case = Story(number=9, beside=beside).reported(BARE).accepted()
    case.done("incident.dispatched", STREET, lead="WY-GREEN")
    letter = Supervised(beside=beside).proposed(about=case.case.id)
    assert letter.case.path == case.case.path and letter.case.about == case.case.id
    assert (letter.own.unit, letter.own.department) == ("WY01", "WY-GREEN")
    letter.decided().served()
    assert letter.case.owner == Owner("WY01", 3, "WY-GREEN")
    letter.refused(Reason.FORBIDDEN, "supervision.answered", EPB)
    letter.done("supervision.answered", "WY-GREEN-H")
    other = Supervised(number=2, beside=beside).proposed(about=case.case.id, department="WY-EPB")
    assert (other.own.unit, other.own.department) == ("WY", "WY-EPB")
    assert other.case.owner == Owner("WY", 2)  # of a department its own grid decides


def test_a_case_of_another_home_is_a_reference():
    letter = Supervised()
    refused = letter.refused(
        Reason.INVALID, "supervision.proposed", SUPERVISOR, action="letter", grid="WY01", about=subject("WY02", 7)
    )
    assert refused.field == "data.about" and "data.reference" in refused.detail
    letter.proposed(grid="WY01", reference=subject("WY02", 7))
    assert letter.case.reference == subject("WY02", 7)


def test_the_case_of_the_home_itself_is_supervised_as_its_grid():
    refused = Supervised().refused(
        Reason.INVALID, "supervision.proposed", SUPERVISOR, action="listed", about=home_subject("WY01")
    )
    assert refused.field == "data.about" and "data.grid" in refused.detail


def test_a_department_is_supervised_in_the_home_of_the_root():
    refused = Supervised().refused(
        Reason.MISROUTED, "supervision.proposed", SUPERVISOR, action="letter", department="WY-EPB"
    )
    assert refused.field == "subject" and "XA." in refused.detail
    letter = at_root().proposed(department="WY-EPB").decided().served()
    assert letter.case.path == ("XA", "WY") and letter.case.owner == Owner("WY", 2, "WY-EPB")
    letter.refused(Reason.FORBIDDEN, "supervision.answered", "WY-URBAN-H")
    letter.done("supervision.answered", EPB)


def test_the_district_is_supervised_by_the_city_and_says_nothing_of_itself():
    letter = at_root().proposed(by=CITY, grid="WY")
    assert letter.case.owner == Owner("XA", 1)
    letter.refused(Reason.FORBIDDEN, "supervision.decided", OFFICE)
    letter.decided("XA-OFFICE").served("XA-OFFICE")
    for post in (DISTRICT, OFFICE, SUPERVISOR):
        letter.refused(Reason.FORBIDDEN, "supervision.revoked", post, reason="error")
        letter.refused(Reason.FORBIDDEN, "supervision.raised", post)
        letter.refused(Reason.FORBIDDEN, "case.deadline_ordered", post, clock="total", limit="90工作日")
    assert letter.refused(Reason.IMPOSSIBLE, "supervision.raised", "XA-OFFICE").field == "type"
    letter.done("supervision.answered", OFFICE)


def test_what_nobody_above_may_decide_is_not_proposed():
    refused = at_root().refused(Reason.IMPOSSIBLE, "supervision.proposed", CITY, action="letter", grid="XA")
    assert refused.field == "data.action"
    refused = Supervised().refused(Reason.UNKNOWN_CODE, "supervision.proposed", CITY, action="scolding", grid="WY01")
    assert refused.field == "data.action"


@pytest.mark.mechanism("M80")
def test_who_decides_is_said_by_action():
    exposure = Supervised().proposed("exposure")
    assert exposure.case.owner == Owner("XA", 1)
    exposure.refused(Reason.FORBIDDEN, "supervision.decided", OFFICE)
    exposure.decided("XA-OFFICE")
    rows = tuple(
        replace(row, categories=("letter",)) if row.trigger == "supervision.decided" and row.levels == (1,) else row
        for row in weiyang().pack.roles
    )
    assert Supervised(changed(roles=rows)).refused(
        Reason.IMPOSSIBLE, "supervision.proposed", SUPERVISOR, action="exposure", grid="WY01"
    )


@pytest.mark.mechanism("M121")
@pytest.mark.parametrize(
    ("action", "count", "amount", "charged"),
    [
        ("deduction", 3, 300_000_000, "unit"),  # 每个排污口扣款100万元
        ("deduction-discharge", 1, 1_000_000_000, "government"),  # 一例一次1000万元
        ("deduction-discharge", 10_000, 10_000_000_000_000, "government"),
        ("letter", 2, 0, ""),
    ],
)
def test_what_is_charged_is_told_in_fen_when_it_is_decided(action: str, count: int, amount: int, charged: str):
    case = Supervised().proposed(action, grid="WY01", count=count, site="SITE-0042")
    assert case.own.amount_fen == 0
    case.decided("XA-OFFICE" if amount else OFFICE)
    assert (case.one(SupervisionDecided).amount_fen, case.own.amount_fen, case.own.charged) == (amount, amount, charged)
    assert case.own.site == "SITE-0042"


# ---- raised a level -----------------------------------------------------------------------------------------


def test_raised_it_is_the_city_s_in_another_cycle_and_its_clocks_begin_anew():
    letter = Supervised().proposed().decided().served()
    letter.until(letter.due("response") + 1)
    letter.done("supervision.raised", OFFICE, letter.now + 20 * DAY)
    assert (letter.case.state, letter.case.owner, letter.case.cycle) == ("elevated", Owner("XA", 1), 1)
    [stopped] = [fact for fact in letter.of(facts.ClockStopped) if fact.clock == "response"]
    assert stopped.result == "passed_on" and stopped.lapsed
    assert letter.case.clock("handover", 1) is not None and letter.case.clock("response") is None
    letter.refused(Reason.FORBIDDEN, "supervision.served", OFFICE)
    letter.done("supervision.served", "XA-OFFICE")
    assert (letter.case.owner, letter.clock("response").cycle) == (Owner("WY01", 3), 1)
    assert [fact.first for fact in letter.history(SupervisionServed)] == [True, False]
    letter.done("supervision.answered", STREET)
    assert letter.case.owner == Owner("XA", 1)
    letter.refused(Reason.FORBIDDEN, "supervision.reviewed", OFFICE, outcome="passed")
    letter.refused(Reason.IMPOSSIBLE, "supervision.raised", "XA-OFFICE")
    letter.done("supervision.reviewed", "XA-OFFICE", outcome="passed")
    letter.refused(Reason.FORBIDDEN, "supervision.cleared", OFFICE)
    letter.done("supervision.cleared", "XA-OFFICE")


# ---- who reads it -------------------------------------------------------------------------------------------


def readers(case: Case, register: Policy) -> set[str]:
    """The posts that read it, as persons."""
    found = set()
    for code, post in register.posts.items():
        if resolve(code, BY_ROLE, [post], register, 0).reads_case(case):
            found.add(code)
    return found


def test_until_it_is_served_only_who_proposed_it_and_who_decides_reads_it():
    letter = Supervised().proposed(by=CENTRE)
    assert shown_path(letter.case) == "/"
    deciding = {DISTRICT, OFFICE, SUPERVISOR, OTHER}
    assert readers(letter.case, shipped()) == deciding | {CENTRE}
    rights = {code for code, post in shipped().posts.items() if word_rights(post, letter.case, shipped(), 0).words}
    assert rights == deciding | {CENTRE}
    told = {post for fact in letter.history(facts.NoticeGiven) for post in fact.to}
    assert told and told <= deciding | {CENTRE}
    letter.refused(Reason.FORBIDDEN, "case.commented", STREET)
    letter.done("case.commented", OFFICE)
    letter.decided()
    assert readers(letter.case, shipped()) == deciding | {CENTRE}
    letter.served()
    assert readers(letter.case, shipped()) >= deciding | {CENTRE, STREET, CITY}
    letter.done("case.commented", STREET)


def test_what_was_refused_stays_concealed():
    letter = Supervised().proposed(by=CENTRE)
    letter.done("supervision.refused", OFFICE, reason="unfounded")
    assert readers(letter.case, shipped()) == {DISTRICT, OFFICE, SUPERVISOR, OTHER, CENTRE}


def test_what_comes_before_the_decision_waits_for_it():
    letter = Supervised().proposed()
    letter.parked("supervision.served", OFFICE)
    letter.decided()
    assert letter.case.state == "served"  # released by the decision


def test_its_tasks_are_those_of_whoever_may_do_them():
    letter = Supervised().proposed()
    posts = shipped().posts

    def works(post: str) -> set[str]:
        found = sayable(letter.case, posts[post], letter.rules, shipped(), letter.now)
        return {each.trigger for each in found if each.works}

    assert works(OFFICE) == {"supervision.decided", "supervision.refused"}
    assert works(SUPERVISOR) == set()  # it has proposed it
    assert works(STREET) == set()
    letter.decided().served()
    assert works(STREET) == {"supervision.answered"} and works(LEAF_CHIEF) == set()


def test_a_channel_writes_what_is_concealed_to_the_address_of_its_post_alone():
    place, mine, all_of_them = "/XA/WY/WY03/WY03-01/", {CHIEF: ("chief@example.org",)}, ("all@example.org",)

    def told(kind: str, path: str, **more: Any) -> bool:
        channel = Channel(name="one", kind=kind, **more)
        config = ChannelFile(channels={"one": channel}, routes=(Route(name="r", channels=("one",)),))
        _, line = alert(1, path=path)
        return Routing(config, channel, shipped()).route_of(line, CHIEF) is not None

    assert told("wecom", place) and not told("wecom", "/") and not told("wecom", "/", to=mine)
    assert told("smtp", place, everyone=all_of_them) and not told("smtp", "/", everyone=all_of_them)
    assert told("smtp", "/", to=mine)


# ---- listed: its case does not end before it is cleared -----------------------------------------------------


def listed(case: Story, number: int = 1) -> Supervised:
    """A listed supervision of a case, served."""
    found = Supervised(number=number, beside=case.beside)
    found.now = case.now
    found.proposed("listed", about=case.case.id).decided().served()
    case.now = found.now
    return found


def barred_by(case: Story) -> list[str]:
    """The supervisions that bar a case from ending."""
    return list(case.case.holds)


def runs(case: Story, name: str) -> bool:
    """Whether a clock of a case runs, and does not stand still."""
    clock = case.case.clock(name)
    assert clock is not None
    return clock.since is not None


def answered(supervised: Supervised, now: int) -> None:
    """Its unit answers, and that is enough."""
    supervised.done("supervision.answered", STREET, now)
    supervised.done("supervision.reviewed", OFFICE, outcome="passed")


@pytest.mark.mechanism("M79")
def test_a_listed_case_does_not_end_before_it_is_cleared_and_is_cleared_after_its_last_check():
    case = Story(number=9).reported(BARE).accepted()
    account = listed(case)
    assert barred_by(case) == [account.case.id]
    for kind, post, reason in (
        ("incident.rejected", STREET, "unfounded"),
        ("incident.force_closed", OFFICE, "policy"),
    ):
        refused = case.refused(Reason.IMPOSSIBLE, kind, post, reason=reason)
        assert account.case.id in refused.detail
    answered(account, case.now + HOUR)
    case.now = account.now
    assert "last check" in account.refused(Reason.IMPOSSIBLE, "supervision.cleared", OFFICE).detail
    case.now = account.now
    case.handled()
    case.done("verification.recorded", MEMBER, outcome="solved")
    assert case.case.state == "verified"
    assert not runs(case, "close"), "nobody may close it, so its clock stands still"
    case.refused(Reason.IMPOSSIBLE, "incident.closed", MEMBER)
    account.now = case.now
    account.done("supervision.cleared", OFFICE)
    assert barred_by(case) == [] and runs(case, "close")
    case.now = account.now
    case.done("incident.closed", MEMBER)
    assert case.case.state == "closed"
    assert [(f.clock, f.result) for f in case.of(facts.ClockStopped) if f.clock == "close"] == [("close", "on_time")]


def test_revoked_it_bars_no_more_and_raised_it_still_does():
    case = Story(number=9).reported(BARE).accepted()
    account = listed(case)
    account.done("supervision.raised", OFFICE)
    assert barred_by(case) == [account.case.id]
    account.done("supervision.served", "XA-OFFICE")
    assert barred_by(case) == [account.case.id]
    account.done("supervision.revoked", "XA-OFFICE", reason="error")
    assert barred_by(case) == []
    case.done("incident.force_closed", OFFICE, account.now + HOUR, reason="policy")


def test_merged_what_bars_it_bars_the_survivor():
    case = Story(number=9).reported(BARE)
    survivor = case.another(8)
    account = listed(case)
    case.done("incident.merged", STREET, into=survivor.case.id)
    assert (barred_by(case), barred_by(survivor)) == ([], [account.case.id])
    survivor.refused(Reason.IMPOSSIBLE, "incident.force_closed", OFFICE, case.now + HOUR, reason="policy")
    account.now = survivor.now
    account.done("supervision.revoked", OFFICE, reason="error")
    assert barred_by(survivor) == []
    later = Supervised(number=3, beside=case.beside)
    later.now = account.now
    later.proposed("listed", about=case.case.id).decided().served()  # of the one that was merged
    assert barred_by(survivor) == [later.case.id]


def test_on_a_case_that_has_ended_it_stands_without_a_hold():
    case = Story(number=9).reported(BARE)
    case.done("incident.force_closed", OFFICE, reason="policy")
    account = listed(case)
    assert barred_by(case) == [] and case.history(facts.Unserved)
    answered(account, account.now + HOUR)
    account.done("supervision.cleared", OFFICE)
    assert account.case.state == "cleared"


def test_about_a_kind_that_nothing_bars_none_is_listed():
    letter = Supervised().proposed().decided().served()
    account = Supervised(number=2, beside=letter.beside)
    account.now = letter.now
    refused = account.refused(Reason.INVALID, "supervision.proposed", OTHER, action="listed", about=letter.case.id)
    assert refused.field == "data.action" and not account.case.opened
    account.proposed("circular", about=letter.case.id)


def test_two_that_bar_one_case_both_have_to_be_cleared():
    case = Story(number=9).reported(BARE).accepted().handled()
    case.done("verification.recorded", MEMBER, outcome="solved")
    first, second = listed(case), listed(case, 2)
    assert not runs(case, "close")
    for each in (first, second):
        case.refused(Reason.IMPOSSIBLE, "incident.closed", MEMBER, max(case.now, first.now, second.now) + HOUR)
        answered(each, case.now + HOUR)
        each.done("supervision.cleared", OFFICE)
        case.now = each.now
    case.done("incident.closed", MEMBER)


# ---- figures of the incident --------------------------------------------------------------------------------


def test_figures_of_incidents_do_not_change_with_supervisions_beside():
    def month(supervised: bool) -> Counter[tuple[str, str, str]]:
        beside = Beside()
        case = Story(number=9, beside=beside).reported(BARE).accepted()
        if supervised:
            letter = Supervised(beside=beside)
            letter.now = case.now
            letter.proposed("listed", about=case.case.id).decided().served()
            letter.until(letter.now + 60 * DAY)
        case.now = at("03-20 09:00")
        case.handled()
        return Counter({key: value for key, value in counts_of(case).items() if key[0] == "incident"})

    assert month(True) == month(False) != Counter()


# ---- random lives -------------------------------------------------------------------------------------------

DATA: dict[str, list[dict[str, Any]]] = {
    "supervision.decided": [{}, {"document": "2026-1"}],
    "supervision.refused": [{"reason": "unfounded"}],
    "supervision.withdrawn": [{"reason": "error"}],
    "supervision.served": [{}, {"document": "2026-2"}],
    "supervision.answered": [{}],
    "supervision.reviewed": [{"outcome": "passed"}, {"outcome": "sent_back"}],
    "supervision.raised": [{}],
    "supervision.cleared": [{}],
    "supervision.revoked": [{"reason": "other"}],
    "supervision.contested": [{"hash": "1" * 64}],
    "supervision.upheld": [{"reason": "own_grounds"}],
    "case.deadline_ordered": [{"clock": "response", "limit": "3工作日"}, {"limit": "90工作日"}],
    "case.urged": [{}],
    "case.acknowledged": [{}],
    "case.commented": [{}],
}
POSTS = (OFFICE, SUPERVISOR, DISTRICT, CITY, "XA-OFFICE", STREET, MEMBER, EPB)
BEGINNINGS: list[tuple[str, dict[str, Any]]] = [
    ("WY01", {"action": "letter", "grid": "WY01"}),
    ("WY01", {"action": "listed", "grid": LEAF}),
    ("WY01", {"action": "circular", "grid": "WY01"}),
    ("WY01", {"action": "deduction", "grid": "WY01", "count": 2}),
    ("XA", {"action": "interview", "grid": "WY"}),
    ("XA", {"action": "letter", "department": "WY-EPB"}),
]
ENDS = {"supervision.refused", "supervision.withdrawn", "supervision.revoked"}


def sound(story: Supervised) -> None:
    """What holds of a supervision at every moment."""
    case = story.case
    assert decode(encode(case)) == case
    if not case.opened:
        return
    state, names = SUPERVISION.states[case.state], [(clock.name, clock.level) for clock in case.clocks]
    assert len(set(names)) == len(names)
    assert (case.closed is not None) == state.terminal == (case.clock("total") is None)
    assert (shown_path(case) == "/") == state.concealed
    if state.terminal:
        assert case.clocks == () and case.next_at is None
        return
    assert all(clock.since is not None for clock in case.clocks)
    assert {name for name, _ in names} <= {"total", *state.clocks}
    in_hands = story.own.unit if case.state in ("served", "sent_back") else story.own.office
    assert case.owner.grid == in_hands
    assert case.holdings[-1].unit.grid == in_hands
    assert (story.own.served is not None) == (not state.concealed)


@settings(max_examples=examples(40))
@given(st.data())
def test_a_random_life_is_sound_all_along(data: st.DataObject) -> None:
    home, begun = data.draw(st.sampled_from(BEGINNINGS))
    story, now, born = Supervised(home=home), at("03-02 09:00"), data.draw(st.integers(0, 3))
    for number in range(data.draw(st.integers(4, 20))):
        now += data.draw(st.sampled_from([0, 1, HOUR, DAY, 8 * DAY]))
        late = data.draw(st.sampled_from([0, 0, HOUR, DAY]))
        if number == born:
            story.say("supervision.proposed", data.draw(st.sampled_from(POSTS[:4])), now, occurred=now - late, **begun)
        else:
            taken = [kind for kind in SUPERVISION.triggers(story.case.state) if kind in DATA]
            likely = [kind for kind in taken if kind not in ENDS and kind.startswith("supervision.")]
            kind = data.draw(st.sampled_from([*likely * 6, *taken, *DATA]))
            chosen = data.draw(st.sampled_from(DATA[kind]))
            story.say(kind, data.draw(st.sampled_from(POSTS)), now, occurred=now - late, **chosen)
        sound(story)
    story.until(now + 200 * DAY)
    sound(story)


CASE_DATA: dict[str, list[dict[str, Any]]] = {
    "incident.accepted": [{}],
    "incident.dispatched": [{"lead": "WY-GREEN"}],
    "handling.completed": [{}],
    "verification.recorded": [{"outcome": "solved"}, {"outcome": "unsolved"}],
    "incident.closed": [{}],
    "incident.returned": [{"reason": "insufficient"}],
    "incident.suspended": [{"reason": "season"}],
    "incident.resumed": [{}],
    "incident.merged": [{"into": subject(number=8)}],
    "incident.rejected": [{"reason": "unfounded"}],
    "incident.force_closed": [{"reason": "policy"}],
}


@settings(max_examples=examples(30))
@given(st.data())
def test_a_case_that_is_listed_is_held_for_as_long_as_that_is_in_force(data: st.DataObject) -> None:
    case = Story(number=9).reported(BARE)
    survivor, account, now = case.another(8), Supervised(beside=case.beside), case.now
    account.say("supervision.proposed", SUPERVISOR, now, action="listed", about=case.case.id)
    for _ in range(data.draw(st.integers(6, 24))):
        now += data.draw(st.sampled_from([60_000, HOUR, DAY]))
        story, said = data.draw(st.sampled_from([(case, CASE_DATA), (account, DATA), (account, DATA)]))
        taken = [kind for kind in DEFINITIONS[story.case.definition].triggers(story.case.state) if kind in said]
        kind = data.draw(st.sampled_from([*taken * 4, *said]))
        posts = (STREET, OFFICE, OTHER, MEMBER, CENTRE, "XA-OFFICE")
        story.say(kind, data.draw(st.sampled_from(posts)), now, **data.draw(st.sampled_from(said[kind])))
        in_force = account.own.served is not None and account.case.closed is None
        goes_on = survivor if case.case.merged_into else case
        placed = [fact for each in (case, survivor) for fact in each.history(facts.HoldPlaced)]
        assert barred_by(goes_on) == ([account.case.id] if in_force and placed else [])
        assert barred_by(case if goes_on is survivor else survivor) == []
        for each in (case, survivor):
            if barred_by(each):
                assert each.case.closed is None
                clock = each.case.clock("close")
                assert clock is None or clock.since is None


def test_every_event_of_it_is_said_in_these_lives():
    assert {*DATA, "supervision.proposed", "case.evidence_added"} == SUPERVISION.heard - SUPERVISION.sends

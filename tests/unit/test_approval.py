"""The approval (审批): two clocks of one state, what lets them stand still, the hall's ladder, bans, referrals, lines.

In: what posts of the sample pack say, in March 2026. Out: states, clocks, what is kept and what is counted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas import facts
from schemas.derived_ids import docket_subject
from schemas.kinds.approval import MOST_LINES, Approval, ApprovalDecided, ApprovalFiled
from schemas.kinds.docket import BANNED, DOCKET, OPENED, UNBANNED, Banned, Docket, Opened, Unbanned
from schemas.refusals import Reason
from tests.support.builders import CITY, DAY, DISTRICT, HOUR, Beside, Story, at, changed, weiyang
from tests.support.examples import examples
from tests.unit.test_pack_lint import TEXTS, told
from tests.unit.test_supervision import counts_of
from workflows.case import Clock, Owner
from workflows.clocks.limits import Kind
from workflows.definitions import held_by
from workflows.definitions.approval import APPROVAL, ON_HOLD, RATIOS, SUMS
from workflows.definitions.docket import AT_ONCE
from workflows.figures import derived, with_sums
from workflows.policy.compile import compile_rows
from workflows.policy.index import Policy
from workflows.policy.lint import lint

HALL, EPB, OFFICE = "WY-12345", "WY-EPB-H", "XA-OFFICE"
MONDAY = at("03-02 10:00")


class Applied(Story):
    """An approval and what is said of it."""

    def __init__(self, rules: Policy | None = None, **more: Any) -> None:
        super().__init__(rules, **{"home": "XA", **more})

    def filed(self, when: int = MONDAY, **data: Any) -> Applied:
        said = {"matter": "eia-report", "grid": "WY01-01", "department": "WY-EPB"}
        self.done("approval.filed", HALL, when, **{**said, **data})
        return self

    @property
    def own(self) -> Approval:
        assert isinstance(self.case.own, Approval)
        return self.case.own

    def clock(self, name: str) -> Clock:
        """A clock that runs, or stands still."""
        found = self.case.clock(name)
        assert found is not None, f"{name} does not run"
        return found

    def pause(self, ground: str = "papers", when: int | None = None) -> None:
        self.done("approval.paused", EPB, when, ground=ground)

    def resume(self, ground: str = "papers", when: int | None = None) -> None:
        self.done("approval.resumed", EPB, when, ground=ground)


class Ban(Story):
    """A supervision that bans."""

    def served(self, grid: str = "WY", when: int | None = None) -> Ban:
        self.done("supervision.proposed", OFFICE, when, action="permit-ban", grid=grid)
        self.done("supervision.decided", CITY)
        self.done("supervision.served", CITY)
        return self


def docket(story: Story) -> Story:
    """The docket beside a story."""
    return story.beside.stories[docket_subject("XA")]


def kept(story: Story) -> Docket:
    """What the docket keeps."""
    own = docket(story).case.own
    assert isinstance(own, Docket)
    return own


def told_all(story: Story, upto: int) -> None:
    """The docket tells all that it still has to tell."""
    docket(story).until(upto)


# ---- from the application to the decision -----------------------------------------------------------------


@pytest.mark.mechanism("M119")
def test_the_promise_and_the_law_run_side_by_side():
    case = Applied().filed()
    assert (case.case.state, case.case.category, case.case.group) == ("examining", "eia-report", "")
    assert (case.case.path, case.own.grid) == (("XA", "WY"), "WY01-01")
    assert case.case.owner == Owner("WY", 2, "WY-EPB") and held_by(case.case).department == "WY-EPB"
    limits = {each.name: each.limit for each in case.case.clocks}
    assert limits == {"promise": "10工作日", "statute": "60工作日", "total": ""}
    due = case.clock("promise").due
    assert due is not None
    case.done("approval.decided", EPB, due + 1, outcome="granted", document="2026-1")
    assert (case.case.state, case.own.outcome, case.own.document) == ("permitted", "granted", "2026-1")
    decided = case.one(ApprovalDecided)
    assert (decided.timed, decided.past_promise, decided.bound, decided.past_statute) == (True, True, True, False)
    stopped = {fact.clock: fact.result for fact in case.of(facts.ClockStopped)}
    assert stopped == {"promise": "overdue", "statute": "on_time", "total": "without_deadline"}


@pytest.mark.mechanism("M119")
@pytest.mark.parametrize(("matter", "promise", "statute"), [("eia-report", 10, 60), ("eia-form", 7, 30)])
def test_the_days_are_those_of_the_text_and_the_kind_of_day_is_said_to_be_ours(matter: str, promise: int, statute: int):
    case = Applied().filed(matter=matter)
    assert (case.clock("promise").limit, case.clock("statute").limit) == (f"{promise}工作日", f"{statute}工作日")
    rows = [row for row in weiyang().pack.limits if row.definition == "approval" and row.clock == "statute"]
    assert rows and all(row.limit.kind is Kind.working_day and "is ours" in row.basis for row in rows)


@pytest.mark.mechanism("M119")
def test_what_became_a_filing_is_applied_for_until_its_last_day():
    row = next(each for each in weiyang().pack.approvals if each.code == "eia-registration")
    assert row.valid_to == 20161231
    until = changed(approvals=(replace(row, valid_to=20260302),))
    limits = tuple(replace(each, valid_to=0) for each in weiyang().pack.limits)
    last = Applied(changed(until, limits=limits)).filed(at("03-02 23:59") + 59_999, matter=row.code)
    assert (last.clock("promise").limit, last.clock("statute").limit) == ("5工作日", "15工作日")
    refusal = Applied(until).refused(
        Reason.UNKNOWN_CODE, "approval.filed", HALL, at("03-03 00:00"), matter=row.code, grid="WY01"
    )
    assert refusal.field == "data.matter"
    assert Applied().filed(matter="eia-filing").case.clock("hall") is not None


@pytest.mark.parametrize(
    ("why", "data", "field"),
    [
        (Reason.UNKNOWN_CODE, {"matter": "nothing"}, "data.matter"),
        (Reason.UNKNOWN_CODE, {"grid": "nowhere"}, "data.grid"),
        (Reason.UNKNOWN_CODE, {"department": "nobody"}, "data.department"),
        (Reason.INVALID, {"grid": "XA"}, "data.department"),  # the district's department does not serve the city
        (Reason.INVALID, {"about": f"XA.{'0' * 8}-0000-7000-8000-{'0' * 12}"}, "data.about"),
    ],
)
def test_what_cannot_be_applied_for_is_refused_and_the_field_is_named(why: Reason, data: dict[str, Any], field: str):
    said = {"matter": "eia-form", "grid": "WY01", "department": "WY-EPB", **data}
    assert Applied().refused(why, "approval.filed", HALL, **said).field == field


def test_it_lies_in_the_home_of_the_root_and_nowhere_else():
    refusal = Story(home="WY01").refused(Reason.MISROUTED, "approval.filed", HALL, matter="eia-form", grid="WY01")
    assert "mint XA.<UUIDv7>" in refusal.detail


def test_without_a_department_the_grid_of_its_place_decides():
    case = Applied().filed(department=None)
    assert case.case.owner == Owner("WY", 2)
    case.refused(Reason.FORBIDDEN, "approval.decided", EPB, outcome="granted")
    case.done("approval.decided", DISTRICT, outcome="declined")
    assert case.case.state == "declined"


@pytest.mark.mechanism("M126")
def test_the_lane_of_emergencies_has_limits_of_its_own():
    case = Applied().filed(lane="emergency")
    assert (case.case.group, case.own.emergency) == ("emergency", True)
    assert (case.clock("promise").limit, case.clock("statute").limit) == ("4工作日", "60工作日")
    assert case.one(ApprovalFiled).emergency


# ---- what lets the time stand still -----------------------------------------------------------------------


@pytest.mark.mechanism("M119")
def test_grounds_overlap_and_the_clocks_go_on_with_the_last():
    case = Applied().filed()
    due = case.clock("promise").due
    case.pause("papers", MONDAY + DAY)
    case.pause("hearing", MONDAY + 2 * DAY)
    assert case.of(facts.ClockPaused) == [] and list(case.own.pauses) == ["papers", "hearing"]
    case.resume("papers", MONDAY + 3 * DAY)
    assert case.case.state == ON_HOLD and all(each.since is None for each in case.case.clocks if each.name != "total")
    case.resume("hearing", MONDAY + 4 * DAY)
    assert case.case.state == "examining" and case.own.pauses == ()
    assert case.clock("promise").due == at("03-19 10:00") and due == at(
        "03-16 10:00"
    )  # three working days were not counted


def test_while_the_time_stands_still_nothing_falls_due_and_nothing_is_decided():
    case = Applied().filed()
    case.pause()
    assert case.until(MONDAY + 200 * DAY) == []
    case.refused(Reason.IMPOSSIBLE, "approval.decided", EPB, outcome="granted")
    assert case.refused(Reason.IMPOSSIBLE, "approval.paused", EPB, ground="papers").field == "data.ground"
    assert case.refused(Reason.IMPOSSIBLE, "approval.resumed", EPB, ground="hearing").field == "data.ground"
    case.done("approval.withdrawn", HALL)
    assert case.case.state == "withdrawn" and {fact.result for fact in case.of(facts.ClockStopped)} == {"void"}


GROUNDS = ("papers", "hearing", "assessment")


@settings(max_examples=examples(60))
@given(st.lists(st.tuples(st.sampled_from((*GROUNDS, "ban")), st.integers(1, 40)), min_size=1, max_size=24))
def test_whatever_stands_still_when_each_clock_counts_what_nothing_paused(moves: list[tuple[str, int]]):
    case, when, stopped = Applied(), MONDAY, set[str]()
    case.filed()
    free, upto = list[tuple[int, int]](), MONDAY
    for ground, hours in moves:
        when += hours * HOUR
        if not stopped:
            free.append((upto, when))
        if ground == "ban":
            ban = f"XA.{'0' * 8}-0000-7000-8000-{1:012}"
            about = docket(case)
            about.now = when
            case.now = when
            case.until(when)
            said = Unbanned(by=ban) if ground in stopped else Banned(grid="WY01", by=ban)
            about.hear(UNBANNED if ground in stopped else BANNED, said)
        elif ground in stopped:
            case.resume(ground, when)
        else:
            case.pause(ground, when)
        stopped ^= {ground}
        upto = when
        assert (case.case.state == ON_HOLD) == bool(stopped)
        assert case.own.pauses == tuple(each for each in case.own.pauses if each in stopped)
    free += [] if stopped else [(upto, when)]
    calendar = case.register.calendars["office"]
    spent = sum(calendar.elapsed(a, b, Kind.working_day) for a, b in free)
    for name in ("promise", "statute"):
        clock = case.clock(name)
        runs = clock.runs if clock.since is None else (*clock.runs, (clock.since, when))
        assert sum(calendar.elapsed(a, b, Kind.working_day) for a, b in runs) == spent
        assert (clock.since is None) == bool(stopped)


# ---- a permit ban -----------------------------------------------------------------------------------------


@pytest.mark.mechanism("M124")
def test_a_ban_in_force_lets_what_is_to_be_in_its_grid_stand_still():
    case = Applied().filed()
    other = Applied(number=2, beside=case.beside).filed(grid="XA", department=None)
    ban = Ban(home="XA", number=3, beside=case.beside).served("WY", MONDAY + HOUR)
    assert (case.case.state, case.own.bans) == (ON_HOLD, (ban.case.id,))
    assert other.case.state == "examining"
    later = Applied(number=4, beside=case.beside).filed(MONDAY + 5 * HOUR)
    assert (later.case.state, later.own.bans) == (ON_HOLD, (ban.case.id,))
    case.now = ban.now
    case.pause("papers", MONDAY + DAY)
    refusal = case.refused(Reason.IMPOSSIBLE, "approval.decided", EPB, outcome="granted")
    assert "papers" in refusal.detail and ban.case.id in refusal.detail
    ban.done("supervision.cleared", CITY, MONDAY + 2 * DAY)
    assert (case.case.state, case.own.bans, later.case.state) == (ON_HOLD, (), "examining")
    case.resume("papers", MONDAY + 3 * DAY)
    assert case.case.state == "examining" and kept(case).bans == ()


def test_bans_may_overlap_and_a_revoked_one_ends_alone():
    case = Applied().filed()
    first = Ban(home="XA", number=3, beside=case.beside).served("WY", MONDAY + HOUR)
    second = Ban(home="XA", number=4, beside=case.beside).served("WY", MONDAY + 2 * HOUR)
    first.done("supervision.revoked", CITY, MONDAY + 5 * HOUR, reason="error")
    assert (case.case.state, case.own.bans) == (ON_HOLD, (second.case.id,))
    second.done("supervision.revoked", CITY, MONDAY + 6 * HOUR, reason="error")
    assert case.case.state == "examining"


def test_a_ban_is_taken_back_also_from_what_has_gone_to_another_street_meanwhile():
    grids = tuple(
        replace(grid, valid_to=20260302, successor="WY02-01") if grid.code == "WY01-01" else grid
        for grid in weiyang().pack.grids
    )
    case = Applied(changed(grids=grids)).filed()
    about = docket(case)
    about.hear(BANNED, Banned(grid="WY01", by=case.case.id))
    assert case.case.state == ON_HOLD
    about.now = MONDAY + 2 * DAY
    about.hear(UNBANNED, Unbanned(by=case.case.id))
    assert (case.case.state, case.own.bans) == ("examining", ())


def test_a_ban_tells_many_a_bounded_number_at_once_and_the_rest_before_any_later_record():
    beside = Beside()
    cases = [Applied(number=n, beside=beside).filed() for n in range(1, 2 * AT_ONCE + 4)]
    ban = Ban(home="XA", number=900, beside=beside).served("WY", MONDAY + HOUR)
    assert sum(case.case.state == ON_HOLD for case in cases) == AT_ONCE
    ends = cases[-1]
    ends.done("approval.withdrawn", HALL, ban.now)  # at the same instant: before it is told
    told_all(ban, ban.now + 1)
    assert sum(case.case.state == ON_HOLD for case in cases) == len(cases) - 1 and kept(ban).rounds == ()
    assert ends.case.state == "withdrawn" and len(kept(ban).open) == len(cases) - 1
    assert {fact.judged for case in cases[:-1] for fact in case.history(facts.ClockPaused)} == {ban.now}
    ban.done("supervision.cleared", CITY, MONDAY + DAY)
    told_all(ban, ban.now + 1)
    assert {case.case.state for case in cases[:-1]} == {"examining"} and kept(ban).rounds == ()


def test_a_ban_that_ends_while_it_is_told_is_told_to_nobody_further():
    beside = Beside()
    cases = [Applied(number=n, beside=beside).filed() for n in range(1, AT_ONCE + 4)]
    ban = Ban(home="XA", number=900, beside=beside).served("WY", MONDAY + HOUR)
    ban.done("supervision.cleared", CITY, ban.now)
    told_all(ban, ban.now + 1)
    assert {case.case.state for case in cases} == {"examining"}
    assert [len(case.history(facts.ClockPaused)) > 0 for case in cases] == [True] * AT_ONCE + [False] * 3


def test_a_docket_begins_once_and_hears_nothing_that_it_cannot_place():
    case = Applied().filed()
    about = docket(case)
    assert about.hear(OPENED, Opened(), DOCKET.name).steps == []
    about.hear(UNBANNED, Unbanned(by=case.case.id))
    assert about.one(facts.Unserved).field == "data.by"
    for _ in range(2):
        about.hear(BANNED, Banned(grid="WY02", by=case.case.id))
    unserved = [(fact.trigger, fact.field) for fact in about.history(facts.Unserved)]
    assert unserved == [(UNBANNED, "data.by"), (BANNED, "data.by")] and case.case.state == "examining"


def test_nobody_speaks_to_a_docket():
    about = Story(id=docket_subject("XA"))
    assert about.refused(Reason.IMPOSSIBLE, "approval.filed", HALL, matter="eia-form", grid="WY").field == "subject"


# ---- the service hall -------------------------------------------------------------------------------------


@pytest.mark.mechanism("M120")
@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("03-02 09:00", "03-02 17:00"),
        ("03-01 16:59", "03-01 17:00"),  # a Sunday: the hall has seven days
        ("03-02 17:00", "03-03 17:00"),  # it has closed
        ("02-17 10:00", "02-17 17:00"),  # a holiday of the office
    ],
)
def test_what_the_hall_does_is_done_the_day_it_is_asked_for(asked: str, due: str):
    case = Applied().filed(at(asked), matter="service")
    assert (case.clock("hall").due, case.clock("hall").calendar) == (at(due), "hall")


@pytest.mark.mechanism("M120")
def test_the_ladder_of_the_hall_ends_in_a_supervision():
    case = Applied().filed(matter="service")
    case.until(MONDAY + 10 * DAY)
    rung = [(fact.rung, fact.due_at) for fact in case.history(facts.ClockRung)]
    assert rung == [
        ("visit", at("03-02 17:00")),
        ("report", at("03-04 17:00")),
        ("accountability", at("03-05 17:00")),
    ]
    told = {fact.kind: fact.to for fact in case.history(facts.AlertRaised)}
    assert CITY in told["report"] and CITY not in told["visit"]  # the city hears on the third day
    called = [story for id_, story in case.beside.stories.items() if story.case.definition == "supervision"]
    assert [(each.case.category, each.case.about) for each in called] == [("accountability", case.case.id)]
    case.done("approval.visited", EPB)
    case.done("approval.decided", EPB, outcome="granted")
    assert case.own.visits == 1 and not case.one(ApprovalDecided).timed


def test_what_is_done_the_same_day_rings_nobody_and_papers_move_the_deadline():
    case = Applied().filed(matter="service")
    case.pause("papers", at("03-02 16:00"))
    case.resume("papers", at("03-04 10:00"))
    assert case.clock("hall").due == at("03-04 11:00")
    case.done("approval.decided", EPB, at("03-04 11:00"), outcome="granted")
    assert case.history(facts.ClockRung) == []


# ---- referrals and money ----------------------------------------------------------------------------------


@pytest.mark.mechanism("M88")
def test_what_is_referred_stops_nothing_and_what_came_of_it_is_told_once():
    case = Applied().filed()
    case.done("approval.referred", EPB, body="police_desk")
    case.refused(Reason.IMPOSSIBLE, "approval.referred", EPB, body="police_desk")
    case.done("approval.referred", EPB, body="enforcement_team")
    assert case.case.state == "examining" and case.clock("promise").since is not None
    case.done("approval.decided", EPB, outcome="declined")
    case.done("approval.referral_answered", EPB, body="police_desk", outcome="case_filed")
    case.refused(Reason.IMPOSSIBLE, "approval.referral_answered", EPB, body="police_desk", outcome="case_filed")
    assert case.own.referrals == ("enforcement_team",)


@pytest.mark.mechanism("M122")
def test_money_is_lines_and_a_counter_line_takes_one_back_once():
    case = Applied().filed()
    case.done("approval.line_entered", EPB, purpose="fee", amount_fen=1200, day="2026-03-02")
    case.done("approval.line_entered", EPB, purpose="compensation", amount_fen=99, day="2026-03-02")
    case.done("approval.line_reversed", EPB, line=1, day="2026-04-01")
    assert [(each.purpose, each.amount_fen, each.day, each.reverses) for each in case.own.lines] == [
        ("fee", 1200, 20260302, 0),
        ("compensation", 99, 20260302, 0),
        ("fee", -1200, 20260401, 1),
    ]
    for line, why in ((1, Reason.IMPOSSIBLE), (3, Reason.INVALID), (9, Reason.INVALID)):
        assert case.refused(why, "approval.line_reversed", EPB, line=line, day="2026-04-02").field == "data.line"
    bad = case.refused(Reason.INVALID, "approval.line_entered", EPB, purpose="fee", amount_fen=1, day="2026-02-30")
    assert bad.field == "data.day"


def test_every_line_can_still_be_taken_back_when_no_more_is_entered():
    case, taken = Applied().filed(), 0
    for _ in range(MOST_LINES):
        outcome = case.say("approval.line_entered", EPB, purpose="fee", amount_fen=1, day="2026-03-02").outcomes[0]
        taken += outcome.outcome == "done"
    assert taken == MOST_LINES // 2 and outcome.refusal is not None and outcome.refusal.reason is Reason.OVER_LIMIT
    for line in range(1, taken + 1):
        case.done("approval.line_reversed", EPB, line=line, day="2026-03-03")
    assert sum(each.amount_fen for each in case.own.lines) == 0 and len(case.own.lines) == MOST_LINES


# ---- figures and the pack ---------------------------------------------------------------------------------


@pytest.mark.mechanism("M119")
def test_what_was_decided_in_time_counts_against_the_promise_and_against_the_law():
    soon, late = Applied().filed(), Applied(number=2).filed()
    soon.done("approval.decided", EPB, outcome="granted")
    due = late.clock("promise").due
    assert due is not None
    late.done("approval.decided", EPB, due + HOUR, outcome="granted")
    counts = Counter[str]()
    for story in (soon, late):
        for (_, measure, _), value in counts_of(story).items():
            counts[measure] += value
    shown, rates = derived(with_sums(counts), SUMS, RATIOS)
    assert (counts["promised"], counts["past_promise"], counts["bound"]) == (2, 1, 2)
    assert (shown["promise_kept"], shown["statute_kept"]) == (1, 2)
    assert (rates["promise_rate"].basis_points, rates["statute_rate"].basis_points) == (5000, 10000)
    assert counts["breach:promise"] == 1 and counts["breach:statute"] == 0


def test_a_promise_longer_than_the_law_and_what_does_not_stand_is_found():
    roles = "f,approval.filed,supervisor,1,any,,,none\n"
    limits = "clock,category,limit,basis,definition\n"
    approvals = "code,title_zh,title_en,same_day,calendar,from,until,basis\n"
    texts = {
        **TEXTS,
        "roles.csv": TEXTS["roles.csv"] + roles,
        "limits.csv": limits + "promise,a,9工作日,ours,approval\nstatute,a,7工作日,ours,approval\n"
        "promise,c,1工作日,ours,approval\n",
        "approvals.csv": approvals + "a,甲,,yes,nowhere,2026-03-01,2026-02-01,\na,甲,,,,,,ours\n",
    }
    compiled = compile_rows(texts)
    assert compiled.pack is not None, compiled.problems
    findings = "\n".join(told([*compiled.problems, *lint(compiled.pack, 0, compiled.rows)]))
    for text in (
        "approvals.csv:2 until: 'a' ends before it begins",
        "approvals.csv:2 calendar: 'a': there is no calendar 'nowhere'",
        "warning approvals.csv:2 basis",
        "approvals.csv:3 code: 'a' stands in row 2 already",
        "limits.csv:2 limit: 9工作日 is promised, and the law gives 7工作日",
        "error limits.csv:4 category: 'c' is nothing that may be applied for",
    ):
        assert text in findings, findings


def test_a_pack_without_approvals_takes_no_application():
    none = changed(approvals=(), limits=tuple(r for r in weiyang().pack.limits if r.definition != "approval"))
    assert Applied(none).refused(Reason.UNKNOWN_CODE, "approval.filed", HALL, matter="eia-form").field == "data.matter"
    assert APPROVAL.needs == "approvals"

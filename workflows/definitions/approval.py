"""The approval (审批): somebody applies, the promised time and that of the law run side by side, it is decided.

    examining <> on_hold > permitted | declined        beside: withdrawn

1. It lies in the home of the root, whatever grid it is to be in, and its place is the part of that grid's path that
   lies there. Who decides is the department that is named, else the grid of its place.
2. What it is for is a row of the pack, from a day to a day: what became a filing is applied for no more. Its times are
   limits of the pack: `promise` is what the office has promised, `statute` what the law gives, two clocks of one state.
   The lane of emergencies has limits of its own: they name it as their group.
3. What the hall does on the day on which it is asked for has the clock `hall`: until the hall closes that day, by a
   calendar of its own. Its ladder is the pack's: a visit, a report on the third day, accountability (M120).
4. A hearing and a technical assessment do not count, nor do papers that the applicant owes: each is a ground for which
   all these clocks stand still, and a permit ban (区域限批) is one more. They may overlap; the last one ends it.
5. While the time stands still nothing is decided; it may be withdrawn. A ban says its end itself, the others somebody.
6. What is referred to the police desk or the enforcement team stops nothing. What came of it may be told after the end.
7. Money is lines, in fen, each with a day. A line is taken back by a counter-line, once, and never erased.
"""

from schemas import facts
from schemas.kinds import approval
from schemas.kinds.approval import (
    BANNED,
    EMERGENCY,
    MOST_LINES,
    UNBANNED,
    ApprovalBanned,
    ApprovalDecided,
    ApprovalFiled,
    ApprovalPaused,
    ApprovalReferred,
    ApprovalResumed,
    ApprovalUnbanned,
    ApprovalVisited,
    BanLifted,
    BanPlaced,
    Decided,
    Filed,
    HomeVisited,
    LineEntered,
    LineReversed,
    MoneyEntered,
    Paused,
    ReferralAnswered,
    Referred,
    Reported,
    Resumed,
)
from schemas.kinds.docket import ENTERED, LEFT, Entered, Left
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import banning, birth, effects, holding, sla
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.clocks.calendar import Calendar
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.figures import Measure, Ratio, Sum
from workflows.machine import Admission, Birth, Effect, NamedClock, Speaker, State, Transition
from workflows.policy.csv_tables import parse_day

EXAMINING, ON_HOLD, PERMITTED = "examining", "on_hold", "permitted"
PROMISE, STATUTE, HALL = "promise", "statute", "hall"
STATES = (
    State(AWAITED, "待到", 1),
    State(EXAMINING, "审查中", 2, (PROMISE, STATUTE, HALL)),
    State(PERMITTED, "准予许可", 3, terminal=True),
    State(ON_HOLD, "中止计时", holds=True),
    State("declined", "不予许可", terminal=True),
    State("withdrawn", "撤回", terminal=True),
)

OPEN = (EXAMINING, ON_HOLD)
ALL = (*OPEN, PERMITTED, "declined", "withdrawn")

TRANSITIONS = (
    Transition("approval.filed", (AWAITED,), EXAMINING),
    Transition("approval.paused", (EXAMINING,), ON_HOLD),
    Transition("approval.paused", (ON_HOLD,), "="),
    Transition("approval.resumed", (ON_HOLD,), EXAMINING, ("is_last_ground",)),
    Transition("approval.resumed", (ON_HOLD,), "="),
    Transition(BANNED, (EXAMINING,), ON_HOLD),
    Transition(BANNED, (ON_HOLD,), "="),
    Transition(UNBANNED, (ON_HOLD,), EXAMINING, ("is_last_ban",)),
    Transition(UNBANNED, (ON_HOLD,), "="),
    Transition("approval.visited", OPEN, "="),
    Transition("approval.referred", OPEN, "="),
    Transition("approval.referral_answered", ALL, "="),
    Transition("approval.line_entered", ALL, "="),
    Transition("approval.line_reversed", ALL, "="),
    Transition("approval.decided", OPEN, PERMITTED, ("is_granted",)),
    Transition("approval.decided", OPEN, "declined"),
    Transition("approval.withdrawn", OPEN, "withdrawn"),
    Transition("case.deadline_ordered", OPEN, "="),
    Transition("case.acknowledged", OPEN, "="),
    Transition("case.urged", OPEN, "="),
    Transition("case.evidence_added", ALL, "="),
    Transition("case.commented", ALL, "="),
)


def is_granted(case: Case, data: EventData, speaker: Speaker) -> bool:
    """It is granted."""
    return isinstance(data, Decided) and data.outcome == "granted"


def is_last_ground(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Nothing else lets the time stand still than what ends now."""
    kept = approval.kept(case.own)
    return isinstance(data, Resumed) and kept.pauses == (data.ground,) and not kept.bans


def is_last_ban(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Nothing else lets the time stand still than the ban that ends now."""
    kept = approval.kept(case.own)
    return isinstance(data, BanLifted) and kept.bans == (data.by,) and not kept.pauses


# ---- how it begins ----------------------------------------------------------------------------------------


def file(d: Decision, data: Filed, own: str, home: str, nearby: object) -> Refusal | None:
    """Tell what is applied for, and where it is to be."""
    register, at = d.register, d.judged(0)
    row, today = d.rules.approvals.get(data.matter), register.clock_of_days.local_day(at)
    if row is None:
        return effects.unknown_code("data.matter", "matter of approvals.csv")
    if not (row.valid_from <= today and (not row.valid_to or today <= row.valid_to)):
        detail = "nobody applies for this on that day: approvals.csv says from when to when"
        return Refusal(Reason.UNKNOWN_CODE, "data.matter", detail)
    if data.about is not None:
        return Refusal(Reason.INVALID, "data.about", "an approval speaks of no other case: name it in data.reference")
    grid = register.standing(data.grid or home, at)
    if grid not in register.grids:
        return effects.unknown_code("data.grid", "grid")
    if data.department is not None and data.department not in register.departments:
        return effects.unknown_code("data.department", "department")
    if refused := birth.refuse_grid(register, at, grid, register.home(grid), "data.grid"):
        return refused
    if home != register.root:
        detail = f"an approval lies in the home of the root: mint {register.root}.<UUIDv7>"
        return Refusal(Reason.MISROUTED, "subject", detail)
    emergency = data.lane == EMERGENCY
    d.tell(
        facts.Born(
            definition=approval.APPROVAL.name,
            policy=d.rules.hash,
            by=d.by,
            path=tuple(code for code in register.path(grid) if register.home(code) == home),
            occurred=d.instant,
            judged=at,
            category=data.matter,
            group=EMERGENCY if emergency else "",
            reference=data.reference or "",
        )
    )
    d.tell(ApprovalFiled(matter=data.matter, grid=grid, emergency=emergency, token=d.token))
    return None


def give(d: Decision, data: Filed, speaker: Speaker, state: str) -> Refusal | None:
    """The department that is named has it, else the grid of its place; the docket knows of it from here on."""
    register, row = d.register, d.rules.approvals[d.case.category]
    grid = d.case.path[-1]
    if data.department is not None:
        known = register.departments[data.department]
        grid = register.standing(known.grid, d.arrival)
        if grid not in d.case.path:
            detail = f"department {data.department} serves {known.grid}, in which this is not to be"
            return Refusal(Reason.INVALID, "data.department", detail)
    level = register.grids[grid].level
    effects.assign(d, Owner(grid, level, data.department or ""), "begun")
    if row.same_day:
        holding.hold(d, "owner")  # told before the clock starts: it is the owner's
        code = row.calendar or register.calendar_of(grid)
        closes = closing_of_the_day(d.calendar(code), d.judged(d.case.judged))
        sla.start(d, HALL, level, ordered=closes, calendar_code=code)
    banning.say_to_docket(d, ENTERED, Entered(approval=d.case.id, grid=approval.kept(d.case.own).grid))
    return None


def closing_of_the_day(calendar: Calendar, at: int) -> int:
    """When the hall closes on the day on which an instant lies, or on its next open day, if it has closed by then."""
    windows = calendar.windows_from(at)
    last = next(windows)
    for window in windows:
        if window.day != last.day:
            break
        last = window
    return last.closes_ms


# ---- what lets the time stand still -----------------------------------------------------------------------


def pause(d: Decision, data: Paused, speaker: Speaker) -> Refusal | None:
    """One ground more."""
    if data.ground in approval.kept(d.case.own).pauses:
        return Refusal(Reason.IMPOSSIBLE, "data.ground", "the time stands still for this already")
    d.tell(ApprovalPaused(ground=data.ground, by=d.by))
    return None


def resume(d: Decision, data: Resumed, speaker: Speaker) -> Refusal | None:
    """One ground less."""
    if data.ground not in approval.kept(d.case.own).pauses:
        return Refusal(Reason.IMPOSSIBLE, "data.ground", "the time does not stand still for this")
    d.tell(ApprovalResumed(ground=data.ground, by=d.by))
    return None


def be_banned(d: Decision, data: BanPlaced, speaker: Speaker) -> Refusal | None:
    """A ban holds where it is to be."""
    if data.by in approval.kept(d.case.own).bans:
        return Refusal(Reason.IMPOSSIBLE, "data.by", "it knows of this ban")
    d.tell(ApprovalBanned(by=data.by))
    return None


def be_unbanned(d: Decision, data: BanLifted, speaker: Speaker) -> Refusal | None:
    """A ban holds no more."""
    if data.by not in approval.kept(d.case.own).bans:
        return Refusal(Reason.IMPOSSIBLE, "data.by", "it knows of no such ban")
    d.tell(ApprovalUnbanned(by=data.by))
    return None


def nothing_pauses(d: Decision, speaker: Speaker) -> Refusal | None:
    """The time runs."""
    kept = approval.kept(d.case.own)
    if d.case.state != ON_HOLD:
        return None
    why = ", ".join((*kept.pauses, *(f"the permit ban of {by}" for by in kept.bans)))
    detail = f"the time stands still, so nothing is decided ({why}): say first what has ended"
    return Refusal(Reason.IMPOSSIBLE, "type", detail)


# ---- what is said of it -----------------------------------------------------------------------------------


def visit(d: Decision, data: HomeVisited, speaker: Speaker) -> Refusal | None:
    """The hall came to the applicant."""
    d.tell(ApprovalVisited(by=d.by))
    return None


def refer(d: Decision, data: Referred, speaker: Speaker) -> Refusal | None:
    """Hand something of it on; one referral to each body waits at a time."""
    if data.body in approval.kept(d.case.own).referrals:
        return Refusal(Reason.IMPOSSIBLE, "data.body", "what was referred there has not been answered")
    d.tell(ApprovalReferred(body=data.body, by=d.by, token=d.token))
    return None


def answer_referral(d: Decision, data: Reported, speaker: Speaker) -> Refusal | None:
    """Tell what came of it."""
    if data.body not in approval.kept(d.case.own).referrals:
        return Refusal(Reason.IMPOSSIBLE, "data.body", "nothing is referred there that waits for an answer")
    d.tell(ReferralAnswered(body=data.body, outcome=data.outcome, by=d.by, token=d.token))
    return None


def enter_line(d: Decision, data: LineEntered, speaker: Speaker) -> Refusal | None:
    """A line of money."""
    return add_line(d, data.purpose, data.amount_fen, data.day)


def reverse_line(d: Decision, data: LineReversed, speaker: Speaker) -> Refusal | None:
    """A counter-line, which takes back a line that none has taken back."""
    lines = approval.kept(d.case.own).lines
    if data.line > len(lines) or lines[data.line - 1].reverses:
        return Refusal(Reason.INVALID, "data.line", "must be the number of a line of this approval, as it was entered")
    if any(each.reverses == data.line for each in lines):
        return Refusal(Reason.IMPOSSIBLE, "data.line", "this line was taken back already")
    line = lines[data.line - 1]
    return add_line(d, line.purpose, -line.amount_fen, data.day, reverses=data.line)


def add_line(d: Decision, purpose: str, amount_fen: int, day: str, reverses: int = 0) -> Refusal | None:
    """Tell a line, with the next number. A line always leaves room for what takes it back."""
    lines, number = approval.kept(d.case.own).lines, parse_day(day)
    if not number:
        return Refusal(Reason.INVALID, "data.day", "there is no such day: write it as 2026-06-30")
    if not reverses and len(lines) + 2 + sum(1 - 2 * bool(each.reverses) for each in lines) > MOST_LINES:
        return Refusal(Reason.OVER_LIMIT, "type", f"an approval has {MOST_LINES} lines at most, counter-lines included")
    line = len(lines) + 1
    d.tell(MoneyEntered(line=line, purpose=purpose, amount_fen=amount_fen, day=number, by=d.by, reverses=reverses))
    return None


def decide(d: Decision, data: Decided, speaker: Speaker) -> Refusal | None:
    """Tell what is decided, and whether in the time that was promised, and that the law gives."""
    judged, dues = d.judged(d.case.judged), dict[str, int]()
    for clock in d.case.clocks:
        if clock.name in (PROMISE, STATUTE) and clock.due is not None:
            dues[clock.name] = clock.due
    d.tell(
        ApprovalDecided(
            outcome=data.outcome,
            by=d.by,
            document=data.document or "",
            timed=PROMISE in dues,
            past_promise=PROMISE in dues and judged > dues[PROMISE],
            bound=STATUTE in dues,
            past_statute=STATUTE in dues and judged > dues[STATUTE],
            token=d.token,
        )
    )
    return None


def leave_docket(d: Decision) -> None:
    """The docket need not tell it anything any more."""
    banning.say_to_docket(d, LEFT, Left(approval=d.case.id))


CLOCKS = (
    NamedClock(PROMISE, "承诺时限", "promised time"),
    NamedClock(STATUTE, "法定时限", "statutory time"),
    NamedClock(HALL, "当天办结", "same-day service"),
)

FULFILS = {"approval.decided": (PROMISE, STATUTE, HALL, TOTAL)}

MEASURES = (
    Measure("applications", ApprovalFiled, zh="受理的申请", en="applications"),
    Measure("decisions", ApprovalDecided, per="outcome", zh="办结的申请", en="applications that were decided"),
    Measure(
        "promised",
        ApprovalDecided,
        where=(("timed", True),),
        zh="有承诺时限并已办结的申请",
        en="applications decided that had a promised time",
    ),
    Measure(
        "past_promise",
        ApprovalDecided,
        where=(("past_promise", True),),
        zh="超过承诺时限办结的申请",
        en="applications decided after the promised time",
        better="lower",
    ),
    Measure(
        "bound",
        ApprovalDecided,
        where=(("bound", True),),
        zh="有法定时限并已办结的申请",
        en="applications decided that had a time by law",
    ),
    Measure(
        "past_statute",
        ApprovalDecided,
        where=(("past_statute", True),),
        zh="超过法定时限办结的申请",
        en="applications decided after the time that the law gives",
        better="lower",
    ),
    Measure("pauses", ApprovalPaused, per="ground", zh="中止计时的次数", en="times that the clocks stood still"),
    Measure("bans_met", ApprovalBanned, zh="因区域限批中止的次数", en="times that a permit ban stopped one"),
    Measure("visits_made", ApprovalVisited, zh="上门服务的次数", en="visits to applicants"),
    Measure("referrals", ApprovalReferred, per="body", zh="移送的次数", en="referrals"),
    Measure("referral_outcomes", ReferralAnswered, per="outcome", zh="移送的结果", en="what came of referrals"),
)
SUMS = (
    Sum("promise_kept", "按承诺时限办结", "decided within the promise", ("promised",), ("past_promise",)),
    Sum("statute_kept", "按法定时限办结", "decided within the law's time", ("bound",), ("past_statute",)),
)
RATIOS = (
    Ratio("promise_rate", "按承诺时限办结率", "within the promise", "promise_kept", Sum("", "", "", ("promised",))),
    Ratio("statute_rate", "按法定时限办结率", "within the law's time", "statute_kept", Sum("", "", "", ("bound",))),
)

EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    "approval.paused": pause,
    "approval.resumed": resume,
    BANNED: be_banned,
    UNBANNED: be_unbanned,
    "approval.visited": visit,
    "approval.referred": refer,
    "approval.referral_answered": answer_referral,
    "approval.line_entered": enter_line,
    "approval.line_reversed": reverse_line,
    "approval.decided": decide,
    "approval.withdrawn": effects.note("withdrawn"),
}
ADMITS: dict[str, Admission] = {**ADMITS_OF_ANY, "approval.decided": nothing_pauses}

APPROVAL = define(
    approval.APPROVAL,
    "审批",
    STATES,
    TRANSITIONS,
    (is_granted, is_last_ground, is_last_ban),
    births={"approval.filed": Birth(file, give, endless=True)},
    effects=EFFECTS,
    admits=ADMITS,
    clocks=CLOCKS,
    measures=MEASURES,
    sums=SUMS,
    ratios=RATIOS,
    sentences={
        ApprovalFiled: "申请 applied for, to be in {grid}",
        ApprovalPaused: "中止计时 the time stands still: {ground}",
        ApprovalResumed: "恢复计时 no longer for: {ground}",
        ApprovalBanned: "区域限批 a permit ban holds: {by}",
        ApprovalUnbanned: "解除限批 the permit ban ended: {by}",
        ApprovalVisited: "上门服务 visited",
        ApprovalReferred: "移送 referred to {body}",
        ReferralAnswered: "移送结果 of {body}: {outcome}",
        MoneyEntered: "款项 line {line}: {amount_fen} fen",
        ApprovalDecided: "办结 decided: {outcome} {document}",
    },
    fulfils=FULFILS,
    at_end=leave_docket,
    listed="asked",
    of_approvals=True,
    needs="approvals",
)

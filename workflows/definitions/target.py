"""The target (目标责任书): signed for a year, measured, and met, missed or not scored by what was measured.

    signed > met, missed or unscored        beside: withdrawn

1. One case for each target, owner and year, as a row of the pack's targets.csv has it. Its id is derived from them
   (`schemas.derived_ids`: the row is the target's code, the owner stands in the place of the post, the day is the first
   of the year), so that nobody signs twice and who measures knows to which case a value is said.
2. It lies in the home of its owner. What its row says is kept as it was signed: another pack changes no target.
3. A value is of a station and a period of its year. A second one of the same station and period counts in the place of
   the first; both stay in the story.
4. When the year and the pack's days of grace are over, it is scored by itself: the value of the year follows from what
   was measured (`workflows.targets.scoring`), and nobody says what it is to be. Nothing else happens by it.
5. What is measured or corrected later is late, and scores it anew. What was told before stands beside what is told now.
6. A row without a value, values that no standard in force at their time judges, and too few values are not scored, each
   with its reason.
"""

from fractions import Fraction

from schemas import facts
from schemas.derived_ids import derived_subject
from schemas.kinds import target
from schemas.kinds.target import (
    MET,
    MISSED,
    MOST_MEASURED,
    UNSCORED,
    MeasurementRecorded,
    Signed,
    Target,
    TargetMeasured,
    TargetScored,
    TargetSigned,
)
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import birth, effects, periods
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.clocks.limits import DAY_MS
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.figures import Measure, Ratio, Sum
from workflows.machine import Admission, Birth, Effect, Guard, Speaker, State, Transition
from workflows.policy.index import Policy
from workflows.targets.scoring import days_of, kind_of, score

OUTCOMES: tuple[tuple[str, str], ...] = ((MET, "达标"), (MISSED, "未达标"), (UNSCORED, "不评分"))
STATES = (
    State(AWAITED, "待到", 1),
    State("signed", "已签订", 2),
    *(State(name, zh, 3, terminal=True) for name, zh in OUTCOMES),
    State("withdrawn", "撤回", terminal=True),
)
SCORED = tuple(name for name, _ in OUTCOMES)
ALL = ("signed", *SCORED, "withdrawn")
SIGNED, MEASURED, SCORE = "target.signed", "measurement.recorded", "target.scored"


def kept_by(case: Case) -> Target:
    """What a target keeps of its own."""
    assert isinstance(case.own, Target)
    return case.own


def fact_of(kept: Target, data: MeasurementRecorded, by: str) -> TargetMeasured:
    """What is told of a recorded value."""
    before = any((each.station, each.period) == (data.station, data.period) for each in kept.measured)
    return TargetMeasured(
        station=data.station,
        period=data.period,
        by=by,
        value=data.value or "",
        parts=tuple((part.item, part.value) for part in data.parts),
        corrects=before,
        late=bool(kept.outcome),
    )


def after(kept: Target, data: EventData) -> Target:
    """What is kept once an event has been taken: with the value, where it records one that can be counted."""
    if isinstance(data, MeasurementRecorded) and strange_period(kept, data.period) is None:
        found = fact_of(kept, data, "").keep(kept)
        assert isinstance(found, Target)
        return found
    return kept


def comes_out(outcome: str) -> Guard:
    """Whether a target is scored so by what was measured, with what is recorded now."""

    def guard(case: Case, data: EventData, speaker: Speaker) -> bool:
        return score(after(kept_by(case), data)).outcome == outcome

    guard.__name__ = f"is_{outcome}"
    return guard


GUARDS = tuple(comes_out(outcome) for outcome in SCORED)
TRANSITIONS = (
    Transition("target.signed", (AWAITED,), "signed"),
    *(Transition(SCORE, ("signed",), outcome, (f"is_{outcome}",)) for outcome in SCORED),
    Transition(MEASURED, ("signed",), "="),
    *(
        Transition(MEASURED, (state,), "=" if state == outcome else outcome, (f"is_{outcome}",))
        for state in SCORED
        for outcome in SCORED
    ),
    Transition("target.withdrawn", ("signed",), "withdrawn"),
    Transition("case.acknowledged", ("signed",), "="),
    Transition("case.urged", ("signed",), "="),
    Transition("case.evidence_added", ALL, "="),
    Transition("case.commented", ALL, "="),
)


# ---- how it begins ----------------------------------------------------------------------------------------


def sign(d: Decision, data: Signed, own: str, home: str, nearby: object) -> Refusal | None:
    """Tell what was signed for, as its row of the pack says."""
    owner = data.department or data.grid
    if data.department and data.department not in d.register.departments:
        return effects.unknown_code("data.department", "department")
    if data.grid and data.grid not in d.register.grids:
        return effects.unknown_code("data.grid", "grid")
    if owner is None or (data.department and data.grid):
        return Refusal(Reason.INVALID, "data.grid", "name who has signed: a grid or a department")
    row = d.rules.targets.get((data.target, owner, data.year))
    if row is None:
        remedy = "name a target, an owner and a year of one row of targets.csv"
        return Refusal(Reason.UNKNOWN_CODE, "data.target", f"the pack has no such target: {remedy}")
    register, at = d.register, d.judged(0)
    place = register.departments[owner].grid if data.department in register.departments else owner
    standing = register.standing(place, at)
    right = subject_of(data, d.register)
    if d.case.id != right:
        return Refusal(Reason.MISROUTED, "subject", f"this target of this owner and year has an id of its own: {right}")
    if refused := birth.refuse_grid(register, at, place, home, "data.grid"):
        return refused
    year = periods.holding("year", data.year * 10_000 + 101)
    d.tell(
        facts.Born(
            definition=target.TARGET.name,
            policy=d.rules.hash,
            by=d.by,
            path=register.path(standing),
            occurred=d.instant,
            judged=at,
            category=data.target,
            reference=data.reference or "",
        )
    )
    d.tell(
        TargetSigned(
            code=data.target,
            year=data.year,
            method=row.method,
            comparison=row.comparison,
            bound=row.value,
            unit=row.unit,
            per=row.period,
            ends=periods.last_instant(year, register.clock_of_days) + d.rules.options.grace_days * DAY_MS,
            department=data.department or "",
            each=row.each,
            index=row.index,
            places=row.places,
            least=row.least,
            standard=row.standard,
            standard_from=row.standard_from,
            standard_to=row.standard_to,
            document=data.document or "",
        )
    )
    return None


def subject_of(data: Signed, register: Policy) -> str:
    """The id of the case of a target, an owner and a year; empty where nobody has signed as the pack asks."""
    owner, first = data.department or data.grid or "", data.year * 10_000 + 101
    lane = register.departments.get(owner)
    place = lane.grid if lane is not None else owner
    if place not in register.grids or (data.target, owner, data.year) not in register.targets:
        return ""
    begins = register.clock_of_days.day_start(first)
    return derived_subject(register.home(place), target.TARGET.name, data.target, owner, first, begins)


def hand_over(d: Decision, data: Signed, speaker: Speaker, state: str) -> Refusal | None:
    """The owner has it."""
    grid = d.case.path[-1]
    effects.assign(d, Owner(grid, d.register.grids[grid].level, data.department or ""), "begun")
    return None


# ---- what is said of it -----------------------------------------------------------------------------------


def strange_period(kept: Target, period: str) -> str | None:
    """Why a value of a period is none of this target; None: it is."""
    try:
        first, last = days_of(period)
    except ValueError:
        return "there is no such day or month: write it as 2026-08-31, 2026-08, 2026-Q3, 2026-H2 or 2026"
    if first // 10_000 != kept.year or last // 10_000 != kept.year:
        return f"this target is of {kept.year}: say it to the one of its year"
    if kind_of(period) != kept.per:
        return f"the values of this target are each of a {kept.per}"
    return None


def record(d: Decision, data: MeasurementRecorded, speaker: Speaker) -> Refusal | None:
    """A value counts, and where the target was scored already it is scored anew."""
    kept = kept_by(d.case)
    if (data.value is None) is not bool(data.parts):
        return Refusal(Reason.INVALID, "data.value", "give either one value or its parts")
    if data.parts and not kept.index:
        return Refusal(Reason.INVALID, "data.parts", "the values of this target have no parts: give one value")
    if len({part.item for part in data.parts}) < len(data.parts):
        return Refusal(Reason.INVALID, "data.parts", "an item stands twice: give each once")
    if any(Fraction(part.value) < 0 for part in data.parts):
        return Refusal(Reason.INVALID, "data.parts", "a concentration is never negative")
    if (strange := strange_period(kept, data.period)) is not None:
        return Refusal(Reason.INVALID, "data.period", strange)
    fact = fact_of(kept, data, d.by)
    if not fact.corrects and len(kept.measured) >= MOST_MEASURED:
        detail = f"a target has {MOST_MEASURED} values at most: ask for longer periods, or for fewer stations"
        return Refusal(Reason.OVER_LIMIT, "data.period", detail)
    d.tell(fact)
    if kept.outcome:
        tell_score(d)
    return None


def come_out(d: Decision, data: EventData, speaker: Speaker) -> Refusal | None:
    """The year and its days of grace are over: it is scored."""
    tell_score(d)
    return None


def tell_score(d: Decision) -> None:
    """Tell what came of it, if that is not what was told before."""
    kept = kept_by(d.case)
    found = score(kept)
    if (found.outcome, found.value, found.reason) == (kept.outcome, kept.value, kept.reason):
        return
    d.tell(
        TargetScored(
            outcome=found.outcome,
            value=found.value,
            reason=found.reason,
            used=found.used,
            was=kept.outcome,
            was_value=kept.value,
            again=bool(kept.outcome),
        )
    )


MEASURES = (
    Measure("targets", TargetSigned, zh="签订的目标", en="targets signed for"),
    Measure("values", TargetMeasured, zh="录入的监测值", en="values recorded"),
    Measure(
        "values_corrected", TargetMeasured, where=(("corrects", True),), zh="更正的监测值", en="values that correct one"
    ),
    Measure(
        "values_late",
        TargetMeasured,
        where=(("late", True),),
        zh="评分后录入的监测值",
        en="values recorded after the target was scored",
        better="lower",
    ),
    Measure("first", TargetScored, per="outcome", where=(("again", False),), zh="首次评分", en="first scores"),
    Measure("restated", TargetScored, per="outcome", where=(("again", True),), zh="重新评分", en="scores restated to"),
    Measure("taken_back", TargetScored, per="was", where=(("again", True),), zh="改变的评分", en="scores that changed"),
)
SUMS = tuple(
    Sum(name, zh, name, (f"first:{name}", f"restated:{name}"), (f"taken_back:{name}",)) for name, zh in OUTCOMES
)
SCORES = tuple(f"{when}:{name}" for when in ("first", "restated") for name in (MET, MISSED))
SUMS = (*SUMS, Sum("scored", "已评分", "scored", SCORES, (f"taken_back:{MET}", f"taken_back:{MISSED}")))
RATIOS = (Ratio("met_rate", "达标率", "met", MET, Sum("", "", "", ("scored",))),)

EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    MEASURED: record,
    SCORE: come_out,
    "target.withdrawn": effects.note("withdrawn"),
}
ADMITS: dict[str, Admission] = {**ADMITS_OF_ANY}

TARGET = define(
    target.TARGET,
    "目标",
    STATES,
    TRANSITIONS,
    GUARDS,
    births={"target.signed": Birth(sign, hand_over, endless=True, subject=subject_of)},
    effects=EFFECTS,
    admits=ADMITS,
    measures=MEASURES,
    sums=SUMS,
    ratios=RATIOS,
    sentences={
        TargetSigned: "签订 signed: {code} {year}, {comparison} {bound} {unit}",
        TargetMeasured: "监测值 measured: {station} {period} {value}",
        TargetScored: "评分 scored: {outcome} {value}",
    },
    fulfils={SCORE: (TOTAL,)},
    listed="asked",
    wakes=SCORE,
)

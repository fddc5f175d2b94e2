"""The task (任务): given downward to one owner, claimed, reported done, checked by who gave it, settled.

    handed_down > taken_on > reported > checked > settled        beside: sent_back, withdrawn

1. Any level gives one to a grid below it, or to a department that serves it or a grid below it (上传下达, M38). Who
   gave it is its *office*: the grid of the post, and its department. It lies in the home of its owner.
2. Every task says what is to be reached, how much, by which day, and who has to do it (M107). Its common code stands
   where other kinds have a category: lists and figures know by it what belongs together.
3. Given, taken on and sent back it is in the hands of the owner, reported and checked in those of the office: it is
   assigned to and fro, and its clocks are those of whoever must act.
4. Its own deadline is the last millisecond of its last day, by the calendar of the owner. It ends when the owner
   reports it done; how long the check takes is the office's, by a clock of the pack.
5. How far it is may be said as often as anybody likes, in whole or decimal numbers; all of it is kept, and what was so
   last counts, whichever came last.
6. What was checked and is not enough goes back. If its day is over, who sends it back names another one: nobody is late
   twice for one day.
7. The office, or one above it, takes it back as long as it is not settled. The owner says none of that of itself.
"""

from datetime import date
from decimal import Decimal

from schemas import facts
from schemas.kinds import task
from schemas.kinds.task import (
    Assigned,
    Checked,
    Claimed,
    Progressed,
    Reported,
    Task,
    TaskAssigned,
    TaskChecked,
    TaskClaimed,
    TaskProgressed,
    TaskReported,
)
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import birth, effects, holding, periods, sla
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.figures import Measure, Ratio, Sum, to_day
from workflows.machine import Admission, Birth, Effect, NamedClock, Speaker, State, Transition

STATES = (
    State(AWAITED, "待到", 1),
    State("handed_down", "已下达", 2, ("claim", "complete")),
    State("taken_on", "已认领", 3, ("complete",)),
    State("reported", "已报送完成", 4, ("acceptance",)),
    State("checked", "已验收", 5),
    State("settled", "办结", 6, terminal=True),
    State("sent_back", "退回", clocks=("complete",)),
    State("withdrawn", "撤回", terminal=True),
)

WITH_THE_OWNER = ("handed_down", "taken_on", "sent_back")
OPEN = (*WITH_THE_OWNER, "reported", "checked")
WITHDRAWN = "withdrawn"
ALL = (*OPEN, "settled", WITHDRAWN)

TRANSITIONS = (
    Transition("task.assigned", (AWAITED,), "handed_down"),
    Transition("task.claimed", ("handed_down",), "taken_on"),
    Transition("task.progressed", WITH_THE_OWNER, "="),
    Transition("task.reported", WITH_THE_OWNER, "reported"),
    Transition("task.checked", ("reported",), "checked", ("is_enough",)),
    Transition("task.checked", ("reported",), "sent_back"),
    Transition("task.ended", ("checked",), "settled"),
    Transition("task.withdrawn", OPEN, WITHDRAWN),
    Transition("case.deadline_ordered", OPEN, "="),
    Transition("case.acknowledged", OPEN, "="),
    Transition("case.urged", OPEN, "="),
    Transition("case.evidence_added", ALL, "="),
    Transition("case.commented", ALL, "="),
)

COMPLETE = "complete"
"""The clock of a task's own deadline."""


def kept_by(case: Case) -> Task:
    """What a task keeps of its own."""
    assert isinstance(case.own, Task)
    return case.own


def is_enough(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The check was passed."""
    return isinstance(data, Checked) and data.outcome == "passed"


# ---- how it begins ----------------------------------------------------------------------------------------


def begin(d: Decision, data: Assigned, own: str, home: str, nearby: object) -> Refusal | None:
    """Tell what is to be done, and where it lies: with its owner."""
    due = last_day(data.due)
    unknown = next((code for code in (*filter(None, (data.lead,)), *data.assisting) if not is_body(d, code)), None)
    if unknown is not None:
        return effects.unknown_code("data.lead" if unknown == data.lead else "data.assisting", "grid or department")
    grid = owner_grid(d, data, home)
    if isinstance(grid, Refusal):
        return grid
    if due is None:
        return Refusal(Reason.INVALID, "data.due", "there is no such day: write it as 2026-06-30")
    d.tell(
        facts.Born(
            definition=task.TASK.name,
            policy=d.rules.hash,
            by=d.by,
            path=d.register.path(grid),
            occurred=d.instant,
            judged=d.judged(0),
            category=data.code,
            reference=data.reference or "",
        )
    )
    post = d.register.posts[d.by]
    d.tell(
        TaskAssigned(
            code=data.code,
            goal=data.goal,
            quantity=data.quantity,
            counted_in=data.counted_in,
            due=due,
            office=post.grid,
            office_department=post.department,
            department=data.department or "",
            lead=data.lead or "",
            assisting=tuple(dict.fromkeys(data.assisting)),
            items=tuple(dict.fromkeys(data.items)),
        )
    )
    return None


def owner_grid(d: Decision, data: Assigned, home: str) -> str | Refusal:
    """The grid in which the task lies: its owner, or that of the department that is its owner."""
    register, at = d.register, d.judged(0)
    named, field = data.grid or home, "data.grid" if data.grid else "subject"
    if data.department is not None:
        known = register.departments.get(data.department)
        if known is None:
            return effects.unknown_code("data.department", "department")
        if data.grid is not None and data.grid not in register.grids:
            return effects.unknown_code("data.grid", "grid")
        if data.grid is not None:
            return Refusal(Reason.INVALID, "data.grid", "a task has one owner: name a grid or a department")
        named = known.grid
        if register.home(register.standing(named, at)) != home:
            right = register.home(register.standing(named, at))
            detail = f"a task of department {data.department} lies in its home: mint {right}.<UUIDv7>"
            return Refusal(Reason.MISROUTED, "subject", detail)
    return birth.refuse_grid(register, at, named, home, field) or register.standing(named, at)


def is_body(d: Decision, code: str) -> bool:
    """Whether a code is that of a grid or of a department."""
    return code in d.register.grids or code in d.register.departments


def last_day(text: str) -> int | None:
    """A day as YYYYMMDD; None where there is no such day."""
    try:
        return to_day(date.fromisoformat(text))
    except ValueError:
        return None


def give(d: Decision, data: Assigned, speaker: Speaker, state: str) -> Refusal | None:
    """The owner gets it, from above, and until the end of its last day."""
    level = d.register.grids[d.case.path[-1]].level
    below = speaker.level < level or bool(speaker.level == level and data.department and not speaker.department)
    if not below or speaker.grid not in d.case.path:
        detail = "a task is given downward: to a grid below one's own, or to a department of one's grid or below"
        return Refusal(Reason.FORBIDDEN, "data.department" if data.department else "data.grid", detail)
    refused = effects.refuse_past(d, end_of_day(d, kept_by(d.case).due), d.judged(0))
    if refused is None:
        to_owner(d, "begun")
    return refused


def to_owner(d: Decision, why: str) -> None:
    """The owner has it, with those that lead and assist, until the end of the task's day."""
    kept, register = kept_by(d.case), d.register
    grid = register.standing(d.case.path[-1], d.arrival)
    level = register.grids[grid].level
    effects.assign(d, Owner(grid, level, kept.department), why)
    units = tuple(dict.fromkeys(code for code in (kept.lead, *kept.assisting) if code))
    if units:
        d.tell(facts.Assisting(units=units))
    holding.hold(d, "owner")  # told before the clock starts: it is the owner's
    sla.start(d, COMPLETE, level, ordered=end_of_day(d, kept.due))


def end_of_day(d: Decision, day: int) -> int:
    """The last millisecond of a local day where the owner is."""
    calendar = d.calendar(d.register.calendar_of(d.case.path[-1]))
    return periods.last_instant(periods.holding("day", day), calendar)


# ---- who says what besides the roles ----------------------------------------------------------------------


def is_of_the_office(d: Decision, speaker: Speaker) -> Refusal | None:
    """Said by who gave it, or from above: never by the owner of itself."""
    kept = kept_by(d.case)
    office = d.register.standing(kept.office, d.arrival)
    path = d.register.path(office) if office in d.register.grids else ()
    beside = speaker.grid == office and speaker.department not in ("", kept.office_department)
    if speaker.grid in path and not beside:
        return None
    who = " ".join(filter(None, (office, kept.office_department)))
    return Refusal(Reason.FORBIDDEN, "actor", f"this is for who gave the task, {who}, and those above")


# ---- what is said of it -----------------------------------------------------------------------------------


def claim(d: Decision, data: Claimed, speaker: Speaker) -> Refusal | None:
    """The owner takes it on."""
    d.tell(TaskClaimed(by=d.by))
    return None


def progress(d: Decision, data: Progressed, speaker: Speaker) -> Refusal | None:
    """How far it is."""
    strange = [item for item in data.items if item not in kept_by(d.case).items]
    if strange:
        return Refusal(Reason.INVALID, "data.items", "must be items of this task, as it was given")
    d.tell(TaskProgressed(done=data.done, as_of=d.judged(0), by=d.by, items=data.items))
    return None


def report(d: Decision, data: Reported, speaker: Speaker) -> Refusal | None:
    """The owner has done it; who gave it checks."""
    kept, clock, judged = kept_by(d.case), d.case.clock(COMPLETE), d.judged(d.case.judged)
    late = clock is not None and clock.due is not None and judged > clock.due
    done = data.done or kept.quantity
    short = Decimal(done) < Decimal(kept.quantity)
    d.tell(TaskReported(done=done, as_of=judged, by=d.by, late=late, short=short))
    effects.tell_evidence(d, data.evidence)
    grid = d.register.standing(kept.office, d.arrival)
    effects.assign(d, Owner(grid, d.register.grids[grid].level, kept.office_department), "reported")
    return None


def check(d: Decision, data: Checked, speaker: Speaker) -> Refusal | None:
    """It is enough, or the owner has it again, until the day that is named or the one it had."""
    kept = kept_by(d.case)
    due = kept.due if data.due is None else last_day(data.due)
    if due is None:
        return Refusal(Reason.INVALID, "data.due", "there is no such day: write it as 2026-06-30")
    if data.outcome == "passed":
        d.tell(TaskChecked(outcome=data.outcome, by=d.by, due=kept.due))
        return None
    judged = d.judged(d.case.judged)
    if end_of_day(d, due) <= judged:
        return Refusal(Reason.INVALID, "data.due", "the day of the task is over: say until which day it goes back")
    d.tell(TaskChecked(outcome=data.outcome, by=d.by, due=due))
    to_owner(d, "sent_back")
    return None


CLOCKS = (
    NamedClock("claim", "认领", "claim"),
    NamedClock(COMPLETE, "完成", "completion"),
    NamedClock("acceptance", "验收", "acceptance"),
)

FULFILS = {
    "task.claimed": ("claim",),
    "task.reported": ("claim", COMPLETE),
    "task.checked": ("acceptance",),
    "task.ended": (TOTAL,),
}

MEASURES = (
    Measure("tasks", TaskAssigned, zh="下达的任务", en="tasks given"),
    Measure("claims", TaskClaimed, zh="认领的任务", en="tasks claimed"),
    Measure("tasks_reported", TaskReported, zh="报送完成的次数", en="times that one was reported done"),
    Measure(
        "tasks_reported_late",
        TaskReported,
        where=(("late", True),),
        zh="逾期报送完成的次数",
        en="times that one was reported done late",
        better="lower",
    ),
    Measure(
        "tasks_returned",
        TaskChecked,
        where=(("outcome", "returned"),),
        zh="验收退回的次数",
        en="checks that sent one back",
        better="lower",
    ),
)
SUMS = (
    Sum("given", "下达", "given", ("tasks",)),
    Sum("done", "报送完成", "reported done", ("tasks_reported",)),
    Sum("done_in_time", "按期报送完成", "reported done in time", ("tasks_reported",), ("tasks_reported_late",)),
    Sum("late", "逾期", "late", (f"breach:{COMPLETE}",)),
    Sum("settled", "办结", "settled", ("on_time", "closed_late", "without_deadline")),
)
RATIOS = (Ratio("done_in_time_rate", "按期完成率", "done in time", "done_in_time", Sum("", "", "", ("done",))),)

EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    "task.claimed": claim,
    "task.progressed": progress,
    "task.reported": report,
    "task.checked": check,
    "task.ended": effects.note("ended"),
    "task.withdrawn": effects.note("withdrawn"),
}
ADMITS: dict[str, Admission] = {
    **ADMITS_OF_ANY,
    "task.checked": is_of_the_office,
    "task.ended": is_of_the_office,
    "task.withdrawn": is_of_the_office,
    "case.deadline_ordered": is_of_the_office,
}

TASK = define(
    task.TASK,
    "任务",
    STATES,
    TRANSITIONS,
    (is_enough,),
    births={"task.assigned": Birth(begin, give, endless=True)},
    effects=EFFECTS,
    admits=ADMITS,
    clocks=CLOCKS,
    measures=MEASURES,
    sums=SUMS,
    ratios=RATIOS,
    sentences={
        TaskAssigned: "下达 given: {goal}, {quantity} {counted_in}",
        TaskClaimed: "认领 claimed",
        TaskProgressed: "进展 done so far: {done}",
        TaskReported: "报送完成 reported done: {done}",
        TaskChecked: "验收 checked: {outcome}",
    },
    fulfils=FULFILS,
    listed="asked",
)

"""The part (协办件) of a further owner of an incident: entrusted, taken on, finished, and settled with the incident.

    entrusted > taken_on > finished > settled        beside: written_to, sent_back, let_off, moot

1. The incident bears it in the home of its owner, a grid or a department, and no post begins one. A neighbour outside
   the register is written to: that part begins in `written_to` in the hands of who writes, and its answer is entered.
2. Its clock is its owner's: how late who leads is, or another part, is none of its business. From a neighbour's yes on
   it is the clock of who wrote, whose work it is to see it done.
3. Finished is no end: as long as the incident is open, a check on site can find that it was not done, and it is asked
   for again, on a clock that begins anew. What is dated before that finishes nothing.
4. Sent back it waits for a decision above who leads: it is released, or ordered again. No clock of it runs.
5. It ends with its incident: finished it is settled, else moot. Released it is let off, also where that and its being
   finished cross each other.
"""

from schemas import facts, joint
from schemas.kinds import part
from schemas.kinds.part import (
    ENTRUSTED,
    LEAD_CHANGED,
    RELEASED,
    REOPENED,
    SETTLED,
    VOIDED,
    Accepted,
    Answered,
    Completed,
    Entrusted,
    LeadChanged,
    NeighbourAnswered,
    PartAccepted,
    PartEntrusted,
    PartFinished,
    PartMoved,
    PartRefused,
    PartReopened,
    Reopened,
    Returned,
    kept,
)
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import effects, holding, sla
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.clocks.limits import parse_limit
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.figures import Measure, Ratio, Sum
from workflows.machine import Birth, Effect, NamedClock, Speaker, State, Transition

JOINT_CLOCK, REPLY = "joint_work", "correspondence"
"""The clock of a part, and that of a neighbour's answer."""
STATES = (
    State(AWAITED, "待到", 1),
    State("entrusted", "待协办", 2, (JOINT_CLOCK,)),
    State("written_to", "已致函", 2, (REPLY,)),
    State("taken_on", "协办中", 3, (JOINT_CLOCK,)),
    State("finished", "协办完成", 4),
    State("settled", "销结", 5, terminal=True),
    State("sent_back", "退回待定"),
    State("let_off", "免除", terminal=True),
    State("moot", "作废", terminal=True),
)

AT_WORK = ("entrusted", "taken_on")
UNFINISHED = (*AT_WORK, "written_to", "sent_back")
OPEN = (*UNFINISHED, "finished")
ALL = (*OPEN, "settled", "let_off", "moot")

TRANSITIONS = (
    Transition(ENTRUSTED, (AWAITED,), "written_to", ("is_written_to",)),
    Transition(ENTRUSTED, (AWAITED,), "entrusted"),
    Transition("part.accepted", ("entrusted",), "taken_on"),
    Transition("part.completed", AT_WORK, "finished"),
    Transition("part.returned", AT_WORK, "sent_back"),
    Transition("part.answered", ("written_to",), "taken_on", ("has_agreed",)),
    Transition("part.answered", ("written_to",), "finished", ("has_finished",)),
    Transition("part.answered", ("written_to",), "sent_back"),
    Transition(REOPENED, ("finished", "sent_back"), "written_to", ("is_written_to",)),
    Transition(REOPENED, ("finished", "sent_back"), "entrusted"),
    Transition(LEAD_CHANGED, OPEN, "="),
    Transition(SETTLED, ("finished",), "settled"),
    Transition(RELEASED, OPEN, "let_off"),
    Transition(VOIDED, ("finished",), "settled"),
    Transition(VOIDED, UNFINISHED, "moot"),
    Transition("case.deadline_ordered", (*AT_WORK, "written_to"), "="),
    Transition("case.acknowledged", OPEN, "="),
    Transition("case.urged", OPEN, "="),
    Transition("case.evidence_added", ALL, "="),
    Transition("case.commented", ALL, "="),
)


def is_written_to(case: Case, data: EventData, speaker: Speaker) -> bool:
    """It is a neighbour's."""
    return bool(kept(case.own).neighbour)


def has_agreed(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The neighbour will do it."""
    return isinstance(data, Answered) and data.outcome == "agreed"


def has_finished(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The neighbour has done it."""
    return isinstance(data, Answered) and data.outcome == "finished"


# ---- how it begins ----------------------------------------------------------------------------------------


def begin(d: Decision, data: Entrusted, own: str, home: str, nearby: object) -> Refusal | None:
    """Tell for whom it is, and where it lies: with its owner."""
    grid = d.register.standing(data.grid, d.judged(0))
    if grid not in d.register.grids:
        return effects.unknown_code("data.grid", "grid")
    d.tell(
        facts.Born(
            definition=part.PART.name,
            policy=d.rules.hash,
            by=data.by,
            path=d.register.path(grid),
            occurred=d.instant,
            judged=d.judged(0),
            about=data.leading,
            category=data.category,
            group=data.group,
        )
    )
    d.tell(
        PartEntrusted(
            lead=data.leading,
            place=data.place,
            lead_grid=data.lead_grid,
            lead_department=data.lead_department,
            neighbour=data.neighbour,
        )
    )
    return None


def to_owner(d: Decision, data: Entrusted, speaker: Speaker, state: str) -> Refusal | None:
    """Its owner has it, or who writes to the neighbour."""
    grid = d.case.path[-1]
    effects.assign(d, Owner(grid, d.register.grids[grid].level, data.department), "begun")
    start(d, data, REPLY if data.neighbour else JOINT_CLOCK)
    return None


def start(d: Decision, data: Entrusted | Reopened, clock: str) -> None:
    """Let its clock run until what was ordered; where nothing was, its state starts it by the pack's limit."""
    if data.due is None and not data.limit:
        return
    holding.hold(d, "owner")  # told before the clock starts: it is the owner's
    limit = parse_limit(data.limit) if data.limit else None
    sla.start(d, clock, d.case.owner.level, ordered=data.due, limit=limit)


# ---- what is said of it -----------------------------------------------------------------------------------


def refuse_stale(d: Decision) -> Refusal | None:
    """Why something does no work on a part that has been asked for again since."""
    if d.instant >= kept(d.case.own).reopened:
        return None
    detail = "the part has been asked for again since: say it again if it still holds"
    return Refusal(Reason.EXPIRED, "time", detail)


def accept(d: Decision, data: Accepted, speaker: Speaker) -> Refusal | None:
    """The owner takes it on."""
    d.tell(PartAccepted(by=d.by))
    return None


def complete(d: Decision, data: Completed, speaker: Speaker) -> Refusal | None:
    """It is done, and who leads hears of it."""
    if refused := refuse_stale(d):
        return refused
    effects.tell_evidence(d, data.evidence)
    finish(d, JOINT_CLOCK)
    return None


def finish(d: Decision, clock: str) -> None:
    """Tell that it is done, and say so to who leads."""
    running, judged = d.case.clock(clock), d.judged(d.case.judged)
    late = running is not None and running.due is not None and judged > running.due
    d.tell(PartFinished(by=d.by, late=late))
    d.send(kept(d.case.own).lead, joint.PART_DONE, joint.PartHeard(part=d.case.id))


def send_back(d: Decision, data: Returned, speaker: Speaker) -> Refusal | None:
    """The owner will not do it, and who leads decides."""
    if refused := refuse_stale(d):
        return refused
    refuse_to(d, data.reason)
    return None


def refuse_to(d: Decision, reason: str) -> None:
    """Tell that it will not be done, and say so to who leads."""
    d.tell(PartRefused(by=d.by, reason=reason))
    d.send(kept(d.case.own).lead, joint.PART_SENT_BACK, joint.RefusalHeard(part=d.case.id, reason=reason))


def answer(d: Decision, data: Answered, speaker: Speaker) -> Refusal | None:
    """Enter what the neighbour has answered."""
    if refused := refuse_stale(d):
        return refused
    effects.tell_evidence(d, data.evidence)
    d.tell(NeighbourAnswered(neighbour=kept(d.case.own).neighbour, outcome=data.outcome, by=d.by))
    if data.outcome == "finished":
        finish(d, REPLY)
    elif data.outcome == "unwilling":
        refuse_to(d, data.outcome)
    return None


def ask_again(d: Decision, data: Reopened, speaker: Speaker) -> Refusal | None:
    """It is asked for again: told to its owner as work that came back."""
    d.tell(PartReopened(why=data.why, at=d.judged(d.case.judged)))
    d.tell(facts.Returned(reason=data.why))
    start(d, data, REPLY if kept(d.case.own).neighbour else JOINT_CLOCK)
    return None


def change_lead(d: Decision, data: LeadChanged, speaker: Speaker) -> Refusal | None:
    """Another incident leads it."""
    d.tell(PartMoved(lead=data.leading, lead_grid=data.lead_grid, lead_department=data.lead_department))
    return None


FULFILS = {
    "part.completed": (JOINT_CLOCK,),
    "part.answered": (REPLY,),
    SETTLED: (TOTAL,),
}
MEASURES = (
    Measure("parts", PartEntrusted, zh="交办的协办件", en="parts entrusted"),
    Measure("parts_finished", PartFinished, zh="协办完成的次数", en="times that a part was done"),
    Measure(
        "parts_finished_late",
        PartFinished,
        where=(("late", True),),
        zh="逾期协办完成的次数",
        en="times that a part was done late",
        better="lower",
    ),
    Measure("parts_sent_back", PartRefused, per="reason", zh="退回协办的次数", en="times that a part was sent back"),
    Measure("parts_reopened", PartReopened, per="why", zh="协办重办的次数", en="times that a part was asked again"),
    Measure(
        "neighbours_answered", NeighbourAnswered, per="outcome", zh="毗邻地区复函的次数", en="answers of neighbours"
    ),
)
SUMS = (
    Sum("entrusted_parts", "交办", "entrusted", ("parts",)),
    Sum("finished_in_time", "按期完成", "done in time", ("parts_finished",), ("parts_finished_late",)),
    Sum("finished_parts", "完成", "done", ("parts_finished",)),
)
RATIOS = (
    Ratio(
        "finished_in_time_rate",
        "协办按期完成率",
        "share of parts done in time",
        "finished_in_time",
        Sum("", "", "", ("parts_finished",)),
    ),
)
EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    "part.accepted": accept,
    "part.completed": complete,
    "part.returned": send_back,
    "part.answered": answer,
    REOPENED: ask_again,
    LEAD_CHANGED: change_lead,
    SETTLED: effects.note("settled"),
    RELEASED: effects.note("released"),
    VOIDED: effects.note("voided"),
}

PART = define(
    part.PART,
    "协办件",
    STATES,
    TRANSITIONS,
    (is_written_to, has_agreed, has_finished),
    births={ENTRUSTED: Birth(begin, to_owner, endless=True)},
    effects=EFFECTS,
    admits=ADMITS_OF_ANY,
    clocks=(NamedClock(JOINT_CLOCK, "协办", "joint work"), NamedClock(REPLY, "复函", "reply")),
    measures=MEASURES,
    sums=SUMS,
    ratios=RATIOS,
    sentences={
        PartEntrusted: "交办协办 entrusted {neighbour}",
        PartAccepted: "认领 taken on",
        PartFinished: "协办完成 done",
        PartRefused: "退回协办 sent back: {reason}",
        NeighbourAnswered: "对方复函 {neighbour} answered: {outcome}",
        PartReopened: "协办重办 asked for again: {why}",
        PartMoved: "改由另一事件牵头 led by another incident",
    },
    fulfils=FULFILS,
    listed="asked",
)

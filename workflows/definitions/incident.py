"""The incident (网格事件): every rule about its states stands in this file, and nothing else.

    discovered > dissuading > reported > accepted > handling > feedback > verifying > verified > closed

1. A leaf grid that finds a problem on patrol dissuades first, where the category asks for it (M14). Effective
   dissuasion goes straight to verification; otherwise it is reported up (M15, M16).
2. Found or told elsewhere, it starts at the level that will handle it: reported, or, where an inspecting grid
   has the authority itself, accepted (M21, M23). What a sponsor finds is reported (M128).
3. The owner accepts, dispatches to a department or handles it itself (M18, M24); it can return what is not
   its duty and escalate what is beyond it (M25, M30-M32). After a return only a new decision on who handles
   is possible.
4. Handled means: the levels below check on site, from the top down; the last one decides (M33-M35). Each has its turn,
   on a clock of its own; a level that lets it pass owes its check until the case is closed, and the next one's turn has
   come. A check before its turn waits. Unsolved starts a new cycle at the rework level, without limit. Verified and
   closed are two acts (M36): the case is in the hands of the leaf of its place until somebody closes it.
5. A clock is fulfilled by what its work was for (`FULFILS`). Dissuasion that works leaves nothing to report, who gets
   a case back decides anew by reporting or dispatching it, and what is handled is rectified. Whatever else ends a clock
   is no merit and no delay: the work was passed on, or it is void. A return takes back no deadline that was missed.
6. Suspended stops work and pauses its clocks; the total clock always runs. Where the pack asks for approval, who holds
   the case asks for it, as for more time, and somebody above decides.
7. With parts of further owners open (`workflows.joint`), handled means: it waits for them, in the hands of who is
   waited for. Its clock of handling ended with its own work; the clock of the whole case runs on and is theirs. With
   the last part, or when its chief releases that, it goes where it would have gone.
8. Evidence, comments, acknowledgements and urging never move a case, nor do exemptions of missed deadlines (M86), which
   are spoken of also when it has ended.

`transitions` validates this table; deciding asks the dictionary that `machine` compiles from it. A property test
shows that both agree.
"""

from schemas import facts
from schemas.envelope import to_ms
from schemas.joint import SENTENCES
from schemas.kinds import incident
from schemas.kinds.incident import (
    DissuasionRecorded,
    RectificationCompleted,
    RectificationOrdered,
    ReportSubmitted,
    VerificationRecorded,
)
from schemas.members import EventData, Source
from schemas.refusals import Reason, Refusal
from workflows import barring, bearing, birth, effects, joint, merging, petitioning, sla, visiting
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import (
    ADMITS_OF_ANY,
    ADMITS_OF_EXEMPTIONS,
    ADMITS_OF_PROPOSALS,
    EFFECTS_OF_ANY,
    EFFECTS_OF_PROPOSALS,
    MEASURES_OF_REPORTED,
    RATIOS_OF_EXEMPTIONS,
    effects_of_exemptions,
)
from workflows.figures import Measure
from workflows.holding import Holder, turn, unit_of
from workflows.machine import Admission, Alias, Birth, Effect, NamedClock, Speaker, State, Tolerance, Transition

STATES = (
    State(AWAITED, "待到", 1),
    State("discovered", "发现", 2, ("dissuade",), hands="place"),
    State("dissuading", "劝阻", 3, ("report",), hands="place"),
    State("reported", "上报", 4, ("accept",), anew=("accept",)),
    State("accepted", "受理", 5, ("handle",), keeps=("rectify",)),
    State("handling", "处置", 6, ("handle",), keeps=("rectify",)),
    State("feedback", "反馈", 7, ("verify",), hands="check", owed=("verify",)),
    State("verifying", "核查", 8, ("verify",), hands="check", owed=("verify",)),
    State("verified", "核查通过", 9, ("close",), hands="place", owed=("verify",), barred=("close",)),
    State("closed", "结案", 10, terminal=True),
    State("awaiting_parts", "待协办", hands="parts"),
    State("returned", "退回", clocks=("accept",), anew=("accept",)),
    State("suspended", "挂账", holds=True),
    State("merged", "合并", terminal=True),
    State("rejected", "不予立案", terminal=True),
    State("withdrawn", "撤回", terminal=True),
    State("force_closed", "强制结案", terminal=True),
)

AT_WORK = ("reported", "accepted", "handling")
TO_HANDLE = ("discovered", "dissuading", *AT_WORK, "returned", "suspended")
WAITS = "awaiting_parts"
OPEN = ("discovered", "dissuading", *AT_WORK, WAITS, "feedback", "verifying", "verified", "returned", "suspended")
ENDED = ("closed", "rejected", "withdrawn", "force_closed")

SOLVED = ("verified",)
"""States in which nothing is left but to end it."""
GOES_ON_IN = ("incident", "service_request")
"""Kinds of case into which one of this kind may be merged."""

TRANSITIONS = (
    Transition("report.submitted", (AWAITED,), "discovered", ("on_patrol", "dissuades_first")),
    Transition("report.submitted", (AWAITED,), "accepted", ("found_by_its_handler",)),
    Transition("report.submitted", (AWAITED,), "reported"),
    Transition(incident.BORNE, (AWAITED,), "reported"),
    Transition("case.petitioned", (AWAITED,), "reported"),
    Transition("dissuasion.recorded", ("discovered", "dissuading"), "verifying", ("effective",)),
    Transition("dissuasion.recorded", ("discovered", "dissuading"), "dissuading"),
    Transition("incident.reported_up", ("dissuading", "returned"), "reported"),
    Transition("incident.accepted", ("reported",), "accepted"),
    Transition("incident.dispatched", (*AT_WORK, "returned"), "handling"),
    Transition("department.arrived", ("accepted", "handling"), "handling"),
    Transition("rectification.ordered", ("accepted", "handling"), "handling"),
    Transition("rectification.completed", ("handling",), "="),
    Transition("handling.completed", ("accepted", "handling"), WAITS, ("is_waited_for",)),
    Transition("handling.completed", ("accepted", "handling"), "feedback", ("checks_above_the_last",)),
    Transition("handling.completed", ("accepted", "handling"), "verifying"),
    Transition("verification.checked", ("feedback",), "verifying", ("not before_its_turn", "last_but_one_check")),
    Transition("verification.checked", ("feedback", "verifying", "verified"), "=", ("not before_its_turn",)),
    Transition("verification.lapsed", ("feedback",), "verifying", ("last_but_one_check",)),
    Transition("verification.lapsed", ("feedback",), "="),
    Transition("verification.recorded", ("verifying",), "verified", ("solved",)),
    Transition("verification.recorded", ("verifying",), "reported"),
    Transition("incident.closed", ("verified",), "closed"),
    Transition("parts.ordered", (*AT_WORK, WAITS), "="),
    Transition("parts.released", (WAITS,), "feedback", ("is_last", "owes_more_checks")),
    Transition("parts.released", (WAITS,), "verifying", ("is_last",)),
    Transition("parts.released", OPEN, "="),
    Transition("case.part_done", (WAITS,), "feedback", ("is_last", "owes_more_checks")),
    Transition("case.part_done", (WAITS,), "verifying", ("is_last",)),
    Transition("case.part_done", (*OPEN, "merged"), "="),
    Transition("case.part_sent_back", (*OPEN, "merged"), "="),
    Transition("case.parts_handed", (*OPEN, *ENDED, "merged"), "="),
    Transition("joint.recorded", OPEN, "="),
    Transition("incident.escalated", (*AT_WORK, "returned"), "reported"),
    Transition("incident.returned", AT_WORK, "returned"),
    Transition("incident.reassigned", (*AT_WORK, "returned"), "reported"),
    Transition("incident.suspended", (*AT_WORK, "returned"), "suspended"),
    Transition("incident.resumed", ("suspended",), "reported", ("was_reported",)),
    Transition("incident.resumed", ("suspended",), "accepted", ("was_accepted",)),
    Transition("incident.resumed", ("suspended",), "handling", ("was_handling",)),
    Transition("incident.resumed", ("suspended",), "returned"),
    Transition("case.deadline_ordered", OPEN, "="),
    Transition("extension.requested", OPEN, "="),
    Transition("extension.granted", OPEN, "="),
    Transition("extension.refused", OPEN, "="),
    Transition("suspension.requested", (*AT_WORK, "returned"), "="),
    Transition("suspension.granted", (*AT_WORK, "returned"), "suspended"),
    Transition("suspension.refused", (*AT_WORK, "returned"), "="),
    Transition("exemption.requested", (*OPEN, *ENDED, "merged"), "="),
    Transition("exemption.granted", (*OPEN, *ENDED, "merged"), "="),
    Transition("exemption.refused", (*OPEN, *ENDED, "merged"), "="),
    Transition("exemption.appealed", (*OPEN, *ENDED, "merged"), "="),
    Transition("incident.merged", OPEN, "merged"),
    Transition("incident.rejected", ("discovered", "dissuading", "reported", "accepted", "returned"), "rejected"),
    Transition("incident.withdrawn", ("discovered", "dissuading", "reported"), "withdrawn"),
    Transition("incident.force_closed", OPEN, "force_closed"),
    Transition("case.acknowledged", OPEN, "="),
    Transition("case.urged", OPEN, "="),
    Transition("case.evidence_added", (*OPEN, *ENDED), "="),
    Transition("case.commented", (*OPEN, *ENDED), "="),
    Transition("case.absorbed", (*OPEN, *ENDED, "merged"), "="),
    Transition("case.visited", (*OPEN, *ENDED, "merged"), "="),
    Transition("case.petitioned", (*OPEN, *ENDED, "merged"), "="),
    Transition("case.petition_left", (*OPEN, *ENDED, "merged"), "="),
    Transition("case.hold_placed", (*OPEN, "merged"), "="),
    Transition("case.hold_lifted", (*OPEN, *ENDED, "merged"), "="),
    Transition("case.survivor_changed", ("merged",), "="),
    Transition("case.survivor_ended", ("merged",), "="),
)


def on_patrol(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Found by the leaf grid itself while patrolling."""
    return isinstance(data, ReportSubmitted) and data.source == Source.PATROL and speaker.level == speaker.leaf_level


def dissuades_first(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The category asks to inform and dissuade first (M14)."""
    return speaker.dissuade


def found_by_its_handler(case: Case, data: EventData, speaker: Speaker) -> bool:
    """An inspecting grid above the leaves that has the authority over what it found (M21, M23).

    A sponsor looks on (检查、督促和指导): the grid that it sponsors has to accept what it found.
    """
    inspected = isinstance(data, ReportSubmitted) and data.source in (Source.INSPECTION, Source.SUPERVISION)
    return (
        inspected
        and speaker.role != "sponsor"
        and speaker.level < speaker.leaf_level
        and speaker.level == speaker.authority
    )


def effective(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Dissuasion solved it on the spot."""
    return isinstance(data, DissuasionRecorded) and data.outcome == "effective"


def checks_above_the_last(case: Case, data: EventData, speaker: Speaker) -> bool:
    """More than the deciding level must check on site."""
    return len(speaker.checks) > 1


def before_its_turn(case: Case, data: EventData, speaker: Speaker) -> bool:
    """A level checks that owes it while the turn of one above it is not over."""
    return speaker.level in case.checks and speaker.level > turn(case)


def last_but_one_check(case: Case, data: EventData, speaker: Speaker) -> bool:
    """After this check, or this turn, none but the deciding one is waited for."""
    return len([level for level in case.checks if level not in (speaker.level, *case.passed)]) <= 1


def solved(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The check found the problem solved."""
    return isinstance(data, VerificationRecorded) and data.outcome == "solved"


def was_reported(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Suspended while reported."""
    return case.suspended_from == "reported"


def was_accepted(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Suspended while accepted."""
    return case.suspended_from == "accepted"


def was_handling(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Suspended while being handled."""
    return case.suspended_from == "handling"


GUARDS = (
    *joint.GUARDS,
    on_patrol,
    dissuades_first,
    found_by_its_handler,
    effective,
    checks_above_the_last,
    before_its_turn,
    last_but_one_check,
    solved,
    was_reported,
    was_accepted,
    was_handling,
)


def by_a_level_above(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Said by a level above the one whose check decides."""
    return isinstance(data, VerificationRecorded) and speaker.level < speaker.leaf_level


def never(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Said by nobody: a clock pulls it."""
    return False


ALIASES = {
    "verification.checked": Alias("verification.recorded", by_a_level_above),
    "verification.lapsed": Alias("verification.recorded", never),
}
"""The machine has triggers of its own for a check by a level above the deciding one, for which people send the same
event, and for the turn of a level that passes without one."""

FULFILS = {
    "dissuasion.recorded": ("dissuade", "report"),
    "incident.reported_up": ("report", "accept"),
    "incident.accepted": ("accept",),
    "incident.dispatched": ("accept",),
    "handling.completed": ("handle", "rectify"),
    "rectification.completed": ("rectify",),
    "verification.checked": ("verify",),
    "verification.recorded": ("verify",),
    "incident.closed": ("close", TOTAL),
}


def first_owner(d: Decision, data: ReportSubmitted, speaker: Speaker, state: str) -> Refusal | None:
    """The first owner is the finder where it dissuades or handles itself, else the level with authority."""
    if state not in ("discovered", "accepted"):
        return birth.assign_by_authority(d, data, speaker, state)
    refused = effects.check_department(d, data.department, "data.department")
    if refused:
        return refused
    leaf = Owner(d.case.path[-1], len(d.case.path))
    effects.assign(d, leaf if state == "discovered" else Owner(speaker.grid, speaker.level), "found")
    return None


BIRTHS = {
    "report.submitted": Birth(birth.report, first_owner, birth.report_keys),
    incident.BORNE: Birth(birth.borne, birth.assign_borne),
    "case.petitioned": Birth(petitioning.begin, petitioning.assign, petitioning.keys, joins=petitioning.joins),
}


def order_rectification(d: Decision, data: RectificationOrdered, speaker: Speaker) -> Refusal | None:
    """Order the responsible unit to rectify: a stage with a clock of its own (M24)."""
    limit = effects.parse_ordered(data.limit, "data.limit")
    if isinstance(limit, Refusal):
        return limit
    if limit is not None and data.due is not None:
        return Refusal(Reason.INVALID, "data", "give due or limit, not both")
    due = to_ms(data.due) if data.due else None
    refused = effects.refuse_past(d, due, d.judged(0))
    if refused:
        return refused
    d.tell(facts.Ordered(stage=data.stage, unit=data.unit or d.case.unit))
    running = d.case.clock("rectify", data.stage)  # other stages go on: stopping work, a fine, pulling down
    if running is not None:
        sla.stop(d, running)
    orderer = unit_of(Holder(speaker.grid, speaker.level, speaker.department), d.case, d.register)
    sla.start(d, "rectify", data.stage, ordered=due, limit=limit, holder=orderer)
    return None


def is_rectified(d: Decision, speaker: Speaker) -> Refusal | None:
    """Some stage of rectifying was ordered and is not done."""
    if d.case.clock("rectify") is not None:
        return None
    return Refusal(Reason.IMPOSSIBLE, "data.stage", "this stage was not ordered, or is already done")


def complete_rectification(d: Decision, data: RectificationCompleted, speaker: Speaker) -> Refusal | None:
    """The responsible unit says that a stage is done."""
    running = d.case.clock("rectify", data.stage)
    if running is None:
        return Refusal(Reason.IMPOSSIBLE, "data.stage", "this stage was not ordered, or is already done")
    sla.stop(d, running)
    d.tell(facts.Rectified(stage=data.stage))
    return None


CLOCKS = (
    NamedClock("dissuade", "劝阻", "dissuade"),
    NamedClock("report", "上报", "report"),
    NamedClock("accept", "受理", "accept"),
    NamedClock("handle", "处置", "handle"),
    NamedClock("rectify", "整改", "rectify", ordered=True, unit=facts.Ordered),
    NamedClock("verify", "核查", "verify"),
    NamedClock("close", "结案", "close"),
)

MEASURES = (
    *MEASURES_OF_REPORTED,
    Measure(
        "dissuaded_on_spot",
        facts.Dissuaded,
        where=(("outcome", "effective"),),
        zh="当场劝阻有效的次数",
        en="dissuasions on the spot that were effective",
    ),
    Measure("escalated", facts.Escalated, per="reason", zh="升级上报的次数", en="escalations to a higher level"),
    Measure("verified", facts.Checked, where=(("decides", True),), zh="决定性核查的次数", en="checks that decide"),
    Measure(
        "rework",
        facts.Checked,
        where=(("decides", True), ("outcome", "unsolved")),
        zh="返工的次数：决定性核查认定未解决",
        en="checks that decide and found it unsolved",
        better="lower",
    ),
    *joint.MEASURES,
)

TOLERANCE = Tolerance(
    found=(Source.PATROL, Source.INSPECTION),
    work=("handle", "rectify"),
    handled=(WAITS, "feedback", "verifying", "verified", "closed"),
    reported=("verified", "closed"),
)

EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    **EFFECTS_OF_PROPOSALS,
    **effects_of_exemptions(TOLERANCE),
    "dissuasion.recorded": effects.dissuade,
    "incident.reported_up": effects.report_up,
    "incident.returned": effects.send_back,
    "incident.dispatched": effects.dispatch,
    "department.arrived": effects.arrive,
    "rectification.ordered": order_rectification,
    "rectification.completed": complete_rectification,
    "incident.escalated": effects.escalate,
    "handling.completed": effects.handle,
    "verification.checked": joint.check,
    "verification.recorded": joint.check,
    "incident.suspended": effects.suspend,
    "incident.resumed": effects.take_up,
    "incident.reassigned": effects.reassign,
    "incident.merged": merging.merge(GOES_ON_IN),
    "incident.rejected": effects.note("rejected"),
    "incident.withdrawn": effects.note("withdrawn"),
    "incident.closed": effects.close,
    "incident.force_closed": effects.note("force_closed"),
    "parts.ordered": joint.waiting(STATES, joint.order),
    "parts.released": joint.waiting(STATES, joint.release),
    "joint.recorded": joint.record,
    "case.part_done": joint.waiting(STATES, joint.hear_done),
    "case.part_sent_back": joint.waiting(STATES, joint.hear_sent_back),
    "case.parts_handed": joint.waiting(STATES, joint.take((*TO_HANDLE, WAITS))),
    "case.absorbed": merging.absorb,
    "case.visited": visiting.hear,
    "case.petitioned": petitioning.join,
    "case.petition_left": petitioning.leave,
    "case.hold_placed": barring.place(STATES),
    "case.hold_lifted": barring.lift(STATES),
    "case.survivor_changed": merging.change_survivor,
    "case.survivor_ended": bearing.hear_end,
}
"""Effects by trigger. A trigger without one only moves the case."""

ADMITS: dict[str, Admission] = {
    **ADMITS_OF_ANY,
    **ADMITS_OF_PROPOSALS,
    **ADMITS_OF_EXEMPTIONS,
    "rectification.completed": is_rectified,
    "incident.escalated": effects.may_escalate,
    "verification.checked": effects.may_check,
    "verification.recorded": effects.may_check,
    "parts.released": joint.may_release,
    "incident.closed": barring.no_hold,
    "incident.rejected": barring.no_hold,
    "incident.withdrawn": barring.all_of(barring.no_hold, merging.no_survivor),
    "incident.force_closed": barring.no_hold,
}
"""What a trigger asks besides a role, whatever the data say."""

INCIDENT = define(
    incident.INCIDENT,
    "网格事件",
    STATES,
    TRANSITIONS,
    GUARDS,
    births=BIRTHS,
    effects=EFFECTS,
    admits=ADMITS,
    clocks=CLOCKS,
    measures=MEASURES,
    ratios=(*RATIOS_OF_EXEMPTIONS, *visiting.RATIOS),
    sentences=SENTENCES,
    aliases=ALIASES,
    escalates="incident.escalated",
    fulfils=FULFILS,
    lapses="verification.lapsed",
    returns=("incident.returned",),
    resumes="incident.resumed",
    at_end=bearing.at_end,
    tolerance=TOLERANCE,
    reads_home=True,
)

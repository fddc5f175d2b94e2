"""The service request of a city hotline (热线工单): report -> handle -> close, on the same engine.

1. Reported to the responsible department at once; accepting and arriving are optional steps of handling.
2. Closing needs no check on site, since the systems of record know only an opening and a closing.
3. Side lines as for an incident, without escalation and checks. Arriving and handling show that a request was
   accepted, and closing it fulfils all that was still to do.
4. A closed one is taken up again when who had asked for it is not satisfied: another cycle begins at who is responsible
   for it, and the case has ended once, whatever came before.
"""

from schemas import facts
from schemas.kinds import service_request
from schemas.members import Source
from workflows import barring, birth, effects, merging, petitioning, reopening, visiting
from workflows.case import AWAITED, TOTAL
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
from workflows.machine import Birth, Effect, NamedClock, State, Tolerance, Transition

STATES = (
    State(AWAITED, "待到", 1),
    State("reported", "受理", 2, ("accept",), anew=("accept",)),
    State("handling", "办理", 3, ("handle",)),
    State("handled", "已办", 4, ("close",), barred=("close",)),
    State("closed", "结案", 5, terminal=True),
    State("returned", "退回", clocks=("accept",), anew=("accept",)),
    State("suspended", "挂账", holds=True),
    State("merged", "合并", terminal=True),
    State("rejected", "不予受理", terminal=True),
    State("withdrawn", "撤回", terminal=True),
    State("force_closed", "强制结案", terminal=True),
)

AT_WORK = ("reported", "handling")
OPEN = (*AT_WORK, "handled", "returned", "suspended")
ENDED = ("closed", "rejected", "withdrawn", "force_closed")

SOLVED = ("handled",)
"""States in which nothing is left but to end it."""
GOES_ON_IN = ("incident", "service_request")
"""Kinds of case into which one of this kind may be merged."""

TRANSITIONS = (
    Transition("report.submitted", (AWAITED,), "reported"),
    Transition("incident.accepted", ("reported",), "handling"),
    Transition("incident.dispatched", (*AT_WORK, "returned"), "handling"),
    Transition("department.arrived", AT_WORK, "handling"),
    Transition("handling.completed", AT_WORK, "handled"),
    Transition("incident.closed", (*AT_WORK, "handled"), "closed"),
    Transition("case.reopened", ("closed",), "reported"),
    Transition("incident.returned", AT_WORK, "returned"),
    Transition("incident.reassigned", (*AT_WORK, "returned"), "reported"),
    Transition("incident.suspended", (*AT_WORK, "returned"), "suspended"),
    Transition("incident.resumed", ("suspended",), "reported"),
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
    Transition("incident.rejected", ("reported", "handling", "returned"), "rejected"),
    Transition("incident.withdrawn", ("reported", "handling"), "withdrawn"),
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

FULFILS = {
    "incident.accepted": ("accept",),
    "incident.dispatched": ("accept",),
    "department.arrived": ("accept",),
    "handling.completed": ("accept", "handle"),
    "incident.closed": ("accept", "handle", "close", TOTAL),
}
BIRTHS = {"report.submitted": Birth(birth.report, birth.assign_by_authority, birth.report_keys)}

CLOCKS = (
    NamedClock("accept", "受理", "accept"),
    NamedClock("handle", "处置", "handle"),
    NamedClock("close", "结案", "close"),
)

REOPENED = Measure("reopened", facts.Reopened, zh="重办的次数", en="closed cases taken up again", better="lower")
TOLERANCE = Tolerance(
    found=(Source.PATROL, Source.INSPECTION),
    work=("handle",),
    handled=("handled", "closed"),
    reported=("handled", "closed"),
)

EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    **EFFECTS_OF_PROPOSALS,
    "case.reopened": reopening.reopen,
    **effects_of_exemptions(TOLERANCE),
    "incident.returned": effects.send_back,
    "incident.dispatched": effects.dispatch,
    "department.arrived": effects.arrive,
    "handling.completed": effects.handle,
    "incident.suspended": effects.suspend,
    "incident.resumed": effects.take_up,
    "incident.reassigned": effects.reassign,
    "incident.merged": merging.merge(GOES_ON_IN),
    "incident.rejected": effects.note("rejected"),
    "incident.withdrawn": effects.note("withdrawn"),
    "incident.closed": effects.close,
    "incident.force_closed": effects.note("force_closed"),
    "case.absorbed": merging.absorb,
    "case.visited": visiting.hear,
    "case.petitioned": petitioning.join,
    "case.petition_left": petitioning.leave,
    "case.hold_placed": barring.place(STATES),
    "case.hold_lifted": barring.lift(STATES),
    "case.survivor_changed": merging.change_survivor,
    "case.survivor_ended": merging.hear_end,
}

SERVICE_REQUEST = define(
    service_request.SERVICE_REQUEST,
    "热线工单",
    STATES,
    TRANSITIONS,
    (),
    births=BIRTHS,
    effects=EFFECTS,
    admits={
        **ADMITS_OF_ANY,
        **ADMITS_OF_PROPOSALS,
        **ADMITS_OF_EXEMPTIONS,
        "incident.closed": barring.no_hold,
        "incident.rejected": barring.no_hold,
        "incident.withdrawn": barring.all_of(barring.no_hold, merging.no_survivor),
        "incident.force_closed": barring.no_hold,
    },
    clocks=CLOCKS,
    measures=(*MEASURES_OF_REPORTED, REOPENED),
    ratios=(*RATIOS_OF_EXEMPTIONS, *visiting.RATIOS),
    resumes="incident.resumed",
    at_end=merging.at_end,
    tolerance=TOLERANCE,
    fulfils=FULFILS,
    returns=("incident.returned",),
    reads_home=True,
)

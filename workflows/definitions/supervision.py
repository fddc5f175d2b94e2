"""The supervision (督办): proposed by one, decided by another, served on a unit, answered, reviewed, cleared (销号).

    proposed > approved > served > answered > reviewed > cleared        beside: sent_back, elevated
    declined, withdrawn: before it was served; rescinded: after

1. It speaks of a case, and lies where that does; of a grid, and lies there; or of a department, and lies in the home of
   the root. Who has to answer is the department that is named, else the grid, else who owns the case: the *unit*.
2. The deciding *office* is the nearest grid upwards, above the unit, in which a post may decide this action by the
   roles table (of a department: from its own grid on). Nobody decides what he has proposed himself.
3. Until it is served it is concealed: who proposed it and who decides read it, and nobody else.
4. Proposed, approved, answered and reviewed it is in the hands of the office, served and sent back in those of the
   unit; so it is assigned to and fro, and its clocks are those of whoever must act. The pack's limits select them by
   action.
5. An answer that is not enough is sent back. The office, or one above it, raises it: the next office above serves
   it anew, in another cycle, or revokes it. The unit says none of that of itself, even where its post stands high.
6. An action of which the pack asks no answer is cleared once it was served.
7. A rung of a case proposes one as well, where the pack says so (`workflows.calling`): by nobody, about that case, of
   the unit that is charged with the clock. Where that deadline turns out to have been met it is withdrawn, if nobody
   has decided it, else that stands beside it.
8. An action that lists (列为重点监控区域) lists the grid in which it lies, from its serving up to the end of a day that
   is decided, or until it is cleared or revoked (`workflows.listing`).
9. What an assessment had proposed, and proposes no more since it was restated, is contested: who decided it revokes it,
   also one that is cleared, or upholds it with a reason.
10. An action that holds (挂牌督办) bars the case of which it speaks from ending, from the first serving until it is
    cleared or revoked. It is cleared once that case has passed its last check, or has ended: closing comes after it.
11. An action that bans (区域限批) lets nothing be permitted in the grid in which it lies, for as long
    (`workflows.banning`).

How one begins, and which office has it in hand, is in `workflows.supervising`.
"""

from schemas import facts
from schemas.kinds import supervision
from schemas.kinds.incident import HOLD_LIFTED, HOLD_PLACED, HoldLifted, HoldPlaced
from schemas.kinds.supervision import (
    CALLED_FOR,
    CONTRADICTED,
    DECIDED,
    Answered,
    Decided,
    OfficeNamed,
    Raised,
    Reviewed,
    Served,
    SupervisionAnswered,
    SupervisionCalledFor,
    SupervisionContested,
    SupervisionContradicted,
    SupervisionDecided,
    SupervisionProposed,
    SupervisionRaised,
    SupervisionReviewed,
    SupervisionServed,
    SupervisionUpheld,
)
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import banning, effects, holding, listing, merging, sla
from workflows.calling import be_called_for, be_contradicted
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions import incident, service_request
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.figures import Measure, Ratio, Sum
from workflows.machine import Admission, Birth, Effect, NamedClock, Speaker, State, Transition
from workflows.supervising import (
    bans,
    contest,
    holds,
    is_another,
    is_of_the_office,
    kept_by,
    listed_until,
    may_contest,
    may_revoke,
    may_uphold,
    name_office,
    office_upwards,
    propose,
    to_office,
    uphold,
)

STATES = (
    State(AWAITED, "待到", 1),
    State("proposed", "拟议", 2, ("decision",), concealed=True),
    State("approved", "已决定", 3, ("handover",), concealed=True),
    State("served", "已送达", 4, ("response",)),
    State("answered", "已答复", 5, ("review",)),
    State("reviewed", "已审核", 6, ("clear",)),
    State("cleared", "销号", 7, terminal=True),
    State("sent_back", "退回补正", clocks=("response",)),
    State("elevated", "提级督办", clocks=("handover",)),
    State("declined", "不予采纳", terminal=True, concealed=True),
    State("withdrawn", "撤回", terminal=True, concealed=True),
    State("rescinded", "撤销", terminal=True),
)

WITH_THE_UNIT = ("served", "sent_back")
IN_FORCE = (*WITH_THE_UNIT, "answered", "reviewed", "elevated")
OPEN = ("proposed", "approved", *IN_FORCE)
SHOWN_ENDS = ("cleared", "rescinded")
DECIDED_STATES = ("approved", *IN_FORCE, "cleared")

TRANSITIONS = (
    Transition("supervision.proposed", (AWAITED,), "proposed"),
    Transition(CALLED_FOR, (AWAITED,), "proposed"),
    Transition("supervision.decided", ("proposed",), "approved"),
    Transition("supervision.refused", ("proposed",), "declined"),
    Transition("supervision.withdrawn", ("proposed",), "withdrawn"),
    Transition(CONTRADICTED, ("proposed",), "withdrawn"),
    Transition(CONTRADICTED, ("approved", *IN_FORCE, *SHOWN_ENDS), "="),
    Transition("supervision.served", ("approved", "elevated"), "served"),
    Transition("supervision.answered", WITH_THE_UNIT, "answered"),
    Transition("supervision.reviewed", ("answered",), "reviewed", ("enough",)),
    Transition("supervision.reviewed", ("answered",), "sent_back"),
    Transition("supervision.raised", (*WITH_THE_UNIT, "answered", "elevated"), "elevated"),
    Transition("supervision.cleared", ("reviewed",), "cleared"),
    Transition("supervision.cleared", ("served",), "cleared", ("asks_no_answer",)),
    Transition("supervision.revoked", ("approved",), "withdrawn"),
    Transition("supervision.revoked", IN_FORCE, "rescinded"),
    Transition("supervision.revoked", ("cleared",), "rescinded"),
    Transition("supervision.contested", DECIDED_STATES, "="),
    Transition("supervision.upheld", DECIDED_STATES, "="),
    Transition("case.deadline_ordered", OPEN, "="),
    Transition("case.acknowledged", OPEN, "="),
    Transition("case.urged", IN_FORCE, "="),
    Transition("case.evidence_added", (*OPEN, *SHOWN_ENDS), "="),
    Transition("case.commented", (*OPEN, *SHOWN_ENDS), "="),
)

RESCINDED = "rescinded"


def enough(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The answer is enough."""
    return isinstance(data, Reviewed) and data.outcome == "passed"


def asks_no_answer(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The pack asks no answer of the unit."""
    return not kept_by(case).answer


def is_undecided(case: Case) -> bool:
    """Whether it is proposed, and nobody has decided it."""
    return case.state == "proposed"


def is_taken_back(case: Case) -> bool:
    """Whether it was withdrawn undecided, or revoked before it was served because its ground had gone: it hit nobody,
    and no office has said that it is not to be. What an office revokes of itself stays revoked."""
    decided = any(clock == "handover" for clock, _, _ in case.targets)
    return case.state == "withdrawn" and (not decided or kept_by(case).contested)


def may_be_contested(case: Case) -> bool:
    """Whether it was decided, is not revoked, and nobody is asked yet whether it stands."""
    return case.state in DECIDED_STATES and not kept_by(case).contested


# ---- who says what besides the roles ----------------------------------------------------------------------


def may_clear(d: Decision, speaker: Speaker) -> Refusal | None:
    """The office clears it; one that holds a case, once that has nothing left but its end."""
    refused = is_of_the_office(d, speaker)
    if refused or not holds(d):
        return refused
    about = merging.survivor_of(d.case.about, d.find)
    if about is None or not about.opened or about.closed is not None or about.state in SOLVED.get(about.definition, ()):
        return None
    detail = (
        f"the case of which it speaks, {about.id}, has not passed its last check: it is cleared when that is solved"
    )
    return Refusal(Reason.IMPOSSIBLE, "type", detail)


def may_add(d: Decision, speaker: Speaker) -> Refusal | None:
    """While it is concealed, who proposed it and the office add to it."""
    concealed = any(state.concealed for state in STATES if state.name == d.case.state)
    if not concealed or speaker.post == d.case.by or speaker.grid == d.case.owner.grid:
        return None
    return Refusal(Reason.FORBIDDEN, "actor", "until it is served, who proposed it and the deciding office add to it")


# ---- what is said of it -----------------------------------------------------------------------------------


def decide(d: Decision, data: Decided, speaker: Speaker) -> Refusal | None:
    """The office decides: from here on it is to be served."""
    kept, action = kept_by(d.case), d.rules.actions[d.case.category]
    until = listed_until(d, action, data.until)
    if isinstance(until, Refusal):
        return until
    if action.lists and not (until or kept.until):
        return Refusal(Reason.INVALID, "data.until", "say up to which day the grid is to be listed")
    d.tell(
        SupervisionDecided(
            by=d.by,
            document=data.document or "",
            amount_fen=action.amount_fen * kept.count,
            charged=action.charged,
            token=d.token,
            until=until or kept.until,
        )
    )
    return None


def serve(d: Decision, data: Served, speaker: Speaker) -> Refusal | None:
    """Delivered: the unit has it, or the successor of a grid that has ended."""
    kept, register = kept_by(d.case), d.register
    grid = register.standing(kept.unit, d.arrival)
    d.tell(
        SupervisionServed(
            unit=grid,
            department=kept.department,
            document=data.document or "",
            first=kept.served is None,
            at=d.judged(d.case.judged),
        )
    )
    effects.assign(d, Owner(grid, register.grids[grid].level, kept.department), "served")
    if kept.served is None and holds(d):
        d.send(d.case.about, HOLD_PLACED, HoldPlaced(by=d.case.id))
    if kept.served is None and kept.until:
        listing.list_place(d, kept.until)
    if kept.served is None and bans(d):
        banning.begin(d)
    return None


def answer(d: Decision, data: Answered, speaker: Speaker) -> Refusal | None:
    """The unit has answered; the office reviews it."""
    clock, judged = d.case.clock("response"), d.judged(d.case.judged)
    late = clock is not None and clock.due is not None and judged > clock.due
    d.tell(SupervisionAnswered(by=d.by, late=late, token=d.token))
    effects.tell_evidence(d, data.evidence)
    to_office(d, "answered")
    return None


def review(d: Decision, data: Reviewed, speaker: Speaker) -> Refusal | None:
    """The answer is enough, or the unit has to answer again."""
    d.tell(SupervisionReviewed(outcome=data.outcome, by=d.by, token=d.token))
    if data.outcome == "sent_back":
        kept, register = kept_by(d.case), d.register
        grid = register.standing(kept.unit, d.arrival)
        effects.assign(d, Owner(grid, register.grids[grid].level, kept.department), "sent_back")
    return None


def raise_level(d: Decision, data: Raised, speaker: Speaker) -> Refusal | None:
    """The next office above has it in hand: another cycle begins."""
    was = d.register.standing(kept_by(d.case).office, d.arrival)
    office = office_upwards(d, d.register.path(was)[:-1])
    if office is None:
        return Refusal(Reason.IMPOSSIBLE, "type", "no office above may decide this action: it cannot be raised")
    effects.assign(d, office, "raised")
    holding.hold(d, "owner")  # told before the clocks end: whose they were is not who goes on
    for clock in d.case.clocks:
        if clock.name != TOTAL:
            sla.stop(d, clock)
    d.tell(facts.Reworked(cycle=d.case.cycle + 1))
    d.tell(SupervisionRaised(office=office.grid, was=was, by=d.by))
    return None


def end(what: str) -> Effect:
    """An effect of what ends it: who said so, and that it bars no case any more."""
    note = effects.note(what)

    def effect(d: Decision, data: EventData, speaker: Speaker) -> Refusal | None:
        if kept_by(d.case).served is not None and d.case.closed is None and holds(d):
            d.send(d.case.about, HOLD_LIFTED, HoldLifted(by=d.case.id))
        if kept_by(d.case).until:
            listing.end(d)
        if kept_by(d.case).served is not None and d.case.closed is None and bans(d):
            banning.end(d)
        return note(d, data, speaker)

    return effect


SOLVED = {"incident": incident.SOLVED, "service_request": service_request.SOLVED}
"""By kind the states of a case in which nothing is left but its end."""

CLOCKS = (
    NamedClock("decision", "决定", "decision"),
    NamedClock("handover", "送达", "handover"),
    NamedClock("response", "回复", "response"),
    NamedClock("review", "审核", "review"),
    NamedClock("clear", "销号", "clear"),
)

FULFILS = {
    DECIDED: ("decision",),
    "supervision.refused": ("decision",),
    "supervision.served": ("handover",),
    "supervision.answered": ("response",),
    "supervision.reviewed": ("review",),
    "supervision.raised": ("review",),
    "supervision.cleared": ("clear", TOTAL),
}

MEASURES = (
    Measure("served", SupervisionServed, where=(("first", True),), zh="送达的督办", en="supervisions that were served"),
    Measure("replies", SupervisionAnswered, zh="答复的次数", en="answers given"),
    Measure(
        "replies_late",
        SupervisionAnswered,
        where=(("late", True),),
        zh="逾期的答复",
        en="answers given late",
        better="lower",
    ),
    Measure(
        "replies_sent_back",
        SupervisionReviewed,
        where=(("outcome", "sent_back"),),
        zh="退回补正的答复",
        en="answers that were sent back",
        better="lower",
    ),
    Measure("levels_raised", SupervisionRaised, zh="提级的次数", en="times that one was raised a level"),
)
SUMS = (
    Sum("served", "送达", "served", ("served",)),
    Sum("answered", "答复", "answered", ("replies",)),
    Sum("answered_in_time", "按期答复", "answered in time", ("replies",), ("replies_late",)),
    Sum("cleared", "销号", "cleared", ("on_time", "closed_late", "without_deadline")),
    Sum("revoked", "撤销", "revoked", ("revoked",)),
)
RATIOS = (Ratio("in_time_rate", "按期答复率", "answered in time", "answered_in_time", Sum("", "", "", ("answered",))),)
"""What was cleared on time is the on-time rate of any kind of case: 按期销号率."""

EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    DECIDED: decide,
    "supervision.refused": effects.note("refused"),
    "supervision.withdrawn": effects.note("withdrawn"),
    "supervision.served": serve,
    "supervision.answered": answer,
    "supervision.reviewed": review,
    "supervision.raised": raise_level,
    "supervision.cleared": end("cleared"),
    "supervision.revoked": end("revoked"),
    CONTRADICTED: be_contradicted,
    "supervision.contested": contest,
    "supervision.upheld": uphold,
}
ADMITS: dict[str, Admission] = {
    **ADMITS_OF_ANY,
    DECIDED: is_another,
    "supervision.refused": is_another,
    "supervision.raised": is_of_the_office,
    "supervision.cleared": may_clear,
    "supervision.revoked": may_revoke,
    "supervision.contested": may_contest,
    "supervision.upheld": may_uphold,
    "case.deadline_ordered": is_of_the_office,
    "case.evidence_added": may_add,
    "case.commented": may_add,
}

SUPERVISION = define(
    supervision.SUPERVISION,
    "督办",
    STATES,
    TRANSITIONS,
    (enough, asks_no_answer),
    births={"supervision.proposed": Birth(propose, name_office), CALLED_FOR: Birth(be_called_for, name_office)},
    effects=EFFECTS,
    admits=ADMITS,
    clocks=CLOCKS,
    measures=MEASURES,
    sums=SUMS,
    ratios=RATIOS,
    sentences={
        SupervisionProposed: "拟议 proposed",
        SupervisionCalledFor: "超时自动拟议 proposed by a rung: {clock} {rung}",
        SupervisionContradicted: "时限未超 the deadline had been met, as is known since {at}",
        OfficeNamed: "决定机关 to be decided by {office}",
        SupervisionDecided: "决定 decided: {document}",
        SupervisionServed: "送达 served on {unit}",
        SupervisionAnswered: "答复 answered",
        SupervisionReviewed: "审核 reviewed: {outcome}",
        SupervisionRaised: "提级 raised: {was} → {office}",
        SupervisionContested: "提请撤销 contested: the assessment was restated ({hash})",
        SupervisionUpheld: "维持 upheld: {reason}",
    },
    fulfils=FULFILS,
    listed="asked",
    of_actions=True,
    reads_home=True,
)

"""The petition (信访): taken in, accepted, answered; who asked is asked afterwards; ended once (M49, M63, M76, M126).

    submitted > examining > accepted > answered > revisited > settled
    beside: reexamination, review; rejected, withdrawn

1. It is the asking, and a service request is the work: what is only to be handled stays a service request. It lies
   where it was taken in, in the place of which it speaks if that is of the same home.
2. Who took it in is its *reception*, who has to answer its *unit*: the department that is named, else the reception.
   Answered and revisited it is in the hands of the reception, so that no unit is asked about its own answer.
3. A source of the pack that is to be looked at first (先行核实) is examined before it is worked on.
4. Who is not satisfied gets another answer. Where the source has no ladder it is another cycle with the same unit;
   where it has one it goes up a stage (复查, 复核) to the grid above the unit. After the last stage, and at the root,
   the answer is final.
5. It ends once. One that has ended, of a source without a ladder, is taken up again where who asked is not satisfied
   after all; the end that stands is the last one.
6. Its work is done in an incident that it bears, in the home of its place, or in a case that is there already: one that
   is named, or that was similar when it was taken in. Case and petition know each other; it hears when the case ends.
   It is answered by people, whatever became of the case.
7. A report that is found true proposes the rewards that the pack has for it, one of each line (M61). Who pays says what
   became of it. Who asked is known to those posts alone who may pay or ask about the answer.
8. Each stage has its own clock, and the whole has none: how long all stages may take together nobody says. The lane of
   the source has limits of its own in the pack.
"""

from collections.abc import Sequence

from schemas import facts
from schemas.coordinates import SHIFTED
from schemas.kinds import petition
from schemas.kinds.incident import (
    CASE_JOINED,
    CASE_OVER,
)
from schemas.kinds.petition import (
    CODE_GIVEN,
    Accepted,
    Answered,
    CodeGiven,
    Examined,
    PetitionAnswered,
    PetitionCaseOver,
    PetitionCodeGiven,
    PetitionExamined,
    PetitionGiven,
    PetitionJoined,
    PetitionPassedOn,
    PetitionRaised,
    PetitionReleased,
    PetitionRevisited,
    PetitionTaken,
    PetitionUntaken,
    PetitionWeighed,
    Released,
    RewardDecided,
    RewardProposed,
    Submitted,
    Transferred,
)
from schemas.members import EventData, Source
from schemas.refusals import Reason, Refusal
from schemas.unserved import UNSERVED
from workflows import birth, effects
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, ADMITS_OF_PROPOSALS, EFFECTS_OF_ANY, EFFECTS_OF_PROPOSALS
from workflows.definitions.petition_figures import MEASURES, RATIOS, SUMS
from workflows.definitions.petition_ladder import (
    begins_another_cycle,
    goes_up_to_reexamination,
    goes_up_to_review,
    is_another,
    kept_by,
    may_take_up_again,
    revisit,
    take_up_again,
)
from workflows.definitions.petition_rewards import has_a_reward, propose_rewards, reward
from workflows.definitions.petition_work import attach, be_joined, be_untaken, hear_end, pass_on
from workflows.duplicates import point_of, similar
from workflows.machine import Admission, Birth, Effect, NamedClock, Speaker, State, Transition
from workflows.policy.public import SourceRow

STATES = (
    State(AWAITED, "待到", 1),
    State("submitted", "已登记", 2, ("accept",), anew=("accept",)),
    State("examining", "先行核实", 3, ("examine",)),
    State("accepted", "已受理", 4, ("response",), anew=("response",)),
    State("answered", "已答复", 5, ("call_back",)),
    State("revisited", "已回访", 6),
    State("settled", "办结", 7, terminal=True),
    State("reexamination", "复查", clocks=("reexamine",)),
    State("review", "复核", clocks=("recheck",)),
    State("rejected", "不予受理", terminal=True),
    State("withdrawn", "撤回", terminal=True),
)

TO_ANSWER = ("accepted", "reexamination", "review")
OPEN = ("submitted", "examining", *TO_ANSWER, "answered", "revisited")
OVER = ("settled", "rejected", "withdrawn")

TRANSITIONS = (
    Transition("petition.submitted", (AWAITED,), "submitted"),
    Transition("petition.accepted", ("submitted",), "examining", ("is_to_be_examined",)),
    Transition("petition.accepted", ("submitted",), "accepted"),
    Transition("petition.rejected", ("submitted", "examining"), "rejected"),
    Transition("petition.transferred", ("submitted", "accepted"), "submitted"),
    Transition("petition.examined", ("examining",), "accepted"),
    Transition("petition.attached", TO_ANSWER, "="),
    Transition(CASE_JOINED, (*OPEN, *OVER), "="),
    Transition(CASE_OVER, (*OPEN, *OVER), "="),
    Transition(UNSERVED, (*OPEN, *OVER), "="),
    Transition("petition.answered", TO_ANSWER, "answered"),
    Transition("petition.revisited", ("answered",), "accepted", ("begins_another_cycle",)),
    Transition("petition.revisited", ("answered",), "reexamination", ("goes_up_to_reexamination",)),
    Transition("petition.revisited", ("answered",), "review", ("goes_up_to_review",)),
    Transition("petition.revisited", ("answered",), "revisited"),
    Transition("petition.rewarded", (*TO_ANSWER, "answered", "revisited", "settled"), "="),
    Transition(CODE_GIVEN, (*OPEN, *OVER), "="),
    Transition("petition.ended", ("revisited",), "settled"),
    Transition("petition.withdrawn", ("submitted", "examining", *TO_ANSWER), "withdrawn"),
    Transition("petition.released", (*OPEN, *OVER), "="),
    Transition("case.reopened", ("settled",), "accepted"),
    Transition("extension.requested", TO_ANSWER, "="),
    Transition("extension.granted", TO_ANSWER, "="),
    Transition("extension.refused", TO_ANSWER, "="),
    Transition("case.deadline_ordered", OPEN, "="),
    Transition("case.acknowledged", OPEN, "="),
    Transition("case.urged", OPEN, "="),
    Transition("case.evidence_added", (*OPEN, *OVER), "="),
    Transition("case.commented", (*OPEN, *OVER), "="),
)


def is_to_be_examined(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The pack wants it to be looked at before it is worked on."""
    return kept_by(case).checked


# ---- how it begins ----------------------------------------------------------------------------------------

USUAL = "usual"
"""The lane of what has none, in figures."""
"""The kind of case that a petition bears."""
SOURCES = {"phone": Source.HOTLINE, "app": Source.PUBLIC, "online": Source.PUBLIC}
"""Who found a problem of which a petition by such a channel speaks; of any other one it is the petition (信访)."""


def begin(d: Decision, data: Submitted, own: str, home: str, nearby: Sequence[Case]) -> Refusal | None:
    """Tell by which way it came, and of which place it speaks."""
    register, at = d.register, d.judged(0)
    category = d.rules.categories.get(data.category)
    if category is None:
        return effects.unknown_code("data.category", "category")
    point = point_of(d.measured, register.options)
    grid = place_of(d, data, home)
    own = register.standing(own, at)
    mine = own in register.grids and register.home(own) == home
    # Who stands in a leaf hands in for the grid above it: a leaf answers nobody.
    reception = own if mine and register.grids[own].level <= register.options.partition_level else home
    refused = birth.refuse_grid(register, at, home, home, "subject")
    if grid not in register.grids or refused:
        return refused or effects.unknown_code("data.grid", "grid")
    source = source_of(d, data)
    if isinstance(source, Refusal):
        return source
    position = data.position if point is not None else None
    crs = (position.crs or register.options.crs or "WGS84") if position else ""
    d.tell(
        facts.Reported(
            definition=petition.PETITION.name,
            policy=d.rules.hash,
            category=category.code,
            group=category.group,
            source=SOURCES.get(data.channel, Source.PETITION),
            by=d.by,
            path=register.path(grid if register.home(grid) == home else reception),
            occurred=d.instant,
            judged=at,
            reference=data.reference or "",
            lon=position.lon if position else None,
            lat=position.lat if position else None,
            crs=crs,
            spot=point if crs in SHIFTED else None,
        )
    )
    effects.tell_evidence(d, data.evidence)
    d.tell(
        PetitionTaken(
            channel=data.channel,
            reception=reception,
            place=grid,
            via=source.code,
            lane=source.lane,
            checked=source.look_first,
            priority=source.priority,
            weight=source.weight,
            ladder=source.ladder,
            crs=crs,
            similar=similar(d, point, nearby),
        )
    )
    return None


def source_of(d: Decision, data: Submitted) -> SourceRow | Refusal:
    """The source of the pack by which it came: the one that is named, else the first of its channel. A pack without any
    handles all of them alike."""
    rows = d.rules.sources
    if data.via is None:
        of_channel = (row for row in rows.values() if row.channel == data.channel)
        return next(of_channel, SourceRow("", data.channel, "", ""))
    named = rows.get(data.via)
    if named is None:
        return effects.unknown_code("data.via", "source")
    if named.channel != data.channel:
        return Refusal(Reason.INVALID, "data.channel", f"that source is of channel {named.channel}")
    return named


def place_of(d: Decision, data: Submitted, home: str) -> str:
    """The grid of which it speaks: the one that was sent, else the leaf around the position, one of the home first,
    else the home."""
    register, at = d.register, d.judged(0)
    if data.grid is not None:
        return register.standing(data.grid, at)
    found = birth.leaves_around(register, at, point_of(d.measured, register.options))
    return next((code for code in found if register.home(code) == home), next(iter(found), home))


def give(d: Decision, data: Submitted, speaker: Speaker, state: str) -> Refusal | None:
    """Who has to answer: the department that was named, else the reception."""
    return give_to(d, None, data.department, "begun")


def give_to(d: Decision, to_grid: str | None, department: str | None, why: str) -> Refusal | None:
    """Let a grid answer, or a department; neither: the reception. It has it in hand from here on."""
    register, kept = d.register, kept_by(d.case)
    grid = register.standing(to_grid or kept.reception, d.arrival)
    if department is not None:
        refused = effects.check_department(d, department, "data.to_department" if why != "begun" else "data.department")
        if refused:
            return refused
        grid = register.standing(register.departments[department].grid, d.arrival)
    if grid not in register.grids:
        return effects.unknown_code("data.to_grid", "grid")
    level = register.grids[grid].level
    d.tell(PetitionGiven(unit=grid, level=level, department=department or ""))
    effects.assign(d, Owner(grid, level, department or ""), why)
    return None


# ---- what is said of it -----------------------------------------------------------------------------------


def transfer(d: Decision, data: Transferred, speaker: Speaker) -> Refusal | None:
    """Another one has to answer, and to take it on first."""
    if (data.to_grid is None) == (data.to_department is None):
        return Refusal(Reason.INVALID, "data", "give either to_grid or to_department")
    return give_to(d, data.to_grid, data.to_department, "transferred")


def accept(d: Decision, data: Accepted, speaker: Speaker) -> Refusal | None:
    """The unit takes it on; what is to be looked at first is worked on afterwards."""
    if data.alone and data.into is not None:
        return Refusal(Reason.INVALID, "data.into", "it asks for no work, so it names no case: leave one of them out")
    return None if data.alone or kept_by(d.case).checked else pass_on(d, data.into)


def release(d: Decision, data: Released, speaker: Speaker) -> Refusal | None:
    """Somebody has looked at it and says what of it the public may be shown."""
    d.tell(PetitionReleased(shows=tuple(dict.fromkeys(data.shows)), by=d.by))
    return None


def examine(d: Decision, data: Examined, speaker: Speaker) -> Refusal | None:
    """Whether there is anything in it, which is then worked on."""
    d.tell(PetitionExamined(outcome=data.outcome, by=d.by))
    effects.tell_evidence(d, data.evidence)
    return pass_on(d, data.into) if data.outcome == "confirmed" else None


def answer(d: Decision, data: Answered, speaker: Speaker) -> Refusal | None:
    """It is answered; the reception asks who asked."""
    kept, judged = kept_by(d.case), d.judged(d.case.judged)
    clocks = [clock for clock in d.case.clocks if clock.name in FULFILS["petition.answered"]]
    late = any(clock.due is not None and judged > clock.due for clock in clocks)
    lane = kept.lane or USUAL
    d.tell(PetitionAnswered(by=d.by, found=data.found, lane=lane, stage=kept.stage, late=late, token=d.token))
    for _ in range(kept.weight):
        d.tell(PetitionWeighed(late=late))
    if data.found == "true":
        propose_rewards(d)
    effects.tell_evidence(d, data.evidence)
    grid = d.register.standing(kept.reception, d.arrival)
    effects.assign(d, Owner(grid, d.register.grids[grid].level), "answered")
    return None


def give_code(d: Decision, data: CodeGiven, speaker: Speaker) -> Refusal | None:
    """Who asked may look up the answer by another code."""
    d.tell(PetitionCodeGiven(digest=data.digest))
    return None


CLOCKS = (
    NamedClock("accept", "受理", "accept"),
    NamedClock("examine", "先行核实", "examine"),
    NamedClock("response", "回复", "response"),
    NamedClock("reexamine", "复查", "re-examine"),
    NamedClock("recheck", "复核", "review again"),
    NamedClock("call_back", "回访", "call back"),
)

FULFILS = {
    "petition.accepted": ("accept",),
    "petition.rejected": ("accept", "examine"),
    "petition.examined": ("examine",),
    "petition.answered": ("response", "reexamine", "recheck"),
    "petition.revisited": ("call_back",),
    "petition.ended": (TOTAL,),
}


EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    **{trigger: effect for trigger, effect in EFFECTS_OF_PROPOSALS.items() if trigger in petition.PETITION.events},
    "petition.accepted": accept,
    "petition.attached": attach,
    CASE_JOINED: be_joined,
    CASE_OVER: hear_end,
    UNSERVED: be_untaken,
    "petition.rejected": effects.note("rejected"),
    "petition.transferred": transfer,
    "petition.examined": examine,
    "petition.answered": answer,
    "petition.revisited": revisit,
    "petition.rewarded": reward,
    CODE_GIVEN: give_code,
    "petition.ended": effects.note("ended"),
    "petition.withdrawn": effects.note("withdrawn"),
    "petition.released": release,
    "case.reopened": take_up_again,
}
ADMITS: dict[str, Admission] = {
    **ADMITS_OF_ANY,
    **{trigger: asks for trigger, asks in ADMITS_OF_PROPOSALS.items() if trigger in petition.PETITION.events},
    "petition.revisited": is_another,
    "petition.rewarded": has_a_reward,
    "case.reopened": may_take_up_again,
}

PETITION = define(
    petition.PETITION,
    "信访件",
    STATES,
    TRANSITIONS,
    (is_to_be_examined, begins_another_cycle, goes_up_to_reexamination, goes_up_to_review),
    births={"petition.submitted": Birth(begin, give, birth.report_keys, endless=True)},
    effects=EFFECTS,
    admits=ADMITS,
    clocks=CLOCKS,
    measures=MEASURES,
    sums=SUMS,
    ratios=RATIOS,
    sentences={
        PetitionTaken: "登记 taken in: {channel}",
        PetitionGiven: "交由 to be answered by {unit}",
        PetitionExamined: "先行核实 looked at: {outcome}",
        PetitionPassedOn: "交办 to be worked on in {case}",
        PetitionJoined: "关联 worked on in {case}: {state}",
        PetitionUntaken: "未能关联 cannot be worked on in {case}",
        PetitionCaseOver: "关联案件结束 the case in which it was worked on has ended: {case}, {state}",
        PetitionAnswered: "答复 answered: {found}",
        PetitionCodeGiven: "发放查询码 a code was given to look up the answer",
        PetitionWeighed: "按来源权重计 counted by the weight of its source",
        RewardProposed: "拟发奖励 a reward is proposed: {line}",
        RewardDecided: "奖励 reward: {line}, {outcome}",
        PetitionRevisited: "回访 asked afterwards: {outcome}",
        PetitionRaised: "提级 {stage}: {was} → {unit}",
        PetitionReleased: "公开 shown to the public: {shows}",
    },
    fulfils=FULFILS,
    listed="asked",
    identity=("petition.revisited", "petition.rewarded"),
)

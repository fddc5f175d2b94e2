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
from schemas.derived_ids import petitioned_subject
from schemas.envelope import is_subject
from schemas.kinds import incident, petition
from schemas.kinds.incident import (
    CASE_JOINED,
    CASE_OVER,
    PETITION_LEFT,
    PETITIONED,
    CaseJoined,
    CaseOver,
    Petitioned,
    PetitionLeft,
)
from schemas.kinds.petition import (
    CODE_GIVEN,
    LINES,
    Accepted,
    Answered,
    Attached,
    CodeGiven,
    Examined,
    Petition,
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
    PetitionWeighed,
    Released,
    Revisited,
    RewardDecided,
    Rewarded,
    RewardProposed,
    Submitted,
    Transferred,
)
from schemas.kinds.service_request import Reopened
from schemas.members import EventData, Source
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import birth, effects, holding, merging, petitioning, reopening, sla
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, ADMITS_OF_PROPOSALS, EFFECTS_OF_ANY, EFFECTS_OF_PROPOSALS
from workflows.definitions.incident import GOES_ON_IN
from workflows.duplicates import point_of, similar
from workflows.figures import Measure, Ratio, Sum
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


def kept_by(case: Case) -> Petition:
    """What a petition keeps of its own."""
    assert isinstance(case.own, Petition)
    return case.own


def next_stage(kept: Petition) -> str:
    """The stage to which it goes up from here; empty: none is left, or no level is above who has answered."""
    reached = kept.ladder.index(kept.stage) + 1 if kept.stage in kept.ladder else 0
    return next(iter(kept.ladder[reached:]), "") if kept.level > 1 else ""


def is_to_be_examined(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The pack wants it to be looked at before it is worked on."""
    return kept_by(case).checked


def begins_another_cycle(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Who asked is not satisfied, and its source has no ladder."""
    return isinstance(data, Revisited) and data.outcome == "dissatisfied" and not kept_by(case).ladder


def goes_up(case: Case, data: EventData) -> str:
    """The stage to which it goes up by what was said of the answer; empty: to none."""
    return next_stage(kept_by(case)) if isinstance(data, Revisited) and data.outcome == "dissatisfied" else ""


def goes_up_to_reexamination(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Who asked is not satisfied, and the grid above re-examines (复查)."""
    return goes_up(case, data) == "reexamination"


def goes_up_to_review(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Who asked is not satisfied, and the grid above reviews (复核)."""
    return goes_up(case, data) == "review"


# ---- how it begins ----------------------------------------------------------------------------------------

USUAL = "usual"
"""The lane of what has none, in figures."""
WORK = incident.INCIDENT.name
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


def attach(d: Decision, data: Attached, speaker: Speaker) -> Refusal | None:
    """Its work is done in another case."""
    return pass_on(d, data.into)


def pass_on(d: Decision, into: str | None) -> Refusal | None:
    """Let its work be done: in a case that is named, else in that in which it is done already, else in a similar open
    one, else in an incident that it bears."""
    kept = kept_by(d.case)
    if into is not None:
        refused = refuse_case(d, into)
        if refused or into in (kept.case, kept.asked):
            return refused
    elif kept.case or kept.asked:
        return None
    found = into or next((id_ for id_ in kept.similar if is_open_with_room(d.find(id_))), "")
    if kept.case or kept.asked:
        d.send(kept.case or kept.asked, PETITION_LEFT, PetitionLeft(petition=d.case.id))
    place = d.register.standing(kept.place, d.arrival)
    to = found or petitioned_subject(d.case.id, d.register.home(place))
    said = Petitioned(
        petition=d.case.id,
        category=d.case.category,
        source=Source(d.case.source),
        grid=place,
        by=d.case.by,
        lon=d.case.lon,
        lat=d.case.lat,
        crs=kept.crs,
        spot=d.case.spot,
    )
    d.tell(PetitionPassedOn(case=to, borne=not found))
    d.send(to, PETITIONED, said, bears="" if found else WORK)
    return None


def refuse_case(d: Decision, id_: str) -> Refusal | None:
    """Why its work cannot be done in a case that is named; of other homes that is known only when they answer."""
    if not is_subject(id_) or id_ == d.case.id:
        return Refusal(Reason.INVALID, "data.into", "must be the id of the case in which it is worked on")
    if home_of(id_) != home_of(d.case.id):
        return None
    case = merging.survivor_of(id_, d.find)
    if case is None or case.definition not in GOES_ON_IN:
        detail = f"no case of this id is worked on: name one of {', '.join(GOES_ON_IN)}"
        return Refusal(Reason.IMPOSSIBLE, "data.into", detail)
    if petitioning.room_in(case) < 1:
        detail = f"{petitioning.MOST_WAITING} cases and petitions wait for that case: name another one"
        return Refusal(Reason.OVER_LIMIT, "data.into", detail)
    return None


def is_open_with_room(case: Case | None) -> bool:
    """Whether a case is open and takes one petition more."""
    return case is not None and case.opened > 0 and case.closed is None and petitioning.room_in(case) > 0


def be_joined(d: Decision, data: CaseJoined, speaker: Speaker) -> Refusal | None:
    """The case has answered, and takes it, or takes no more."""
    d.tell(PetitionJoined(case=data.case, state=data.state, before=data.before, over=data.over, crowded=data.crowded))
    return None


def hear_end(d: Decision, data: CaseOver, speaker: Speaker) -> Refusal | None:
    """The case in which its work is done has ended."""
    d.tell(PetitionCaseOver(case=data.case, state=data.state))
    return None


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


def propose_rewards(d: Decision) -> None:
    """Of each line of which none is proposed yet, the reward of the pack that fits best."""
    case, proposed = d.case, {reward.line for reward in kept_by(d.case).rewards}
    for line in LINES:
        rows = [row for row in d.rules.pack.rewards if row.line == line]
        fitting = [row for row in rows if row.category in ("", case.category) and row.group in ("", case.group)]
        if fitting and line not in proposed:
            row = max(fitting, key=lambda row: (bool(row.category), bool(row.group)))
            d.tell(RewardProposed(reward=row.code, line=line, amount_fen=row.amount_fen))


def reward(d: Decision, data: Rewarded, speaker: Speaker) -> Refusal | None:
    """A reward is paid or refused, once."""
    found = next((each for each in kept_by(d.case).rewards if each.line == data.line and not each.outcome), None)
    if found is None:
        return Refusal(Reason.IMPOSSIBLE, "data.line", "no reward of this line is proposed, or it is decided already")
    document, amount = data.document or "", found.amount_fen
    d.tell(RewardDecided(line=found.line, outcome=data.outcome, amount_fen=amount, by=d.by, document=document))
    return None


def give_code(d: Decision, data: CodeGiven, speaker: Speaker) -> Refusal | None:
    """Who asked may look up the answer by another code."""
    d.tell(PetitionCodeGiven(digest=data.digest))
    return None


def has_a_reward(d: Decision, speaker: Speaker) -> Refusal | None:
    """Some reward is proposed, and nobody has decided it."""
    if any(not each.outcome for each in kept_by(d.case).rewards):
        return None
    return Refusal(Reason.IMPOSSIBLE, "type", "no reward is proposed for it that nobody has decided")


def revisit(d: Decision, data: Revisited, speaker: Speaker) -> Refusal | None:
    """Tell what who asked says, and let who is not satisfied get another answer."""
    kept, stage = kept_by(d.case), goes_up(d.case, data)
    again = begins_another_cycle(d.case, data, speaker)
    d.tell(PetitionRevisited(outcome=data.outcome, by=d.by, stage=kept.stage))
    if not again and not stage:
        return None
    was = d.register.standing(kept.unit, d.arrival)
    if stage:
        above = d.register.path(was)[-2:-1]
        unit = Owner(next(iter(above), was), len(d.register.path(was)) - len(above))
        d.tell(PetitionRaised(stage=stage, unit=unit.grid, level=unit.level, was=was))
    else:
        unit = Owner(was, kept.level, kept.department)
    effects.assign(d, unit, "raised" if stage else "again")
    holding.hold(d, "owner")  # told before the clocks end: whose they were is not who goes on
    for clock in d.case.clocks:
        if clock.name != TOTAL:
            sla.stop(d, clock)
    cycle = d.case.cycle + 1
    looped = cycle >= d.rules.options.loop_alarm and not stage
    d.tell(facts.Reworked(cycle=cycle, looped=looped))
    if looped:
        effects.alarm_loop(d)
    return None


def take_up_again(d: Decision, data: Reopened, speaker: Speaker) -> Refusal | None:
    """The unit that had answered has it again, in another cycle."""
    kept = kept_by(d.case)
    grid = d.register.standing(kept.unit, d.arrival)
    effects.assign(d, Owner(grid, kept.level, kept.department), "again")
    return reopening.reopen(d, data, speaker)


def may_take_up_again(d: Decision, speaker: Speaker) -> Refusal | None:
    """Its source has no ladder: of others the answer of the last stage is final."""
    if not kept_by(d.case).ladder:
        return None
    detail = "a petition of this source goes up a level when it is revisited; once ended it is final: take in a new one"
    return Refusal(Reason.IMPOSSIBLE, "type", detail)


def is_another(d: Decision, speaker: Speaker) -> Refusal | None:
    """Nobody asks about his own answer."""
    if speaker.post != kept_by(d.case).by:
        return None
    return Refusal(Reason.FORBIDDEN, "actor", "who has answered does not ask about the answer: another post does")


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

MEASURES = (
    Measure("petitions", PetitionTaken, per="channel", zh="登记的信访件", en="petitions taken in", better="lower"),
    Measure("petition_answers", PetitionAnswered, zh="信访答复的次数", en="answers to petitions"),
    Measure(
        "petition_answers_late",
        PetitionAnswered,
        where=(("late", True),),
        zh="逾期的信访答复",
        en="answers to petitions that came late",
        better="lower",
    ),
    Measure("petition_answers_by_lane", PetitionAnswered, per="lane", zh="各通道的答复", en="answers by lane"),
    Measure(
        "petition_answers_weighed", PetitionWeighed, zh="加权答复（网络留言等加倍）", en="answers as sources weigh"
    ),
    Measure(
        "petition_answers_late_weighed",
        PetitionWeighed,
        where=(("late", True),),
        zh="加权逾期答复",
        en="late answers as their sources weigh",
        better="lower",
    ),
    Measure(
        "petitions_joined",
        PetitionJoined,
        where=(("crowded", False),),
        zh="已关联案件的信访件",
        en="petitions with a case",
    ),
    Measure(
        "petitions_found_before",
        PetitionJoined,
        where=(("before", True),),
        zh="投诉之前已自行发现的信访件",
        en="petitions about what we had found before",
        better="higher",
    ),
    Measure(
        "rewards_paid", RewardDecided, per="line", where=(("outcome", "paid"),), zh="发放的奖励", en="rewards paid"
    ),
    Measure("revisits", PetitionRevisited, per="outcome", zh="回访的结果", en="what petitioners said of answers"),
    Measure(
        "petitions_raised",
        PetitionRaised,
        per="stage",
        zh="提级复查复核的信访件",
        en="petitions that went up a stage",
        better="lower",
    ),
)
SUMS = (
    Sum("answered", "答复", "answered", ("petition_answers",)),
    Sum("answered_in_time", "按期答复", "answered in time", ("petition_answers",), ("petition_answers_late",)),
    Sum(
        "weighed_in_time",
        "加权按期答复",
        "answered in time, weighed",
        ("petition_answers_weighed",),
        ("petition_answers_late_weighed",),
    ),
    Sum("found_before", "自行发现在先", "found before", ("petitions_found_before",)),
    Sum(
        "asked",
        "回访评价",
        "asked and reached",
        ("revisits:satisfied", "revisits:dissatisfied", "revisits:leaves_it"),
    ),
    Sum("content", "满意", "satisfied", ("revisits:satisfied",)),
)
RATIOS = (
    Ratio("in_time_rate", "按期答复率", "answered in time", "answered_in_time", Sum("", "", "", ("answered",))),
    Ratio(
        "weighed_in_time_rate",
        "加权按期答复率",
        "answered in time, weighed",
        "weighed_in_time",
        Sum("", "", "", ("petition_answers_weighed",)),
    ),
    Ratio(
        "found_before_rate",
        "自行发现在先率",
        "found by ourselves before complained of",
        "found_before",
        Sum("", "", "", ("petitions_joined",)),
    ),
    Ratio(
        "satisfaction_rate",
        "答复满意率",
        "satisfied with the answer",
        "content",
        Sum("", "", "", ("asked",)),
    ),
)

EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    **{trigger: effect for trigger, effect in EFFECTS_OF_PROPOSALS.items() if trigger in petition.PETITION.events},
    "petition.accepted": accept,
    "petition.attached": attach,
    CASE_JOINED: be_joined,
    CASE_OVER: hear_end,
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

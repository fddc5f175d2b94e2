"""The ladder of a petition (复查, 复核): who is not satisfied gets another answer, in another cycle or a stage up.

Where the source has no ladder the same unit answers again; where it has one the petition goes up a stage, to the grid
above the unit, until the last one.
"""

from schemas import facts
from schemas.kinds.petition import Petition, PetitionRaised, PetitionRevisited, Revisited
from schemas.kinds.service_request import Reopened
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import effects, holding, reopening, sla
from workflows.case import TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.machine import Speaker


def kept_by(case: Case) -> Petition:
    """What a petition keeps of its own."""
    assert isinstance(case.own, Petition)
    return case.own


def next_stage(kept: Petition) -> str:
    """The stage to which it goes up from here; empty: none is left, or no level is above who has answered."""
    reached = kept.ladder.index(kept.stage) + 1 if kept.stage in kept.ladder else 0
    return next(iter(kept.ladder[reached:]), "") if kept.level > 1 else ""


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

"""Barring a case from its end: a listed supervision (挂牌督办) holds it open until it is cleared (M79, M118).

The hold bars every ending but a merge, with which it passes on to the survivor. The clock for closing stands still
meanwhile, since nobody may close; the clock of the whole case runs on.
"""

from collections.abc import Iterable

from schemas import facts
from schemas.kinds import incident
from schemas.refusals import Reason, Refusal
from workflows import sla
from workflows.decision import Decision
from workflows.machine import Admission, Effect, Speaker, State


def place(states: Iterable[State]) -> Effect:
    """An effect by which a supervision bars the case, in a kind with these states."""
    barred = {state.name: state.barred for state in states}

    def effect(d: Decision, data: incident.HoldPlaced, speaker: Speaker) -> Refusal | None:
        d.tell(facts.HoldPlaced(by=data.by))
        if d.case.merged_into:
            d.send(d.case.merged_into, incident.HOLD_PLACED, data)
        for clock in d.case.clocks:
            if clock.name in barred[d.case.state]:
                sla.pause(d, clock)
        return None

    return effect


def lift(states: Iterable[State]) -> Effect:
    """An effect by which a supervision bars the case no more."""
    barred = {state.name: state.barred for state in states}

    def effect(d: Decision, data: incident.HoldLifted, speaker: Speaker) -> Refusal | None:
        d.tell(facts.HoldLifted(by=data.by))
        if d.case.merged_into:
            d.send(d.case.merged_into, incident.HOLD_LIFTED, data)
        for clock in d.case.clocks if not d.case.holds else ():
            if clock.name in barred[d.case.state]:
                sla.resume(d, clock)
        return None

    return effect


def pass_on(d: Decision, survivor: str) -> None:
    """The case goes on in another one: what bars it bars that one."""
    for by in d.case.holds:
        d.tell(facts.HoldLifted(by=by))
        d.send(survivor, incident.HOLD_PLACED, incident.HoldPlaced(by=by))


def no_hold(d: Decision, speaker: Speaker) -> Refusal | None:
    """No supervision bars the case from ending."""
    if not d.case.holds:
        return None
    listed = ", ".join(d.case.holds)
    detail = f"it is listed (挂牌督办) and does not end before that is cleared: {listed}"
    return Refusal(Reason.IMPOSSIBLE, "type", detail)


def all_of(*admissions: Admission) -> Admission:
    """What several admissions ask for together."""
    return lambda d, speaker: next((why for each in admissions if (why := each(d, speaker))), None)

"""Taking up again a case that was closed (重办): who was asked afterwards is not satisfied.

1. It goes back to who is responsible for it, in a new cycle: what belongs to a cycle begins anew, as after a check that
   found it unsolved.
2. The clock of the whole case goes on with what was left: for as long as the case was over it did not run. What it had
   missed stays missed, and is one miss.
3. It has ended once, whatever came before: figures count the end that stands.
4. What was said of the cycle that is over does no work in the new one.
"""

from schemas import facts
from schemas.kinds.service_request import Reopened
from schemas.refusals import Reason, Refusal
from workflows import effects, sla
from workflows.decision import Decision
from workflows.machine import Definition, Speaker


def reopen(d: Decision, data: Reopened, speaker: Speaker) -> Refusal | None:
    """Begin another cycle, in which the clock of the whole case goes on."""
    case, ended = d.case, d.case.ended
    assert ended is not None, "a case of a kind that reopens keeps its clock beyond its end"
    cycle = case.cycle + 1
    looped = cycle >= d.rules.options.loop_alarm
    d.tell(facts.Reopened(cycle=cycle, reason=data.reason, by=d.by, judged=d.judged(case.judged), looped=looped))
    sla.go_on(d, ended)
    if looped:
        effects.alarm_loop(d)
    return None


def refuse_earlier(d: Decision, definition: Definition, trigger: str, dest: str) -> Refusal | None:
    """Why an act does no work in a cycle that began after it: its sender was offline when the case was taken up again.
    What is only a remark is taken."""
    works = dest != "=" or definition.fulfils.get(trigger)
    if not works or d.instant >= d.case.reopened:
        return None
    detail = "the case has been taken up again since, in another cycle: say it again if it still holds"
    return Refusal(Reason.EXPIRED, "time", detail)

"""What who holds a case asks for, and somebody above decides (申请与批准): more time for a clock, or to put it aside.

1. Asking moves nothing: the clock runs on, and lapses if nobody decides in time. More time is asked for before the
   deadline: what was missed stays missed.
2. Nobody decides what he asked for himself, nor does anybody of the same hands but their chief, nor anybody below.
3. What is decided takes effect when it is decided, as an order does. A longer deadline is granted as it was asked for,
   or another one.
4. A proposal ends with what it was about: with its clock or that clock's deadline, when another takes the case over,
   when the work is done or put aside, with the case. One of the same kind, and of the same clock, replaces it.
"""

from schemas import facts
from schemas.envelope import to_ms
from schemas.proposals import (
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    SuspensionGranted,
    SuspensionRefused,
    SuspensionRequested,
)
from schemas.refusals import Reason, Refusal
from workflows import sla
from workflows.case import Proposal
from workflows.clocks.limits import limit_text, parse_limit
from workflows.decision import Decision
from workflows.effects import parse_ordered, refuse_past, running
from workflows.machine import Speaker

EXTENSION, SUSPENSION = "extension", "suspension"


def ask_extension(d: Decision, data: ExtensionRequested, speaker: Speaker) -> Refusal | None:
    """Ask for a later deadline of a clock whose deadline has not passed."""
    limit = parse_ordered(data.limit, "data.limit")
    if isinstance(limit, Refusal):
        return limit
    if (limit is None) == (data.due is None):
        return Refusal(Reason.INVALID, "data", "give either due or limit")
    clock = running(d, data.clock)
    if isinstance(clock, Refusal):
        return clock
    judged = d.judged(clock.judged)
    if clock.due is None:
        return Refusal(Reason.IMPOSSIBLE, "data.clock", "this clock has no deadline that could be put off")
    if clock.breached or judged > clock.due:
        return Refusal(Reason.IMPOSSIBLE, "data.clock", "its deadline has passed: more time is asked for before it")
    due = to_ms(data.due) if data.due else None
    wanted, field = (due, "data.due") if limit is None else (sla.deadline_under(d, clock, limit), "data.limit")
    if wanted is not None and wanted <= clock.due:
        return Refusal(Reason.INVALID, field, "must lead to a later deadline than the present one")
    d.tell(
        facts.Proposed(
            what=EXTENSION,
            by=d.by,
            reason=data.reason,
            judged=judged,
            clock=clock.name,
            level=clock.level,
            due=due,
            limit=limit_text(limit) if limit is not None else "",
        )
    )
    return None


def grant_extension(d: Decision, data: ExtensionGranted, speaker: Speaker) -> Refusal | None:
    """Give the clock the deadline that was asked for, or another one."""
    limit = parse_ordered(data.limit, "data.limit")
    if isinstance(limit, Refusal):
        return limit
    if limit is not None and data.due is not None:
        return Refusal(Reason.INVALID, "data", "give due or limit, not both; neither: as it was asked for")
    made = open_proposal(d, speaker, EXTENSION, data.clock)
    if isinstance(made, Refusal):
        return made
    due = to_ms(data.due) if data.due else None
    if limit is None and due is None:
        limit, due = parse_limit(made.limit) if made.limit else None, made.due
    clock = running(d, data.clock, made.level)
    if isinstance(clock, Refusal):
        return clock
    refused = refuse_past(d, due, d.judged(clock.judged))
    if refused:
        return refused
    d.tell(facts.ProposalDecided(what=EXTENSION, granted=True, by=d.by, clock=clock.name, level=clock.level))
    sla.retarget(d, clock, due=due, limit=limit, why="ordered")
    return None


def refuse_extension(d: Decision, data: ExtensionRefused, speaker: Speaker) -> Refusal | None:
    """The deadline stays."""
    return _refuse(d, speaker, EXTENSION, data.clock)


def ask_suspension(d: Decision, data: SuspensionRequested, speaker: Speaker) -> Refusal | None:
    """Ask that the case be put aside."""
    until = to_ms(data.until) if data.until else None
    if until is not None and until <= d.arrival:
        return Refusal(Reason.INVALID, "data.until", "must lie in the future")
    judged = d.judged(d.case.judged)
    d.tell(facts.Proposed(what=SUSPENSION, by=d.by, reason=data.reason, judged=judged, until=until))
    return None


def grant_suspension(d: Decision, data: SuspensionGranted, speaker: Speaker) -> Refusal | None:
    """Put the case aside, for the reason that was given."""
    made = open_proposal(d, speaker, SUSPENSION)
    if isinstance(made, Refusal):
        return made
    until = to_ms(data.until) if data.until else made.until
    if until is not None and until <= d.arrival:
        return Refusal(Reason.INVALID, "data.until", "the instant has passed: name a later one")
    d.tell(facts.ProposalDecided(what=SUSPENSION, granted=True, by=d.by))
    d.tell(facts.Suspended(reason=made.reason, was=d.case.state, until=until))
    return None


def refuse_suspension(d: Decision, data: SuspensionRefused, speaker: Speaker) -> Refusal | None:
    """The work goes on."""
    return _refuse(d, speaker, SUSPENSION)


def _refuse(d: Decision, speaker: Speaker, what: str, clock: str = "") -> Refusal | None:
    made = open_proposal(d, speaker, what, clock)
    if isinstance(made, Refusal):
        return made
    d.tell(facts.ProposalDecided(what=what, granted=False, by=d.by, clock=made.clock, level=made.level))
    return None


def may_decide_extension(d: Decision, speaker: Speaker) -> Refusal | None:
    """Somebody below has asked for more time."""
    return _refused(d, speaker, EXTENSION)


def may_decide_suspension(d: Decision, speaker: Speaker) -> Refusal | None:
    """Somebody below has asked that the case be put aside."""
    return _refused(d, speaker, SUSPENSION)


def may_ask_extension(d: Decision, speaker: Speaker) -> Refusal | None:
    """Some clock of the case has a deadline that has not passed."""
    for clock in d.case.clocks:
        if clock.due is not None and not clock.breached and d.judged(clock.judged) <= clock.due:
            return None
    return Refusal(Reason.IMPOSSIBLE, "type", "no clock of this case has a deadline ahead that could be put off")


def _refused(d: Decision, speaker: Speaker, what: str) -> Refusal | None:
    """Why the speaker may decide nothing that was asked for; None if it may decide some of it."""
    clocks = [made.clock for made in d.case.proposals if made.what == what] or [""]
    found = [open_proposal(d, speaker, what, clock) for clock in clocks]
    refusals = [each for each in found if isinstance(each, Refusal)]
    return refusals[0] if len(refusals) == len(found) else None


def open_proposal(d: Decision, speaker: Speaker, what: str, clock: str = "") -> Proposal | Refusal:
    """What was asked for and may be decided by the speaker."""
    made = d.case.proposal(what, clock)
    if made is None:
        field = "data.clock" if clock else "type"
        return Refusal(Reason.IMPOSSIBLE, field, f"no {what} is asked for, or what was asked for has been overtaken")
    asker = d.register.posts.get(made.by)
    if speaker.post == made.by:
        return Refusal(Reason.FORBIDDEN, "actor", "who asked for it does not decide it")
    if asker is None:
        return made
    grid = d.register.grids.get(asker.grid)
    beside = (asker.grid, asker.department) == (speaker.grid, speaker.department)
    below = grid is not None and speaker.level > grid.level
    if below or (beside and (speaker.role != "chief" or asker.role == "chief")):
        return Refusal(Reason.FORBIDDEN, "actor", f"it is decided above post {asker.code}, which asked for it")
    return made

"""The only thing that changes a case: `evolve(case, fact) -> case`. Pure.

Deciding, recovery and verification all use it, so a case is the sum of its facts. Instants are milliseconds UTC.
"""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from schemas import facts
from schemas.kinds import KINDS
from schemas.members import Fact, OwnFact
from workflows import clock_facts
from workflows.case import MOST_HOLDINGS, Case, Holding, Owner, Proposal, Waiting, copied


def evolve(case: Case, fact: Fact) -> Case:
    """The case after a fact. The given one stays as it was."""
    after = copied(case)
    apply(after, fact)
    return after


def apply(case: Case, fact: Fact) -> None:
    """`evolve` in place, for the owner of a private copy. Values inside a case are replaced, never changed."""
    handler = HANDLERS.get(type(fact))
    if handler is not None:
        handler(case, fact)


def _reported(case: Case, fact: facts.Reported) -> None:
    case.definition, case.policy, case.source, case.by, case.path = (
        fact.definition,
        fact.policy,
        fact.source,
        fact.by,
        fact.path,
    )
    case.category, case.group, case.touches, case.unit = fact.category, fact.group, fact.touches, fact.unit
    case.lon, case.lat, case.spot, case.key, case.site = fact.lon, fact.lat, fact.spot, fact.key, fact.site
    case.reference, case.listed, case.about = fact.reference, fact.listed, fact.about
    case.opened = case.judged = fact.judged


def _born(case: Case, fact: facts.Born) -> None:
    case.definition, case.policy, case.by, case.path = fact.definition, fact.policy, fact.by, fact.path
    case.about, case.category, case.group = fact.about, fact.category, fact.group
    case.reference, case.key, case.post = fact.reference, fact.key, fact.post
    case.opened = case.judged = fact.judged
    if fact.post:  # nobody is assigned the work of a post: it is its grid's
        case.owner = Owner(fact.path[-1], len(fact.path))


def _kept(case: Case, fact: OwnFact) -> None:
    case.own = fact.keep(case.own)


def _moved(case: Case, fact: facts.Moved) -> None:
    case.state, case.judged = fact.state, fact.judged
    if case.suspended_from not in ("", fact.was):  # any move but the one into it ends a suspension
        case.suspended_from, case.suspended_until = "", None


def _assigned(case: Case, fact: facts.Assigned) -> None:
    if fact.why == "returned":
        case.trail = case.trail[:-1]
    elif case.owner.grid and fact.why != "rework":  # a new cycle has no earlier owners
        case.trail = (*case.trail, case.owner)[-16:]
    case.owner = Owner(fact.grid, fact.level, fact.department)
    case.assisting, case.proposals = (), ()  # whoever has the work now asks anew


def _regridded(case: Case, fact: facts.Regridded) -> None:
    instead = dict(fact.grids)
    touches = (instead.get(code, code) for code in case.touches)
    case.path = fact.path
    case.own = case.own.regridded(instead) if case.own is not None else None
    case.touches = tuple(code for code in dict.fromkeys(touches) if code != fact.path[-1])
    case.trail = tuple(structs.replace(owner, grid=instead.get(owner.grid, owner.grid)) for owner in case.trail)
    case.owner = structs.replace(case.owner, grid=instead.get(case.owner.grid, case.owner.grid))


def _assisting(case: Case, fact: facts.Assisting) -> None:
    case.assisting = fact.units


def _handled(case: Case, fact: facts.Handled) -> None:
    case.checks, case.handled_by, case.passed, case.proposals = fact.checks, fact.by, (), ()


def _checked(case: Case, fact: facts.Checked) -> None:
    case.checks = tuple(level for level in case.checks if level != fact.level)


def _turn_passed(case: Case, fact: facts.TurnPassed) -> None:
    case.passed = (*case.passed, fact.level)


def _held(case: Case, fact: facts.Held) -> None:
    holdings = (*case.holdings, Holding(fact.since, fact.unit))
    if len(holdings) > MOST_HOLDINGS:  # the first two count as the second
        holdings = (Holding(holdings[0].since, holdings[1].unit), *holdings[2:])
    case.holdings = holdings


def _reopened(case: Case, fact: facts.Reopened) -> None:
    _new_cycle(case, fact)
    case.closed, case.ended, case.reopened, case.root_cause = None, None, fact.judged, ""


def _labelled(case: Case, fact: facts.CampaignNamed | facts.RootCauseFound) -> None:
    if isinstance(fact, facts.RootCauseFound):
        case.root_cause = fact.root_cause
    elif not fact.remark:
        case.campaign = fact.campaign


def _new_cycle(case: Case, fact: facts.Reworked | facts.Reopened) -> None:
    case.cycle, case.checks, case.handled_by = fact.cycle, (), ""
    case.trail, case.targets, case.passed, case.ledger, case.missed = (), (), (), (), ()


def _suspended(case: Case, fact: facts.Suspended) -> None:
    case.suspended_from, case.suspended_until, case.proposals = fact.was, fact.until, ()


def _resumed(case: Case, fact: facts.Resumed) -> None:
    case.suspended_from, case.suspended_until = "", None


def _proposed(case: Case, fact: facts.Proposed) -> None:
    made = Proposal(
        fact.what, fact.by, fact.reason, fact.judged, fact.clock, fact.level, fact.due, fact.limit, fact.until
    )
    case.proposals = (*_undecided(case, fact), made)


def _proposal_decided(case: Case, fact: facts.ProposalDecided) -> None:
    case.proposals = _undecided(case, fact)


def _undecided(case: Case, fact: facts.Proposed | facts.ProposalDecided) -> tuple[Proposal, ...]:
    key = fact.what, fact.clock, fact.level
    return tuple(each for each in case.proposals if (each.what, each.clock, each.level) != key)


def _linked(case: Case, fact: facts.Linked) -> None:
    # What went on in it, or waits for it, goes on elsewhere, too.
    case.merged_into, case.absorbed, case.petitions = fact.into, (), ()


def _absorbed(case: Case, fact: facts.Absorbed) -> None:
    if not case.merged_into:
        case.absorbed = (*case.absorbed, *(id_ for id_ in fact.cases if id_ not in case.absorbed))
        case.petitions = (*case.petitions, *(id_ for id_ in fact.petitions if id_ not in case.petitions))


def _petitioned(case: Case, fact: facts.Petitioned | facts.PetitionLeft) -> None:
    others = tuple(id_ for id_ in case.petitions if id_ != fact.petition)
    joins = isinstance(fact, facts.Petitioned) and not fact.crowded and not case.merged_into
    case.petitions = (*others, fact.petition) if joins else others


def _barred(case: Case, fact: facts.HoldPlaced | facts.HoldLifted) -> None:
    others = tuple(by for by in case.holds if by != fact.by)
    placed = isinstance(fact, facts.HoldPlaced) and not case.merged_into
    case.holds = (*others, fact.by) if placed else others


def _parked(case: Case, fact: facts.Parked) -> None:
    waiting = Waiting(fact.arrival, fact.until, fact.source, fact.id, fact.type, fact.event)
    case.parked = (*case.parked, waiting)


def _unparked(case: Case, fact: facts.Unparked) -> None:
    case.parked = tuple(
        w for w in case.parked if (w.source, w.id) != (fact.source, fact.id) or (fact.actor and w.actor != fact.actor)
    )


def _quarantined(case: Case, fact: facts.Quarantined) -> None:
    case.quarantined = fact.on


HANDLERS: dict[type[Fact], Callable[[Case, Any], None]] = {
    **clock_facts.HANDLERS,
    facts.Reported: _reported,
    facts.Born: _born,
    facts.Moved: _moved,
    facts.Assigned: _assigned,
    facts.Regridded: _regridded,
    facts.Assisting: _assisting,
    facts.Handled: _handled,
    facts.Checked: _checked,
    facts.TurnPassed: _turn_passed,
    facts.Held: _held,
    facts.Reworked: _new_cycle,
    facts.Reopened: _reopened,
    facts.RootCauseFound: _labelled,
    facts.CampaignNamed: _labelled,
    facts.Suspended: _suspended,
    facts.Resumed: _resumed,
    facts.Proposed: _proposed,
    facts.ProposalDecided: _proposal_decided,
    facts.Linked: _linked,
    facts.Absorbed: _absorbed,
    facts.Petitioned: _petitioned,
    facts.PetitionLeft: _petitioned,
    facts.HoldPlaced: _barred,
    facts.HoldLifted: _barred,
    facts.Parked: _parked,
    facts.Unparked: _unparked,
    facts.Quarantined: _quarantined,
    **{fact: _kept for kind in KINDS for fact in kind.facts if issubclass(fact, OwnFact)},
}
"""A fact without an entry changes nothing in the case: it is history."""

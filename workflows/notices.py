"""Who is told of a step (告知): of work that arrives, of copies, of what was decided, of how it ended.

1. What a step means follows from its facts and from what the definition declares of its states. The pack says whom each
   of these moves tells, in its table `notices`. A pack without that table tells nobody.
2. A post is told of a step once, in its first word of `MOVES`. Nobody is told of what he did himself, no machine and no
   vacant post of anything.
3. Notices wait for the end of the quiet hours, as alerts do. Urging does not wait, nor does work for who must act while
   a clock of the case runs whose alerts do not wait.
4. Who reported the case is told at once that it is over, and of what it may act on; of the rest once a day. Of a case
   that goes on in another one it is told the other's ending as well.
"""

from schemas import facts
from schemas.kinds.petition import PetitionCaseOver
from schemas.kinds.supervision import Supervision, SupervisionContested, SupervisionServed
from schemas.members import Fact, Own
from workflows import exemptions, holding, routing, sla
from workflows.clocks.limits import DAY_MS
from workflows.decision import Decision
from workflows.definitions import DEFINITIONS
from workflows.policy.moves import ASKED, MEANS, MOVES, PUBLISHED, TO_ACT


def give(d: Decision) -> None:
    """Tell who is told of a decision that is made."""
    case, register, told = d.case, d.register, d.told
    words_of, telling, reported = d.rules.notices(case.definition, case.category)
    if telling.isdisjoint(told):
        return
    plain = SPECIAL.isdisjoint(told) and not is_public(case.own)
    moves = [move for move in (plain_meaning(d) if plain else meaning(d)) if move in words_of]
    if not moves:
        return
    # Of an exemption the reporter hears nothing: it is between a unit and those above it.
    asking = None if plain else exemptions.told_to(d)
    office = None if plain else office_asked(d)
    unit = asking or office or holding.present(case, register)
    known, reporter = {d.mover}, case.by
    reported = reported if asking is None else frozenset()
    elsewhere = facts.SurvivorEnded in told  # who worked on the case that went on hears of it there
    for move in moves:
        words = words_of[move] if not elsewhere else ()
        found = routing.recipients(words, case, register, d.arrival, unit, told.get(facts.Copied)) if words else ()
        if move in reported and reporter not in known and reporter not in found and hears_at_once(d, unit):
            found = (*found, reporter)
        posts = [code for code in found if code not in known and code not in register.machines]
        if posts:
            d.tell(facts.NoticeGiven(on=move, to=tuple(posts), not_before=waits_until(d, move)))
            known.update(posts)
    if reporter not in known and not reported.isdisjoint(moves) and hears(d, reporter):
        daily = next(move for move in moves if move in reported)
        d.tell(facts.NoticeGiven(on=daily, to=(reporter,), not_before=daily_instant(d), daily=True))


def office_asked(d: Decision) -> facts.Unit | None:
    """The office that is asked whether a supervision stands, whoever has it in hand; None: none is."""
    contested = d.told.get(SupervisionContested)
    return facts.Unit(f"/{'/'.join(d.register.path(contested.office))}/") if contested is not None else None


SPECIAL: frozenset[type[Fact]] = frozenset(fact for found in MEANS.values() for fact in found) - {
    facts.Assigned,
    facts.Copied,
    facts.Held,
    facts.Moved,
} | {facts.Linked, facts.Noted}
"""The facts of which a step means more than that the case goes on its way, or that somebody else has it."""


def plain_meaning(d: Decision) -> list[str]:
    """`meaning` where a decision has no fact of `SPECIAL`, and the case is not told in public."""
    states, told = DEFINITIONS[d.case.definition].states, d.told
    was, now = states[d.origin.state], states[d.case.state]
    moved, assigned = facts.Moved in told, told.get(facts.Assigned)
    found = "moved" if was is not now else ""
    if moved and now.terminal:
        found = "ended"
    elif assigned is not None and assigned.why == "reassigned":
        found = "reassigned"
    elif facts.Held in told or (moved and was.hands != now.hands):
        found = "check" if now.hands == "check" else "assigned"
    if facts.Copied not in told:
        return [found] if found else []
    return ["copied", "moved"] if found == "moved" else [found, "copied"] if found else ["copied"]


def meaning(d: Decision) -> list[str]:
    """What the facts of a decision mean, in the order of `MOVES`."""
    states, told, found = DEFINITIONS[d.case.definition].states, d.told, set[str]()
    was, now = states[d.origin.state], states[d.case.state]
    moved = facts.Moved in told
    if moved and now.terminal:
        noted = told.get(facts.Noted)
        found.add("merged" if facts.Linked in told else "decided" if noted is not None and noted.reason else "ended")
    elif facts.Returned in told:
        found.add("returned")
    elif facts.Assigned in told and told[facts.Assigned].why == "reassigned":
        found.add("reassigned")
    elif facts.Held in told or facts.Resumed in told or (moved and was.hands != now.hands):
        found.add("check" if now.hands == "check" else "assigned")
    if facts.SurvivorEnded in told or PetitionCaseOver in told:
        found.add("ended")
    if facts.Absorbed in told and d.case.closed is None:
        found.add("merged")
    if facts.Urged in told:
        found.add("urged")
    if any(fact in told and told[fact].looped for fact in (facts.Reworked, facts.Reopened)):
        found.add("looped")
    if not told.keys().isdisjoint(MEANS[ASKED]):
        found.add(ASKED)
    ordered = facts.ClockRetargeted in told and told[facts.ClockRetargeted].why == "ordered"
    if ordered or facts.ProposalDecided in told or facts.ExemptionDecided in told:
        found.add("decided")
    if was is not now and not found:
        found.add("moved")
    if facts.Copied in told:
        found.add("copied")
    first = SupervisionServed in told and told[SupervisionServed].first
    if is_public(d.case.own) and (first or (moved and now.terminal)):
        found.add(PUBLISHED)
    return [move for move in MOVES if move in found] if len(found) > 1 else [*found]


def is_public(own: Own | None) -> bool:
    """Whether a case is an act against an enterprise that is told in public, and was served."""
    return isinstance(own, Supervision) and own.public and bool(own.site) and own.served is not None


def hears(d: Decision, post: str) -> bool:
    """Whether anything is told to a post: it stands, somebody has it, and it is no machine."""
    if post in d.register.listening:
        return True
    known = d.register.posts.get(post)
    return known is not None and not known.vacant and not known.machine and d.register.stands(known, d.arrival)


def hears_at_once(d: Decision, unit: facts.Unit) -> bool:
    """Whether who reported the case is told now: it is over, or in its own hands."""
    if not hears(d, d.case.by):
        return False
    over = DEFINITIONS[d.case.definition].states[d.case.state].terminal
    return over or d.case.by in routing.acting(unit, d.register)


def waits_until(d: Decision, move: str) -> int | None:
    """Until when the telling of a move waits; None: it does not."""
    exempt = d.rules.options.quiet_exempt
    if exempt and move in TO_ACT:
        for clock in d.case.clocks:
            if clock.name in exempt and clock.since is not None:
                return None
    return None if move == "urged" else sla.not_before(d, "", d.released)


def daily_instant(d: Decision) -> int:
    """The next instant at which reporters get their daily line."""
    wall, minute = d.register.clock_of_days.wall, d.rules.options.daily_at
    day, of_day = divmod(d.released + wall.offset(d.released), DAY_MS)
    return wall.reach((day + (of_day >= minute * 60_000)) * DAY_MS + minute * 60_000)

"""Who must act on a case, and to whom its clocks are due.

1. A state says who holds the case: its owner, the leaf of its place, the level whose check is next, or the post that
   it was given at its birth. It follows from the case; a fact tells each change of hands, so a case knows who held it
   when.
2. A clock of a level belongs to those who held the case at that level, the clock of the whole case to whoever held it,
   and a clock that an order started to who ordered.
3. A missed deadline is charged to the unit under which most of the budget was consumed, ties to the last. It is charged
   again only by what arrives later and is judged before it, and that is said by who held the work or from above.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from schemas import facts
from schemas.facts import Unit
from workflows.case import Case, Clock, responsible
from workflows.clocks.calendar import Calendar
from workflows.clocks.limits import URGENT_HOUR, parse_limit
from workflows.decision import Decision
from workflows.policy.index import Policy
from workflows.policy.model import Post

Hands = Literal["owner", "place", "check", "post", "parts"]
"""Who holds a case in a state. `place`: the leaf in which the problem lies. `check`: the level whose turn it is.
`parts`: the unit that it waits for (`Own.awaited`), else its owner.
`post`: the one post whose work it is, whoever takes that post meanwhile."""


class Holder(Struct, frozen=True):
    """Who must act: a grid of a level, and perhaps a department of it or a post. All empty: nobody."""

    grid: str = ""
    level: int = 0
    department: str = ""
    post: str = ""


def turn(case: Case) -> int:
    """The level whose check on site is next: the uppermost that owes one and has not let its turn pass."""
    waited_for = [level for level in case.checks if level not in case.passed]
    return next(iter(waited_for or case.checks[-1:]), len(case.path))


def holder_of(case: Case, hands: Hands) -> Holder:
    """Who must act on a case that is in such hands."""
    awaited = case.own.awaited if hands == "parts" and case.own is not None else None
    if awaited is not None:
        return Holder(*awaited)
    if hands in ("owner", "parts"):
        return Holder(case.owner.grid, case.owner.level, case.owner.department)
    level = min(turn(case), len(case.path)) if hands == "check" else len(case.path)
    return Holder(case.path[level - 1], level, post=case.post if hands == "post" else "") if level else Holder()


def unit_of(holder: Holder, case: Case, register: Policy) -> Unit:
    """A holder as figures know it, by its path. A grid that the register has no more is taken as one of the place's."""
    path = register.slashed.get(holder.grid)
    if path is None:
        known = case.path[: holder.level]
        path = f"/{'/'.join(known)}/" if known else "/"
    return Unit(path, holder.department, holder.post)


def present(case: Case, register: Policy) -> Unit:
    """Who holds a case now; its owner where no fact has told a holder yet."""
    return case.holdings[-1].unit if case.holdings else unit_of(holder_of(case, "owner"), case, register)


def has_changed(d: Decision) -> bool:
    """Whether somebody else holds the case than before this decision."""
    before = d.origin.holdings
    if not before:
        return d.case.owner != d.before
    return d.case.holdings[-1].unit != before[-1].unit


def hold(d: Decision, hands: Hands) -> Holder:
    """Tell a change of hands, if there is one, and charge anew what it shows to have been another's. Nobody held a case
    that was over: whoever has it again holds it anew. Returns who holds it."""
    holder = holder_of(d.case, hands)
    case = d.case
    unit = unit_of(holder, case, d.register)
    if case.holdings and case.holdings[-1].unit == unit and facts.Reopened not in d.told:
        return holder
    since = d.judged(case.judged)
    d.tell(facts.Held(unit=unit, since=since))
    for clock in case.clocks if case.charges else ():
        told = case.charge(clock.name, clock.level)
        if told is None or clock.due is None or since >= clock.due or not d.ending.takes_back:
            continue
        found = charged(d, clock, clock.due)
        if found != told:
            d.tell(
                facts.ClockRecharged(
                    clock=clock.name, level=clock.level, cycle=clock.cycle, target=clock.target, charged=found
                )
            )
    return holder


def may_order(d: Decision, post: Post) -> bool:
    """Whether a post is of the case's holder, or of a grid above it. The work of a post is that post's alone."""
    unit = present(d.case, d.register)
    if unit.post:
        return post.code == unit.post or post.grid in unit.path.split("/")[:-2]
    if f"/{post.grid}/" not in unit.path:
        return False
    return not post.department or post.department == unit.department or post.grid != unit.grid


def holder_of_clock(d: Decision, clock: Clock) -> Unit:
    """Whose a clock is now: whom its rungs tell."""
    spans = spans_of(d.case, clock)
    return spans[-1].unit if spans else _without_holdings(d, clock)


def unless_owner(d: Decision, unit: Unit) -> Unit | None:
    """A unit, where it is of another department than the owner under whom the step counts, or of none."""
    return None if unit.department == responsible(d.before, d.case.owner).department else unit


def charged(d: Decision, clock: Clock, until: int) -> Unit:
    """The unit under which most of a clock was consumed up to an instant; ties go to the last one that held it."""
    holders = spans_of(d.case, clock)
    if not holders:
        return _without_holdings(d, clock)
    if len(holders) == 1:
        return holders[0].unit
    shares = dict[Unit, int]()
    for span, consumed in consumed_in(holders, clock, until, d.calendar(clock.calendar)):
        shares[span.unit] = shares.get(span.unit, 0) + consumed
    most, unit = max(shares.values()), holders[-1].unit
    return unit if shares[unit] == most else next(s.unit for s in reversed(holders) if shares[s.unit] == most)


class Span(Struct, frozen=True):
    """Who held a clock from an instant to another one; until None: still."""

    since: int
    until: int | None
    unit: Unit


def consumed_in(spans: Iterable[Span], clock: Clock, until: int, calendar: Calendar) -> list[tuple[Span, int]]:
    """What a clock consumed in each of these spans up to an instant, in milliseconds of its own kind of time."""
    limit = parse_limit(clock.limit) if clock.limit else None
    kind = limit.kind if limit else URGENT_HOUR
    runs = clock.runs if clock.since is None else (*clock.runs, (clock.since, until))
    measure, found = calendar.timescale(kind).measure, list[tuple[Span, int]]()
    for span in spans:
        since, upto, consumed = span.since, until if span.until is None else span.until, 0
        for begin, end in runs:
            a, b = since if since > begin else begin, upto if upto < end else end
            if a < b:
                consumed += measure(b) - measure(a)
        found.append((span, consumed))
    return found


def spans_of(case: Case, clock: Clock) -> list[Span]:
    """Who held a clock, and when; empty where no fact has told it. Who gave it up before it began is left out, unless
    nobody has held it since."""
    ordered = case.orderer(clock.name, clock.level) if case.ordered else None
    if ordered is not None:
        return [Span(0, None, ordered)]
    began = clock.runs[0][0] if clock.runs else clock.since
    spans, upto = list[Span](), None
    for holding in reversed(case.holdings):
        if spans and upto is not None and began is not None and upto <= began:
            break
        if not clock.level or clock.level == holding.unit.level:
            spans.append(Span(holding.since, upto, holding.unit))
        upto = holding.since
    spans.reverse()
    return spans


def _without_holdings(d: Decision, clock: Clock) -> Unit:
    """Of a clock that an earlier release started: the place's grid of its level, and its owner's department there."""
    owner = d.case.owner
    if clock.level in (0, owner.level) or clock.level > len(d.case.path):
        return unit_of(holder_of(d.case, "owner"), d.case, d.register)
    return unit_of(Holder(d.case.path[clock.level - 1], clock.level), d.case, d.register)

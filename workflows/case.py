"""A case, and the only thing that changes it: `evolve(case, fact) -> case`.

Deciding, recovery and verification all use it, so a case is the sum of its facts. Instants are milliseconds UTC.
"""

import copy
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from schemas import facts
from schemas.envelope import decode_record
from schemas.kinds import KINDS, AnyOwn
from schemas.members import Fact, OwnFact

AWAITED = "awaited"
"""The state of a case whose report has not arrived. It is a placeholder that holds parked events."""


MOST_HOLDINGS = 64
"""So many changes of hands a case remembers; the earliest count as one."""
MOST_MISSED = 64
"""So many missed deadlines a case remembers, the latest: of earlier ones nobody is exempted any more."""
TOTAL = "total"
"""The clock of the whole case, which a case of any kind has from its birth to its end."""


class Clock(Struct, frozen=True, array_like=True):
    """A running or paused clock: its limit, and a ledger of its earlier runs."""

    name: str
    level: int
    cycle: int
    target: int
    calendar: str
    started: int
    judged: int  # last judged instant; no later change is dated before it
    limit: str = ""
    due: int | None = None
    provisional: bool = False
    runs: tuple[tuple[int, int], ...] = ()  # the ledger: earlier runs, from and to
    since: int | None = None  # running since; None: paused
    rung: str = ""
    next: int | None = None
    repeat: int = 0
    breached: bool = False
    acknowledged: bool = False  # somebody has seen a rung that fired
    alert_open: bool = False


class Waiting(Struct, frozen=True, array_like=True):
    """A parked event. `event` is its record as text, decided again at each release, until `until`."""

    arrival: int
    until: int
    source: str
    id: str
    type: str
    event: str

    @property
    def actor(self) -> str:
        """The post that said it."""
        return decode_record(self.event).event.actor

    @property
    def principal(self) -> str:
        """Who sent it; empty where that is not counted."""
        return decode_record(self.event).principal


class Holding(Struct, frozen=True, array_like=True):
    """Who held a case from an instant on."""

    since: int
    unit: facts.Unit


class UnitOfClock(Struct, frozen=True, array_like=True):
    """A unit beside a clock: who ordered it, or to whom its missed deadline is due. `runs`: what the unit consumed."""

    clock: str
    level: int
    unit: facts.Unit
    runs: tuple[tuple[int, int], ...] = ()


class ArmedClock(Struct, frozen=True, array_like=True):
    """A clock whose next rung was past already when it was armed, at this arrival."""

    clock: str
    level: int
    arrival: int


class Seen(Struct, frozen=True, array_like=True):
    """A post that has acknowledged a rung, as it was held then: the `valid_from` of its row in the pack.

    None: an earlier release did not say.
    """

    post: str
    valid_from: int | None = None


class AlertedRung(Struct, frozen=True, array_like=True):
    """A rung of a running clock's present target: since when it has told whom, and who has acknowledged it."""

    clock: str
    level: int
    target: int
    rung: str
    since: int
    posts: tuple[str, ...]
    seen: tuple[Seen, ...] = ()

    def quiet_for(self, post: str, valid_from: int) -> bool:
        """Whether a post has acknowledged it, and is held since the same day as it was then."""
        return any(each.post == post and each.valid_from in (None, valid_from) for each in self.seen)


class Proposal(Struct, frozen=True, array_like=True):
    """What somebody who holds the case asks for, and nobody has decided: an extension of a clock, or a suspension."""

    what: str
    by: str
    reason: str
    at: int  # the instant at which it was made
    clock: str = ""
    level: int = 0
    due: int | None = None
    limit: str = ""
    until: int | None = None


class Ended(Struct, frozen=True, array_like=True):
    """The clock of the whole case as it stopped: its limit, its deadline, whether that was missed, and its ledger."""

    limit: str
    due: int | None
    missed: bool
    runs: tuple[tuple[int, int], ...]


Stage = Literal["requested", "granted", "refused", "appealed", "dismissed"]
"""How far an exemption has come; dismissed: refused on appeal."""


class Exemption(Struct, frozen=True, array_like=True):
    """What has become of the request that a missed deadline be not held against its unit.

    `grid` and `until` are those of a refusal: who refused it, and until when it may be appealed (None: it may not).
    """

    stage: Stage
    by: str  # post that asked, or appealed
    ground: str
    grid: str = ""
    until: int | None = None


class Missed(Struct, frozen=True, array_like=True):
    """A deadline that was missed, the unit that is charged with it, and what it has asked for."""

    clock: str
    level: int
    cycle: int
    target: int
    due: int | None
    unit: facts.Unit
    exemption: Exemption | None = None

    @property
    def key(self) -> tuple[str, int, int, int]:
        """The clock and its target."""
        return self.clock, self.level, self.cycle, self.target


class Owner(Struct, frozen=True, array_like=True):
    """The owner of a case: a grid, and perhaps a department of it."""

    grid: str
    level: int
    department: str = ""


class Case(Struct, omit_defaults=True, kw_only=True):
    """The present state of a case. It is treated as a value: `evolve` changes a copy."""

    id: str
    definition: str = ""
    policy: str = ""
    state: str = AWAITED
    seq: int = 0
    cycle: int = 0
    category: str = ""
    group: str = ""
    source: str = ""
    by: str = ""
    path: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    lon: float | None = None
    lat: float | None = None
    unit: str = ""
    reference: str = ""
    key: str = ""
    post: str = ""  # who must act on it, of a case that one post holds
    opened: int = 0
    judged: int = 0  # instant of the last move
    closed: int | None = None
    owner: Owner = Owner("", 0)
    trail: tuple[Owner, ...] = ()  # who owned it before, in this cycle
    assisting: tuple[str, ...] = ()
    checks: tuple[int, ...] = ()  # levels whose check on site is outstanding
    handled_by: str = ""
    suspended_from: str = ""
    suspended_until: int | None = None
    merged_into: str = ""
    clocks: tuple[Clock, ...] = ()
    targets: tuple[tuple[str, int, int], ...] = ()  # (clock, level, last target) of this cycle
    parked: tuple[Waiting, ...] = ()
    quarantined: bool = False
    holdings: tuple[Holding, ...] = ()
    passed: tuple[int, ...] = ()  # levels that let the turn of their check pass
    ordered: tuple[UnitOfClock, ...] = ()  # who ordered the clocks that an order started
    charges: tuple[UnitOfClock, ...] = ()  # to whom the missed deadlines of its clocks are due
    ledger: tuple[UnitOfClock, ...] = ()  # what holders consumed of clocks that they gave up in this cycle
    missed: tuple[UnitOfClock, ...] = ()  # which of them had missed its deadline by then
    again: tuple[tuple[str, int], ...] = ()  # clocks of those who had, and got the work back: (clock, level)
    about: str = ""  # another case of the home that this one speaks of
    own: AnyOwn = None  # what only its kind keeps
    absorbed: tuple[str, ...] = ()  # cases that were merged into it, also by way of others
    alerted: tuple[AlertedRung, ...] = ()  # rungs that alerted somebody, of clocks and targets that still run
    armed: tuple[ArmedClock, ...] = ()  # rungs that are to fire although they were past when they were armed
    spot: tuple[int, int] | None = None  # WGS 84 in units of 1e-7 degree, where `lon` and `lat` are of another map
    proposals: tuple[Proposal, ...] = ()  # what is asked for and not decided
    ended: Ended | None = None  # of a case that is over, and whose kind lets it be taken up again
    reopened: int = 0  # when it was taken up again, for the last time; 0: never
    holds: tuple[str, ...] = ()  # supervisions that bar it from ending
    root_cause: str = ""  # as its closing has it
    campaign: str = ""  # of which it counts as a part
    lapses: tuple[Missed, ...] = ()  # deadlines that were missed, also of clocks that have stopped
    listed: str = ""  # the supervision by which its grid was listed as a key area when it was reported
    site: str = ""  # the source of pollution of the register at which it was found

    @property
    def next_at(self) -> int | None:
        """The first instant at which a rung, a parked event's patience, a suspension's end or what its kind keeps is
        due."""
        if self.quarantined:
            return None
        earliest = self.suspended_until
        for clock in self.clocks:
            if clock.next is not None and (earliest is None or clock.next < earliest):
                earliest = clock.next
        for waiting in self.parked:
            if earliest is None or waiting.until < earliest:
                earliest = waiting.until
        wakes = self.own.wakes if self.own is not None and self.closed is None else None
        return wakes if earliest is None or (wakes is not None and wakes < earliest) else earliest

    @property
    def due_at(self) -> int | None:
        """The earliest deadline of the running clocks, past or ahead."""
        return min((c.due for c in self.clocks if c.due is not None and c.since is not None), default=None)

    def clock(self, name: str, level: int | None = None) -> Clock | None:
        """The running or paused clock of a name, and of a level if one is given."""
        for clock in self.clocks:
            if clock.name == name and (level is None or clock.level == level):
                return clock
        return None

    def proposal(self, what: str, clock: str = "") -> Proposal | None:
        """What somebody asks for and nobody has decided; of a clock, if one is named."""
        return next((each for each in self.proposals if each.what == what and clock in ("", each.clock)), None)

    def orderer(self, clock: str, level: int) -> facts.Unit | None:
        """Who ordered a clock; None: no order started it."""
        for each in self.ordered:
            if each.clock == clock and each.level == level:
                return each.unit
        return None

    def charge(self, clock: str, level: int) -> facts.Unit | None:
        """To whom the missed deadline of a clock is due; None: it has missed none, or an earlier release told it."""
        for each in self.charges:
            if each.clock == clock and each.level == level:
                return each.unit
        return None

    def consumed_before(self, clock: str, level: int, unit: facts.Unit) -> tuple[tuple[int, int], ...]:
        """The runs of a clock under a unit that gave it up in this cycle."""
        for each in self.ledger:
            if each.clock == clock and each.level == level and each.unit == unit:
                return each.runs
        return ()

    def armed_late(self, clock: Clock) -> int | None:
        """The arrival at which a clock's next rung was armed, if it was past then."""
        key = clock.name, clock.level
        return next((each.arrival for each in self.armed if (each.clock, each.level) == key), None)

    def known_due(self, due: int) -> int:
        """Since when it could be known that something is due at an instant: then, or when its rung was armed later."""
        armed = [self.armed_late(clock) or due for clock in self.clocks if clock.next == due]
        return max(due, min(armed, default=due))

    def alerted_rung(self, clock: Clock, rung: str) -> AlertedRung | None:
        """Whom a rung of a clock's present target has told; None: nobody yet."""
        key = clock.name, clock.level, clock.target, rung
        return next((each for each in self.alerted if (each.clock, each.level, each.target, each.rung) == key), None)

    def missed_before(self, clock: str, level: int, unit: facts.Unit) -> bool:
        """Whether a unit missed the deadline of a clock before it gave it up in this cycle."""
        return UnitOfClock(clock, level, unit) in self.missed

    def last_target(self, name: str, level: int) -> int:
        """The last target of a clock in this cycle, counted from 0; -1 if it never had one."""
        for known, of_level, target in self.targets:
            if known == name and of_level == level:
                return target
        return -1


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Case).decode


def responsible(before: Owner, after: Owner) -> Owner:
    """The owner under whom a step counts: the one before it, who did or missed it; at birth the first one."""
    return before if before.grid else after


def evolve(case: Case, fact: Fact) -> Case:
    """The case after a fact. The given one stays as it was."""
    after = copy.copy(case)
    apply(after, fact)
    return after


def apply(case: Case, fact: Fact) -> None:
    """`evolve` in place, for the owner of a private copy. Values inside a case are replaced, never changed."""
    handler = _HANDLERS.get(type(fact))
    if handler is not None:
        handler(case, fact)


REOPENING = frozenset(kind.name for kind in KINDS if kind.reopens)
"""The kinds whose cases keep the clock of the whole case beyond their end: they may be taken up again."""

# fmt: off
_GIVEN_AT_BIRTH = (
    "definition", "policy", "category", "group", "source", "by", "path", "touches", "lon", "lat", "unit", "reference",
    "key", "spot", "listed", "site",
)
# fmt: on


def _reported(case: Case, fact: facts.Reported) -> None:
    for name in _GIVEN_AT_BIRTH:
        setattr(case, name, getattr(fact, name))
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


def _forget_proposals(case: Case, fact: facts.ClockFact) -> None:
    """What was asked for a clock ends with it, and with its deadline; all of it ends with the case."""
    if case.proposals:
        over = fact.clock == TOTAL and type(fact) is facts.ClockStopped
        kept = (each for each in case.proposals if (each.clock, each.level) != (fact.clock, fact.level))
        case.proposals = () if over else tuple(kept)


def _linked(case: Case, fact: facts.Linked) -> None:
    case.merged_into, case.absorbed = fact.into, ()  # what went on in it goes on elsewhere, too


def _absorbed(case: Case, fact: facts.Absorbed) -> None:
    if not case.merged_into:
        case.absorbed = (*case.absorbed, *(id_ for id_ in fact.cases if id_ not in case.absorbed))


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


def _clock_started(case: Case, fact: facts.ClockStarted) -> None:
    clock = Clock(
        name=fact.clock,
        level=fact.level,
        cycle=fact.cycle,
        target=fact.target,
        calendar=fact.calendar,
        # That of the whole case began with the case, also where it goes on in another cycle.
        started=fact.runs[0][0] if fact.clock == TOTAL and fact.runs else fact.judged,
        judged=fact.judged,
        limit=fact.limit,
        due=fact.due,
        provisional=fact.provisional,
        since=fact.judged,
        rung=fact.rung,
        next=fact.next,
        repeat=fact.repeat,
        runs=fact.runs,
        breached=fact.again,
    )
    case.clocks = (*case.clocks, clock)
    if fact.again:
        case.again = (*case.again, (fact.clock, fact.level))
    if fact.holder is not None:
        case.ordered = (*case.ordered, UnitOfClock(fact.clock, fact.level, fact.holder))
    _set_target(case, fact)
    _arm(case, fact, fact.armed)


def _without(found: tuple[UnitOfClock, ...], fact: facts.ClockFact) -> tuple[UnitOfClock, ...]:
    return tuple(each for each in found if (each.clock, each.level) != (fact.clock, fact.level)) if found else ()


def _set_target(case: Case, fact: facts.ClockFact) -> None:
    others = [t for t in case.targets if t[0] != fact.clock or t[1] != fact.level]
    case.targets = (*others, (fact.clock, fact.level, fact.target))


def _change_clock(
    case: Case, fact: facts.ClockFact | facts.Acknowledged | facts.AlertRaised | facts.AlertEnded, **changes: Any
) -> None:
    case.clocks = tuple(
        structs.replace(c, **changes) if (c.name, c.level) == (fact.clock, fact.level) else c for c in case.clocks
    )


def _clock_paused(case: Case, fact: facts.ClockPaused) -> None:
    clock = case.clock(fact.clock, fact.level)
    if clock is not None and clock.since is not None:
        runs = (*clock.runs, (clock.since, fact.judged))
        _change_clock(case, fact, judged=fact.judged, runs=runs, since=None, next=None)
        _arm(case, fact)


def _clock_resumed(case: Case, fact: facts.ClockResumed) -> None:
    _change_clock(
        case,
        fact,
        judged=fact.judged,
        since=fact.judged,
        due=fact.due,
        provisional=fact.provisional,
        rung=fact.rung,
        next=fact.next,
        repeat=fact.repeat,
    )
    _arm(case, fact, fact.armed)


def _clock_retargeted(case: Case, fact: facts.ClockRetargeted) -> None:
    _change_clock(
        case,
        fact,
        target=fact.target,
        judged=fact.judged,
        limit=fact.limit,
        due=fact.due,
        provisional=fact.provisional,
        rung=fact.rung,
        next=fact.next,
        repeat=fact.repeat,
        breached=False,
        acknowledged=False,
        alert_open=False,
    )
    case.charges = _without(case.charges, fact)
    case.again = tuple(key for key in case.again if key != (fact.clock, fact.level))  # it has another deadline
    _forget_alerted(case, fact)
    _forget_proposals(case, fact)
    _set_target(case, fact)
    _arm(case, fact, fact.armed)


def _clock_rung(case: Case, fact: facts.ClockRung) -> None:
    clock = case.clock(fact.clock, fact.level)
    breached = fact.breach or (clock is not None and clock.breached)
    _change_clock(case, fact, rung=fact.next_rung, next=fact.next, repeat=fact.next_repeat, breached=breached)
    _arm(case, fact)
    if fact.charged is not None:
        _charge(case, fact, fact.charged)
    if fact.breach:
        _miss(case, fact)


def _charge(case: Case, fact: facts.ClockFact, unit: facts.Unit) -> None:
    case.charges = (*_without(case.charges, fact), UnitOfClock(fact.clock, fact.level, unit))


def _clock_recharged(case: Case, fact: facts.ClockRecharged) -> None:
    _charge(case, fact, fact.charged)
    # What the other unit asked for, or was granted, is not this one's.
    case.lapses = tuple(
        structs.replace(each, unit=fact.charged, exemption=None) if each.key == _key(fact) else each
        for each in case.lapses
    )


def _clock_contradicted(case: Case, fact: facts.ClockContradicted) -> None:
    case.lapses = tuple(each for each in case.lapses if each.key != _key(fact))


def _key(fact: facts.ClockFact | facts.OfMissed) -> tuple[str, int, int, int]:
    return fact.clock, fact.level, fact.cycle, fact.target


def _miss(case: Case, fact: facts.ClockRung | facts.ClockStopped) -> None:
    """Keep a missed deadline. A post's own work is excused as its kind of case says."""
    if fact.charged is None or fact.charged.post or any(each.key == _key(fact) for each in case.lapses):
        return
    missed = Missed(*_key(fact), fact.due, fact.charged)
    case.lapses = (*case.lapses, missed)[-MOST_MISSED:]


def _exemption(case: Case, fact: facts.OfMissed, change: Callable[[Exemption | None], Exemption]) -> None:
    case.lapses = tuple(
        structs.replace(each, exemption=change(each.exemption)) if each.key == _key(fact) else each
        for each in case.lapses
    )


def _exemption_requested(case: Case, fact: facts.ExemptionRequested) -> None:
    _exemption(case, fact, lambda _: Exemption("requested", fact.by, fact.ground))


def _exemption_decided(case: Case, fact: facts.ExemptionDecided) -> None:
    def decided(before: Exemption | None) -> Exemption:
        assert before is not None
        stage: Stage = "granted" if fact.granted else "dismissed" if fact.appeal else "refused"
        ground = fact.ground if fact.granted else before.ground
        return Exemption(stage, before.by, ground, fact.grid, fact.until)

    _exemption(case, fact, decided)


def _exemption_appealed(case: Case, fact: facts.ExemptionAppealed) -> None:
    def appealed(before: Exemption | None) -> Exemption:
        assert before is not None
        return structs.replace(before, stage="appealed", by=fact.by)

    _exemption(case, fact, appealed)


def _clock_stopped(case: Case, fact: facts.ClockStopped) -> None:
    clock = case.clock(fact.clock, fact.level)
    if fact.result in ("passed_on", "void") and clock is not None:
        _keep_ledger(case, clock, fact.judged)
        if fact.lapsed and fact.charged is not None and not case.missed_before(fact.clock, fact.level, fact.charged):
            case.missed = (*case.missed, UnitOfClock(fact.clock, fact.level, fact.charged))
    if (fact.result == "overdue" or fact.lapsed) and not fact.again:
        _miss(case, fact)
    if case.again:
        case.again = tuple(key for key in case.again if key != (fact.clock, fact.level))
    case.ordered, case.charges = _without(case.ordered, fact), _without(case.charges, fact)
    case.clocks = tuple([c for c in case.clocks if c.name != fact.clock or c.level != fact.level])
    _forget_alerted(case, fact)
    _forget_proposals(case, fact)
    _arm(case, fact)
    if fact.clock == TOTAL:
        case.closed = fact.judged
        if clock is not None and case.definition in REOPENING:
            runs = clock.runs if clock.since is None else (*clock.runs, (clock.since, fact.judged))
            missed = fact.result == "overdue" or fact.lapsed
            case.ended = Ended(clock.limit, fact.due, missed, runs)


def _keep_ledger(case: Case, clock: Clock, end: int) -> None:
    """Whoever gets the work back goes on with what was left: keep what each holder consumed of a clock."""
    if not case.holdings or case.orderer(clock.name, clock.level) is not None:
        return
    runs = clock.runs if clock.since is None else (*clock.runs, (clock.since, end))
    ends = [*(holding.since for holding in case.holdings[1:]), end]
    for holding, until in zip(case.holdings, ends, strict=True):
        shares = [(max(a, holding.since), min(b, until)) for a, b in runs]
        shares = [(a, b) for a, b in shares if a < b]
        if not shares or clock.level != holding.unit.level:
            continue
        before = case.consumed_before(clock.name, clock.level, holding.unit)
        kept = UnitOfClock(clock.name, clock.level, holding.unit, tuple(sorted({*before, *shares})))
        others = (e for e in case.ledger if (e.clock, e.level, e.unit) != (clock.name, clock.level, holding.unit))
        case.ledger = (*others, kept)


def _arm(case: Case, fact: facts.ClockFact, armed: int | None = None) -> None:
    """Keep whether the next rung of a clock was past when it was armed."""
    if armed is None and not case.armed:
        return
    others = tuple(each for each in case.armed if (each.clock, each.level) != (fact.clock, fact.level))
    case.armed = others if armed is None else (*others, ArmedClock(fact.clock, fact.level, armed))


def _forget_alerted(case: Case, fact: facts.ClockFact) -> None:
    if case.alerted:
        case.alerted = tuple(each for each in case.alerted if (each.clock, each.level) != (fact.clock, fact.level))


def _alert_raised(case: Case, fact: facts.AlertRaised) -> None:
    _change_clock(case, fact, alert_open=True)
    clock = case.clock(fact.clock, fact.level)
    if clock is None:  # urging and loops are of no clock
        return
    before = case.alerted_rung(clock, fact.kind)
    if before is None:
        case.alerted = (
            *case.alerted,
            AlertedRung(clock.name, clock.level, clock.target, fact.kind, fact.due_at, fact.to),
        )
    else:
        rung = structs.replace(before, posts=tuple(dict.fromkeys((*before.posts, *fact.to))))
        case.alerted = tuple(rung if each is before else each for each in case.alerted)


def _acknowledged(case: Case, fact: facts.Acknowledged) -> None:
    if not fact.rung:  # of an earlier release: the ends of alerts that follow say what was seen
        return
    _change_clock(case, fact, acknowledged=True)
    key, seen = (fact.clock, fact.level, fact.target, fact.rung), Seen(fact.by, fact.valid_from)
    case.alerted = tuple(
        structs.replace(each, seen=(*each.seen, seen))
        if (each.clock, each.level, each.target, each.rung) == key
        else each
        for each in case.alerted
    )


def _alert_ended(case: Case, fact: facts.AlertEnded) -> None:
    if fact.how != "acknowledged":
        _change_clock(case, fact, alert_open=False, acknowledged=False)
        # Where the clock runs on, it is told to others, and not again to who has seen it.
        case.alerted = tuple(
            structs.replace(each, posts=()) if (each.clock, each.level) == (fact.clock, fact.level) else each
            for each in case.alerted
            if each.seen or (each.clock, each.level) != (fact.clock, fact.level)
        )
        return
    # An earlier release ended alerts that somebody had seen. They are still open, and seen by that post alone.
    _change_clock(case, fact, acknowledged=True)
    case.alerted = tuple(
        structs.replace(each, seen=(Seen(fact.by),))
        if (each.clock, each.level) == (fact.clock, fact.level) and not each.seen
        else each
        for each in case.alerted
    )


_HANDLERS: dict[type[Fact], Callable[[Case, Any], None]] = {
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
    facts.ExemptionRequested: _exemption_requested,
    facts.ExemptionDecided: _exemption_decided,
    facts.ExemptionAppealed: _exemption_appealed,
    facts.Linked: _linked,
    facts.Absorbed: _absorbed,
    facts.HoldPlaced: _barred,
    facts.HoldLifted: _barred,
    facts.Parked: _parked,
    facts.Unparked: _unparked,
    facts.Quarantined: _quarantined,
    facts.ClockStarted: _clock_started,
    facts.ClockPaused: _clock_paused,
    facts.ClockResumed: _clock_resumed,
    facts.ClockRetargeted: _clock_retargeted,
    facts.ClockRung: _clock_rung,
    facts.ClockContradicted: _clock_contradicted,
    facts.ClockRecharged: _clock_recharged,
    facts.ClockStopped: _clock_stopped,
    facts.Acknowledged: _acknowledged,
    facts.AlertRaised: _alert_raised,
    facts.AlertEnded: _alert_ended,
    **{fact: _kept for kind in KINDS for fact in kind.facts if issubclass(fact, OwnFact)},
}
"""A fact without an entry changes nothing in the case: it is history."""

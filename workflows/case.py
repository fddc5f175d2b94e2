"""A case, and the only thing that changes it: `evolve(case, fact) -> case`.

Deciding, recovery and verification all use it, so a case is the sum of its facts. Instants are milliseconds UTC.
"""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, structs

from schemas import facts
from schemas.envelope import decode_record
from schemas.kinds import KINDS, AnyOwn
from schemas.members import Fact, OwnFact

AWAITED = "awaited"
"""The state of a case whose report has not arrived. It is a placeholder that holds parked events."""


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
    acknowledged: bool = False
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
    about: str = ""  # another case of the home that this one speaks of
    own: AnyOwn = None  # what only its kind keeps

    @property
    def next_at(self) -> int | None:
        """The first instant at which a rung, a parked event's patience or a suspension's end is due."""
        if self.quarantined:
            return None
        earliest = self.suspended_until
        for clock in self.clocks:
            if clock.next is not None and (earliest is None or clock.next < earliest):
                earliest = clock.next
        for waiting in self.parked:
            if earliest is None or waiting.until < earliest:
                earliest = waiting.until
        return earliest

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

    def last_target(self, name: str, level: int) -> int:
        """The last target of a clock in this cycle, counted from 0; -1 if it never had one."""
        return next((t for n, lv, t in self.targets if n == name and lv == level), -1)


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


# fmt: off
_GIVEN_AT_BIRTH = (
    "definition", "policy", "category", "group", "source", "by", "path", "touches", "lon", "lat", "unit", "reference",
    "key",
)
# fmt: on


def _reported(case: Case, fact: facts.Reported) -> None:
    for name in _GIVEN_AT_BIRTH:
        setattr(case, name, getattr(fact, name))
    case.opened = case.judged = fact.judged


def _born(case: Case, fact: facts.Born) -> None:
    case.definition, case.policy, case.by, case.path = fact.definition, fact.policy, fact.by, fact.path
    case.about, case.category, case.group = fact.about, fact.category, fact.group
    case.reference, case.key = fact.reference, fact.key
    case.opened = case.judged = fact.judged


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
    case.assisting = ()


def _assisting(case: Case, fact: facts.Assisting) -> None:
    case.assisting = fact.units


def _handled(case: Case, fact: facts.Handled) -> None:
    case.checks, case.handled_by = fact.checks, fact.by


def _checked(case: Case, fact: facts.Checked) -> None:
    case.checks = tuple(level for level in case.checks if level != fact.level)


def _reworked(case: Case, fact: facts.Reworked) -> None:
    case.cycle, case.checks, case.handled_by = fact.cycle, (), ""
    case.trail, case.targets = (), ()


def _suspended(case: Case, fact: facts.Suspended) -> None:
    case.suspended_from, case.suspended_until = fact.was, fact.until


def _resumed(case: Case, fact: facts.Resumed) -> None:
    case.suspended_from, case.suspended_until = "", None


def _linked(case: Case, fact: facts.Linked) -> None:
    case.merged_into = fact.into


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
        started=fact.judged,
        judged=fact.judged,
        limit=fact.limit,
        due=fact.due,
        provisional=fact.provisional,
        since=fact.judged,
        rung=fact.rung,
        next=fact.next,
        repeat=fact.repeat,
    )
    case.clocks = (*case.clocks, clock)
    _set_target(case, fact)


def _set_target(case: Case, fact: facts.ClockFact) -> None:
    others = tuple(t for t in case.targets if (t[0], t[1]) != (fact.clock, fact.level))
    case.targets = (*others, (fact.clock, fact.level, fact.target))


def _change_clock(case: Case, fact: facts.ClockFact | facts.AlertRaised | facts.AlertEnded, **changes: Any) -> None:
    case.clocks = tuple(
        structs.replace(c, **changes) if (c.name, c.level) == (fact.clock, fact.level) else c for c in case.clocks
    )


def _clock_paused(case: Case, fact: facts.ClockPaused) -> None:
    clock = case.clock(fact.clock, fact.level)
    if clock is not None and clock.since is not None:
        runs = (*clock.runs, (clock.since, fact.judged))
        _change_clock(case, fact, judged=fact.judged, runs=runs, since=None, next=None)


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
    )
    _set_target(case, fact)


def _clock_rung(case: Case, fact: facts.ClockRung) -> None:
    clock = case.clock(fact.clock, fact.level)
    breached = fact.breach or (clock is not None and clock.breached)
    _change_clock(case, fact, rung=fact.next_rung, next=fact.next, repeat=fact.next_repeat, breached=breached)


def _clock_stopped(case: Case, fact: facts.ClockStopped) -> None:
    case.clocks = tuple(c for c in case.clocks if (c.name, c.level) != (fact.clock, fact.level))
    if fact.clock == TOTAL:
        case.closed = fact.judged


def _alert_raised(case: Case, fact: facts.AlertRaised) -> None:
    _change_clock(case, fact, alert_open=True)


def _alert_ended(case: Case, fact: facts.AlertEnded) -> None:
    _change_clock(case, fact, alert_open=False, acknowledged=fact.how == "acknowledged")


_HANDLERS: dict[type[Fact], Callable[[Case, Any], None]] = {
    facts.Reported: _reported,
    facts.Born: _born,
    facts.Moved: _moved,
    facts.Assigned: _assigned,
    facts.Assisting: _assisting,
    facts.Handled: _handled,
    facts.Checked: _checked,
    facts.Reworked: _reworked,
    facts.Suspended: _suspended,
    facts.Resumed: _resumed,
    facts.Linked: _linked,
    facts.Parked: _parked,
    facts.Unparked: _unparked,
    facts.Quarantined: _quarantined,
    facts.ClockStarted: _clock_started,
    facts.ClockPaused: _clock_paused,
    facts.ClockResumed: _clock_resumed,
    facts.ClockRetargeted: _clock_retargeted,
    facts.ClockRung: _clock_rung,
    facts.ClockStopped: _clock_stopped,
    facts.AlertRaised: _alert_raised,
    facts.AlertEnded: _alert_ended,
    **{fact: _kept for kind in KINDS for fact in kind.facts if issubclass(fact, OwnFact)},
}
"""A fact without an entry changes nothing in the case: it is history."""

"""A case: what is known of it, as the facts so far have left it. `workflows.evolve` changes it. Pure.

Instants are milliseconds UTC.
"""

from collections.abc import Callable
from operator import methodcaller
from typing import Literal

import msgspec
from msgspec import Struct

from schemas import facts
from schemas.envelope import decode_record
from schemas.kinds import KINDS, AnyOwn

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
    petitions: tuple[str, ...] = ()  # that wait for its end, also those of cases that were merged into it

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
        earliest: int | None = None
        for clock in self.clocks:
            if clock.due is not None and clock.since is not None and (earliest is None or clock.due < earliest):
                earliest = clock.due
        return earliest

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


copied: Callable[[Case], Case] = methodcaller("__copy__")
"""A case of its own with the same members, which are values: whoever has it may replace them."""
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Case).decode


def responsible(before: Owner, after: Owner) -> Owner:
    """The owner under whom a step counts: the one before it, who did or missed it; at birth the first one."""
    return before if before.grid else after


REOPENING = frozenset(kind.name for kind in KINDS if kind.reopens)
"""The kinds whose cases keep the clock of the whole case beyond their end: they may be taken up again."""

"""A decision in the making: a private copy of the case, and the facts told so far.

Telling a fact applies it at once, so each rule sees what the rules before it told.
"""

from collections.abc import Callable, Collection
from typing import Any

from msgspec import Struct

from schemas import facts
from schemas.derived_ids import home_subject
from schemas.kinds.home import HOME
from schemas.members import EventData, Fact
from schemas.partition import home_of
from workflows.case import Case, Clock, copied
from workflows.clocks.calendar import Calendar
from workflows.evolve import HANDLERS
from workflows.policy.index import Policy


class Ending(Struct, frozen=True):
    """How a trigger ends the clocks that do not go on: those named in `fulfils` are done, the others were given up.

    A clock of a check is done by its own level's check alone. `takes_back`: what arrives late and is dated before a
    missed deadline shows that it was not missed by who held the work. That holds for what the holder says or is ordered
    from above, but for no return: who gives work back after its deadline has missed it.
    """

    trigger: str = ""
    fulfils: Collection[str] = ()
    by_level: Collection[str] = ()
    level: int = 0
    takes_back: bool = True

    def done(self, clock: Clock) -> bool:
        """Whether it fulfils a clock."""
        return clock.name in self.fulfils and (clock.name not in self.by_level or clock.level == self.level)


NO_ENDING = Ending()
"""Where no trigger ends a clock."""


class Send(Struct, frozen=True):
    """Something said to another case. One of the same home hears it right after the step in which it is said, one of
    another home when the record has arrived in which the log takes it there.

    `trigger` and `data` as the target's kind declares them in `sends`. A case that is not born yet hears only what
    bears it: `bears` is the definition of the case that then comes to be.
    """

    to: str
    trigger: str
    data: EventData
    bears: str = ""


def nobody_found(id_: str) -> Case | None:
    """Where no other case is known."""
    return None


class Decision:
    """The facts about one case from one record or one firing, with `case` as it is after them.

    `find(id)` gives another case of the home as it is within the turn, None if there is none.
    """

    __slots__ = (
        "arrival",
        "before",
        "by",
        "came",
        "case",
        "ending",
        "facts",
        "find",
        "instant",
        "latest",
        "measured",
        "mover",
        "occurred",
        "older",
        "origin",
        "register",
        "released",
        "rules",
        "seed",
        "sends",
        "spread",
        "token",
        "told",
    )

    def __init__(
        self,
        case: Case,
        rules: Policy,
        register: Policy,
        arrival: int,
        instant: int,
        by: str = "",
        came: int = 0,
        find: Callable[[str], Case | None] = nobody_found,
        released: int = 0,
        mover: str = "",
    ) -> None:
        self.case = copied(case)
        self.origin = case  # as it was before this decision
        self.before = case.owner
        self.rules = rules
        self.register = register
        self.arrival = arrival
        self.instant = instant  # the occurred instant as far as it is believed, or the due instant of a firing
        self.latest = min(instant, arrival)  # the judged instant, unless a clock or a move is known to be later
        self.released = max(arrival, released)  # the arrival of the record that released a firing: only telling asks
        self.spread = 0  # so long after the quiet hours its alerts are told, where many cases are due at one instant
        self.came = came or arrival  # the arrival at which the event came, if it has waited or was a dead letter since
        self.occurred = instant  # as the sender says, believed or not
        self.by = by
        self.mover = mover or by  # the post whose move it is, or follows from
        self.token = ""
        self.older = False  # its record is of an older release, or of an event that has waited, and is taken as it is
        self.seed = ""  # random bytes in hex, as its record has them
        self.measured: tuple[int, ...] | None = None  # where the event says that it is, as its record has it
        self.ending = NO_ENDING  # what the trigger means for clocks that end
        self.find = find
        self.facts: list[facts.AnyFact] = []
        self.told: dict[type[Fact], Any] = {}  # the last fact of each kind
        self.sends: list[Send] = []

    def tell(self, fact: facts.AnyFact) -> None:
        """Add a fact, and let the case follow it."""
        kind = type(fact)
        self.facts.append(fact)
        self.told[kind] = fact
        handler = HANDLERS.get(kind)  # what `apply` does, without a call for each fact
        if handler is not None:
            handler(self.case, fact)

    def send(self, to: str, trigger: str, data: EventData, bears: str = "") -> None:
        """Say something to another case, of this home or of another one. ValueError where it is the case of a home
        itself, to which nobody speaks but who lists a grid of it."""
        if to == home_subject(home_of(to)) and trigger not in HOME.sends:
            raise ValueError(f"{trigger} is said to the case of the home itself")
        self.sends.append(Send(to, trigger, data, bears))

    def begin_at(self, instant: int) -> None:
        """Date it at an instant, where that is later: before that nobody could know of it."""
        self.arrival, self.latest = max(self.arrival, instant), max(self.latest, instant)
        self.released = max(self.released, instant)

    def judged(self, floor: int) -> int:
        """The believed instant, not before `floor` and not after arrival."""
        return self.latest if self.latest > floor else floor

    def calendar(self, code: str) -> Calendar:
        """A calendar of the active register as it is known at arrival; the root's where a newer register no longer has
        that code."""
        calendar = self.register.calendars.get(code) or self.register.clock_of_days
        return calendar.known_at(self.arrival) if calendar.later else calendar


def believed(occurred: int, arrival: int, offline_ms: int) -> int:
    """The occurred instant if it lies within the offline allowance before arrival, else the arrival."""
    return arrival if arrival - occurred > offline_ms else occurred

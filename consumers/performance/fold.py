"""The fold: what one step adds to the figures. Integers only, so the order between cases never matters. Pure.

A case has a contribution: what it counts so far in cells that may still move. A step changes the contribution and the
cells, and adds an outcome for each clock that it stops.

1. A cell is (measure, local day, path, department, category, group, post): the finest grain. Reading rolls it up. What
   is said of the problem counts where it lies, with the department and post of the step that carries the fact. What is
   said of a clock counts at the unit that the fact charges with it, and has a post only where the work is a post's.
   Facts of releases that charged nobody count where the problem lies. A measure may count at the unit that its fact
   charges, too (`Measure.charged`).
2. Sums of other measures are not stored; `workflows.figures.with_sums` adds them when figures are read.
3. Most measures count facts, once and for all. Every ending of a case counts at its day:

   - `on_time`          closed with no total deadline missed
   - `closed_late`      closed with one missed; and `overdue_closed` at the day of that deadline
   - `without_deadline` closed without ever having a deadline
   - `rejected`, `merged`, `withdrawn`, `force_closed`: as the definition names the ending

4. A missed deadline may be taken back: a later arrival can show that it was met. So these cells follow from
   the case's lapses, which are its contribution; a change adds new minus old:

   - `breach:<clock>`   a clock's deadline passed, at the due day and the unit charged. It stays where the work was
     passed on afterwards, and is one, also where the same unit gets the work back in that cycle
   - `overdue`          the first total deadline missed, at its day. An order that moves the deadline later
     does not erase it, nor does an ending other than closing

   - `exempted:<clock>`  of these, those that are not held against the unit, at the same day and unit; what is charged
     to another unit afterwards is held against that one
   - `overdue_exempted`  `overdue` of a case of which every missed total deadline is exempted

5. An order may name the responsible unit of the clock that it starts. The contribution keeps it until that clock stops:
   its outcome names the unit beside the one that is charged, and says whether its deadline was missed.
6. A clock that nothing fulfilled is neither on time nor overdue: `passed_on:<clock>`, or `void:<clock>`, at the day of
   its end and the unit charged. What it had consumed by then stands in its fact. `claimed:<clock>` counts there those
   on time that came after their deadline and rest on the sender's word.
7. A case that is taken up again has not ended. What its end counted is taken back, at the places that the outcome of
   the clock of the whole case names, and that outcome says since when it is none (`reopened_at`). It counts as closed
   where it is closed for good. Deadlines that it missed stay missed.
8. The sums: `reported` of its sources; `closed` = on_time + closed_late + without_deadline; `closable`
   应结案 = on_time + overdue, each case with a deadline once, at the day of closing or of its deadline,
   whichever came first. Rejected, merged, withdrawn and force-closed cases are not part of it unless their
   deadline had passed before. Closed among the closable are on_time + overdue_closed, so no rate exceeds
   100 %.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas import facts
from schemas.members import Fact
from workflows.case import TOTAL
from workflows.definitions import DEFINITIONS, ENDINGS
from workflows.figures import CLOSED, Measure

UNFULFILLED = (facts.PASSED_ON, facts.VOID)
"""Results of clocks whose work was not done: somebody else owns the case next, or the work has gone."""


class Place(NamedTuple):
    """Where in the figures a step counts. `group` stands in the column `grp`."""

    day: int
    path: str
    department: str
    category: str
    group: str
    post: str


class Lapse(NamedTuple):
    """A deadline that was missed: the clock, where the problem lies, and the unit that is charged with it."""

    clock: str
    level: int
    cycle: int
    target: int
    place: Place
    charged: facts.Unit | None = None


class Exempted(NamedTuple):
    """A missed deadline that is not held against its unit, and the arrival of the step that said so."""

    clock: str
    level: int
    cycle: int
    target: int
    at: int


class ResponsibleUnit(NamedTuple):
    """The unit that the order of a clock named; the clock runs."""

    clock: str
    level: int
    unit: str


class Contribution(Struct, frozen=True, array_like=True):
    """What a case contributes to cells that may still move: the deadlines it missed, in the order it missed them, and
    those of them that are exempted; and the responsible units of its clocks that run."""

    lapses: tuple[Lapse, ...] = ()
    units: tuple[ResponsibleUnit, ...] = ()
    exempted: tuple[Exempted, ...] = ()

    @property
    def overdue(self) -> Place | None:
        """Where its first missed total deadline counts."""
        return next((lapse.place for lapse in self.lapses if lapse.clock == TOTAL), None)

    def unit_of(self, clock: str, level: int) -> str:
        """The responsible unit of a clock that runs; empty: none was named."""
        for each in self.units:
            if each.clock == clock and each.level == level:
                return each.unit
        return ""

    def naming(self, clock: str, level: int, unit: str) -> "Contribution":
        """The same, with another responsible unit of a clock, or with none."""
        if self.unit_of(clock, level) == unit:
            return self
        others = [each for each in self.units if each[:2] != (clock, level)]
        return replace(self, units=(*others, *([ResponsibleUnit(clock, level, unit)] if unit else ())))

    def exempted_at(self, key: tuple[str, int, int, int]) -> int | None:
        """The arrival at which a missed deadline was exempted; None: it is not."""
        for each in self.exempted:
            if each[:4] == key:
                return each.at
        return None

    def has_missed(self, key: tuple[str, int, int, int]) -> bool:
        """Whether it missed a deadline."""
        return self.lapses != () and any(lapse[:4] == key for lapse in self.lapses)


class Figure(Struct, frozen=True):
    """A row of the table `figures`, or a change to one."""

    definition: str
    measure: str
    day: int
    path: str
    department: str
    category: str
    grp: str
    post: str
    value: int


class OutcomeRow(Struct, frozen=True):
    """A row of the table `outcomes`: a clock that stopped. Instants in ms UTC, `elapsed` in wall ms.

    A clock that starts again in a cycle, under another holder or the same, is another target: a row of its own. What a
    holder consumed before in that cycle is in `consumed` of its next row, so rows of one holder do not add up: the last
    one says all.
    """

    case_id: str
    clock: str
    level: int
    cycle: int
    target: int
    partition: int
    definition: str
    path: str
    department: str
    category: str
    grp: str
    post: str
    started: int
    due: int | None
    stopped: int
    arrival: int
    day: int
    result: str
    why: str
    elapsed: int
    charged_path: str
    charged_department: str
    charged_post: str
    consumed: int
    claimed: bool
    unit: str
    lapsed: bool
    exempted: int | None = None  # the arrival at which its missed deadline was exempted
    reopened_at: int | None = None  # of the whole case: the arrival at which it was taken up again


class ExemptedOutcome(Struct, frozen=True):
    """The row of a clock that had stopped when its missed deadline was exempted, and the arrival of that (ms)."""

    case_id: str
    clock: str
    level: int
    cycle: int
    target: int
    exempted: int


Cell = tuple[str, Place]
"""Measure and place."""


class Folded(NamedTuple):
    """What a step did. `contribution` is the one given where nothing that may move has changed; `outcomes` are those of
    clocks that stopped, and the one of the end that the step undid."""

    contribution: Contribution | None
    cells: dict[Cell, int]
    outcomes: list[OutcomeRow]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Contribution).decode
NOTHING = Contribution()


def fold(contribution: Contribution | None, step: facts.Step, end: OutcomeRow | None = None) -> Folded:
    """The next step of a case: its steps come in order, the cases among each other in any.

    `end`: the outcome with which the case ended; only asked for by a step that takes it up again (`REOPENING`).
    """
    place = Place(step.day, step.path, step.department, step.category, step.group, step.post)
    cells: dict[Cell, int] = {}
    outcomes: list[OutcomeRow] = []
    before = after = contribution or NOTHING
    declared, naming = _COUNTS.get(step.definition, {}), _NAMING.get(step.definition, {})
    ordered: dict[tuple[str, int], str] = {}
    for fact in step.facts:
        kind = type(fact)
        if kind in declared:
            _add(cells, counted(fact, declared[kind], place), 1)
        if kind is REOPENING:
            assert end is not None, f"case {step.case} is taken up again, and has no end"
            _add(cells, ended_in(end, after), -1)
            outcomes.append(replace(end, reopened_at=step.at))
        if kind in naming:
            ordered[naming[kind], fact.stage] = fact.unit  # type: ignore[attr-defined]
        elif ordered and type(fact) is facts.ClockStarted and (key := (fact.clock, fact.level)) in ordered:
            after = after.naming(*key, ordered[key])
        if type(fact) is facts.ExemptionDecided and fact.granted:
            after = exempting(after, fact, step.at)
        if kind in _JUDGES:
            after = _JUDGES[kind](after, fact, place)
            if type(fact) is facts.ClockStopped:
                outcomes.append(_outcome(step, fact, charged_at(place, fact.charged), after))
                after = after.naming(fact.clock, fact.level, "")
                _add(cells, ended_in(outcomes[-1], after), 1)
    if after is before:
        return Folded(contribution, {cell: value for cell, value in cells.items() if value}, outcomes)
    _add(cells, movable(after), 1)
    _add(cells, movable(before), -1)
    return Folded(after, {cell: value for cell, value in cells.items() if value}, outcomes)


def _add(cells: dict[Cell, int], changes: Iterable[Cell], value: int) -> None:
    for cell in changes:
        cells[cell] = cells.get(cell, 0) + value


def _outcome(step: facts.Step, fact: facts.ClockStopped, charged: Place, held: Contribution) -> OutcomeRow:
    key = _key(fact)
    return OutcomeRow(
        step.case,
        fact.clock,
        fact.level,
        fact.cycle,
        fact.target,
        step.partition,
        step.definition,
        step.path,
        step.department,
        step.category,
        step.group,
        step.post,
        fact.started,
        fact.due,
        fact.judged,
        step.at,
        step.day,
        fact.result,
        fact.why,
        fact.elapsed,
        charged.path,
        charged.department,
        charged.post,
        fact.consumed,
        fact.claimed,
        held.unit_of(fact.clock, fact.level),
        held.has_missed(key),
        held.exempted_at(key),
    )


def ended_in(row: OutcomeRow, contribution: Contribution) -> Iterator[Cell]:
    """What a clock counts by its end; of the whole case the end of the case, too. What contradicts a deadline stands
    before that in the same step, so what an ended case contributes stays as it is."""
    if row.claimed or row.result in UNFULFILLED:
        charged = Place(row.day, row.charged_path, row.charged_department, row.category, row.grp, row.charged_post)
        if row.claimed:
            yield f"claimed:{row.clock}", charged
        if row.result in UNFULFILLED:
            yield f"{row.result}:{row.clock}", charged
    if row.clock != TOTAL:
        return
    place = Place(row.day, row.path, row.department, row.category, row.grp, row.post)
    ending, overdue = ENDINGS[row.why], contribution.overdue
    if ending != CLOSED:
        yield ending, place
    elif overdue is None:
        yield row.result, place
    else:
        yield from (("closed_late", place), ("overdue_closed", overdue))


# ---- what may still move -----------------------------------------------------------------------------


def movable(contribution: Contribution) -> Iterator[Cell]:
    """The cells that follow from a case's lapses, and from what is exempted of them."""
    held = set[str]()
    exempted = {each[:4] for each in contribution.exempted}
    for lapse in contribution.lapses:
        yield f"breach:{lapse.clock}", charged_at(lapse.place, lapse.charged)
        if lapse[:4] in exempted:
            yield f"exempted:{lapse.clock}", charged_at(lapse.place, lapse.charged)
        else:
            held.add(lapse.clock)
    if contribution.overdue is not None:
        yield "overdue", contribution.overdue
        if TOTAL not in held:
            yield "overdue_exempted", contribution.overdue


def exempting(contribution: Contribution, fact: facts.ExemptionDecided, at: int) -> Contribution:
    """The same, with a missed deadline that is not held against its unit."""
    return replace(contribution, exempted=(*contribution.exempted, Exempted(*_key(fact), at)))


def _without_exemption(contribution: Contribution, fact: facts.ClockFact) -> tuple[Exempted, ...]:
    return tuple(each for each in contribution.exempted if each[:4] != _key(fact))


def charged_at(place: Place, unit: facts.Unit | None) -> Place:
    """Where something counts with which a unit is charged."""
    if unit is None:
        return place
    return Place(place.day, unit.path, unit.department, place.category, place.group, unit.post)


def _lapsed(contribution: Contribution, fact: facts.ClockRung | facts.ClockStopped, place: Place) -> Contribution:
    if contribution.has_missed(_key(fact)):
        return contribution
    lapse = Lapse(*_key(fact), place, fact.charged)
    return replace(contribution, lapses=(*contribution.lapses, lapse))


def _key(fact: facts.ClockFact | facts.OfMissed) -> tuple[str, int, int, int]:
    return fact.clock, fact.level, fact.cycle, fact.target


_JUDGES: dict[type[Fact], Callable[[Contribution, Any, Place], Contribution]] = {
    facts.ClockRung: lambda before, fact, place: _lapsed(before, fact, place) if fact.breach else before,
    # A deadline that was missed is a lapse even if no rung could fire, as in a case that stood in quarantine.
    facts.ClockStopped: lambda before, fact, place: (
        _lapsed(before, fact, place) if (fact.result == "overdue" or fact.lapsed) and not fact.again else before
    ),
    facts.ClockRecharged: lambda before, fact, _: replace(
        before,
        lapses=tuple(
            lapse._replace(charged=fact.charged) if lapse[:4] == _key(fact) else lapse for lapse in before.lapses
        ),
        exempted=_without_exemption(before, fact),
    ),
    facts.ClockContradicted: lambda before, fact, _: replace(
        before,
        lapses=tuple(lapse for lapse in before.lapses if lapse[:4] != _key(fact)),
        exempted=_without_exemption(before, fact),
    ),
}

_NAMING: dict[str, dict[type[Fact], str]] = {
    name: {clock.unit: clock.name for clock in definition.clocks.values() if clock.unit is not None}
    for name, definition in DEFINITIONS.items()
}
"""The clocks whose units orders name, of each kind of case, by the type of the order's fact."""

REOPENING = facts.Reopened
"""The fact for which a step needs the outcome with which its case ended."""
JUDGED = frozenset(
    (REOPENING, *_JUDGES, facts.ExemptionDecided, *(fact for named in _NAMING.values() for fact in named))
)
"""The facts for which a step needs what its case contributes so far."""


# ---- what is counted once ----------------------------------------------------------------------------


_COUNTS: dict[str, dict[type[Fact], list[Measure]]] = {
    name: {
        fact: [measure for measure in definition.measures if measure.fact is fact]
        for fact in {measure.fact for measure in definition.measures}
    }
    for name, definition in DEFINITIONS.items()
}
"""What each kind of case counts, by the type of the fact."""


def counted(fact: Fact, measures: Iterable[Measure], place: Place) -> Iterator[Cell]:
    """Those of the measures for which a fact counts, and where."""
    for measure in measures:
        if all(getattr(fact, member) == value for member, value in measure.where):
            name = f"{measure.name}:{getattr(fact, measure.per)}" if measure.per else measure.name
            yield name, charged_at(place, fact.charged) if measure.charged else place  # type: ignore[attr-defined]

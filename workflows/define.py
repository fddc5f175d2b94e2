"""Defines a kind of case: its rows are validated by `transitions`, what is left open is refused by name, and all of it
is compiled to the tables that deciding asks.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from string import Formatter
from typing import Any

from msgspec import NODEFAULT, structs
from transitions import Machine

from schemas.events import EVENTS, OF_ANY_CASE
from schemas.facts import SHARED
from schemas.members import Fact, Kind, Source
from workflows.case import AWAITED, TOTAL
from workflows.decision import Decision
from workflows.figures import CLOSED, Measure, Ratio, Sum
from workflows.machine import (
    Admission,
    Alias,
    Bears,
    Birth,
    Definition,
    Effect,
    Guard,
    Listed,
    NamedClock,
    State,
    Table,
    Tolerance,
    Transition,
    reached,
    taking_up,
)


def define(
    kind: Kind,
    zh: str,
    states: Iterable[State],
    rows: Iterable[Transition],
    guards: Iterable[Guard],
    *,
    births: Mapping[str, Birth],
    effects: Mapping[str, Effect],
    clocks: Iterable[NamedClock] = (),
    measures: Iterable[Measure] = (),
    sentences: Mapping[type[Fact], str] = {},
    aliases: Mapping[str, Alias] = {},
    escalates: str = "",
    resumes: str = "",
    fulfils: Mapping[str, tuple[str, ...]] = {},
    returns: Collection[str] = (),
    listed: Listed = "always",
    lapses: str = "",
    wakes: str = "",
    bears: Bears | None = None,
    at_end: Callable[[Decision], None] | None = None,
    counts_at: Callable[[Decision], int] | None = None,
    sums: Iterable[Sum] = (),
    ratios: Iterable[Ratio] = (),
    reads_home: bool = False,
    admits: Mapping[str, Admission] = {},
    tolerance: Tolerance | None = None,
    of_actions: bool = False,
    of_approvals: bool = False,
    needs: str = "",
    identity: tuple[str, ...] = (),
) -> Definition:
    """Validate with `transitions`, and compile. ValueError that names what is unknown, or has no words.

    A trigger is an event of the kind, or of any case, or an alias, or what other cases say; each event and each send of
    the kind stands in some row. `fulfils` says which clocks a trigger fulfils. Effects of events of any case may stand
    there without a row.
    """
    name, by_name, kept = kind.name, {s.name: s for s in states}, tuple(rows)
    answers, counted = {g.__name__: g for g in guards}, tuple(measures)
    named_clocks = {clock.name: clock for clock in clocks}
    check_rows(kind, by_name, kept, answers, {*births}, {*aliases, *filter(None, (wakes,))})
    pulled = dict.fromkeys(row.trigger for row in kept)
    ends = dict.fromkeys(row.trigger for row in kept if row.dest != "=" and by_name[row.dest].terminal)
    check_triggers(
        kind,
        pulled,
        {
            "effect": [trigger for trigger in effects if trigger not in OF_ANY_CASE],
            "admission": [trigger for trigger in admits if trigger not in OF_ANY_CASE],
            "alias": aliases,
            "side line": [*filter(None, (escalates, resumes, lapses, wakes)), *returns],
            "identity": identity,
            "clock": fulfils,
            "bearing": [] if bears is None else [bears.born, bears.ended],
        },
    )
    check_clocks(kind, by_name, named_clocks, fulfils)
    check_units(kind, clocks)
    if tolerance is not None:
        check_tolerance(kind, by_name, named_clocks, tolerance)
    check_measures(kind, counted, {measure_of_ending(trigger, fulfils) for trigger in ends})
    check_words(kind, zh, by_name, named_clocks, counted, sentences)
    if reads_home and not (effects or births):
        raise ValueError(f"{name}: it is to read the case of its home, and no effect and no birth of it could")
    machine, table = compile_rows(by_name, kept, answers)
    forward = _forward(by_name, table)
    later = {start: reached(forward, start) for start in by_name}
    # What takes up a case that is over waits for no end: said before it, it would undo one that nobody had seen.
    waits = [(name, source) for name, source in table if name not in taking_up(by_name, table)]
    ahead = {start: frozenset(name for name, source in waits if source in found) for start, found in later.items()}
    return Definition(
        name=name,
        zh=zh,
        states=by_name,
        rows=kept,
        guards=answers,
        effects=dict(effects),
        births=dict(births),
        aliases=dict(aliases),
        clocks=named_clocks,
        measures=counted,
        endings={trigger: measure_of_ending(trigger, fulfils) for trigger in ends},
        sentences=dict(sentences),
        escalates=escalates,
        resumes=resumes,
        fulfils=dict(fulfils),
        returns=frozenset(returns),
        lapses=lapses,
        checking=frozenset(clock for state in by_name.values() if state.hands == "check" for clock in state.clocks),
        table=table,
        heard=frozenset(aliases[row.trigger].event if row.trigger in aliases else row.trigger for row in kept),
        forward=forward,
        ahead=ahead,
        machine=machine,
        listed=listed,
        sends=frozenset(kind.sends),
        at_end=at_end,
        wakes=wakes,
        bears=bears,
        counts_at=counts_at,
        sums=tuple(sums),
        ratios=tuple(ratios),
        reads_home=reads_home,
        admits=dict(admits),
        tolerance=tolerance,
        of_actions=of_actions,
        of_approvals=of_approvals,
        needs=needs,
        identity=identity,
    )


def compile_rows(
    states: Mapping[str, State], rows: Iterable[Transition], guards: Mapping[str, Guard]
) -> tuple[Any, Table]:
    """The rows as a machine of `transitions`, which validates them, and as the table that deciding asks."""
    transitions = [
        {
            "trigger": row.trigger,
            "source": list(row.sources),
            "dest": None if row.dest == "=" else row.dest,  # None: an internal transition, no move
            # Guards stay names in the machine, so that a test's model can answer them.
            "conditions": [g for g in row.guards if not g.startswith("not ")],
            "unless": [g.removeprefix("not ") for g in row.guards if g.startswith("not ")],
        }
        for row in rows
    ]
    machine: Any = Machine(
        model=None, states=list(states), transitions=transitions, initial=AWAITED, auto_transitions=False
    )
    table = {
        (event.name, source): tuple(
            (t.dest or "=", tuple((guards[c.func], c.target) for c in t.conditions)) for t in in_order
        )
        for event in machine.events.values()
        for source, in_order in event.transitions.items()
    }
    return machine, table


def measure_of_ending(trigger: str, fulfils: Mapping[str, tuple[str, ...]]) -> str:
    """The measure of an ending: `closed` if it fulfils the clock of the whole case, else the trigger's own word."""
    return CLOSED if TOTAL in fulfils.get(trigger, ()) else trigger.rpartition(".")[2]


def check_rows(
    kind: Kind,
    states: Mapping[str, State],
    rows: Iterable[Transition],
    guards: Collection[str],
    births: set[str],
    aliases: set[str],
) -> None:
    """ValueError for a row with an unknown state, guard or trigger, for one that takes up a case that is over although
    the kind does not say that its cases are (or for none although it does), and for a birth without a row or the
    reverse."""
    heard, reopens = {*kind.events, *OF_ANY_CASE, *aliases, *kind.sends}, False
    for row in rows:
        strange = [g for g in row.guards if g.removeprefix("not ") not in guards]
        strange += [s for s in (*row.sources, row.dest) if s not in (*states, "=")]
        if strange:
            raise ValueError(f"{kind.name}: row {row.trigger} names {strange[0]!r}, which is no state or guard")
        over = any(s in states and states[s].terminal for s in row.sources)
        if over and row.dest != "=" and not states[row.dest].terminal:
            if not kind.reopens:
                raise ValueError(f"{kind.name}: row {row.trigger} takes up a case that is over, and it keeps no clock")
            reopens = True
        if row.trigger not in heard:
            raise ValueError(f"{kind.name}: row {row.trigger!r} is no event of this kind, nor of any case")
    if kind.reopens and not reopens:
        raise ValueError(f"{kind.name}: no row takes up a case that is over, although it reopens")
    if both := sorted({*kind.sends} & EVENTS.keys()):
        raise ValueError(f"{kind.name}: {both[0]!r} is said by people as well as by cases")
    bearing = {row.trigger for row in rows if AWAITED in row.sources}
    if bearing != births:
        odd = sorted(bearing ^ births)[0]
        raise ValueError(f"{kind.name}: {odd!r} has a row from {AWAITED!r} or a birth, and not both")


def check_triggers(kind: Kind, pulled: Collection[str], named: Mapping[str, Iterable[str]]) -> None:
    """ValueError for an event or a send of the kind that no row takes, or for a trigger that is named for a purpose."""
    purposes: dict[str, Iterable[str]] = {"event": kind.events, "send": kind.sends, **named}
    for what, triggers in purposes.items():
        unknown = [trigger for trigger in triggers if trigger not in pulled]
        if unknown:
            raise ValueError(f"{kind.name}: the {what} of {unknown[0]!r}, which no row takes")


def check_clocks(
    kind: Kind,
    states: Mapping[str, State],
    clocks: Mapping[str, NamedClock],
    fulfils: Mapping[str, tuple[str, ...]],
) -> None:
    """ValueError for a clock that is named and not declared, and for one that is declared and never runs."""
    run = {clock for state in states.values() for clock in state.clocks}
    named = run | {clock for state in states.values() for clock in state.keeps}
    named |= {clock for ended in fulfils.values() for clock in ended if clock != TOTAL}
    unknown, idle = (
        sorted(named - set(clocks)),
        [c.name for c in clocks.values() if c.name not in run and not c.ordered],
    )
    if unknown or TOTAL in clocks:
        raise ValueError(f"{kind.name}: {(unknown or [TOTAL])[0]!r} is not one of the clocks that it declares")
    if idle:
        raise ValueError(f"{kind.name}: no state runs the clock {idle[0]!r}, and none is ordered")


def check_units(kind: Kind, clocks: Iterable[NamedClock]) -> None:
    """ValueError for a clock whose unit is to be named by no fact of the kind, or by one that names none, and for two
    whose units one fact would name."""
    named = [(clock.name, clock.unit) for clock in clocks if clock.unit is not None]
    for name, fact in named:
        members = {field.name for field in structs.fields(fact)} if fact in (*SHARED, *kind.facts) else set[str]()
        if not {"stage", "unit"} <= members:
            raise ValueError(f"{kind.name}: {fact.__name__} is to name the unit of the clock {name!r}, and names none")
    if len({fact for _, fact in named}) < len(named):
        raise ValueError(f"{kind.name}: {named[-1][0]!r} is not the only clock whose unit one fact names")


def check_tolerance(kind: Kind, states: Mapping[str, State], clocks: Collection[str], tolerance: Tolerance) -> None:
    """ValueError for what shows a condition of 容错 and names no source, clock or state of the kind."""
    known: tuple[tuple[tuple[str, ...], Collection[str]], ...] = (
        (tolerance.found, tuple(Source)),
        (tolerance.work, clocks),
        (tolerance.handled, states),
        (tolerance.reported, states),
    )
    unknown = [name for names, those in known for name in names if name not in those]
    if unknown:
        raise ValueError(f"{kind.name}: {unknown[0]!r}, by which 容错 is shown, is no source, clock or state of it")


def check_measures(kind: Kind, measures: Iterable[Measure], endings: Collection[str]) -> None:
    """ValueError for a measure of a fact that the kind does not tell, or of a member that the fact does not have, and
    for two of one name."""
    known = set[str]()
    for measure in measures:
        if measure.name in endings:
            raise ValueError(f"{kind.name}: {measure.name!r} is the measure of an ending, and counts nothing else")
        if measure.name in known:
            raise ValueError(f"{kind.name}: measure {measure.name!r} is declared twice")
        known.add(measure.name)
        fact = measure.fact
        if fact not in (*SHARED, *kind.facts):
            raise ValueError(f"{kind.name}: measure {measure.name!r} counts {fact.__name__}, which is no fact of it")
        # What is left out of a fact reads as nothing, or as no: the recount by SQL knows no other default.
        plain = {field.name for field in structs.fields(fact) if field.default in (NODEFAULT, "", False)}
        strange = [member for member in measure.members if member not in plain]
        if strange:
            raise ValueError(f"{kind.name}: measure {measure.name!r} asks {fact.__name__} for {strange[0]!r}")


def check_words(
    kind: Kind,
    zh: str,
    states: Mapping[str, State],
    clocks: Mapping[str, NamedClock],
    measures: Iterable[Measure],
    sentences: Mapping[type[Fact], str],
) -> None:
    """ValueError for what has no words: the kind, a state, an event, a clock, a measure, a fact of its own."""
    words = {"it": zh} | {f"the state {state.name!r}": state.zh for state in states.values()}
    words |= {f"the event {trigger!r}": event.zh for trigger, event in kind.events.items()}
    words |= {f"the clock {clock.name!r}": clock.zh and clock.en for clock in clocks.values()}
    words |= {f"the measure {measure.name!r}": measure.zh and measure.en for measure in measures}
    words |= {f"the fact {fact.__name__}": sentences.get(fact, "") for fact in kind.facts}
    silent = [what for what, said in words.items() if not said]
    if silent:
        raise ValueError(f"{kind.name}: {silent[0]} has no words")
    strange = [fact.__name__ for fact in sentences if fact not in kind.facts]
    if strange:
        raise ValueError(f"{kind.name}: a sentence for {strange[0]}, which is no fact of its own")
    for fact, text in sentences.items():
        named = [member for _, member, _, _ in Formatter().parse(text) if member is not None]
        unknown = [member for member in named if member not in fact.__struct_fields__]
        if unknown:
            raise ValueError(f"{kind.name}: the sentence of {fact.__name__} names {unknown[0]!r}, which it has not")


def _forward(states: dict[str, State], table: Mapping[tuple[str, str], Any]) -> frozenset[tuple[str, str, str]]:
    """Moves towards states that come later in the same cycle: an event that one of those takes has come early, and may
    wait.

    Only steps forward on the main line count, and steps from beside it back onto it. An event that its case has left
    behind is answered at once and does not wait.
    """
    moves = {(name, source, dest) for (name, source), targets in table.items() for dest, _ in targets if dest != "="}
    ranks = {name: state.rank for name, state in states.items()}
    return frozenset(move for move in moves if ranks[move[2]] > ranks[move[1]])

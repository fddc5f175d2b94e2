"""A definition: the states and triggers of one kind of case, validated by `transitions` and compiled for speed.

All cases of a kind share one machine. `auto_transitions` is off, so no state can be jumped to.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from string import Formatter
from typing import Any, Literal, NamedTuple

from msgspec import NODEFAULT, Struct, structs
from transitions import Machine

from schemas.events import EVENTS, OF_ANY_CASE
from schemas.facts import SHARED
from schemas.members import EventData, Fact, Kind
from schemas.refusals import Refusal
from workflows.case import AWAITED, TOTAL, Case
from workflows.decision import Decision, Ending
from workflows.figures import CLOSED, Measure, Ratio, Sum
from workflows.holding import Hands
from workflows.periods import Period
from workflows.policy.index import Policy

Listed = Literal["always", "asked", "never"]
Guard = Callable[[Case, EventData, "Speaker"], bool]
"""A condition of a transition: a pure function of the case, the event's data and its speaker."""
Effect = Callable[[Decision, Any, "Speaker"], Refusal | None]
"""What a trigger does besides moving the case: it tells facts, or refuses, and then none of them counts."""


class Speaker(Struct, frozen=True):
    """The post that says something: its grid and department, and what the rules say of the case."""

    post: str
    grid: str
    level: int
    department: str
    leaf_level: int  # the deepest level of the place
    dissuade: bool = False  # the category asks for dissuasion first
    authority: int = 0  # the level with authority over the category
    checks: tuple[int, ...] = ()  # levels that will check on site once this is handled
    role: str = ""
    day: int = 0  # the local day (YYYYMMDD) of the instant that is believed


def nobody(case: Case, level: int = 0) -> Speaker:
    """Who speaks where a clock does something to a case, or another case."""
    return Speaker("", "", level, "", len(case.path))


class State(Struct, frozen=True):
    """A state: its names, its rank on the main line (0: beside it), the clocks that run in it, and who must act.

    The clocks in `owed` go on for levels that let the turn of their check pass: they owe it still. Those in `anew`
    belong to one owner: with another they begin anew, where others go on.
    """

    name: str
    zh: str
    rank: int = 0
    clocks: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()  # clocks that go on if they run, but do not start here
    holds: bool = False  # clocks pause here instead of stopping
    terminal: bool = False
    hands: Hands = "owner"
    owed: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()


class Transition(Struct, frozen=True):
    """One row of the table. Rows of the same trigger and state are tried in order; all guards must agree."""

    trigger: str
    sources: tuple[str, ...]
    dest: str  # "=" stays
    guards: tuple[str, ...] = ()  # "not x" negates


class NamedClock(Struct, frozen=True):
    """A clock of a kind of case, with its words. One that is `ordered` is started by an effect, not by a state."""

    name: str
    zh: str
    en: str
    ordered: bool = False


class Birth(Struct, frozen=True):
    """How an event begins a case.

    `begin(decision, data, the speaker's own grid, home, nearby)` tells what the case is and where it lies; nearby are
    the open cases under the same keys. Once it is known that the speaker may say so, `assign(decision, data, speaker,
    state)` gives it its first owner, as the state asks for. `keys(data, register)`: the correlation keys under which
    other open cases may be the same; the engine looks them up.
    """

    begin: Callable[[Decision, Any, str, str, Sequence[Case]], Refusal | None]
    assign: Callable[[Decision, Any, Speaker, str], Refusal | None]
    keys: Callable[[Any, Policy], Sequence[str]] = lambda data, register: ()


class Alias(Struct, frozen=True):
    """The event that people send for a trigger of the machine's own, and when they mean that."""

    event: str
    when: Guard


class Owed(NamedTuple):
    """What a post owes once in every period of a name, under a row of the pack."""

    row: str
    post: str
    period: str


class Bears(Struct, frozen=True):
    """How time bears cases of a kind: the home says it to them by sends, when a period begins and when a pack changes.

    `owes(policy, home)`: all that is owed in a home under a pack, in an order that is always the same. `stands(policy,
    owed, day)`: whether row, post and occupancy stand on a local day (YYYYMMDD). `birth(policy, owed, period)`: the
    data with which one is born, by the trigger `born`. `ended` is the trigger of one that is owed no more.
    """

    owes: Callable[[Policy, str], Sequence[Owed]]
    stands: Callable[[Policy, Owed, int], bool]
    birth: Callable[[Policy, Owed, Period], EventData]
    end: Callable[[], EventData]
    born: str
    ended: str


Table = dict[tuple[str, str], tuple[tuple[str, tuple[tuple[Guard, bool], ...]], ...]]
"""(trigger, state) -> where it leads, each with its guards and the answers they need."""


class Definition(Struct, frozen=True, kw_only=True):
    """A compiled definition. `table` maps (trigger, state) to destinations with their guards and the answers they need.

    `forward` has the moves (trigger, state, next state) that lead on within a cycle, and `ahead` maps a state to the
    triggers that later states take. `effects` and `births` are by trigger, `aliases` by triggers that nobody sends.
    `endings` has the measure of each trigger that ends a case: `closed` where it fulfils the clock of the whole case.
    `sentences` says what a fact of this kind alone means, with its members in braces.
    `escalates` is the trigger that a rung pulls where the pack says so, `resumes` the one that ends a suspension on its
    day; empty: there is none. `fulfils` has for a trigger the clocks that it fulfils, `returns` the triggers by which
    work is given back. `lapses` is the trigger that a clock pulls when a level lets the turn of its check pass;
    `checking` are the clocks of checks. `wakes` is the trigger that is pulled at the instant at which what the kind
    keeps comes up (`Own.wakes`), and `bears` how time bears such cases; None: it does not. `listed` says whether lists
    show them: always, only where they are asked for, or never. `sends` are triggers that only other cases pull, and
    `at_end(decision)` is what a case does besides when it comes to its end. `counts_at(decision)` is the instant by
    whose local day all steps of such a case count, where that is not the day on which they are taken; `sums` and
    `ratios` are what figures of the kind show besides what is stored.
    """

    name: str
    zh: str
    states: dict[str, State]
    rows: tuple[Transition, ...]
    guards: dict[str, Guard]
    effects: dict[str, Effect]
    births: dict[str, Birth]
    aliases: dict[str, Alias]
    clocks: dict[str, NamedClock]
    measures: tuple[Measure, ...]
    endings: dict[str, str]
    sentences: dict[type[Fact], str]
    escalates: str
    resumes: str
    fulfils: dict[str, tuple[str, ...]]
    returns: frozenset[str]
    lapses: str
    checking: frozenset[str]
    table: Table
    forward: frozenset[tuple[str, str, str]]
    ahead: dict[str, frozenset[str]]
    machine: Any
    listed: Listed = "always"
    wakes: str = ""
    bears: Bears | None = None
    sends: frozenset[str] = frozenset()
    at_end: Callable[[Decision], None] | None = None
    counts_at: Callable[[Decision], int] | None = None
    sums: tuple[Sum, ...] = ()
    ratios: tuple[Ratio, ...] = ()

    def ending(self, trigger: str, level: int = 0, *, rightful: bool = True) -> Ending:
        """How a trigger ends clocks, said by a level; `rightful`: by who holds the case, or from above."""
        takes_back = rightful and trigger not in self.returns
        return Ending(trigger, self.fulfils.get(trigger, ()), self.checking, level, takes_back)

    @property
    def posts_hold(self) -> bool:
        """Whether posts hold cases of this kind in some state."""
        return any(state.hands == "post" for state in self.states.values())

    def held_by_posts(self, clock: str) -> bool:
        """Whether a clock is always one post's: each state that runs it, or goes on with it, is in the hands of one."""
        open_states = [state for state in self.states.values() if state.name != AWAITED and not state.terminal]
        run = [s for s in open_states if clock == TOTAL or clock in (*s.clocks, *s.keeps, *s.owed)]
        return bool(run) and all(state.hands == "post" for state in run)

    def meant(self, said: str, case: Case, data: EventData, speaker: Speaker) -> str:
        """The trigger that is meant by an event of this trigger: mostly itself."""
        for trigger, alias in self.aliases.items():
            if alias.event == said and alias.when(case, data, speaker):
                return trigger
        return said

    def event_of(self, trigger: str) -> str:
        """The trigger of the event that people send to pull a trigger: mostly itself."""
        alias = self.aliases.get(trigger)
        return alias.event if alias is not None else trigger

    def destination(self, trigger: str, case: Case, data: EventData, speaker: Speaker) -> str | None:
        """The state to which a trigger leads (`=`: the same); None if no row's guards agree."""
        for dest, guards in self.table.get((trigger, case.state), ()):
            if all(guard(case, data, speaker) is wanted for guard, wanted in guards):
                return dest
        return None

    def triggers(self, state: str) -> list[str]:
        """The triggers that a state takes from people."""
        return sorted({trigger for trigger, source in self.table if source == state} - self.unspoken)

    @property
    def unspoken(self) -> frozenset[str]:
        """The triggers that nobody sends: other cases pull them, or time does."""
        return self.sends | {self.lapses, self.wakes}

    def leading(self, state: str, trigger: str) -> set[str]:
        """The triggers that move a case, from a state or from one ahead of it, into a state that takes `trigger`."""
        takers = {source for name, source in self.table if name == trigger} - {state}
        sources = {state, *_reached(self.forward, state, takers)} - takers
        return {name for name, source, dest in self.forward if source in sources and dest in takers}


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
    said: dict[str, Iterable[str]] = {
        "event": kind.events,
        "send": kind.sends,
        "effect": [trigger for trigger in effects if trigger not in OF_ANY_CASE],
        "alias": aliases,
        "side line": [*filter(None, (escalates, resumes, lapses, wakes)), *returns],
        "clock": fulfils,
        "bearing": [] if bears is None else [bears.born, bears.ended],
    }
    for what, triggers in said.items():
        unknown = [trigger for trigger in triggers if trigger not in pulled]
        if unknown:
            raise ValueError(f"{name}: the {what} of {unknown[0]!r}, which no row takes")
    check_clocks(kind, by_name, named_clocks, fulfils)
    check_measures(kind, counted, {measure_of_ending(trigger, fulfils) for trigger in ends})
    check_words(kind, zh, by_name, named_clocks, sentences)
    machine, table = compile_rows(by_name, kept, answers)
    forward = _forward(by_name, table)
    reached = {start: _reached(forward, start) for start in by_name}
    ahead = {start: frozenset(name for name, source in table if source in found) for start, found in reached.items()}
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
    """ValueError for a row with an unknown state, guard or trigger, for one that takes up a case that is over, and for
    a birth without a row or the reverse."""
    heard = {*kind.events, *OF_ANY_CASE, *aliases, *kind.sends}
    for row in rows:
        strange = [g for g in row.guards if g.removeprefix("not ") not in guards]
        strange += [s for s in (*row.sources, row.dest) if s not in (*states, "=")]
        if strange:
            raise ValueError(f"{kind.name}: row {row.trigger} names {strange[0]!r}, which is no state or guard")
        over = any(s in states and states[s].terminal for s in row.sources)
        if over and row.dest != "=" and not states[row.dest].terminal:
            raise ValueError(f"{kind.name}: row {row.trigger} takes up a case that is over: it would be closed twice")
        if row.trigger not in heard:
            raise ValueError(f"{kind.name}: row {row.trigger!r} is no event of this kind, nor of any case")
    if both := sorted({*kind.sends} & EVENTS.keys()):
        raise ValueError(f"{kind.name}: {both[0]!r} is said by people as well as by cases")
    bearing = {row.trigger for row in rows if AWAITED in row.sources}
    if bearing != births:
        odd = sorted(bearing ^ births)[0]
        raise ValueError(f"{kind.name}: {odd!r} has a row from {AWAITED!r} or a birth, and not both")


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
    sentences: Mapping[type[Fact], str],
) -> None:
    """ValueError for what has no words: the kind, a state, an event, a clock, or a fact of the kind's own."""
    words = {"it": zh} | {f"the state {state.name!r}": state.zh for state in states.values()}
    words |= {f"the event {trigger!r}": event.zh for trigger, event in kind.events.items()}
    words |= {f"the clock {clock.name!r}": clock.zh and clock.en for clock in clocks.values()}
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


def _reached(forward: Iterable[tuple[str, str, str]], start: str, ends: Collection[str] = ()) -> set[str]:
    """The states that moves lead to from one of them, without going on from `ends`."""
    reached, frontier = set[str](), {start}
    while frontier:
        frontier = {dest for _, source, dest in forward if source in frontier - set(ends)} - reached
        reached |= frontier
    return reached


def mermaid(definition: Definition) -> str:
    """The table as a mermaid state diagram, with the open states in one frame.

    A trigger that every open state takes leaves from the frame. Transitions that stay in their state are not drawn.
    """
    states = definition.states.values()
    inside = [s.name for s in states if s.name != AWAITED and not s.terminal]
    moves: dict[tuple[str, str], list[str]] = {}
    for (trigger, source), targets in definition.table.items():
        for dest, _ in targets:
            if dest not in ("=", source):
                moves.setdefault((trigger, dest), []).append(source)
    edges: dict[tuple[str, str], list[str]] = {}
    for (trigger, dest), sources in moves.items():
        for source in ["open"] if set(inside) <= set(sources) else sources:
            names = edges.setdefault((source, dest), [])
            if trigger not in names:
                names.append(trigger)
    drawn = {edge: f"{edge[0]} --> {edge[1]} : {' / '.join(names)}" for edge, names in edges.items()}
    within = [text for (a, b), text in drawn.items() if a in inside and b in inside]
    across = [text for (a, b), text in drawn.items() if not (a in inside and b in inside)]
    titles = {s.name: f"{s.name} : {s.name} {s.zh}" for s in states}
    lines = ["stateDiagram-v2", f"    [*] --> {AWAITED}", "    state open {"]
    lines += [f"        {text}" for text in [*(titles[name] for name in inside), *within]]
    lines += ["    }", *(f"    {title}" for name, title in titles.items() if name not in inside)]
    lines += [f"    {text}" for text in across]
    lines += [f"    {s.name} --> [*]" for s in states if s.terminal]
    return "\n".join(lines) + "\n"

"""A definition: the states and triggers of one kind of case, validated by `transitions` and compiled for speed.

All cases of a kind share one machine. `auto_transitions` is off, so no state can be jumped to.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from transitions import Machine

from schemas.events import EventData
from schemas.refusals import Refusal
from workflows.case import AWAITED, Case
from workflows.decision import Decision, Ending
from workflows.holding import Hands
from workflows.policy.index import Policy

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


class State(Struct, frozen=True):
    """A state: its names, its rank on the main line (0: beside it), the clocks that run in it, and who must act.

    The clocks in `owed` go on for levels that let the turn of their check pass: they owe it still.
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


class Transition(Struct, frozen=True):
    """One row of the table. Rows of the same trigger and state are tried in order; all guards must agree."""

    trigger: str
    sources: tuple[str, ...]
    dest: str  # "=" stays
    guards: tuple[str, ...] = ()  # "not x" negates


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


class Definition(Struct, frozen=True):
    """A compiled definition. `table` maps (trigger, state) to destinations with their guards and the answers they need.

    `forward` has the moves (trigger, state, next state) that lead on within a cycle, and `ahead` maps a state to the
    triggers that later states take. `effects` and `births` are by trigger, `aliases` by triggers that nobody sends.
    `escalates` is the trigger that a rung pulls where the pack says so, `resumes` the one that ends a suspension on its
    day; empty: there is none. `fulfils` has for a trigger the clocks that it fulfils, `returns` the triggers by which
    work is given back. `lapses` is the trigger that a clock pulls when a level lets the turn of its check pass;
    `checking` are the clocks of checks.
    """

    name: str
    zh: str
    states: dict[str, State]
    rows: tuple[Transition, ...]
    guards: dict[str, Guard]
    effects: dict[str, Effect]
    births: dict[str, Birth]
    aliases: dict[str, Alias]
    escalates: str
    resumes: str
    fulfils: dict[str, tuple[str, ...]]
    returns: frozenset[str]
    lapses: str
    checking: frozenset[str]
    table: dict[tuple[str, str], tuple[tuple[str, tuple[tuple[Guard, bool], ...]], ...]]
    forward: frozenset[tuple[str, str, str]]
    ahead: dict[str, frozenset[str]]
    machine: Any

    def ending(self, trigger: str, level: int = 0, *, rightful: bool = True) -> Ending:
        """How a trigger ends clocks, said by a level; `rightful`: by who holds the case, or from above."""
        takes_back = rightful and trigger not in self.returns
        return Ending(trigger, self.fulfils.get(trigger, ()), self.checking, level, takes_back)

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
        return sorted({trigger for trigger, source in self.table if source == state and trigger != self.lapses})

    def leading(self, state: str, trigger: str) -> set[str]:
        """The triggers that move a case, from a state or from one ahead of it, into a state that takes `trigger`."""
        takers = {source for name, source in self.table if name == trigger} - {state}
        sources = {state, *_reached(self.forward, state, takers)} - takers
        return {name for name, source, dest in self.forward if source in sources and dest in takers}


def define(
    name: str,
    zh: str,
    states: Iterable[State],
    rows: Iterable[Transition],
    guards: Iterable[Guard],
    *,
    births: Mapping[str, Birth],
    effects: Mapping[str, Effect],
    aliases: Mapping[str, Alias] = {},
    escalates: str = "",
    resumes: str = "",
    fulfils: Mapping[str, tuple[str, ...]] = {},
    returns: Collection[str] = (),
    lapses: str = "",
) -> Definition:
    """Validate with `transitions`, and compile. ValueError for what names an unknown state, guard or trigger."""
    by_name, kept, answers = {s.name: s for s in states}, tuple(rows), {g.__name__: g for g in guards}
    for row in kept:
        strange = [g for g in row.guards if g.removeprefix("not ") not in answers]
        strange += [s for s in (*row.sources, row.dest) if s not in (*by_name, "=")]
        if strange:
            raise ValueError(f"{name}: row {row.trigger} names {strange[0]!r}, which is no state or guard")
    pulled, bearing = {row.trigger for row in kept}, {row.trigger for row in kept if AWAITED in row.sources}
    if bearing != set(births):
        odd = sorted(bearing ^ set(births))[0]
        raise ValueError(f"{name}: {odd!r} has a row from {AWAITED!r} or a birth, and not both")
    side_lines = [*filter(None, (escalates, resumes, lapses)), *returns]
    for what, named in (("effect", effects), ("alias", aliases), ("side line", side_lines), ("clock", fulfils)):
        unknown = [trigger for trigger in named if trigger not in pulled]
        if unknown:
            raise ValueError(f"{name}: the {what} of {unknown[0]!r}, which no row takes")
    transitions = [
        {
            "trigger": row.trigger,
            "source": list(row.sources),
            "dest": None if row.dest == "=" else row.dest,  # None: an internal transition, no move
            # Guards stay names in the machine, so that a test's model can answer them.
            "conditions": [g for g in row.guards if not g.startswith("not ")],
            "unless": [g.removeprefix("not ") for g in row.guards if g.startswith("not ")],
        }
        for row in kept
    ]
    machine: Any = Machine(
        model=None, states=list(by_name), transitions=transitions, initial=AWAITED, auto_transitions=False
    )
    table = {
        (event.name, source): tuple(
            (t.dest or "=", tuple((answers[c.func], c.target) for c in t.conditions)) for t in in_order
        )
        for event in machine.events.values()
        for source, in_order in event.transitions.items()
    }
    forward = _forward(by_name, table)
    reached = {start: _reached(forward, start) for start in by_name}
    ahead = {start: frozenset(name for name, source in table if source in found) for start, found in reached.items()}
    return Definition(
        name,
        zh,
        by_name,
        kept,
        answers,
        dict(effects),
        dict(births),
        dict(aliases),
        escalates,
        resumes,
        dict(fulfils),
        frozenset(returns),
        lapses,
        frozenset(clock for state in by_name.values() if state.hands == "check" for clock in state.clocks),
        table,
        forward,
        ahead,
        machine,
    )


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

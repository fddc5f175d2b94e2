"""A definition: the states and triggers of one kind of case, compiled for speed by `workflows.define`.

All cases of a kind share one machine. `auto_transitions` is off, so no state can be jumped to.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from schemas.members import EventData, Fact
from schemas.refusals import Refusal
from workflows.case import AWAITED, TOTAL, Case
from workflows.decision import Decision, Ending
from workflows.figures import Measure, Ratio, Sum
from workflows.holding import Hands
from workflows.periods import Period
from workflows.policy.index import Policy

Listed = Literal["always", "asked", "never"]
Guard = Callable[[Case, EventData, "Speaker"], bool]
"""A condition of a transition: a pure function of the case, the event's data and its speaker."""
Effect = Callable[[Decision, Any, "Speaker"], Refusal | None]
"""What a trigger does besides moving the case: it tells facts, or refuses, and then none of them counts."""


Admission = Callable[[Decision, "Speaker"], Refusal | None]
"""What a trigger asks of its speaker and of the case besides a role, whatever is said: a refusal, or None."""


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
    belong to one owner: with another they begin anew, where others go on. `concealed`: only who began the case and who
    decides of it read it (`workflows.definitions.shown_path`). Those in `barred` stand still while a supervision bars
    the case from ending.
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
    concealed: bool = False
    barred: tuple[str, ...] = ()


class Transition(Struct, frozen=True):
    """One row of the table. Rows of the same trigger and state are tried in order; all guards must agree."""

    trigger: str
    sources: tuple[str, ...]
    dest: str  # "=" stays
    guards: tuple[str, ...] = ()  # "not x" negates


class NamedClock(Struct, frozen=True):
    """A clock of a kind of case, with its words. One that is `ordered` is started by an effect, not by a state.

    `unit` is the fact of such an order, where it names a responsible unit (责任单位): its members `stage`, which is the
    clock's level, and `unit`. The clock that starts in the step of an order is that of the unit until it stops.
    """

    name: str
    zh: str
    en: str
    ordered: bool = False
    unit: type[Fact] | None = None


class Birth(Struct, frozen=True):
    """How an event begins a case.

    `begin(decision, data, the speaker's own grid, home, nearby)` tells what the case is and where it lies; nearby are
    the open cases under the same keys. Once it is known that the speaker may say so, `assign(decision, data, speaker,
    state)` gives it its first owner, as the state asks for. `keys(data, measured, register)`: the correlation keys
    under which other open cases may be the same, by what a record says and where (`Record.measured`); the engine
    looks them up. `endless`: the clock of the whole case has no deadline, whatever the pack's limits say: such a kind
    has a day of its own. `subject(data, register)`: the only id that such a case can have; empty: one is minted
    for it. `joins(decision, data, nearby)`: which of the cases nearby that take the same word is told it, where one of
    another home would bear this one; empty: none, and it is born.
    """

    begin: Callable[[Decision, Any, str, str, Sequence[Case]], Refusal | None]
    assign: Callable[[Decision, Any, Speaker, str], Refusal | None]
    keys: Callable[[Any, tuple[int, ...] | None, Policy], Sequence[str]] = lambda data, measured, register: ()
    endless: bool = False
    subject: Callable[[Any, Policy], str] = lambda data, register: ""
    joins: Callable[[Decision, Any, Sequence[Case]], str] = lambda d, data, nearby: ""


class Alias(Struct, frozen=True):
    """The event that people send for a trigger of the machine's own, and when they mean that."""

    event: str
    when: Guard


class Owed(NamedTuple):
    """What a post owes once in every period of a name, under a row of the pack, and perhaps for a site."""

    row: str
    post: str
    period: str
    site: str = ""


class Bears(Struct, frozen=True):
    """How time bears cases of a kind: the home says it to them by sends, when a period begins and when a pack changes.

    `owes(policy, home)`: all that is owed in a home under a pack, in an order that is always the same. `stands(policy,
    owed, day)`: whether row, post and occupancy stand on a local day (YYYYMMDD). `birth(policy, owed, period)`: the
    data with which one is born, by the trigger `born`. `ended` is the trigger of one that is owed no more, and `end()`
    its data. `ends(policy, owed)`: the last local day on which row, post and occupancy stand, as far as the pack says;
    0: it says none. `done` are triggers of what has been done in the period: nobody says them before it begins.
    `listed(policy, owed)`: the grid that has to be listed as a key area when the period begins; empty: it is owed
    anyway.
    """

    owes: Callable[[Policy, str], Sequence[Owed]]
    stands: Callable[[Policy, Owed, int], bool]
    birth: Callable[[Policy, Owed, Period], EventData]
    end: Callable[[], EventData]
    born: str
    ended: str
    ends: Callable[[Policy, Owed], int] = lambda policy, owed: 0
    done: tuple[str, ...] = ()
    listed: Callable[[Policy, Owed], str] = lambda policy, owed: ""


Table = dict[tuple[str, str], tuple[tuple[str, tuple[tuple[Guard, bool], ...]], ...]]
"""(trigger, state) -> where it leads, each with its guards and the answers they need."""


class Tolerance(NamedTuple):
    """What shows of a case that 容错 (M86) holds for a missed deadline of it.

    `found` are the sources of what a unit finds itself (主动发现), `work` the clocks of the work, none of which was
    missed (及时处置), `handled` the states in which that work is done, and `reported` those in which it has been
    reported, and confirmed where the kind has checks (整改上报).
    """

    found: tuple[str, ...]
    work: tuple[str, ...]
    handled: tuple[str, ...]
    reported: tuple[str, ...]


class Definition(Struct, frozen=True, kw_only=True, dict=True):
    """A compiled definition. `table` maps (trigger, state) to destinations with their guards and the answers they need.

    `forward` has the moves (trigger, state, next state) that lead on within a cycle, and `ahead` maps a state to the
    triggers that later states take. `heard` are the triggers of events, as people send them, that some state takes.
    `admits` is what a trigger asks whatever the data say; it stands before the effect, and tells no facts.
    `effects` and `births` are by trigger, `aliases` by triggers that nobody sends.
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
    `ratios` are what figures of the kind show besides what is stored. `reads_home`: its decisions find the case of the
    home itself, which is kept from all others. `tolerance`: what shows that 容错 holds for a missed deadline; None:
    nothing is exempted. `of_actions`: its cases have an action of the pack where others have a category of the
    catalogue. `needs`: the part of a pack without which nothing is said of this kind; empty: none.
    `identity` are triggers: who asked is known to those posts alone that may say one of them of the case; empty: to
    whoever owns, handles or supervises it.
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
    heard: frozenset[str]
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
    reads_home: bool = False
    admits: dict[str, Admission] = {}
    tolerance: Tolerance | None = None
    of_actions: bool = False
    of_approvals: bool = False
    needs: str = ""
    identity: tuple[str, ...] = ()

    def ending(self, trigger: str, level: int = 0, *, rightful: bool = True) -> Ending:
        """How a trigger ends clocks, said by a level; `rightful`: by who holds the case, or from above."""
        found = self.known_endings.get((trigger, level, rightful))
        if found is None:
            takes_back = rightful and trigger not in self.returns
            found = Ending(trigger, self.fulfils.get(trigger, ()), self.checking, level, takes_back)
            self.known_endings[trigger, level, rightful] = found
        return found

    @cached_property
    def known_endings(self) -> dict[tuple[str, int, bool], Ending]:
        """The endings that were asked for: one for each trigger and level, twice at most."""
        return {}

    @property
    def concealed(self) -> frozenset[str]:
        """The states in which only who began a case and who decides of it read it."""
        return frozenset(state.name for state in self.states.values() if state.concealed)

    @cached_property
    def ends(self) -> bool:
        """Whether cases of this kind come to an end, so that they have a clock of the whole case."""
        return any(state.terminal for state in self.states.values())

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
        for trigger, when in self.meanings.get(said, ()):
            if when(case, data, speaker):
                return trigger
        return said

    @cached_property
    def meanings(self) -> dict[str, tuple[tuple[str, Guard], ...]]:
        """What an event of a trigger may mean besides itself, and when, in the order of the aliases."""
        said = {alias.event for alias in self.aliases.values()}
        return {
            event: tuple((name, alias.when) for name, alias in self.aliases.items() if alias.event == event)
            for event in said
        }

    def works(self, trigger: str, state: str) -> bool:
        """Whether a trigger does what a state waits for: it fulfils a clock of the case, or leads on."""
        leads = any((name, source) == (trigger, state) for name, source, _ in self.forward)
        return leads or bool(self.fulfils.get(trigger))

    def event_of(self, trigger: str) -> str:
        """The trigger of the event that people send to pull a trigger: mostly itself."""
        alias = self.aliases.get(trigger)
        return alias.event if alias is not None else trigger

    def destination(self, trigger: str, case: Case, data: EventData, speaker: Speaker) -> str | None:
        """The state to which a trigger leads (`=`: the same); None if no row's guards agree."""
        for dest, guards in self.table.get((trigger, case.state), ()):
            for guard, wanted in guards:
                if guard(case, data, speaker) is not wanted:
                    break
            else:
                return dest
        return None

    def triggers(self, state: str) -> list[str]:
        """The triggers that a state takes from people."""
        return sorted({trigger for trigger, source in self.table if source == state} - self.unspoken)

    @property
    def reopening(self) -> frozenset[str]:
        """The triggers that take up a case that is over. A pack may do without."""
        return taking_up(self.states, self.table)

    @property
    def unspoken(self) -> frozenset[str]:
        """The triggers that nobody sends: other cases pull them, or time does."""
        return self.sends | {self.lapses, self.wakes}

    def leading(self, state: str, trigger: str) -> set[str]:
        """The triggers that move a case, from a state or from one ahead of it, into a state that takes `trigger`."""
        takers = {source for name, source in self.table if name == trigger} - {state}
        sources = {state, *reached(self.forward, state, takers)} - takers
        return {name for name, source, dest in self.forward if source in sources and dest in takers}


def taking_up(states: Mapping[str, State], table: Table) -> frozenset[str]:
    """The triggers that lead out of a state in which a case is over."""
    found = {
        trigger
        for (trigger, source), targets in table.items()
        for dest, _ in targets
        if states[source].terminal and dest != "=" and not states[dest].terminal
    }
    return frozenset(found)


def reached(forward: Iterable[tuple[str, str, str]], start: str, ends: Collection[str] = ()) -> set[str]:
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
        for source in ["open"] if inside and set(inside) <= set(sources) else sources:
            names = edges.setdefault((source, dest), [])
            if trigger not in names:
                names.append(trigger)
    drawn = {edge: f"{edge[0]} --> {edge[1]} : {' / '.join(names)}" for edge, names in edges.items()}
    within = [text for (a, b), text in drawn.items() if a in inside and b in inside]
    across = [text for (a, b), text in drawn.items() if not (a in inside and b in inside)]
    titles = {s.name: f"{s.name} : {s.name} {s.zh}" for s in states}
    lines = ["stateDiagram-v2", f"    [*] --> {AWAITED}"]
    framed = [f"        {text}" for text in [*(titles[name] for name in inside), *within]]
    lines += ["    state open {", *framed, "    }"] if inside else []
    lines += [f"    {title}" for name, title in titles.items() if name not in inside]
    lines += [f"    {text}" for text in across]
    lines += [f"    {s.name} --> [*]" for s in states if s.terminal]
    return "\n".join(lines) + "\n"

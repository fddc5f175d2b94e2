"""Kinds of case. Each is one readable file: a table of states, what moves between them, and what that does.

`KINDS` is the one list of them: who adds a kind adds its file and a line here. `workflows.machine` validates and
compiles a table; it knows no kind of case.
"""

from collections.abc import Iterable

from schemas.derived_ids import docket_subject, has_no_instant, home_subject
from schemas.events import EVENT_TYPES, trigger_of
from schemas.kinds.home import Home
from schemas.members import EventData
from schemas.partition import home_of
from workflows.case import TOTAL, Case
from workflows.definitions.approval import APPROVAL
from workflows.definitions.assessment import ASSESSMENT
from workflows.definitions.docket import DOCKET
from workflows.definitions.draw import DRAW
from workflows.definitions.duty import DUTY
from workflows.definitions.home import HOME
from workflows.definitions.incident import INCIDENT
from workflows.definitions.part import PART
from workflows.definitions.petition import PETITION
from workflows.definitions.responsibility import RESPONSIBILITY
from workflows.definitions.service_request import SERVICE_REQUEST
from workflows.definitions.signal import SIGNAL
from workflows.definitions.supervision import SUPERVISION
from workflows.definitions.target import TARGET
from workflows.definitions.task import TASK
from workflows.definitions.visit import VISIT
from workflows.figures import Measure
from workflows.holding import Holder, holder_of
from workflows.machine import Bears, Definition
from workflows.periods import spread_of

KINDS: tuple[Definition, ...] = (
    INCIDENT,
    SERVICE_REQUEST,
    DUTY,
    SUPERVISION,
    RESPONSIBILITY,
    TASK,
    TARGET,
    ASSESSMENT,
    DRAW,
    VISIT,
    PART,
    APPROVAL,
    DOCKET,
    SIGNAL,
    PETITION,
    HOME,
)
DEFINITIONS: dict[str, Definition] = {definition.name: definition for definition in KINDS}

CLOCKS: dict[str, tuple[str, str]] = {
    **{clock.name: (clock.zh, clock.en) for each in DEFINITIONS.values() for clock in each.clocks.values()},
    TOTAL: ("全程", "total"),
}
"""Every clock with its words in Chinese and English. Limits and rungs hold for whatever kind has the clock."""
ORDERED = frozenset(clock.name for each in DEFINITIONS.values() for clock in each.clocks.values() if clock.ordered)
"""The clocks that an order starts: their level is the stage that was ordered."""
ENDINGS: dict[str, str] = {trigger: name for each in DEFINITIONS.values() for trigger, name in each.endings.items()}
"""The measure of each trigger that ends a case of some kind."""
MEASURES: tuple[Measure, ...] = tuple(
    dict.fromkeys(measure for definition in DEFINITIONS.values() for measure in definition.measures)
)
"""What all kinds count. Those that count the same under the same name stand here once."""
REFERENCE = next(iter(DEFINITIONS))
"""The kind of case that is meant where none is named."""


def held_by(case: Case) -> Holder:
    """Who must act on a case: what its state says, and nobody where it is over or its report is missing."""
    definition = DEFINITIONS.get(case.definition)
    state = definition.states.get(case.state) if definition is not None else None
    return Holder() if state is None or state.terminal else holder_of(case, state.hands)


BEARING: tuple[tuple[str, Bears], ...] = tuple((each.name, each.bears) for each in KINDS if each.bears is not None)
"""The kinds of case that time bears, and how."""


def is_home(id_: str) -> bool:
    """Whether an id is that of the case of its home."""
    return has_no_instant(id_) and id_ == home_subject(home_of(id_))


def is_spoken_to(id_: str) -> bool:
    """Whether people may speak to a case of an id: neither that of its home, nor the docket of it."""
    if not has_no_instant(id_):
        return True
    home = home_of(id_)
    return id_ not in (home_subject(home), docket_subject(home))


def is_open(case: Case) -> bool:
    """Whether a case counts as open: it has not ended, and is of a kind that is ever listed."""
    definition = DEFINITIONS.get(case.definition)
    return case.closed is None and (definition is None or definition.listed != "never")


CONCEALED = frozenset((each.name, state) for each in KINDS for state in each.concealed)
"""The kinds of case and their states in which only who began a case and who decides of it read it."""
OF_ACTIONS = frozenset(each.name for each in KINDS if each.of_actions)
"""The kinds of case that have an action of the pack where others have a category."""
OF_APPROVALS = frozenset(each.name for each in KINDS if each.of_approvals)
"""The kinds of case that have a row of approvals.csv where others have a category, and a lane where they have a
group."""
OF_OTHERS = OF_ACTIONS | OF_APPROVALS
"""The kinds of case whose codes are none of the catalogue."""
CLOCKS_OF_CATEGORIES = tuple(
    name for name in CLOCKS if name == TOTAL or any(name in each.clocks for each in KINDS if each.name not in OF_OTHERS)
)
"""The clocks of kinds of case that have a category."""


def is_concealed(case: Case) -> bool:
    """Whether only who began a case and who decides of it read it."""
    return (case.definition, case.state) in CONCEALED


def shown_path(case: Case) -> str:
    """Where a case lies for all who look at it, as a path from the root (`/XA/WY/`): by it the rows of cases and steps,
    lists, figures, boards and lines are read. `/`, which is nowhere, of one that has no place yet or is concealed."""
    return f"/{'/'.join(case.path)}/" if case.path and not is_concealed(case) else "/"


def is_spread(case: Case) -> bool:
    """Whether a case comes up within a spread: time bears such cases, and many of them are due at one instant."""
    definition = DEFINITIONS.get(case.definition)
    return definition is not None and definition.bears is not None


def comes_up(case: Case) -> int | None:
    """When a case comes up (ms). What time bears comes up within a spread, dated when it was due: so many that are due
    at one instant hold nobody up."""
    due = case.next_at
    if due is None:
        return None
    if isinstance(case.own, Home):
        return case.own.comes_up if due == case.own.next else due
    return due + spread_of(case.id) if is_spread(case) else due


_BORN: dict[type[EventData], dict[str, tuple[Definition, str]]] = {
    struct: {d.name: (d, trigger) for d in DEFINITIONS.values() if trigger in d.births}
    for trigger, struct in ((trigger_of(event_type), struct) for event_type, struct in EVENT_TYPES.items())
}


BEGINNING = frozenset(struct for struct, kinds in _BORN.items() if kinds)
"""What begins a case: the data of such events."""


def born_by(data: EventData) -> tuple[Definition, str] | None:
    """The definition of the case that an event begins, and the trigger; None for an event that begins none.

    An event that may begin cases of several kinds names one in its member `definition`.
    """
    kinds = _BORN[type(data)]
    if not kinds:
        return None
    named = getattr(data, "definition", "")
    return kinds[named] if named else next(iter(kinds.values()))


def births_before(trigger: str) -> set[str]:
    """What begins the cases that take a trigger: an event that comes before its case waits for one of these. Kinds of
    which offices speak are named to what is said of them alone: whoever is in the field need not hear of them."""
    bearing = [definition for definition in DEFINITIONS.values() if trigger in definition.heard]
    named = [definition for definition in bearing if definition.listed == "always" or definition.bears] or bearing
    return {birth for definition in named for birth in definition.births}


def agree(definitions: Iterable[Definition]) -> None:
    """ValueError where two kinds mean different things by a name that pages and packs share: a clock's words, what a
    measure counts, what an ending is."""
    clocks, measures, endings = dict[str, object](), dict[str, object](), dict[str, object]()
    for definition in definitions:
        for known, found in (
            (clocks, {clock.name: (clock.zh, clock.en) for clock in definition.clocks.values()}),
            (measures, {measure.name: measure for measure in definition.measures}),
            (endings, definition.endings),
        ):
            odd = [name for name, meaning in found.items() if known.get(name, meaning) != meaning]
            if odd:
                raise ValueError(f"{definition.name}: {odd[0]!r} means something else in another kind")
            known.update(found)


agree(DEFINITIONS.values())

"""What waits for a post: the cases on which it must act, each with its deadline and with what the post may say now.

1. Who must act is what the state says of a case; a post acts for its department, else for its grid, and on its own
   duties. A level that let the turn of its check pass may still record it.
2. What the post may say is asked of the rules themselves (`workflows.saying`). Where it may say nothing that does the
   work, as one that only looks on, the case waits for others, and is none of its tasks.
"""

from msgspec import Struct

from engine.policies import Policies
from engine.store import tasks
from engine.store.database import Connection
from engine.store.tasks import FIRST, Key
from engine.views.cursors import read_cursor, write_cursor
from engine.views.duties import DutyLine, duty_line, place_of_case
from engine.views.incident_detail import Remaining, remaining_of
from engine.views.names import CategoryNamed, Named, Names, active_names
from engine.views.present import Reading, present
from engine.views.questions import BadQuestion, check_limit
from schemas.events import EVENTS
from schemas.short_numbers import short_number
from workflows import case as cases
from workflows.case import TOTAL, Case, Clock
from workflows.definitions import CLOCKS, DEFINITIONS
from workflows.permissions import grids_of
from workflows.policy.index import Policy
from workflows.policy.model import Post
from workflows.reading import READS_EVERYTHING, Readable
from workflows.saying import Sayable, sayable
from workflows.work import Work, clock_of, work_on

MOST = 200
"""Tasks of a page at most."""
LOOKED_AT = 5
"""So many pages of cases are looked at for one of tasks: others of a grid may have to do what this post may not."""


class TaskQuestion(Struct, frozen=True, kw_only=True):
    """Whose tasks."""

    post: str
    limit: int = 50
    cursor: str = ""


class TaskName(Struct, frozen=True):
    """What is to be done, by the clock that it fulfils: `dissuade`, `report`, `accept`, `handle`, `verify`, `close`; of
    a kind whose states run none, such as `duty`, by that kind."""

    code: str
    zh: str
    en: str


class TaskClock(Struct, frozen=True, kw_only=True):
    """The clock that presses most. `remaining` is in the clock's own time, and negative once it is overdue."""

    name: str
    zh: str
    en: str
    level: int
    due_at: str | None
    provisional: bool
    paused: bool
    remaining: Remaining | None


class SayableEvent(Struct, frozen=True):
    """What the post may say now: a trigger, the type of the event that sends it, its Chinese title, and whether it does
    the work."""

    trigger: str
    type: str
    zh: str
    works: bool


class TaskLine(Struct, frozen=True, kw_only=True):
    """A case on which the post must act. `owed`: a check whose turn has passed, and that may still be recorded. `duty`:
    of a duty, what is owed, recorded and left."""

    id: str
    short_number: str
    definition: str
    task: TaskName
    state: str
    state_zh: str
    owed: bool
    path: list[Named]
    category: CategoryNamed | None
    cycle: int
    due_at: str | None
    overdue: bool
    clock: TaskClock | None
    duty: DutyLine | None
    allowed: list[SayableEvent]


class TaskPage(Struct, frozen=True):
    """A page of tasks, by deadline, those without one last. `next` continues it, also where it is short; None: this was
    the last one."""

    tasks: list[TaskLine]
    next: str | None
    as_of: str
    reading: Reading = "now"


def task_page(
    connection: Connection,
    policies: Policies,
    question: TaskQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> TaskPage:
    """What waits for a post, of the cases that are read. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    check_limit(question.limit, MOST)
    post = names.register.posts.get(question.post)
    if post is None:
        raise BadQuestion("post", "the active pack has no post of this code", "send the code of one of posts.csv")
    after = Key(*read_cursor(question.cursor, tuple[bool, int, str])) if question.cursor else FIRST
    grids = grids_of(post, names.register, here.at) if not post.department else ()
    found, size, more = list[TaskLine](), question.limit + 1, True
    for _ in range(LOOKED_AT):
        rows = tasks.read(connection, (*grids, post.code), post.department, grids, after, size)
        for row in rows:
            if len(found) == question.limit:
                break
            after = row.key
            case = cases.decode(row.body)
            if not readable.reads_case(case):
                continue
            rules = policies.get(connection, case.policy) if case.policy else names.register
            line = task_line(case, post, grids, rules, names, here.at)
            found += [line] if line is not None else []
        else:
            more = len(rows) == size
            if more:
                continue
        break
    return TaskPage(found, write_cursor(*after) if more else None, names.instant(here.at), here.kind)


def task_line(case: Case, post: Post, grids: tuple[str, ...], rules: Policy, names: Names, at: int) -> TaskLine | None:
    """What a post has to do on a case; None where it has nothing to do, or may not do it."""
    work = next((work for work in work_on(case) if is_of(work, post, grids)), None)
    if work is None:
        return None
    may = sayable(case, post, rules, names.register, at)
    if not any(each.works for each in may):
        return None
    definition, clock = DEFINITIONS[case.definition], clock_of(case, work)
    state, due = definition.states[case.state], clock.due if clock is not None and clock.since is not None else None
    place = place_of_case(case, rules)
    return TaskLine(
        id=case.id,
        short_number=short_number(case.id),
        definition=case.definition,
        task=name_of_task(case, work),
        state=state.name,
        state_zh=state.zh,
        owed=work.owed,
        path=names.path(case.path),
        category=names.category(case.category, case.group),
        cycle=case.cycle,
        due_at=names.maybe(due),
        overdue=due is not None and due < at,
        clock=task_clock(clock, names, at) if clock is not None else None,
        duty=duty_line(place, case, names, at) if place is not None else None,
        allowed=[event_of(each) for each in may],
    )


def is_of(work: Work, post: Post, grids: tuple[str, ...]) -> bool:
    """Whether a post is one of those that something waits for."""
    holder = work.holder
    if holder.post:
        return holder.post == post.code
    return holder.department == post.department if post.department else not holder.department and holder.grid in grids


def name_of_task(case: Case, work: Work) -> TaskName:
    """What is to be done, in words."""
    definition = DEFINITIONS[case.definition]
    if work.clocks:
        return TaskName(work.clocks[0], *CLOCKS[work.clocks[0]])
    if work.holder.post:
        return TaskName(definition.name, definition.zh, definition.name)
    state = definition.states[case.state]
    return TaskName(state.name, state.zh, state.name)


def task_clock(clock: Clock, names: Names, at: int) -> TaskClock:
    """The clock that presses most."""
    zh, en = CLOCKS.get(clock.name, CLOCKS[TOTAL])
    return TaskClock(
        name=clock.name,
        zh=zh,
        en=en,
        level=clock.level,
        due_at=names.maybe(clock.due),
        provisional=clock.provisional,
        paused=clock.since is None,
        remaining=remaining_of(clock, names, at),
    )


def event_of(may: Sayable) -> SayableEvent:
    """What may be said, as an event."""
    return SayableEvent(may.trigger, f"gridpatrol.{may.trigger}.v1", EVENTS[may.trigger].zh, may.works)

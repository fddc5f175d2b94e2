"""What came of the tasks of one code (任务): a city-wide task is as many cases, and this adds them up, exactly."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from engine.policies import Policies
from engine.store.database import Connection
from engine.store.incident_queries import Filters
from engine.views.incident_list import each_read
from engine.views.names import Named, Names, active_names, prefix_of
from engine.views.past import Order
from engine.views.present import Reading, present
from engine.views.questions import BadQuestion, check_limit
from engine.views.readers import check_list
from schemas.kinds.task import Task
from workflows.case import Case
from workflows.definitions.task import COMPLETE, TASK, WITHDRAWN
from workflows.reading import READS_EVERYTHING, Readable

MOST = 500
"""Tasks of a page at most."""
MOST_ADDED = 20_000
"""So many tasks of one code are added up at once."""


class TaskCodeQuestion(Struct, frozen=True, kw_only=True):
    """Which code, and in which grid; empty: wherever they are read."""

    code: str
    grid: str = ""
    limit: int = 100
    cursor: str = ""


class TaskAmount(Struct, frozen=True):
    """How much of what is counted alike was given and is done, as decimal texts."""

    counted_in: str
    quantity: str
    done: str


class GivenTask(Struct, frozen=True, kw_only=True):
    """A task of one owner. `due` is its last local day; `late`: it missed that day, or has done since it was given."""

    id: str
    owner: Named
    department: Named | None
    goal: str
    state: str
    state_zh: str
    quantity: str
    done: str
    counted_in: str
    items_left: tuple[str, ...]
    due: str
    late: bool
    sent_back: int


class TaskCodePage(Struct, frozen=True, kw_only=True):
    """The tasks of a code. The sums are of all that are read, whatever the page; what was withdrawn is counted by
    state alone. `next` continues `tasks`; None: this was the last one."""

    code: str
    owners: int
    late: int
    states: dict[str, int]
    amounts: list[TaskAmount]
    tasks: list[GivenTask]
    next: str | None
    as_of: str
    reading: Reading = "now"


def task_code_page(
    connection: Connection,
    policies: Policies,
    question: TaskCodeQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> TaskCodePage:
    """The tasks of a code, of those that are read, by id. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    check_list(readable, names, TASK.name, question.grid)
    check_limit(question.limit, MOST)
    prefix = prefix_of(names, question.grid) if question.grid else ""
    wanted = Filters(
        now=here.at, open=None, definitions=(TASK.name,), category=question.code, prefix=prefix, readable=readable
    )
    found = list[Case]()
    for _, case in each_read(connection, wanted, Order("id", False, None), MOST):
        if len(found) == MOST_ADDED:
            raise BadQuestion("grid", f"more than {MOST_ADDED} tasks have this code", "ask for them grid by grid")
        found.append(case)
    lines = [task_line(case, names, here.at) for case in found]
    counted = [line for line in lines if line.state != WITHDRAWN]
    after = [line for line in lines if line.id > question.cursor]
    shown = after[: question.limit]
    return TaskCodePage(
        code=question.code,
        owners=len({(line.owner.code, line.department and line.department.code) for line in counted}),
        late=sum(line.late for line in counted),
        states=dict(sorted(Counter(line.state for line in lines).items())),
        amounts=amounts_of(counted),
        tasks=shown,
        next=shown[-1].id if len(after) > len(shown) else None,
        as_of=names.instant(here.at),
        reading=here.kind,
    )


def task_line(case: Case, names: Names, now: int) -> GivenTask:
    """One of them."""
    kept, clock = case.own, case.clock(COMPLETE)
    assert isinstance(kept, Task)
    passed = clock is not None and clock.due is not None and clock.due < now
    return GivenTask(
        id=case.id,
        owner=names.grid(case.path[-1]),
        department=names.department(kept.department) if kept.department else None,
        goal=kept.goal,
        state=case.state,
        state_zh=TASK.states[case.state].zh,
        quantity=kept.quantity,
        done=kept.done,
        counted_in=kept.counted_in,
        items_left=tuple(item for item in kept.items if item not in kept.done_items),
        due=f"{kept.due // 10_000}-{kept.due // 100 % 100:02d}-{kept.due % 100:02d}",
        late=passed or any(missed.clock == COMPLETE for missed in case.lapses),
        sent_back=kept.sent_back,
    )


def amounts_of(lines: Iterable[GivenTask]) -> list[TaskAmount]:
    """What was given and what is done, by what is counted. More than was given counts as it was said."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for line in lines:
        given, done = sums.get(line.counted_in, (Decimal(0), Decimal(0)))
        sums[line.counted_in] = given + Decimal(line.quantity), done + Decimal(line.done)
    return [TaskAmount(word, f"{given:f}", f"{done:f}") for word, (given, done) in sums.items()]

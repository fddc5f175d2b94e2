"""Who must act on a problem in a grid (谁来管): by which duty and text, until when, and since when that holds.

1. The owner is the one to whom the engine would route a report of this category from there, by the same function
   (`routing.upward`); the department is the one that the pack names for it, where it serves the place.
2. The rows are the list of responsibilities as it holds on the local day: who leads, who assists, and the basis.
3. At an instant of the past all of it is by the pack that was active then in the partition of the place.
"""

from itertools import takewhile

from msgspec import Struct

from engine.policies import Policies
from engine.slice.entering import activations_of
from engine.store import slices
from engine.store.database import Connection
from engine.views.names import CategoryNamed, Named, Names, OwnerNamed, active_names
from engine.views.present import Present, Reading, reading_of
from engine.views.questions import BadQuestion
from engine.views.readers import check_list
from schemas.partition import partition_of
from workflows import routing
from workflows.case import TOTAL, Case, Owner
from workflows.clocks.limits import limit_text
from workflows.clocks.timescales import CalendarError
from workflows.definitions import CLOCKS, DEFINITIONS, REFERENCE
from workflows.machine import Definition
from workflows.policy.index import Policy
from workflows.policy.model import Category
from workflows.policy.registers import BODY_KINDS, PAIR, Body
from workflows.reading import READS_EVERYTHING, Readable
from workflows.responsibility import Answering, answering, holds_on, signers

PARTS = {"lead": ("牵头", "leads"), "assist": ("配合", "assists")}
"""What a body has to do with a problem, in Chinese and in English."""


class ResponsibleQuestion(Struct, frozen=True, kw_only=True):
    """Where, of which problem, and when, as texts. Without a category: of any. Without an instant: now."""

    grid: str
    category: str = ""
    at: str = ""


class BodyNamed(Struct, frozen=True, kw_only=True):
    """A body that answers for something, and its kind in words."""

    code: str
    name: str
    name_en: str
    kind: str
    kind_zh: str
    kind_en: str
    grid: Named
    part_of: str


class AnsweringLine(Struct, frozen=True, kw_only=True):
    """One duty of a body that holds here, as the list has it. `posts` sign and act for the body. Days are local, and
    empty where they are open."""

    body: BodyNamed
    duty: str
    duty_zh: str
    duty_en: str
    part: str
    part_zh: str
    part_en: str
    categories: tuple[str, ...]
    basis: str
    valid_from: str
    valid_to: str
    posts: list[Named]


class ClockOfDuty(Struct, frozen=True, kw_only=True):
    """How long something may take that is reported at the instant, by the pack's limit of its clock. `due_at`: when
    that is over, if the clock began at the instant; None where no calendar reaches so far."""

    clock: str
    zh: str
    en: str
    limit: str
    limit_en: str
    due_at: str | None
    basis: str


class PostsOfKind(Struct, frozen=True, kw_only=True):
    """The posts of the party, or of the government, that answer at the owner's grid (党政同责)."""

    kind: str
    zh: str
    en: str
    posts: list[Named]


class Responsible(Struct, frozen=True, kw_only=True):
    """Who must act on a problem in a grid. `owner` gets a report of it from there; `posts` act for it. `department`
    leads where the pack names one that serves the place, by its own `department_posts`."""

    grid: Named
    path: list[Named]
    category: CategoryNamed | None
    owner: OwnerNamed | None
    posts: list[Named]
    chief: list[Named]
    sponsors: list[Named]
    department: Named | None
    department_posts: list[Named]
    pair: list[PostsOfKind]
    duties: list[AnsweringLine]
    clocks: list[ClockOfDuty]
    pack: str
    as_of: str
    reading: Reading
    remark: str = ""


def responsible(
    connection: Connection,
    policies: Policies,
    question: ResponsibleQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> Responsible:
    """Who must act on what is asked for. Raises Unanswerable."""
    active = active_names(connection, policies)
    here = reading_of(connection, active, now, question.at)
    register = register_of(connection, policies, active.register, question.grid, here)
    names = Names(register)
    if question.grid not in active.register.grids and question.grid in register.grids:
        check_list(readable, names, "", question.grid)  # a grid that has gone since
    else:
        check_list(readable, active, "", question.grid)
    grid = register.grids.get(question.grid)
    if grid is None or not register.stands(grid, here.at):
        raise BadQuestion("grid", "there was no such grid at this instant", "ask for one that stood then")
    category = register.categories.get(question.category)
    if question.category and category is None:
        raise BadQuestion("category", "the pack has no category of this code", "send the code of one")
    case = case_of(register, question.grid, category, here.at)
    owner, department = routing.upward(case, register, register), routing.leading(case, register, register, here.at)
    standing = [code for code in register.posts if register.stands(register.posts[code], here.at)]

    def posts_named(codes: list[str]) -> list[Named]:
        return [names.post(code) for code in codes if code in standing]

    day = register.clock_of_days.local_day(here.at)
    return Responsible(
        grid=names.grid(question.grid),
        path=names.path(case.path),
        category=names.category(case.category, case.group),
        owner=names.owner(owner),
        posts=posts_named(routing.hands_of(owner.grid, "", register)),
        chief=posts_named(register.posts_at(owner.grid, "chief")),
        sponsors=posts_named(register.posts_at(owner.grid, "sponsor")),
        department=names.department(department) if department else None,
        department_posts=posts_named(register.posts_of(department) if department else []),
        pair=[pair_of(names, owner.grid, kind, day, standing) for kind in PAIR],
        duties=[line_of(names, each, standing) for each in answering(register, question.grid, case.category, day)],
        clocks=clocks_of(names, case, owner, day, here.at),
        pack=register.hash,
        as_of=names.instant(here.at),
        reading=here.kind,
        remark=here.remark,
    )


def register_of(connection: Connection, policies: Policies, active: Policy, grid: str, here: Present) -> Policy:
    """The pack that was active at an instant in the partition of a grid: the active one, unless a past is asked for."""
    if here.kind != "as_known_then":
        return active
    rows = slices.read_partitions(connection)
    home = active.home(grid) if grid in active.grids else active.root
    row = rows[partition_of(home, len(rows))]
    known = [digest for digest, _ in takewhile(lambda each: each[1] <= here.at, activations_of(row))]
    if not known:
        raise BadQuestion("at", "no pack was active at this instant", "name a later one")
    return policies.get(connection, known[-1])


def case_of(register: Policy, grid: str, category: Category | None, at: int) -> Case:
    """A case as it would be reported there: what routing asks of one."""
    kind = register.options.main_definition or REFERENCE
    code, group = (category.code, category.group) if category is not None else ("", "")
    path = register.path(grid)
    return Case(id="", definition=kind, policy=register.hash, category=code, group=group, path=path, opened=at)


def body_named(names: Names, body: Body) -> BodyNamed:
    """A body in words."""
    zh, en = BODY_KINDS.get(body.kind, (body.kind, body.kind))
    return BodyNamed(
        code=body.code,
        name=body.name,
        name_en=body.name_en,
        kind=body.kind,
        kind_zh=zh,
        kind_en=en,
        grid=names.grid(body.grid),
        part_of=body.part_of,
    )


def line_of(names: Names, each: Answering, standing: list[str]) -> AnsweringLine:
    """A duty of a body in words."""
    body, row = each
    zh, en = PARTS[row.part]
    return AnsweringLine(
        body=body_named(names, body),
        duty=row.code,
        duty_zh=row.duty_zh,
        duty_en=row.duty_en,
        part=row.part,
        part_zh=zh,
        part_en=en,
        categories=row.categories,
        basis=row.basis,
        valid_from=day_text(row.valid_from),
        valid_to=day_text(row.valid_to),
        posts=[names.post(code) for code in signers(names.register, body) if code in standing],
    )


def day_text(day: int) -> str:
    """A local day as 2026-03-02; empty where it is open."""
    return f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}" if day else ""


def pair_of(names: Names, grid: str, kind: str, day: int, standing: list[str]) -> PostsOfKind:
    """The posts of a kind of body that answer at a grid."""
    register, (zh, en) = names.register, BODY_KINDS[kind]
    bodies = [b for b in register.pack.bodies if (b.grid, b.kind) == (grid, kind) and holds_on(b, day)]
    posts = dict.fromkeys(code for body in bodies for code in signers(register, body) if code in standing)
    return PostsOfKind(kind=kind, zh=zh, en=en, posts=[names.post(code) for code in posts])


def clocks_of(names: Names, case: Case, owner: Owner, day: int, at: int) -> list[ClockOfDuty]:
    """The limits of such a case, each at the level of who would hold its clock."""
    register, kind = names.register, DEFINITIONS[case.definition]
    calendar, found = register.calendars[register.calendar_of(owner.grid)].known_at(at), list[ClockOfDuty]()
    for clock in (*kind.clocks, TOTAL):
        level = 0 if clock == TOTAL else level_of(kind, clock, owner, len(case.path))
        row = register.limit(clock, level, case.category, case.group, day, case.definition)
        if row is None:
            continue
        try:
            due = names.instant(calendar.deadline(at, row.limit))
        except CalendarError:
            due = None
        zh, en = CLOCKS[clock]
        text, english = limit_text(row.limit), limit_text(row.limit, "en")
        found.append(ClockOfDuty(clock=clock, zh=zh, en=en, limit=text, limit_en=english, due_at=due, basis=row.basis))
    return found


def level_of(kind: Definition, clock: str, owner: Owner, leaf: int) -> int:
    """The level of who would hold a clock: the owner, or the leaf that is on site."""
    hands = next((state.hands for state in kind.states.values() if clock in state.clocks), "owner")
    return owner.level if hands == "owner" else leaf

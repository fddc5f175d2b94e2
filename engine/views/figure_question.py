"""The question about figures: its texts become a kind of case, a subtree or a unit, and local days.

It is asked of figures (`engine.views.performance`), of the cases behind one of them, and of the ledger.
"""

from datetime import datetime
from typing import NamedTuple, get_args

from msgspec import Struct, structs

from engine.policies import Policies
from engine.store.database import Connection
from engine.store.figures import By, Found, Selection
from engine.views.incident_list import campaign_asked
from engine.views.names import Names, active_names
from engine.views.present import Present, reading_of
from engine.views.questions import MOST_DIGITS, BadQuestion, check_definition, parse_whole
from engine.views.readers import check_figures, grid_asked
from workflows.assessment.terms import own_posts
from workflows.case import TOTAL
from workflows.definitions import DEFINITIONS, REFERENCE
from workflows.figures import BEGINNING, EVER, period_bounds
from workflows.policy.index import Policy
from workflows.reading import READS_EVERYTHING, Readable

GROUPINGS: tuple[By, ...] = get_args(By)


class PerformanceQuestion(Struct, frozen=True, kw_only=True):
    """What is asked, as texts; empty asks nothing. Without any day it is the present month of the log, without a
    definition the pack's main one."""

    definition: str = ""
    grid: str = ""
    by: str = ""
    period: str = ""
    day: str = ""  # the period that holds this local day
    since: str = ""
    until: str = ""
    level: str = ""
    department: str = ""
    group: str = ""
    category: str = ""
    post: str = ""
    clock: str = ""
    published: str = ""
    at: str = ""  # as of this instant, as known then
    rank: str = ""  # the figure by which the rows are ranked
    order: str = ""  # desc or asc: how ranked rows are sorted; the best first without it
    beside: str = ""  # year_before: the same days of the year before stand beside
    campaign: str = ""  # only cases that count as part of it
    found: str = ""  # own, others or confirmed: who reported the cases (workflows.assessment.terms)


class Asked(NamedTuple):
    """A question as it is read: whose subtree and unit it is about, and of which days, stands in its `selection`."""

    names: Names
    here: Present
    selection: Selection
    published: bool
    grid: str


def ask(
    connection: Connection,
    policies: Policies,
    question: PerformanceQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> Asked:
    """Read a question about figures: the one place where its texts become a subtree, a unit and days, and where it is
    asked whether these figures are read. Raises Unanswerable."""
    names = active_names(connection, policies)
    by, level, published = checked_words(question)
    here = reading_of(connection, names, now, question.at)
    since, until = days_of(question, names.register.clock_of_days.local_day(here.at))
    kind = question.definition or names.register.pack.options.main_definition or REFERENCE
    if not (question.department or question.post):
        question = structs.replace(question, grid=grid_asked(readable, names, kind, question.grid))
    selection = select(
        names.register,
        definition=question.definition,
        grid=question.grid or None,
        level=level,
        department=question.department or None,
        group=question.group or None,
        category=question.category or None,
        post=question.post or None,
        since=since,
        until=until,
        clock=question.clock,
        by=by,
        upto=here.at if question.at else None,
    )
    selection = with_found(names.register, selection, question.found)
    selection = structs.replace(selection, campaign=campaign_asked(question.campaign, names.register))
    check_figures(readable, selection.definition, selection.path, question.department, question.post)
    return Asked(names, here, selection, published, question.grid or names.register.root)


def with_found(register: Policy, selection: Selection, found: str) -> Selection:
    """The selection of cases by who reported them, seen from the one unit that it is of. Raises BadQuestion."""
    if not found:
        return selection
    who = next((each for each in get_args(Found) if each == found), None)
    if who is None:
        raise BadQuestion("found", "found is none of own, others and confirmed")
    if selection.by in ("grid", "department", "post", "unit"):
        reason = "whose own problems they are is asked of one unit, and these rows are several"
        raise BadQuestion("found", reason, "name the unit by grid, department or post, and leave `by` out")
    unit = selection.path.split("/")[-2] or register.root
    by = "post" if selection.post else "department" if selection.department else "grid"
    own = own_posts(register, by, selection.post or selection.department or unit)
    return structs.replace(selection, found=who, others=tuple(sorted(set(register.posts) - own)))


def checked_words(question: PerformanceQuestion) -> tuple[By, int | None, bool]:
    """By what a question asks, at which level, and whether of what was published. Raises BadQuestion for words that ask
    nothing."""
    if question.by not in GROUPINGS:
        raise BadQuestion("by", f"by is none of {', '.join(filter(None, GROUPINGS))}")
    level = parse_whole(question.level) if question.level else None
    if question.level and level is None:
        raise BadQuestion("level", f"level: this is no whole number of at most {MOST_DIGITS} digits")
    published = question.published.lower()
    if published not in ("", "0", "1", "true", "false"):
        raise BadQuestion("published", "published is neither true nor false")
    if question.at and published in ("1", "true"):
        remedy = "ask for one of them: what was published is as of the end of the days of grace"
        raise BadQuestion("published", "as published and as of an instant are two questions", remedy)
    return question.by, level, published in ("1", "true")


def select(
    policy: Policy,
    *,
    definition: str = "",
    grid: str | None = None,
    level: int | None = None,
    department: str | None = None,
    group: str | None = None,
    category: str | None = None,
    post: str | None = None,
    since: int = BEGINNING,
    until: int = EVER,
    clock: str = "",
    by: By = "",
    upto: int | None = None,
) -> Selection:
    """What to read: cases of one definition, by default the pack's main one; the subtree of `grid`, the days `since` to
    `until` (YYYYMMDD, inclusive); with a `clock` that clock alone; with `upto` as known at that instant. `by` unit it
    is a clock whose orders name units, by default the one that the kind has.

    With `by` grid the rows are the children of `grid`, or its descendants at `level`. Raises BadQuestion for a
    definition that there is not, for a clock that it does not have, for a grid or a level that the pack does not have,
    for a clock by post that no post holds, and for one by unit whose orders name none.
    """
    check_definition(definition)
    kind = DEFINITIONS[definition or policy.pack.options.main_definition or REFERENCE]
    if clock and clock not in (TOTAL, *kind.clocks):
        raise BadQuestion("clock", f"cases of this kind have no such clock, only {', '.join((TOTAL, *kind.clocks))}")
    if clock and (by == "post" or post is not None) and not kind.held_by_posts(clock):
        field = "by" if by == "post" else "post"
        raise BadQuestion(field, "no post holds this clock: ask by grid, department or level, whom it is charged to")
    if by == "unit":
        named = [each.name for each in kind.clocks.values() if each.unit is not None]
        if not named:
            raise BadQuestion("by", "no order names a responsible unit to cases of this kind")
        if clock not in ("", *named) or (not clock and len(named) > 1):
            raise BadQuestion("clock", f"by unit, ask for a clock whose orders name one: {', '.join(named)}")
        clock = clock or named[0]
    if grid is not None and grid not in policy.grids:
        raise BadQuestion("grid", "the active pack has no grid of this code")
    deepest = policy.leaf_level
    if level is not None and not 1 <= level <= deepest:
        raise BadQuestion("level", f"level: the active pack has no such level, only levels 1 to {deepest}")
    path = policy.path(grid) if grid is not None else ()
    return Selection(
        definition=kind.name,
        path="".join(f"/{code}" for code in path) + "/",
        level=level if level is not None else min(max(len(path), 1) + 1, deepest),
        since=since,
        until=until,
        department=department,
        group=group,
        category=category,
        post=post,
        by=by,
        clock=clock,
        upto=upto,
    )


def days_of(question: PerformanceQuestion, today: int) -> tuple[int, int]:
    """First and last local day."""
    if question.period == "all":
        return BEGINNING, EVER
    if question.since or question.until:
        if question.period:
            raise BadQuestion("period", "give either a period or from and to")
        first = parse_day("from", question.since) if question.since else BEGINNING
        return first, parse_day("to", question.until) if question.until else EVER
    day = parse_day("day", question.day) if question.day else today
    try:
        return period_bounds(day, question.period or "month")
    except ValueError as error:
        raise BadQuestion("period", str(error)) from error


def parse_day(name: str, text: str) -> int:
    """`2026-03-02` or `20260302` as 20260302."""
    plain = text.replace("-", "")
    try:
        year = datetime.strptime(plain, "%Y%m%d").year
    except ValueError as error:
        raise BadQuestion(name, f"{name} is no day such as 2026-03-02") from error
    if not 1900 <= year < 3000:  # at the edges of the calendar a week or the days of grace would leave it
        raise BadQuestion(name, f"{name} is not of the years 1900 to 2999")
    return int(plain)


def dashed(day: int) -> str:
    return "" if day in (BEGINNING, EVER) else f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"

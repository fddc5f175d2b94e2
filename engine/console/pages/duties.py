"""履职: duties kept and missed, of a grid day by day and by those below it, and of one post duty by duty."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.http.performance import figures
from engine.principals import Principal
from engine.slice.as_rows import path_text
from engine.store.database import Connection
from engine.views.duties import DutyLine, DutyPage, DutyQuestion, duty_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.figure_rows import FigureRow
from engine.views.names import Named, active_names
from engine.views.performance import PerformancePage, performance_page
from engine.views.questions import BadQuestion
from engine.views.readers import reads_grid
from workflows.case import AWAITED
from workflows.definitions.duty import DUTY, SIGNS
from workflows.figures import Rate
from workflows.reading import Readable

Grid = Annotated[str, QueryParameter(description="Code of a grid: duties in its subtree; without one what is read.")]
PostCode = Annotated[str, QueryParameter(description="Code of a post: its own duties.")]
MonthOf = Annotated[str, QueryParameter(name="month", description="2026-03, or a day of it; without one this month.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
COVERAGE = DUTY.ratios[0].name
"""The rate of duties: kept among what was due less the excused and the void."""
SHADES = 3
"""How dark a day is at most: darker ones would not be read."""
MOST = 500
LAPSED = "!"
"""The sign of a duty whose period is over, and that may still be told."""
DARK = {LAPSED: 1, "✗": 2}
"""How dark a day is by its sign: what may still be told, and what was missed."""


class Day(NamedTuple):
    """A day of a calendar: its date, what stands in it, in words what that means, and how much of it was missed."""

    date: str
    number: int
    text: str
    says: tuple[str, str]
    shade: int
    opens: str = ""


class OfGrid(NamedTuple):
    """The duties of a subtree in a month: in all, by day, and by the grids or the posts below."""

    whole: PerformancePage
    days: PerformancePage
    below: PerformancePage
    grid: Named
    parent: Named | None
    told: frozenset[str]  # posts whose duties are read one by one


@get("/duties", include_in_schema=False)
async def show_duties(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    grid: Grid = "",
    post: PostCode = "",
    month: MonthOf = "",
    lang: Lang = "",
) -> Response[Any]:
    """Who keeps its duties, and who does not."""
    now, policies, day = context.now(), context.policies, first_day(month)
    zone = await context.read(lambda connection: active_names(connection, policies).register.pack.zone)
    if post:
        question = DutyQuestion(post=post, period="month", day=day, limit=MOST)

        def ask_post(connection: Connection, readable: Readable) -> tuple[DutyPage, Named | None]:
            found = duty_page(connection, policies, question, now, readable)
            place = next((each.grid for each in found.duties), Named("", ""))
            register = active_names(connection, policies).register
            return found, place if reads_grid(readable, register, DUTY.name, place.code) else None

        found, up = await context.read_as(request.user, ask_post)
        return page(
            request,
            "duty_post.html",
            found=found,
            up=up,
            duties=by_duty(found),
            whose=found.duties[0].post if found.duties else Named(post, post),
            counts=counts_of(found.duties),
            sign=sign_of,
            month=month,
            zone=zone,
            post_asked=post,
        )

    def ask(connection: Connection, readable: Readable) -> OfGrid:
        def figures_by(by: str) -> PerformancePage:
            asked = PerformanceQuestion(definition=DUTY.name, grid=grid, by=by, period="month", day=day)
            return performance_page(connection, policies, asked, now, readable)

        whole, names = figures_by(""), active_names(connection, policies)
        place = names.register.grids.get(whole.grid)
        leaf = place is not None and place.level >= names.register.leaf_level
        parent = None
        if place is not None and reads_grid(readable, names.register, DUTY.name, place.parent):
            parent = names.grid(place.parent)
        below = figures_by("post" if leaf else "grid")
        sight, posts = readable.of(DUTY.name), names.register.posts
        told = {
            row.key
            for row in below.rows
            if row.key in posts and sight.reads_line(path_text(names.register.path(posts[row.key].grid)), (row.key,))
        }
        return OfGrid(whole, figures_by("day"), below, names.grid(whole.grid), parent, frozenset(told))

    of_grid = await figures(context, request.user, ask)
    days, rows = of_grid.days, [row for row in of_grid.below.rows if row.counts.get("due")]
    return page(
        request,
        "duties.html",
        found=of_grid,
        total=next(iter(of_grid.whole.rows), None),
        weeks=weeks_of((heat_of(row) for row in days.rows), of_grid.whole.since, of_grid.whole.until),
        rows=sorted(rows, key=lambda row: (share_of(row).basis_points or 0, row.key)),
        coverage=share_of,
        by_post=of_grid.below.by == "post",
        month=month,
        zone=zone,
    )


def first_day(month: str) -> str:
    """A day of a month as people write it: `2026-03`, or a day of it. Empty: the present one. BadQuestion."""
    if len(month) == 7:
        month += "-01"
    if month:
        try:
            date.fromisoformat(month)
        except ValueError as error:
            raise BadQuestion("month", "this is no month such as 2026-03") from error
    return month


def share_of(row: FigureRow) -> Rate:
    """The rate of duties of a row."""
    return row.rates[COVERAGE]


def heat_of(row: FigureRow) -> Day:
    """A day of a subtree: how many duties were kept of how many, the darker the more were not."""
    found, day = share_of(row), date.fromisoformat(f"{row.key[:4]}-{row.key[-4:-2]}-{row.key[-2:]}")
    missing = found.denominator - found.numerator
    shade = min(SHADES, 1 + missing * 2 * SHADES // max(found.denominator, 1)) if missing else 0
    text = f"{found.numerator}/{found.denominator}"
    short = text if found.denominator < 100 else f"{(found.basis_points or 0) // 100}%"  # what a square of it holds
    return Day(day.isoformat(), day.day, short, (f"已履职 {text}", f"kept {text}"), shade)


def weeks_of(days: Iterable[Day], since: str, until: str) -> list[list[Day | None]]:
    """Days as weeks from Monday on, from a first day to a last one; None outside of them, an empty day where nothing
    was owed."""
    known = {day.date: day for day in days}
    first, last = date.fromisoformat(since), date.fromisoformat(until)
    monday, weeks = first - timedelta(days=first.weekday()), list[list[Day | None]]()
    while monday <= last:
        week = [monday + timedelta(days=each) for each in range(7)]
        weeks.append(
            [
                known.get(day.isoformat(), Day(day.isoformat(), day.day, "", ("无", "none"), 0))
                if first <= day <= last
                else None
                for day in week
            ]
        )
        monday += timedelta(days=7)
    return weeks


def by_duty(found: DutyPage) -> list[tuple[DutyLine, list[DutyLine], list[list[Day | None]]]]:
    """The duties of a post: each with its lines, and as a calendar where it is owed every day."""
    result = []
    for code in dict.fromkeys(line.duty.code for line in found.duties):
        lines = [line for line in found.duties if line.duty.code == code]
        daily = lines[0].period == "day"
        days = (
            Day(line.first, int(line.first[-2:]), *marked(line), line.subject if line.state != AWAITED else "")
            for line in lines
        )
        result.append((lines[0], lines, weeks_of(days, found.since, found.until) if daily else []))
    return result


def marked(line: DutyLine) -> tuple[str, tuple[str, str], int]:
    """The sign of a duty in a calendar, what it means, and how dark it is."""
    says = ("待补报", "may still be told") if line.lapsed else (line.state_zh, SIGNS[line.state][1])
    return sign_of(line), says, DARK.get(sign_of(line), 0)


def sign_of(line: DutyLine) -> str:
    """The sign of a duty."""
    return LAPSED if line.lapsed else SIGNS[line.state][0]


def counts_of(lines: Iterable[DutyLine]) -> list[tuple[tuple[str, str], int]]:
    """How many duties there are of each state, in words."""
    counts = dict[tuple[str, str], int]()
    for line in lines:
        says = marked(line)[1]
        counts[says] = counts.get(says, 0) + 1
    return list(counts.items())


ROUTES = [show_duties]

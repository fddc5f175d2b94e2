"""Figures at the door, by grid, period and kind."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from litestar import Request, get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter
from msgspec import structs

from engine.errors import GridpatrolError
from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.principals import Principal
from engine.store.database import Connection
from engine.views import figure_cases
from engine.views.figure_cases import FigureCasesPage, FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.performance import PerformancePage, performance_page
from engine.views.questions import BadQuestion, NoActivePack, Unanswerable
from workflows.reading import Readable

Definition = Annotated[str, QueryParameter(description="The kind of case; without one the main kind of the pack.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: the subtree that is summed up; the root by default.")]
By = Annotated[
    str,
    QueryParameter(
        description="One row per grid, level, department, group, category, post, day or unit, which is the responsible "
        "unit that was ordered to do the work of a clock."
    ),
]
Period = Annotated[
    str, QueryParameter(description="day, week, half_month, month, quarter, half, year or all; a month by default.")
]
Day = Annotated[str, QueryParameter(description="A local day, YYYYMMDD or YYYY-MM-DD; without one: today.")]
From = Annotated[str, QueryParameter(name="from", description="First local day, instead of a period.")]
To = Annotated[str, QueryParameter(name="to", description="Last local day, inclusive.")]
Level = Annotated[str, QueryParameter(description="With by=grid: the rows are the grids of this level.")]
Department = Annotated[str, QueryParameter(description="Code of a department.")]
Group = Annotated[str, QueryParameter(description="A group of categories.")]
Category = Annotated[str, QueryParameter(description="Code of a category.")]
Post = Annotated[str, QueryParameter(description="Code of a post.")]
ClockName = Annotated[str, QueryParameter(description="One clock alone, at the units that are charged with it.")]
Published = Annotated[str, QueryParameter(description="true: each row also as it stood after the days of grace.")]
At = Annotated[
    str,
    QueryParameter(
        description="RFC 3339 with a zone: the figures as of this instant, as known then, by what had arrived up to "
        "it; without a day those of the period that holds it."
    ),
]


Rank = Annotated[
    str,
    QueryParameter(
        description="A figure by which the rows are ranked among the peers of their level, and sorted: a rate "
        "(on_time_rate), a duration (median_ms) or a count (overdue). What is made of too few has no place, and "
        "comes last."
    ),
]
Order = Annotated[
    str,
    QueryParameter(description="With `rank`: desc or asc, by the value; without it the best come first."),
]
Beside = Annotated[
    str,
    QueryParameter(description="year_before: the same days of the year before (同比) stand beside, with the change."),
]
MeasureName = Annotated[
    str,
    QueryParameter(
        description="The figure that is opened, as the answer of `/v1/performance` names it: a count of a row "
        "(overdue, breach:handle), a rate (on_time_rate), a duration (median_ms, p90_ms), or a number of open cases "
        "(standing.overdue, held.open)."
    ),
]
Unit = Annotated[
    str,
    QueryParameter(
        description="The `key` of the row. Without `by`: code of a grid with all below it, of a department or a post."
    ),
]
FoundBy = Annotated[
    str,
    QueryParameter(
        description="Of one unit, only cases that its own posts reported (own), that all others did (others), or own "
        "ones as far as another post than the reporter counts (confirmed), as by its check on site."
    ),
]
Campaign = Annotated[
    str, QueryParameter(description="Code of a campaign of the pack: only cases that count as part of it.")
]
Limit = Annotated[
    int, QueryParameter(description="Cases of a page.", schema_extra={"minimum": 1, "maximum": figure_cases.MOST})
]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]
T = TypeVar("T")


def figures_asked(
    definition: Definition = "",
    grid: Grid = "",
    by: By = "",
    period: Period = "",
    day: Day = "",
    from_: From = "",
    to: To = "",
    level: Level = "",
    department: Department = "",
    group: Group = "",
    category: Category = "",
    post: Post = "",
    clock: ClockName = "",
    published: Published = "",
    at: At = "",
    found: FoundBy = "",
    campaign: Campaign = "",
) -> PerformanceQuestion:
    """Which figures are asked for: the parameters that both routes take."""
    return PerformanceQuestion(
        definition=definition,
        grid=grid,
        by=by,
        period=period,
        day=day,
        since=from_,
        until=to,
        level=level,
        department=department,
        group=group,
        category=category,
        post=post,
        clock=clock,
        published=published,
        at=at,
        found=found,
        campaign=campaign,
    )


ASKED = {"asked": Provide(figures_asked, sync_to_thread=False)}


@get(
    "/v1/performance",
    response_class=Listing,
    summary="Figures of a subtree",
    tags=["performance"],
    dependencies=ASKED,
)
async def performance(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    asked: NamedDependency[PerformanceQuestion],
    rank: Rank = "",
    order: Order = "",
    beside: Beside = "",
) -> PerformancePage:
    """Counts, rates (结案率, 按期结案率, 返工率) and durations of one kind of case, exact, with the number of cases
    behind each. Open cases stand beside them as of the period's end, or as of now while it runs (`standing_at`)."""
    question = structs.replace(asked, rank=rank, order=order, beside=beside)
    now, policies = context.now(), context.policies
    return await figures(
        context,
        request.user,
        lambda connection, readable: performance_page(connection, policies, question, now, readable),
    )


@get(
    "/v1/performance/cases",
    response_class=Listing,
    summary="The cases behind one figure",
    tags=["performance"],
    dependencies=ASKED,
)
async def performance_cases(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    asked: NamedDependency[PerformanceQuestion],
    measure: MeasureName = "",
    unit: Unit = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> FigureCasesPage:
    """The question of the figures, with the `measure` and the `unit` of one number of the answer. Counts: a line for
    each case and day on which it counted, which add up to the figure, with what archived cases add. Medians and
    percentiles: the clocks that they rank, in order. Open cases: a line each."""
    question = FigureCasesQuestion(**structs.asdict(asked), measure=measure, unit=unit, limit=limit, cursor=cursor)
    now, policies = context.now(), context.policies
    return await figures(
        context,
        request.user,
        lambda connection, readable: figure_cases_page(connection, policies, question, now, readable),
    )


async def figures(context: DoorContext, reader: Principal, question: Callable[[Connection, Readable], T]) -> T:
    """Answer a question about figures; 400 where it has no answer, also without a pack."""
    try:
        return await context.read_as(reader, question)
    except NoActivePack as error:  # unlike the other views, these routes answer 400 without a pack
        raise BadQuestion("", str(error)) from error
    except Unanswerable:
        raise
    except GridpatrolError as error:
        raise BadQuestion("", str(error)) from error


ROUTES = [performance, performance_cases]

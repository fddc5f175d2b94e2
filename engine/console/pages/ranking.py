"""排名: units ranked among their peers by a figure, what is too thin apart, and each number opened to its cases."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import UNSET, structs

from engine.console.rendering import page, query
from engine.http.context import DoorContext
from engine.http.performance import ASKED, figures
from engine.principals import Principal
from engine.views.figure_cases import FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.figure_rows import FigureRow
from engine.views.performance import performance_page
from workflows.definitions import DEFINITIONS
from workflows.figures import CLOSED, PERIODS, REPORTED, SHARES

MEASURES = (*SHARES, "median_ms", "overdue", CLOSED, REPORTED)
"""Figures that the page offers first; any other may stand in its address."""
UNITS = ("grid", "department", "category", "group")
BEST = MEASURES[1]

Measure = Annotated[str, QueryParameter(description="The figure by which is ranked.")]
By = Annotated[str, QueryParameter(description="grid, department, category or group.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: those in its subtree.")]
Level = Annotated[str, QueryParameter(description="With grids: those of this level.")]
Period = Annotated[str, QueryParameter(description="day, week, half_month, month, quarter, half, year or all.")]
Day = Annotated[str, QueryParameter(description="The period that holds this day.")]
Kind = Annotated[str, QueryParameter(description="Kind of case.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
Unit = Annotated[str, QueryParameter(description="The unit of the figure.")]
Cursor = Annotated[str, QueryParameter(description="Where the page begins.")]


@get("/ranking", include_in_schema=False)
async def show_ranking(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    rank: Measure = BEST,
    by: By = "grid",
    grid: Grid = "",
    level: Level = "",
    period: Period = "month",
    day: Day = "",
    definition: Kind = "",
    lang: Lang = "",
) -> Response[Any]:
    """Who is better, by what."""
    now, policies = context.now(), context.policies
    question = PerformanceQuestion(
        definition=definition, grid=grid, by=by, level=level, period=period, day=day, rank=rank
    )
    found = await figures(
        context,
        request.user,
        lambda connection, readable: performance_page(connection, policies, question, now, readable),
    )
    assert found.ranking is not UNSET
    ranked = [row for row in found.rows if row.rank is not UNSET and row.rank.place is not None]
    return page(
        request,
        "ranking.html",
        found=found,
        question=question,
        ranked=ranked,
        others=[row for row in found.rows if row not in ranked],
        last=last_of(ranked),
        measures=MEASURES if rank in MEASURES else (rank, *MEASURES),
        units=UNITS,
        periods=PERIODS,
        kinds=[kind for kind in DEFINITIONS.values() if kind.listed != "never"],
        opened=lambda row: opened(question, found.definition, row, rank),
    )


def last_of(ranked: list[FigureRow]) -> FigureRow | None:
    """The row with the last place; None where nobody is behind anybody."""
    placed = [row for row in ranked if row.rank is not UNSET and row.rank.place is not None]
    behind = max(placed, key=lambda row: row.rank.place or 0 if row.rank is not UNSET else 0, default=None)
    return behind if len(placed) > 1 else None


def opened(question: PerformanceQuestion, definition: str, row: FigureRow | None, measure: str) -> str:
    """The address of the cases behind the figure of a row; without one, of the unit of which the question is."""
    return query(
        "/figures",
        measure=measure,
        unit=row.key if row is not None else "",
        by=question.by,
        grid=question.grid,
        department=question.department,
        level=question.level,
        period=question.period,
        day=question.day,
        definition=definition,
    )


@get("/figures", include_in_schema=False, dependencies=ASKED)
async def show_figure(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    asked: NamedDependency[PerformanceQuestion],
    measure: Measure,
    unit: Unit = "",
    cursor: Cursor = "",
    lang: Lang = "",
) -> Response[Any]:
    """The cases behind one number: the question of the API, as a page."""
    now, policies = context.now(), context.policies
    question = FigureCasesQuestion(**structs.asdict(asked), measure=measure, unit=unit, cursor=cursor)
    found = await figures(
        context,
        request.user,
        lambda connection, readable: figure_cases_page(connection, policies, question, now, readable),
    )
    further = {**request.query_params, "cursor": found.next or ""}
    return page(
        request,
        "figures.html",
        found=found,
        whose=found.name or found.unit or asked.grid or asked.department or asked.post,
        further=query("/figures", **further),
    )


ROUTES = [show_ranking, show_figure]

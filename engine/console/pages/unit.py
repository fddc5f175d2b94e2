"""街办、部门: one unit over six months, so that one sees whether a bad month is bad luck or a habit."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.console.access import post_of
from engine.console.pages.ranking import opened
from engine.console.rendering import page, query
from engine.http.context import DoorContext
from engine.http.performance import figures
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.figure_question import PerformanceQuestion
from engine.views.names import active_names
from engine.views.present import present
from engine.views.readers import reads_grid
from engine.views.supervisions import proposable
from engine.views.unit_record import UnitQuestion, UnitRecord, unit_record
from workflows.figures import Rate
from workflows.reading import Readable

Code = Annotated[str, PathParameter(description="Code of a grid or a department.")]
Kind = Annotated[str, QueryParameter(description="Kind of case.")]
Day = Annotated[str, QueryParameter(description="The last of the months holds this day; without it the present one.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
WIDTH, HEIGHT, MARGIN = 240, 48, 6
"""Size of a line of a trend, in units."""


class Trend(NamedTuple):
    """A line through the months that have a value, as corners of a polyline; and its points."""

    line: str
    points: tuple[tuple[int, int], ...]


@get("/units/{code:str}", include_in_schema=False)
async def show_unit(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    code: Code,
    definition: Kind = "",
    day: Day = "",
    lang: Lang = "",
) -> Response[Any]:
    """A unit by its months."""
    now, policies = context.now(), context.policies
    question, post = UnitQuestion(code=code, definition=definition, day=day), post_of(request)

    def ask(connection: Connection, readable: Readable) -> tuple[UnitRecord, str, bool, bool]:
        found = unit_record(connection, policies, question, now, readable)
        register = active_names(connection, policies).register
        above = found.parent is not None and reads_grid(readable, register, found.definition, found.parent.code)
        return found, register.pack.zone, bool(proposable(register, post, present(connection, now).at)), above

    found, zone, proposes, above = await figures(context, request.user, ask)
    whose = {"department": code, "grid": found.parent.code} if found.is_department and found.parent else {"grid": code}
    return page(
        request,
        "unit.html",
        found=found,
        up=found.parent if above else None,
        zone=zone,
        proposes=proposes,
        shown=[month for month in found.months if month.counts or month.coverage or month is found.months[-1]],
        on_time=trend_of([month.on_time for month in found.months]),
        rework=trend_of([month.rework for month in found.months]),
        coverage=trend_of([month.coverage for month in found.months]),
        percent=percent,
        opened=lambda month, measure: opened(
            PerformanceQuestion(by="", period="month", day=month.since, **whose), found.definition, None, measure
        ),
        opened_category=lambda row, measure: query(
            "/figures",
            measure=measure,
            unit=row.key,
            by="category",
            **whose,
            **{"from": found.months[0].since, "to": found.months[-1].until},
            definition=found.definition,
        ),
    )


def percent(rate: Rate | None) -> str:
    """A rate in per cent; a dash where there is none."""
    return "—" if rate is None or rate.basis_points is None else f"{rate.basis_points / 100:.1f}%"


def trend_of(rates: Sequence[Rate | None]) -> Trend:
    """Rates from 0 at the bottom to 100 % at the top, one month beside the other."""
    step = (WIDTH - 2 * MARGIN) / max(1, len(rates) - 1)
    points = tuple(
        (round(MARGIN + number * step), round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * rate.basis_points / 10_000))
        for number, rate in enumerate(rates)
        if rate is not None and rate.basis_points is not None
    )
    return Trend(" ".join(f"{x},{y}" for x, y in points), points)


ROUTES = [show_unit]

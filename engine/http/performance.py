"""Figures at the door, by grid, period and kind."""

from typing import Annotated, Any

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from engine.errors import GridpatrolError
from engine.http.context import DoorContext
from engine.views.performance import PerformanceQuestion, performance_page
from engine.views.questions import BadQuestion, NoActivePack, Unanswerable

By = Annotated[str, QueryParameter(description="One row per grid, department, group, category, post or day.")]
Period = Annotated[str, QueryParameter(description="day, week, month, quarter, half, year or all; a month by default.")]
Day = Annotated[str, QueryParameter(description="A local day, YYYYMMDD or YYYY-MM-DD; without one: today.")]
From = Annotated[str, QueryParameter(name="from", description="First local day, instead of a period.")]
To = Annotated[str, QueryParameter(name="to", description="Last local day, inclusive.")]
Published = Annotated[str, QueryParameter(description="true: each row also as it stood after the days of grace.")]


@get("/v1/performance", summary="Figures of a subtree", tags=["performance"])
async def performance(
    context: NamedDependency[DoorContext],
    grid: FromQuery[str] = "",
    by: By = "",
    period: Period = "",
    day: Day = "",
    from_: From = "",
    to: To = "",
    level: FromQuery[str] = "",
    department: FromQuery[str] = "",
    group: FromQuery[str] = "",
    category: FromQuery[str] = "",
    post: FromQuery[str] = "",
    published: Published = "",
) -> Any:
    """Counts, rates (结案率, 按期结案率, 返工率) and durations, exact, with the number of cases behind each."""
    question = PerformanceQuestion(
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
        published=published,
    )
    now = context.now()
    try:
        return await context.read(lambda connection: performance_page(connection, context.policies, question, now))
    except NoActivePack as error:  # unlike the other views, this route answers 400 without a pack
        raise BadQuestion("", str(error)) from error
    except Unanswerable:
        raise
    except GridpatrolError as error:
        raise BadQuestion("", str(error)) from error


ROUTES = [performance]

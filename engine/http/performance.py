"""Figures at the door. In: a question by grid, period and kind. Out: what the reader that serve hands in answers."""

from typing import Annotated, Any

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from engine.errors import GridpatrolError
from engine.http.context import DoorContext
from engine.http.problems import Problem, bad_query

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
    if context.performance is None:
        raise Problem(503, "no_figures", "this server keeps no figures", remedy="start it with its consumers")
    reader, asked = (
        context.performance,
        {
            "grid": grid,
            "by": by,
            "period": period,
            "day": day,
            "from": from_,
            "to": to,
            "level": level,
            "department": department,
            "group": group,
            "category": category,
            "post": post,
            "published": published,
        },
    )
    given = {name: value for name, value in asked.items() if value}
    try:
        return await context.aside(lambda: reader(given))
    except (ValueError, GridpatrolError) as error:
        raise bad_query("", str(error)) from error


ROUTES = [performance]

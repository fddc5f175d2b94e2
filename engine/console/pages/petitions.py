"""信访: what is asked, with whom it is and until when, and whether who asked is satisfied with the answer. What may be
said of one is offered on its own page; what was written, and by whom, is not here."""

from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import UNSET

from engine.console.pages.unit import percent
from engine.console.rendering import page, query
from engine.http.context import DoorContext
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.figure_question import PerformanceQuestion
from engine.views.figure_rows import FigureRow
from engine.views.names import active_names
from engine.views.performance import PerformancePage, performance_page
from engine.views.petitions import PetitionPage, PetitionQuestion, petition_page
from engine.views.readers import NotReadable
from engine.views.year_before import WORD, RowChange
from schemas.kinds.petition import PETITION
from schemas.value_words import WORDS
from workflows.definitions import DEFINITIONS
from workflows.figure_words import FigureMeaning, meaning_of
from workflows.figures import Rate
from workflows.reading import Readable

Ended = Annotated[bool, QueryParameter(description="Those that have ended, the latest first.")]
Cursor = Annotated[str, QueryParameter(description="Where the page begins.")]
Period = Annotated[
    str,
    QueryParameter(description="The period whose figures stand beside those of the year before: a year by default."),
]
Day = Annotated[str, QueryParameter(description="The period that holds this local day; without one: today.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/petitions", include_in_schema=False)
async def show_petitions(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    ended: Ended = False,
    cursor: Cursor = "",
    period: Period = "year",
    day: Day = "",
    lang: Lang = "",
) -> Response[Any]:
    """What is open, with whom, until when, what was answered; and how many there are beside the year before (同比)."""
    question, now, policies = PetitionQuestion(ended=ended, cursor=cursor), context.now(), context.policies
    asked = PerformanceQuestion(definition=PETITION.name, period=period, day=day, beside=WORD)

    def ask(connection: Connection, readable: Readable) -> tuple[PetitionPage, PerformancePage | None, str]:
        found = petition_page(connection, policies, question, now, readable)
        try:
            figures = performance_page(connection, policies, asked, now, readable)
        except NotReadable:  # who reads petitions need not read their figures
            figures = None
        return found, figures, active_names(connection, policies).register.pack.zone

    found, figures, zone = await context.read_as(request.user, ask)
    return page(
        request,
        "petitions.html",
        found=found,
        question=question,
        zone=zone,
        value_words=WORDS,
        figures=figures,
        compared=compared(figures),
        percent=percent,
    )


class Compared(NamedTuple):
    """A figure of these days and of those of the year before, by how much it changed, and where each side opens."""

    meaning: FigureMeaning
    now: Rate | int
    then: Rate | int
    change: int | None
    opens_now: str
    opens_then: str


def compared(found: PerformancePage | None) -> list[Compared]:
    """The lines of the comparison: how many came in, by channel too, and the rates of the kind."""
    if found is None or found.year_before is UNSET:
        return []
    before, [kept] = found.year_before, found.year_before.changes or [RowChange(key="", name="", counts={}, rates={})]
    rows = [next(iter(rows), None) for rows in (found.rows, before.rows)]
    days = [(found.since, before.until_now), (before.since, before.until)]
    kind = DEFINITIONS[PETITION.name]
    begin = f"{kind.measures[0].name}:"
    names = [
        kind.sums[0].name,
        *filter(lambda name: name.startswith(begin), kept.counts),
        *(r.name for r in kind.ratios),
    ]
    lines = list[Compared]()
    for name in names:
        sides = [side_of(row, name) for row in rows]
        if any(sides):
            opens = [
                query("/figures", measure=name, definition=PETITION.name, grid=found.grid, from_=since, to=until)
                for since, until in days
            ]
            change = kept.rates.get(name, kept.counts.get(name))
            meaning = meaning_of(kind, name, "")
            lines.append(Compared(meaning, sides[0], sides[1], change, *opens))
    return lines


def side_of(row: FigureRow | None, name: str) -> Rate | int:
    """A count, or a rate with both its sides; 0 where there is none."""
    if row is None:
        return 0
    rate = row.rates.get(name)
    return row.counts.get(name, 0) if rate is None else rate if rate.denominator else 0


ROUTES = [show_petitions]

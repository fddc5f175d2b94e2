"""The question by what figures are ranked: which figure, in which order, compared with which days before.

`engine.views.ranking` ranks the rows.
"""

from datetime import timedelta

from msgspec import structs

from engine.store.figures import Selection
from engine.views.figure_question import Asked, PerformanceQuestion, dashed, parse_day
from engine.views.figure_rows import FULFILLED, Ranking
from engine.views.questions import BadQuestion
from workflows.definitions import DEFINITIONS
from workflows.figure_words import BY_CLOCK, meaning_of
from workflows.figures import BEGINNING, EVER, period_bounds, to_date, to_day

UNRANKED = ("", "level", "day")
"""Groupings whose rows are no peers of each other."""


def ranking_of(asked: Asked, question: PerformanceQuestion) -> Ranking:
    """How the rows of a question are ranked. Raises BadQuestion."""
    selection, clock, names = asked.selection, asked.selection.clock, asked.names
    kind, measure = DEFINITIONS[selection.definition], question.rank
    if not measure:
        raise BadQuestion("order", "rows are sorted by what they are ranked by", "ask with `rank` as well")
    if question.order not in ("", "asc", "desc"):
        raise BadQuestion("order", "the order is neither asc nor desc")
    if selection.by in UNRANKED:
        raise BadQuestion("rank", "these rows are no peers of each other", "ask by grid, department, post or category")
    told, _, of_clock = measure.partition(":")
    strange = clock and measure not in BY_CLOCK and of_clock != clock
    if strange or (not clock and (measure.startswith("consumed_") or (told in FULFILLED and of_clock))):
        raise BadQuestion("rank", "this is a figure of another clock, or of none", "ask with `clock`, or without it")
    try:
        meaning = meaning_of(kind, measure, clock)
    except KeyError:
        meaning = None
    if meaning is None or "." in measure:
        remedy = "take a name of the answer's `definitions`: a count, a rate or a duration"
        raise BadQuestion("rank", "rows have no such figure", remedy)
    before = days_before(question, selection)
    today = names.register.clock_of_days.local_day(asked.here.at)
    return Ranking(
        measure=meaning,
        order=question.order or ("asc" if meaning.better == "lower" else "desc"),
        min_n=names.register.options.min_n,
        before_since=dashed(before[0]) if before else "",
        before_until=dashed(before[1]) if before else "",
        period_over=selection.until < today,
    )


def days_before(question: PerformanceQuestion, selection: Selection) -> tuple[int, int] | None:
    """First and last local day of the period before; None where there is none. Of days that were named, it is as many
    days before them."""
    if selection.since == BEGINNING or selection.until == EVER:
        return None
    last = to_date(selection.since) - timedelta(days=1)
    if last.year < 1900:
        return None
    if question.since or question.until:
        return to_day(last - (to_date(selection.until) - to_date(selection.since))), to_day(last)
    return period_bounds(to_day(last), question.period or "month")


def selection_before(selection: Selection, ranking: Ranking) -> Selection | None:
    """The same of the period before; None where there is none."""
    if not ranking.before_since:
        return None
    since, until = parse_day("from", ranking.before_since), parse_day("to", ranking.before_until)
    return structs.replace(selection, since=since, until=until)

"""Lints the assessment of a pack (考核): indicators that can be counted, fair cards, consequences that can follow.

This is the assessment of 六定 (M11). A card that has a rate without the share of what was passed on, rejected or void
beside it is refused: the rate could be raised by doing less.
"""

from collections import defaultdict
from collections.abc import Iterator

from schemas.facts import PASSED_ON, VOID
from schemas.kinds.incident import INCIDENT, Rejected
from workflows.assessment.cards import BY_KIND, PERIODS
from workflows.assessment.consequences import parse_when
from workflows.assessment.terms import COUNTED_OF_ANY, EXPECTED, clock_of_result, is_term, plain_term
from workflows.clocks.calendar import day_number, laid_out
from workflows.definitions import DEFINITIONS, REFERENCE
from workflows.figures import period_bounds, publication_day
from workflows.machine import Definition
from workflows.policy.assessment_rows import MOST_POINTS
from workflows.policy.lint.context import LintContext, one_of
from workflows.policy.model import IndicatorRow, ScorecardRow

INDICATORS, SCORECARDS, CONSEQUENCES = "indicators.csv", "scorecards.csv", "consequences.csv"
UNFULFILLED = (PASSED_ON, VOID)
"""Figures of clocks that nobody fulfilled."""
REJECTING = next(trigger for trigger, event in INCIDENT.events.items() if event.data is Rejected)
"""The trigger by which a case is not taken up (不予立案)."""
FILE, TWO_YEARS = "pack.toml", 20_000
"""Of a calendar the last two years are looked at, in which all holidays occur."""
SAME = ("period", "subjects", "level", "peer", "title_zh", "title_en")
"""What all lines of a card of one year have in common."""


def kind_of(context: LintContext, indicator: IndicatorRow) -> Definition | None:
    """The kind of case that an indicator counts."""
    return DEFINITIONS.get(indicator.definition or context.pack.options.main_definition or REFERENCE)


def lint_assessment(context: LintContext) -> None:
    """Indicators, cards and consequences can work together."""
    for index, indicator in enumerate(context.pack.indicators):
        lint_indicator(context, index, indicator)
    known = {indicator.code: indicator for indicator in reversed(context.pack.indicators)}
    cards: dict[tuple[str, int], list[tuple[int, ScorecardRow]]] = defaultdict(list)
    for index, row in enumerate(context.pack.scorecards):
        cards[row.card, row.year].append((index, row))
        lint_line(context, index, row, known)
    for rows in cards.values():
        lint_card(context, rows, known)
    for index, consequence in enumerate(context.pack.consequences):
        if consequence.card not in {row.card for row in context.pack.scorecards}:
            text = f"{consequence.card!r} is no card of scorecards.csv"
            context.error(CONSEQUENCES, index, "card", text, one_of({row.card for row in context.pack.scorecards}))
        when = parse_when(consequence.when)
        if when is None:
            remedy = "write last:3, last:3@2, first:3 or below:60, perhaps with twice: before it"
            context.error(CONSEQUENCES, index, "when", f"{consequence.when!r} is no condition", remedy)
        elif when.level and when.level not in context.levels:
            text = f"{when.level} is no level of pack.toml"
            context.error(CONSEQUENCES, index, "when", text, one_of([str(n) for n in sorted(context.levels)]))
        actions = {action.action for action in context.pack.actions}
        if actions and consequence.action not in actions:
            text = f"{consequence.action!r} is no action of actions.csv"
            context.error(CONSEQUENCES, index, "action", text, one_of(actions))
        if not consequence.basis:
            context.warning(CONSEQUENCES, index, "basis", "does not say where it comes from", "say so, or write: ours")
    lint_appeals(context)


def lint_appeals(context: LintContext) -> None:
    """The days of grace outlast the time for an appeal: one against what was refused as a period ended is decided by
    the sheet that counts it, and not by a restatement of it."""
    options, limit, needed = context.pack.options, context.pack.options.appeal, 0
    if limit is None:
        return
    for data in context.pack.calendars:
        calendar = laid_out(data)
        for period in sorted({row.period for row in context.pack.scorecards} & {*PERIODS}):
            day = period_bounds(max(data.first_day, data.last_day - TWO_YEARS), period)[1]
            while day < data.last_day:
                due = calendar.deadline(calendar.day_start(publication_day(day, 1)), limit)
                needed = max(needed, day_number(calendar.local_day(due - 1)) - day_number(day))
                day = period_bounds(publication_day(day, 1), period)[1]
    if options.grace_days < needed:
        text = f"{options.grace_days} days after a period's end its sheets are computed, while an appeal against a "
        text += f"refusal of its last day may come for up to {needed} days"
        remedy = f"write grace_days = {needed}, or give less time for an appeal"
        context.problems.warning(FILE, 0, "options.grace_days", text, remedy)


# ---- indicators ---------------------------------------------------------------------------------------------


def lint_indicator(context: LintContext, index: int, indicator: IndicatorRow) -> None:
    """An indicator names figures that its kind of case has, and its unit fits its sides."""
    kind, code = kind_of(context, indicator), indicator.code
    if kind is None or kind.listed == "never":
        kinds = [name for name, each in DEFINITIONS.items() if each.listed != "never"]
        text = f"{code!r}: {indicator.definition!r} is no kind of case"
        context.error(INDICATORS, index, "definition", text, one_of(kinds))
        return
    for column in ("numerator", "denominator", "subtracted"):
        for term in getattr(indicator, column):
            if not is_term(kind, plain_term(term)):
                text = f"{code!r}: {plain_term(term)!r} is no count of {kind.name}"
                context.error(INDICATORS, index, column, text, one_of(terms_of(kind), 30))
            elif plain_term(term) == EXPECTED and column != "denominator":
                context.error(INDICATORS, index, column, f"{code!r}: expected is no merit", "put it into denominator")
    if (indicator.unit == "percent") != bool(indicator.denominator):
        text = f"{code!r} is in {indicator.unit} and has {'no' if indicator.unit == 'percent' else 'a'} denominator"
        context.error(INDICATORS, index, "unit", text, "write percent with a denominator, count without one")
    if indicator.found and kind.bears is not None:
        text = f"{code!r}: nobody reports what time bears"
        context.error(INDICATORS, index, "found", text, "leave it empty")
    if indicator.category and indicator.category not in context.categories:
        text = f"{code!r}: {indicator.category!r} is no category"
        context.error(INDICATORS, index, "category", text, "correct it, or leave it empty for all")
    if not indicator.basis:
        context.warning(INDICATORS, index, "basis", "does not say where it comes from", "say so, or write: ours")


def terms_of(kind: Definition) -> list[str]:
    """Terms that an indicator of a kind of case may name, those of single clocks by an example."""
    own = [each.name for each in kind.sums] + [f"{each.name}:…" if each.per else each.name for each in kind.measures]
    clocks = [f"{first}:{clock}" for clock in list(kind.clocks)[:1] for first in ("on_time", "overdue", *UNFULFILLED)]
    expected = [EXPECTED] if kind.bears is not None else []
    return list(dict.fromkeys([*COUNTED_OF_ANY, *sorted(set(kind.endings.values())), *own, *clocks, *expected]))


# ---- cards --------------------------------------------------------------------------------------------------


def lint_line(context: LintContext, index: int, row: ScorecardRow, known: dict[str, IndicatorRow]) -> None:
    """A line names an indicator, and its numbers can be reached."""
    indicator = known.get(row.indicator)
    if indicator is None:
        text = f"{row.indicator!r} is no indicator of indicators.csv"
        context.error(SCORECARDS, index, "indicator", text, one_of(known) if known else "add that file")  # type: ignore[arg-type]
        return
    if not 1 <= row.weight <= MOST_POINTS or row.cap > MOST_POINTS:
        text = f"{row.indicator!r} has {row.weight} points"
        context.error(SCORECARDS, index, "weight", text, f"write a whole number from 1 to {MOST_POINTS}")
    lower = indicator.direction == "lower"
    if row.zero_at == row.full_at or (row.full_at < row.zero_at) != lower:
        better = "less than" if lower else "more than"
        text = f"{row.indicator!r} is better when {indicator.direction}: full_at is not {better} zero_at"
        context.error(SCORECARDS, index, "full_at", text, f"let full_at be {better} zero_at")
    if row.cap and not row.bonus:
        context.error(SCORECARDS, index, "cap", "a cap is of a bonus", "leave it empty, or write yes in bonus")
    kind = kind_of(context, indicator)
    if row.subjects == "post" and kind is not None and not kind.posts_hold:
        text = f"{row.indicator!r} counts what no post holds alone"
        context.error(SCORECARDS, index, "subjects", text, "assess posts by their duties only")
    if row.subjects != "grid" and EXPECTED in indicator.denominator:
        text = f"{row.indicator!r} is expected of grids"
        context.error(SCORECARDS, index, "subjects", text, "write due and leave out void and excused ones, or grid:N")
    own = not indicator.found and kind is not None and kind.bears is None
    if own and indicator.denominator and indicator.direction == "higher" and not row.bonus:
        text = f"{row.indicator!r} also counts problems that the subject found itself: trivial ones raise it"
        context.warning(SCORECARDS, index, "indicator", text, "write others in column found of indicators.csv")
    if not row.basis:
        context.warning(SCORECARDS, index, "basis", "does not say where it comes from", "say so, or write: ours")


def lint_card(context: LintContext, rows: list[tuple[int, ScorecardRow]], known: dict[str, IndicatorRow]) -> None:
    """The lines of a card agree, and no rate stands alone."""
    index, first = rows[0]
    if first.period not in PERIODS:
        context.error(SCORECARDS, index, "period", f"{first.period!r} is no period of a card", one_of(PERIODS))
    if not 1900 <= first.year < 3000:
        context.error(SCORECARDS, index, "year", f"{first.year} is no year", "write the year from which the card holds")
    if first.level not in context.levels:
        text = f"{first.level} is no level of pack.toml"
        context.error(SCORECARDS, index, "subjects", text, one_of([str(n) for n in sorted(context.levels)]))
    if first.peer and first.peer != BY_KIND and first.peer not in {str(level) for level in context.levels}:
        remedy = "write kind, a level such as 2, or leave it empty for all"
        context.error(SCORECARDS, index, "peer", f"{first.peer!r} is no peer group", remedy)
    if first.peer == BY_KIND and first.subjects != "grid":
        context.error(SCORECARDS, index, "peer", "only grids have a kind", "write a level, or leave it empty")
    seen = set[str]()
    for other, row in rows:
        for column in SAME:
            if getattr(row, column) != getattr(first, column):
                text = f"{row.card!r} has another {column} in row {context.row(SCORECARDS, index)}"
                shown = "subjects" if column == "level" else column
                context.error(SCORECARDS, other, shown, text, "write the same in all rows of a card and year")
        if row.indicator in seen:
            context.error(SCORECARDS, other, "indicator", f"{row.indicator!r} stands twice", "keep one row of it")
        seen.add(row.indicator)
    if all(row.bonus for _, row in rows):
        context.error(SCORECARDS, index, "bonus", f"{first.card!r} has bonuses only", "add a line with a weight")
    lint_lone_rates(context, rows, known)


def lint_lone_rates(context: LintContext, rows: list[tuple[int, ScorecardRow]], known: dict[str, IndicatorRow]) -> None:
    """A rate of cases has the share of what was passed on, rejected or void beside it. What every grid owes whoever is
    there, and what one post owes alone, cannot be made less."""
    beside: dict[str, set[str]] = defaultdict(set)
    indicators = [(index, known[row.indicator]) for index, row in rows if row.indicator in known]
    for _, indicator in indicators:
        kind = kind_of(context, indicator)
        if kind is not None and indicator.denominator and indicator.direction == "lower":
            beside[kind.name] |= {word for term in indicator.numerator for word in unfulfilled(kind, term)}
    for index, indicator in indicators:
        kind = kind_of(context, indicator)
        if kind is None or not indicator.denominator or kind.bears is not None:
            continue
        missing = [word for word in (*UNFULFILLED, *rejections(kind)) if word not in beside[kind.name]]
        if missing:
            text = f"{indicator.code!r} is a rate, and no line beside it is the share of {', '.join(missing)}"
            remedy = "add a line with an indicator that is better lower, whose numerator has passed_on:CLOCK, "
            remedy += "void:CLOCK and rejected, or the rate is raised by doing less"
            context.error(SCORECARDS, index, "indicator", text, remedy)
            return


def unfulfilled(kind: Definition, term: str) -> Iterator[str]:
    """Which of these a term of a numerator counts."""
    first = term.partition(":")[0]
    if (first in UNFULFILLED and not clock_of_result(term)) or term in rejections(kind):
        yield first


def rejections(kind: Definition) -> list[str]:
    """The measure of the ending by which a case of a kind is not taken up, where it has one."""
    return [name for trigger, name in kind.endings.items() if trigger == REJECTING]

"""Performance figures at a terminal."""

from collections.abc import Iterable

import click
from msgspec import UNSET

from engine.views.figure_cases import FigureCasesPage
from engine.views.figure_rows import FigureRow, RankBefore, Ranking, RowRank
from engine.views.performance import PerformancePage
from engine.views.year_before import YearBefore, rates_of
from gridpatrol.render.tables import duration, minute, table
from schemas.short_numbers import spoken
from workflows.definitions import DEFINITIONS
from workflows.figures import Rate

HEADS = (
    "key",
    "name",
    "上报 reported",
    "结案 closed",
    "应结案 closable",
    "结案率",
    "按期结案率",
    "返工率",
    "median",
    "p90",
    "在办 open",
    "超期 overdue",
)
OF_CLOCK = (
    "key",
    "name",
    "按期 on time",
    "超期 overdue",
    "移交 passed on",
    "作废 void",
    "按期率",
    "median",
    "p90",
    "consumed",
    "p90",
)


def figure_table(page: PerformancePage) -> None:
    """Print one line per key. A rate that is made of too few stands in brackets: it ranks nothing.

    A kind of case that declares its own sums is shown by them and by its own rates.
    """
    days = f"{page.since or 'the beginning'} to {page.until or 'now'}"
    click.echo(f"{page.pack} {page.grid}, {page.definition}, by {page.by or 'all'}, {days}")
    if page.reading == "as_known_then":
        click.echo(f"as of {page.as_of}, as known then" + (f": {page.remark}" if page.remark else ""))
    if page.ranking is not UNSET:
        rank_table(page, page.ranking)
    if page.year_before is not UNSET:
        year_table(page, page.year_before)
    if page.clock:
        table(OF_CLOCK, [_of_clock(row, page.clock) for row in page.rows], right=range(2, 11))
        return print_thin([row.on_time_rate for row in page.rows])
    kind = DEFINITIONS[page.definition]
    ratios = [each for each in kind.ratios if not each.rare]
    if kind.sums:
        heads = [f"{each.zh} {each.en}" for each in kind.sums]
        heads += [f"{each.zh} {each.en}" for each in ratios]
        lines = [
            (
                row.key,
                row.name,
                *(row.counts.get(each.name, 0) for each in kind.sums),
                *(percent(row.rates[each.name]) for each in ratios),
            )
            for row in page.rows
        ]
        table(("key", "name", *heads), lines, right=range(2, 2 + len(heads)))
        return print_thin([row.rates[each.name] for row in page.rows for each in ratios])
    standing, counted = {row.key: row for row in page.standing}, {row.key: row for row in page.rows}
    rows = []
    for key in sorted({**standing, **counted}) if page.ranking is UNSET else dict.fromkeys([*counted, *standing]):
        row, stood = counted.get(key), standing.get(key)
        figures: tuple[object, ...] = (0, 0, 0, "-", "-", "-", "", "")
        if row is not None:
            figures = (
                row.counts.get("reported", 0),
                row.counts.get("closed", 0),
                row.n,
                *map(percent, (row.close_rate, row.on_time_rate, row.rework_rate)),
                duration(row.median_ms) if row.median_ms is not None else "",
                duration(row.p90_ms) if row.p90_ms is not None else "",
            )
        name = row.name if row is not None else standing[key].name
        rows.append((key, name, *figures, stood.open if stood else 0, stood.overdue if stood else 0))
    table(HEADS, rows, right=range(2, 12))
    if page.standing and page.standing_reading == "as_known_then":
        click.echo(f"在办 open, 超期 overdue: as of {page.standing_at}, as known then")
    elif page.standing:
        click.echo(f"在办 open, 超期 overdue: as of {page.standing_at}")
    if page.remark and page.reading != "as_known_then":
        click.echo(f"在办 open, 超期 overdue: {page.remark}")
    print_thin([rate for row in page.rows for rate in (row.close_rate, row.on_time_rate, row.rework_rate)])


WHY_NOT = {
    "thin": "件数不足 too few",
    "nothing": "无数据 nothing to rank",
    "alone": "同级仅此一个 no peer",
    "unknown": "不是本包的单位 no unit of the pack",
}
"""Why a row has no place."""


def year_table(page: PerformancePage, then: YearBefore) -> None:
    """Print each figure beside that of the same days of the year before, and by how much it has changed."""
    words = {each.name: f"{each.zh} {each.en}" for each in page.definitions}
    now, before = {row.key: row for row in page.rows}, {row.key: row for row in then.rows}
    click.echo(f"同比 beside {then.since} to {then.until}")
    lines: list[tuple[object, ...]] = []
    for change in then.changes:
        rows = now.get(change.key), before.get(change.key)
        for name, by in change.counts.items():
            sides = (row.counts.get(name, 0) if row is not None else 0 for row in rows)
            lines.append((change.key, change.name, words.get(name, name), *sides, f"{by:+d}"))
        for name, points in change.rates.items():
            rates = (percent(rates_of(row)[name]) for row in rows)
            lines.append((change.key, change.name, words.get(name, name), *rates, f"{points / 100:+.1f}"))
    table(("key", "name", "指标 figure", "本期 now", "上年同期 year before", "变化 change"), lines, right=(3, 4, 5))
    click.echo("")


def rank_table(page: PerformancePage, ranking: Ranking) -> None:
    """Print the places, and what has changed since the period before. What has no place stands apart."""
    measure = ranking.measure
    click.echo(f"名次 rank by {measure.zh} {measure.en} ({measure.name}): {measure.says_zh}。{measure.says_en}.")
    if ranking.before_since:
        runs = "" if ranking.period_over else "; 本期未完 this period still runs"
        click.echo(f"比上期 compared with {ranking.before_since} to {ranking.before_until}{runs}")
    levels = {rank.level for row in page.rows if (rank := row.rank) is not UNSET and rank.place is not None}
    lines, apart = [], []
    for row in page.rows:
        rank = row.rank
        if rank is UNSET:
            continue
        level = f"L{rank.level} " if rank.level and len(levels) > 1 else ""
        before = rank.before
        then = ("", "") if before is None else (ranked_value(before), str(before.place or "-"))
        line = (row.key, row.name, ranked_value(rank))
        if rank.place is None:
            apart.append((*line, WHY_NOT[rank.why]))
            continue
        place = f"{level}{rank.place}/{rank.of}" + (" 并列 tied" if rank.tied else "")
        moved = "" if rank.moved is None else f"{rank.moved:+d}" if rank.moved else "="
        lines.append((place, *line, changed(measure.name, rank), *then, moved))
    heads = ("名次 rank", "key", "name", "值 value", "变化 change", "上期 before", "名次 rank", "升降 moved")
    table(heads, lines, right=(3, 4, 5, 6, 7))
    if apart:
        click.echo(f"不排名 not ranked (min_n {ranking.min_n}):")
        table(("key", "name", "值 value", "why"), apart, right=(2,))
    click.echo("")


def ranked_value(rank: RowRank | RankBefore) -> str:
    """The value of a row, with both sides of a rate, or of how many a duration is."""
    if rank.value is None:
        return "-"
    if rank.denominator is not None:
        return f"{rank.value / 100:.2f}% {rank.numerator}/{rank.denominator}"
    return f"{duration(rank.value)} ({rank.n})" if rank.n is not None else str(rank.value)


def changed(measure: str, rank: RowRank) -> str:
    """By how much a value has changed."""
    if rank.change is None:
        return ""
    if rank.denominator is not None:
        return f"{rank.change / 100:+.2f}"
    if measure.endswith("_ms"):
        return ("-" if rank.change < 0 else "+") + duration(abs(rank.change))
    return f"{rank.change:+d}"


def case_table(page: FigureCasesPage) -> None:
    """Print the cases behind a figure, and what they come to."""
    days = f"{page.since or 'the beginning'} to {page.until or 'now'}"
    click.echo(f"{page.measure.zh} {page.measure.en} ({page.measure.name}), {page.unit} {page.name}".rstrip())
    click.echo(f"{page.pack}, {page.definition}, {days}: {amount(page)}")
    click.echo(f"{page.measure.says_zh}。{page.measure.says_en}.")
    if page.remark:
        click.echo(page.remark)
    timed = page.measure.name.endswith("_ms")
    rows = []
    for line in page.cases:
        case = line.case
        rows.append(
            (
                ("→" if line.ranked else "") + str(line.place or line.day),
                duration(line.value) if timed else line.value if line.of is None else f"{line.value}/{line.of}",
                spoken(line.short_number),
                "" if case is None or case.category is None else case.category.name_zh,
                line.archive if case is None else case.state_zh,
                "" if case is None or not case.path else case.path[-1].name,
                "" if case is None or case.owner is None else (case.owner.department or case.owner.grid).name,
                minute(case.opened_at) if case else "",
                minute(case.closed_at) if case else "",
                line.clock and f"{line.clock}.{line.level}",
                line.id,
            )
        )
    place = "place" if timed else "日 day"
    heads = (place, "值 value", "编号", "类别", "状态", "地点", "责任单位", "上报 opened", "结案 closed", "clock", "id")
    table(heads, rows, right=(0, 1))
    if page.archived or page.archived_of:
        click.echo(f"(and {page.archived} of cases that were archived: no line is left of them)")
    if page.next is not None:
        click.echo(f"({len(page.cases)} of {page.lines} lines; --limit all shows the others)")


def amount(page: FigureCasesPage) -> str:
    """What a figure comes to, in words."""
    if page.measure.name.endswith("_ms"):
        return f"{duration(page.value)} among {page.of}" if page.value is not None else "none"
    return str(page.value) if page.of is None else f"{page.value} / {page.of}"


def percent(rate: Rate) -> str:
    """A rate as people write it, in brackets where it is thin; a dash where there is nothing to divide by."""
    if rate.basis_points is None:
        return "-"
    text = f"{rate.basis_points / 100:.2f}%"
    return f"({text})" if rate.thin else text


def print_thin(shown: Iterable[Rate]) -> None:
    """Say what the brackets of rates mean, if there are any."""
    if any(rate.thin and rate.basis_points is not None for rate in shown):
        click.echo("(in brackets: made of too few to rank 样本过少)")


def _of_clock(row: FigureRow, clock: str) -> tuple[object, ...]:
    spans = row.median_ms, row.p90_ms, row.consumed_median_ms, row.consumed_p90_ms
    return (
        row.key,
        row.name,
        *(row.counts.get(f"{result}:{clock}", 0) for result in ("on_time", "overdue", "passed_on", "void")),
        percent(row.on_time_rate),
        *("" if ms is None else duration(ms) for ms in spans),
    )

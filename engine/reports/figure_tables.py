"""Tables of figures, as `/v1/performance` answers: what a bulletin and a debrief are made of."""

from collections.abc import Iterator

from msgspec import UNSET

from engine.reports.document import NONE, THIN, Cell, Chart, Column, Share, Span, Table, share_of, text_of
from engine.reports.reading import ReportReading
from engine.views.figure_question import dashed
from engine.views.figure_rows import FigureRow
from engine.views.performance import PerformancePage
from schemas.facts import PASSED_ON
from schemas.value_words import SOURCES
from workflows.clocks.calendar import day_number, day_of_number
from workflows.definitions import CLOCKS
from workflows.figures import CLOSED, REPORTED, period_bounds
from workflows.machine import Definition

WHY = {"thin": "样本过少", "nothing": "无应结", "alone": "无同级", "unknown": "已不在规则包"}
"""Why a row has no place."""
FLOW = (
    Column("上报"),
    Column("结案"),
    Column("应结案"),
    Column("按期结案率", width=11),
    Column("返工率"),
    Column("逾期"),
    Column("免责"),
    Column("时长中位数", width=12),
)
"""The heads of `flow_of`."""
NOTHING: tuple[Cell, ...] = (0, 0, 0, Share(None), Share(None), 0, 0, Span(None))
"""The cells of `flow_of` where nothing counted."""
BEST = "on_time_rate"
"""The figure by which units are ranked."""
BARS = Chart("按期结案率", "bars", (2,))
STANDING = (Column("在办"), Column("在办全程超期"))


def flow_of(row: FigureRow) -> tuple[Cell, ...]:
    """What was reported, closed and late."""
    counts = row.counts
    return (
        counts.get(REPORTED, 0),
        counts.get(CLOSED, 0),
        row.n,
        share_of(row.on_time_rate),
        share_of(row.rework_rate),
        counts.get("overdue", 0),
        counts.get("overdue_exempted", 0),
        Span(row.median_ms),
    )


def standing_of(page: PerformancePage) -> dict[str, tuple[Cell, ...]]:
    """Open cases and those overdue, by the keys of a page."""
    return {each.key: (each.open, each.overdue) for each in page.standing}


def lead_of(reading: ReportReading, total: PerformancePage) -> str:
    """The answer of a bulletin in one sentence."""
    [row] = total.rows
    counts, rate = row.counts, row.on_time_rate
    opened, late = (sum(getattr(each, name) for each in total.standing) for name in ("open", "overdue"))
    told = f"，按期结案率 {text_of(Share(rate.basis_points))}（{rate.numerator}/{rate.denominator}）"
    shared = told if rate.denominator else ""
    return (
        f"{reading.period_text}{reading.place}：{reading.kind.zh}上报 {counts.get(REPORTED, 0)} 件，结案 "
        f"{counts.get(CLOSED, 0)} 件{shared}；逾期 {counts.get('overdue', 0)} 件；"
        f"{'此刻' if reading.running else '期末'}在办 {opened} 件，其中全程超期 {late} 件。"
    )


def totals(total: PerformancePage) -> Table:
    """The figures of all together."""
    [row] = total.rows
    standing = (sum(each.open for each in total.standing), sum(each.overdue for each in total.standing))
    return Table("总体", (*FLOW, *STANDING), ((*flow_of(row), *standing),), explained(total))


def explained(page: PerformancePage) -> str:
    """What the rates of a table are made of, in words; and what the mark of thin ones is."""
    said = {each.name: f"{each.zh}：{each.says_zh}" for each in page.definitions}
    return "。".join([said[name] for name in (BEST, "rework_rate") if name in said]) + f"。{THIN} 样本过少"


def by_grid(reading: ReportReading) -> Table:
    """Each grid below, ranked by its on-time rate, with the open cases in it."""
    page = reading.figures(by="grid", rank=BEST, **below(reading))
    standing = standing_of(page)
    rows = [
        (place_of(row), named(row), *flow_of(row), *standing.pop(row.key, (0, 0)), why_of(row)) for row in page.rows
    ]
    names = {each.key: each.name for each in page.standing}
    rows += [("", names[key], *NOTHING, *standing[key], "") for key in sorted(standing)]
    columns = (Column("名次"), Column("网格", False, 22), *FLOW, *STANDING, Column("备注", False, 10))
    chart = Chart("按期结案率", "bars", (5,))
    return Table("各网格", columns, tuple(rows), "期内无上报、无在办的网格不列。名次按按期结案率", chart)


def below(reading: ReportReading) -> dict[str, str]:
    """The grids that are told apart: of the level to which reports go by default, or those below a grid of it."""
    register = reading.names.register
    level = max(register.options.default_level, min(len(register.path(reading.grid)) + 1, register.leaf_level))
    return {"level": str(level)}


def named(row: FigureRow) -> str:
    """The name of a row; where it has none, its key."""
    return row.name or row.key or NONE


def place_of(row: FigureRow) -> Cell:
    """The place of a row."""
    return row.rank.place if row.rank is not UNSET and row.rank.place is not None else ""


def why_of(row: FigureRow) -> str:
    """Why it has none, or that others share it."""
    if row.rank is UNSET:
        return ""
    return "并列" if row.rank.tied else WHY.get(row.rank.why, "")


def by_category(reading: ReportReading) -> Table:
    """Each category of problems, the most frequent first, with the open cases of it."""
    page = reading.figures(by="category", rank=REPORTED)
    standing = standing_of(page)
    rows = tuple((named(row), *flow_of(row), *standing.get(row.key, (0, 0))) for row in page.rows)
    return Table("各类问题", (Column("类别", False, 18), *FLOW, *STANDING), rows, "", Chart("上报", "bars", (1,)))


def by_source(total: PerformancePage) -> Table:
    """Who found what was reported; petitions and what the public reports (M91) among them."""
    [row] = total.rows
    begin = f"{REPORTED}:"
    found = [(name.removeprefix(begin), value) for name, value in row.counts.items() if name.startswith(begin)]
    found.sort(key=lambda each: (-each[1], each[0]))
    rows = tuple((SOURCES.get(name, (name, name))[0], value) for name, value in found)
    return Table("问题来源", (Column("来源", False, 16), Column("上报")), rows, "", Chart("上报", "bars", (1,)))


def by_department(reading: ReportReading) -> Table:
    """Each department: the cases that it owned, and those that it has in hand."""
    page = reading.figures(by="department")
    held: dict[str, tuple[Cell, ...]] = {each.key: (each.open, each.overdue) for each in page.held}
    rows = [
        (named(row), row.n, share_of(row.on_time_rate), share_of(row.rework_rate), *held.get(row.key, (0, 0)))
        for row in page.rows
        if row.key
    ]
    columns = (
        Column("部门", False, 22),
        Column("应结案"),
        Column("按期结案率", width=11),
        Column("返工率"),
        Column("经手"),
        Column("经手超期"),
    )
    return Table("各部门", columns, tuple(rows), "经手：由该部门办理的在办件；经手超期：其中有时限已过的")


def by_clock(reading: ReportReading) -> Table:
    """What became of each clock: on time, late, passed on, and what it consumed."""
    rows = list[tuple[Cell, ...]]()
    for clock in reading.kind.clocks:
        [row] = reading.figures(clock=clock).rows
        counts = row.counts
        told = [counts.get(f"{name}:{clock}", 0) for name in ("on_time", "overdue", PASSED_ON, "exempted")]
        if any(told):
            rows.append((CLOCKS[clock][0], *told, share_of(row.on_time_rate), Span(row.consumed_median_ms)))
    columns = (
        Column("时限", False, 12),
        Column("按期"),
        Column("逾期"),
        Column("移交"),
        Column("免责"),
        Column("按期率"),
        Column("耗用中位数", width=14),
    )
    return Table("各时限", columns, tuple(rows), "按该时限停止之日计；耗用按其自身计时方式。移交的不算按期也不算逾期")


def of_kind(reading: ReportReading, kind: Definition, title: str, **asked: str) -> Table | None:
    """What a kind of case counts by itself: its sums and its rates, a row for each key; None where none are read."""
    page = reading.figures_of(kind, **asked)
    if page is None:
        return None
    rows, ratios = list[tuple[Cell, ...]](), [each for each in kind.ratios if not each.rare]
    for row in page.rows:
        counts = [row.counts.get(each.name, 0) for each in kind.sums]
        rates = [row.rates[each.name] for each in ratios]
        rows.append((named(row), *counts, *map(share_of, (*rates, row.on_time_rate))))
    columns = (
        Column(title, False, 22),
        *(Column(each.zh) for each in kind.sums),
        *(Column(each.zh) for each in ratios),
        Column("按期率"),
    )
    says = {each.name: f"{each.zh}：{each.says_zh}" for each in page.definitions}
    return Table(kind.zh, columns, tuple(rows), "；".join(says[each.name] for each in ratios if each.name in says))


def months(reading: ReportReading) -> Iterator[tuple[int, int]]:
    """First and last local day of each month of the period that has begun."""
    day = reading.since
    while day <= min(reading.until, reading.today):
        first, last = period_bounds(day, "month")
        yield first, last
        day = day_of_number(day_number(last) + 1)


def trend(reading: ReportReading) -> Table:
    """From day to day of a month, from month to month of a longer period; a day on which nothing counted is a row, too,
    so that a line is as long as its time."""
    told = list[tuple[str, tuple[Cell, ...]]]()
    if reading.length == "month":
        known = {row.key: flow_of(row) for row in reading.figures(by="day").rows}
        for number in range(day_number(reading.since), day_number(min(reading.until, reading.today)) + 1):
            day = day_of_number(number)
            told.append((dashed(day)[5:], known.get(str(day), NOTHING)))
    else:
        for first, last in months(reading):
            [row] = reading.figures(since=dashed(first), until=dashed(last)).rows
            told.append((dashed(first)[:7], flow_of(row)))
    rows = tuple((label, *flow) for label, flow in told)
    head = "日" if reading.length == "month" else "月"
    chart = Chart("上报、结案、逾期", "lines", (1, 2, 6)) if len(rows) > 1 else None
    return Table("逐日" if head == "日" else "逐月", (Column(head, False, 8), *FLOW), rows, "", chart)

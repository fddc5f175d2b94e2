"""The evidence pack of a third-party review (第三方审核评价, M111): what has waited for long, what was checked on site,
and by which texts (对照法律法规、实地走访、久拖未决)."""

from datetime import datetime
from itertools import takewhile

from engine.reports import figure_tables as tables
from engine.reports.bulletin import OF_CASE, in_hand, more_than, numbered
from engine.reports.document import Column, Document, Section, Table, share_of
from engine.reports.figure_tables import named
from engine.reports.reading import LISTED_MOST, ReportReading, filled
from engine.views.incident_list import IncidentLine
from engine.views.local_times import minute
from engine.views.questions import parse_instant
from workflows.clocks.limits import DAY_MS, limit_text
from workflows.definitions import CLOCKS, DEFINITIONS
from workflows.definitions.duty import DUTY
from workflows.figures import SHARES
from workflows.pack_diff import ROLES

AGES = (90, 60, 30)
"""Days from which on a case has waited for long; the longest come first."""

BASIS = Column("出处", False, 40)
PERIOD_ZH = {
    "day": "每日",
    "week": "每周",
    "half_month": "每半月",
    "month": "每月",
    "quarter": "每季度",
    "half": "每半年",
    "year": "每年",
}


def evidence(reading: ReportReading) -> Document:
    """The pack of a year. Raises Unanswerable."""
    total = reading.figures()
    stood = parse_instant(total.standing_at, "at")
    waited = [
        (case, days)
        for kind in DEFINITIONS.values()
        if kind.listed == "always"
        for case, days in waiting(reading, kind.name, stood)
    ]
    waited.sort(key=lambda each: (-each[1], each[0].id))
    counts = {age: sum(days > age for _, days in waited) for age in AGES}
    sections = [
        Section("一、久拖未决", (), (buckets(counts), long_open(waited))),
        Section(
            "二、现场核查与走访",
            (),
            (checks(reading), *filter(None, [tables.of_kind(reading, DUTY, "任务", by="category")])),
        ),
        Section("三、对照的文本", (), texts(reading)),
    ]
    told = "，".join(f"超 {age} 天 {counts[age]} 件" for age in reversed(AGES))
    return Document(
        stem=f"evidence-{reading.grid}-{reading.since}",
        title=f"{reading.place}第三方审核评价材料",
        subtitle=reading.period_text,
        lead=f"截至 {minute(total.standing_at)}，{reading.place}在办案件自上报起{told}。",
        facts=reading.facts(total.remark),
        sections=filled(sections),
        at=reading.here.at,
    )


def waiting(reading: ReportReading, kind: str, stood: int) -> list[tuple[IncidentLine, int]]:
    """The open cases that were reported more than the least age ago, with the whole days since."""
    found = ((case, age_of(case, stood)) for case in reading.cases(definition=kind, sort="opened_at"))
    return list(takewhile(lambda each: each[1] > min(AGES), found))


def age_of(case: IncidentLine, stood: int) -> int:
    """The whole days since a case was reported."""
    opened = case.opened_at
    return (stood - round(datetime.fromisoformat(opened).timestamp() * 1000)) // DAY_MS if opened else 0


def buckets(counts: dict[int, int]) -> Table:
    """How many have waited for longer than each age; those that waited longest are counted in each."""
    rows = tuple((f"超 {age} 天", counts[age]) for age in reversed(AGES))
    return Table(
        "在办时长", (Column("自上报起", False, 12), Column("件数")), rows, "超 90 天的也计入超 60 天、超 30 天"
    )


def long_open(waited: list[tuple[IncidentLine, int]]) -> Table:
    """The cases, from the oldest on."""
    columns = (
        *OF_CASE[:3],
        Column("来件号", False, 14),
        Column("上报", False, 16),
        Column("天数"),
        Column("轮次"),
        *OF_CASE[3:],
    )
    rows = tuple(
        (*numbered(case), case.reference, minute(case.opened_at), days, case.cycle, *in_hand(case))
        for case, days in waited
    )
    return Table("久拖未决的案件", columns, rows[:LISTED_MOST], more_than(rows))


def checks(reading: ReportReading) -> Table:
    """How often was checked on site whether a problem is solved, and found that it is not."""
    page = reading.figures(by="grid", **tables.below(reading))
    (unsolved,), checked = SHARES["rework_rate"]
    rows = tuple(
        (named(row), row.counts.get(checked, 0), row.counts.get(unsolved, 0), share_of(row.rework_rate))
        for row in page.rows
    )
    columns = (Column("网格", False, 22), Column("决定性核查"), Column("未解决"), Column("返工率"))
    return Table("现场核查", columns, rows)


def texts(reading: ReportReading) -> tuple[Table, ...]:
    """Which texts the rules in force name as their basis: of limits, of duties, of actions. `ours` marks what no text
    says."""
    pack, register = reading.names.register.pack, reading.names.register
    kinds = {name: kind.zh for name, kind in DEFINITIONS.items()}
    titles = {code: category.name_zh for code, category in register.categories.items()}
    limits = [
        (
            CLOCKS[row.clock][0] if row.clock in CLOCKS else row.clock,
            kinds.get(row.definition, ""),
            str(row.level or ""),
            titles.get(row.category, row.category or row.group),
            limit_text(row.limit),
            row.basis,
        )
        for row in pack.limits
    ]
    duties = tuple(
        (row.name, ROLES.get(row.role, row.role), PERIOD_ZH[row.period], row.quota, row.basis) for row in pack.duties
    )
    actions = tuple((row.title_zh, row.basis) for row in pack.actions)
    of_limits = (*(Column(head, False, 12) for head in ("时限", "案件种类", "层级", "类别", "限")), BASIS)
    of_duties = (*(Column(head, False, 14) for head in ("任务", "角色", "期")), Column("次数"), BASIS)
    return (
        Table("时限的出处", of_limits, tuple(limits)),
        Table("履职的出处", of_duties, duties),
        Table("督办方式的出处", (Column("方式", False, 16), BASIS), actions),
    )

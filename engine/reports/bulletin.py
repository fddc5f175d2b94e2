"""The bulletin (通报), and the brief (简报): how the period was, for a grid and those below it.

M58 asks for supervision whose results are circulated, M91 for a monthly comment on what is to be set right and on
petitions, M115 and M127 for a monthly report upwards. What is measured of air and water is no figure of cases, and not
in it. M135 asks for a brief of the work, and for what is told to the press each quarter.
"""

from itertools import islice

from engine.reports import figure_tables as tables
from engine.reports.document import Cell, Column, Document, Section, Table
from engine.reports.reading import LISTED_MOST, ReportReading, filled
from engine.views.incident_list import IncidentLine
from engine.views.local_times import minute
from engine.views.names import HolderNamed, OwnerNamed
from schemas.short_numbers import spoken
from workflows.definitions.duty import DUTY
from workflows.definitions.petition import PETITION
from workflows.definitions.supervision import SUPERVISION


def bulletin(reading: ReportReading) -> Document:
    """The bulletin of a period. Raises Unanswerable."""
    total = reading.figures()
    sections = [
        Section("一、总体情况", (), (tables.totals(total), tables.trend(reading))),
        Section("二、各网格", (), (tables.by_grid(reading),)),
        Section("三、问题类别与来源", (), (tables.by_category(reading), tables.by_source(total))),
        Section("四、办理与时限", (), (tables.by_clock(reading), tables.by_department(reading))),
        Section("五、履职", (), duties(reading)),
        Section("六、督查督办", (), supervisions(reading)),
        Section("七、久拖未决", (), (open_longest(reading),)),
    ]
    title = f"{reading.place}{reading.kind.zh}{'月度' if reading.length == 'month' else ''}通报"
    return Document(
        stem=f"bulletin-{reading.grid}-{reading.since}",
        title=title,
        subtitle=reading.period_text,
        lead=tables.lead_of(reading, total),
        facts=reading.facts(total.remark),
        sections=filled(sections),
        at=reading.here.at,
    )


def brief(reading: ReportReading) -> Document:
    """The brief of a period (工作简报), which may be read out in public: figures alone, and no single case. Raises
    Unanswerable."""
    total = reading.figures()
    petitions = tables.of_kind(reading, PETITION, "类别", by="category")
    acts = tables.of_kind(reading, SUPERVISION, "督办方式", by="category")
    sections = [
        Section("一、总体情况", (), (tables.totals(total), tables.trend(reading))),
        Section("二、各网格", (), (tables.by_grid(reading),)),
        Section("三、问题类别与来源", (), (tables.by_category(reading), tables.by_source(total))),
        Section("四、群众信访", (), (petitions,) if petitions is not None else ()),
        Section("五、督查督办", (), (acts,) if acts is not None else ()),
        Section("六、履职", (), duties(reading)),
    ]
    return Document(
        stem=f"brief-{reading.grid}-{reading.since}",
        title=f"{reading.place}{reading.kind.zh}工作简报",
        subtitle=reading.period_text,
        lead=tables.lead_of(reading, total),
        facts=reading.facts(total.remark),
        sections=filled(sections),
        at=reading.here.at,
    )


def duties(reading: ReportReading) -> tuple[Table, ...]:
    """What posts owed in the period, and kept."""
    table = tables.of_kind(reading, DUTY, "网格", by="grid", **tables.below(reading))
    return (table,) if table is not None else ()


def supervisions(reading: ReportReading) -> tuple[Table, ...]:
    """What was served, answered and cleared, by action; and what is still open, with whom."""
    table = tables.of_kind(reading, SUPERVISION, "督办方式", by="category")
    if table is None:
        return ()
    found = list(islice(reading.cases(definition=SUPERVISION.name), LISTED_MOST + 1))
    columns = (*OF_CASE[:3], Column("状态", False, 10), *OF_CASE[3:])
    rows = tuple((*numbered(case), case.state_zh, *in_hand(case)) for case in found)
    return (table, Table("未销号的督办", columns, rows[:LISTED_MOST], more_than(rows)))


OF_CASE = (
    Column("编号", False, 13),
    Column("类别", False, 20),
    Column("地点", False, 22),
    Column("责任在", False, 20),
    Column("时限", False, 16),
    Column("超期", False, 8),
)
"""The heads of cases that are listed."""


def numbered(case: IncidentLine) -> tuple[Cell, ...]:
    """The number of a case as it is said, its category, and where it lies."""
    category, place = case.category, case.path[-1].name if case.path else ""
    return (spoken(case.short_number), category.name_zh if category else "", place)


def in_hand(case: IncidentLine) -> tuple[Cell, ...]:
    """With whom it is, until when, and whether that is over."""
    return (unit_of(case.holder or case.owner), minute(case.due_at), "超期" if case.overdue else "")


def unit_of(named: HolderNamed | OwnerNamed | None) -> str:
    """Who must act, by the shortest name that tells it."""
    if named is None:
        return ""
    post = named.post if isinstance(named, HolderNamed) else None
    return (post or named.department or named.grid).name


def more_than(rows: tuple[tuple[Cell, ...], ...]) -> str:
    """What a list says below it, where it lists not all."""
    return f"只列前 {LISTED_MOST} 件" if len(rows) > LISTED_MOST else ""


def open_longest(reading: ReportReading, most: int = 20) -> Table:
    """The open cases that were reported first."""
    found = islice(reading.cases(definition=reading.kind.name, sort="opened_at"), most)
    columns = (*OF_CASE[:3], Column("上报", False, 16), *OF_CASE[3:])
    rows = tuple((*numbered(case), minute(case.opened_at), *in_hand(case)) for case in found)
    return Table("最早上报而仍在办的案件", columns, rows, f"至多 {most} 件；时点同在办件数")

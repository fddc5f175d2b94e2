"""The data of a yearly debrief (一年一述职, M90, M95): the year of a grid, for which its chiefs answer."""

from engine.reports import figure_tables as tables
from engine.reports.bulletin import open_longest, supervisions
from engine.reports.document import Column, Document, Points, Section, Table, text_of
from engine.reports.ranking import BEHIND, lines_of, sheet_note, sheets
from engine.reports.reading import READINGS, ReportReading, filled
from engine.views.readers import NotReadable
from engine.views.targets import MOST, TargetQuestion, target_page
from workflows.definitions.duty import DUTY
from workflows.definitions.target import TARGET

OWN_WORDS = "（由述职单位填写：全年工作、存在的问题与原因、下一步打算。）"


def debrief(reading: ReportReading) -> Document:
    """The year of a grid. Raises Unanswerable."""
    total, remarks = reading.figures(), list[str]()
    sections = [
        Section("一、全年情况", (), (tables.totals(total), tables.trend(reading))),
        Section("二、所辖网格", (), (tables.by_grid(reading),)),
        Section("三、问题类别与时限", (), (tables.by_category(reading), tables.by_clock(reading))),
        Section("四、考核", (), tuple(sheet_of_grid(reading, remarks))),
        Section("五、目标责任", (), targets_signed(reading)),
        Section("六、履职", (), tuple(filter(None, [tables.of_kind(reading, DUTY, "任务", by="category")]))),
        Section("七、督查督办", (), supervisions(reading)),
        Section("八、未了结的案件", (), (open_longest(reading),)),
        Section("九、述职", (OWN_WORDS,)),
    ]
    return Document(
        stem=f"debrief-{reading.grid}-{reading.since}",
        title=f"{reading.place}年度述职（数据部分）",
        subtitle=reading.period_text,
        lead=tables.lead_of(reading, total),
        facts=reading.facts(total.remark, *remarks),
        sections=filled(sections),
        at=reading.here.at,
    )


SIGNED = (
    Column("指标", False, 20),
    Column("责任单位", False, 22),
    Column("目标"),
    Column("实测"),
    Column("单位", False, 10),
    Column("结果", False, 10),
    Column("说明", False, 22),
)


def targets_signed(reading: ReportReading) -> tuple[Table, ...]:
    """What owners in the grid have signed for in the year (目标责任书), with what was measured (M102): as of now, also
    where the report is of an instant."""
    source, question = reading.source, TargetQuestion(grid=reading.grid, year=str(reading.since // 10_000), limit=MOST)
    try:
        page = target_page(source.connection, source.policies, question, source.now, source.readable)
    except NotReadable:
        reading.unread[TARGET.name] = TARGET.zh
        return ()
    rows = tuple(
        (
            line.indicator_zh,
            (line.department or line.owner).name,
            f"{COMPARED.get(line.comparison, line.comparison)}{line.bound}" if line.bound else "—",
            line.value or "—",
            line.unit,
            line.standing_zh,
            line.reason_zh,
        )
        for line in page.targets
    )
    more = f"；只列前 {MOST} 项" if page.next else ""
    return (Table("年度目标", SIGNED, rows, f"{READINGS[page.reading]}：{page.as_of}{more}"),) if rows else ()


COMPARED = {"<=": "≤", ">=": "≥"}


def sheet_of_grid(reading: ReportReading, remarks: list[str]) -> list[Table]:
    """The lines of each yearly card of which the grid is a subject."""
    found = list[Table]()
    for page in sheets(reading, remarks):
        for each in page.scores:
            if page.subjects == "grid" and each.key == reading.grid:
                place = "不排名（样本过少）" if each.place is None else f"第 {each.place} 名（共 {each.of}）"
                note = f"总分 {text_of(Points(each.total))}，{place}。{sheet_note(page)}"
                found.append(Table(page.title_zh, BEHIND, tuple(lines_of(page, each)), note))
    return found

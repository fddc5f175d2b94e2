"""The data of a yearly debrief (一年一述职, M90, M95): the year of a grid, for which its chiefs answer."""

from engine.reports import figure_tables as tables
from engine.reports.bulletin import open_longest, supervisions
from engine.reports.document import Document, Points, Section, Table, text_of
from engine.reports.ranking import BEHIND, lines_of, sheet_note, sheets
from engine.reports.reading import ReportReading, filled
from workflows.definitions.duty import DUTY

OWN_WORDS = "（由述职单位填写：全年工作、存在的问题与原因、下一步打算。）"


def debrief(reading: ReportReading) -> Document:
    """The year of a grid. Raises Unanswerable."""
    total, remarks = reading.figures(), list[str]()
    sections = [
        Section("一、全年情况", (), (tables.totals(total), tables.trend(reading))),
        Section("二、所辖网格", (), (tables.by_grid(reading),)),
        Section("三、问题类别与时限", (), (tables.by_category(reading), tables.by_clock(reading))),
        Section("四、考核", (), tuple(sheet_of_grid(reading, remarks))),
        Section("五、履职", (), tuple(filter(None, [tables.of_kind(reading, DUTY, "任务", by="category")]))),
        Section("六、督查督办", (), supervisions(reading)),
        Section("七、未了结的案件", (), (open_longest(reading),)),
        Section("八、述职", (OWN_WORDS,)),
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

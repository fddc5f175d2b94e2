"""The quarterly ranking (一季一考核, M90, M92): the sheets of the pack's cards, each with what it is made of, and the
figures by which grids and departments compare.

What a card proposes is not in it: a named role decides of that, and until then nothing has happened to anybody.
"""

from msgspec import UNSET

from engine.reports import figure_tables as tables
from engine.reports.document import Cell, Column, Document, Points, Section, Table, share_of
from engine.reports.figure_tables import named, place_of, why_of
from engine.reports.reading import ReportReading, filled
from engine.views.assessment import AssessmentPage, AssessmentQuestion, LineOfScore, SubjectLine, assessment_page
from engine.views.figure_question import dashed
from engine.views.questions import BadQuestion
from engine.views.readers import NotReadable
from workflows.assessment.cards import card_codes, card_of

LEFT_OUT = {"": "", "few": "样本过少", "nothing": "无可计"}
"""Why a line counts nothing."""
OF_SHEET = {"final": "宽限期满时所知", "running": "试算，尚未定稿", "as_known_then": "当时所知"}


def ranking(reading: ReportReading) -> Document:
    """The ranking of a period. Raises Unanswerable."""
    sections, remarks = list[Section](), list[str]()
    for page in sheets(reading, remarks):
        grades = Table(f"{page.card} 得分与名次", *graded(page), sheet_note(page))
        behind = Table(
            f"{page.card} 各项依据", BEHIND, tuple(row for each in page.scores for row in lines_of(page, each))
        )
        sections.append(Section(page.title_zh, (), (grades, behind)))
    total = reading.figures()
    sections.append(Section("按期结案率排名", (), tuple(ranked(reading, by, head) for by, head in UNITS)))
    return Document(
        stem=f"ranking-{reading.grid}-{reading.since}",
        title=f"{reading.place}考核排名",
        subtitle=reading.period_text,
        lead=tables.lead_of(reading, total),
        facts=reading.facts(total.remark, *remarks),
        sections=filled(sections),
        at=reading.here.at,
    )


UNITS = (("grid", "网格"), ("department", "部门"))
BEHIND = (
    Column("单位", False, 22),
    Column("指标", False, 18),
    Column("值"),
    Column("分子"),
    Column("分母"),
    Column("得分"),
    Column("备注", False, 10),
)
"""The heads of what points are made of."""


def sheets(reading: ReportReading, remarks: list[str]) -> list[AssessmentPage]:
    """The sheets of the cards that assess by the report's period, of subjects that the reader reads."""
    source, pack, found = reading.source, reading.names.register.pack, list[AssessmentPage]()
    for code in card_codes(pack):
        card = card_of(pack, code, reading.until // 10_000)
        if card is None or card.period != reading.length:
            continue
        question = AssessmentQuestion(card=code, period=dashed(reading.since), at=reading.question.at)
        try:
            page = assessment_page(source.connection, source.policies, question, source.now, source.readable)
        except NotReadable:
            reading.unread[code] = card.title_zh
        except BadQuestion:  # no day of the period is over, or no card was in force on its last one
            remarks.append(f"{card.title_zh}：本期尚无可考核的日子")
        else:
            found.append(page)
    return found


def sheet_note(page: AssessmentPage) -> str:
    """What a sheet is as of, by which hash it is found, and what is not in it."""
    unread = f"；另有 {page.unread} 个单位不在查看范围内" if page.unread else ""
    return f"{OF_SHEET[page.reading]}：{page.as_of}；得分表 {page.sheet[:12]}，规则包 {page.pack[:12]}{unread}"


def graded(page: AssessmentPage) -> tuple[tuple[Column, ...], tuple[tuple[Cell, ...], ...]]:
    """A row for each subject, from the first place on; thin ones have none."""
    heads = [
        Column(f"{each.zh}{'（加分）' if each.bonus else f'（{each.weight}）'}", width=12) for each in page.indicators
    ]
    columns = (Column("名次"), Column("单位", False, 22), Column("总分"), *heads, Column("备注", False, 10))
    rows = tuple(
        (
            "" if each.place is None else each.place,
            each.name,
            Points(None if each.thin else each.total),
            *(points_of(each.lines[line.code]) for line in page.indicators),
            "样本过少，不排名" if each.thin else "并列" if each.tied else "",
        )
        for each in page.scores
    )
    return columns, rows


def points_of(line: LineOfScore) -> Points:
    """What a line gives; nothing where it is left out."""
    return Points(None if line.left_out else line.points)


def lines_of(page: AssessmentPage, subject: SubjectLine) -> list[tuple[Cell, ...]]:
    """What each point of a subject is made of."""
    return [
        (
            subject.name,
            each.zh,
            Points(line.value),
            line.above,
            line.below,
            points_of(line),
            LEFT_OUT[line.left_out],
        )
        for each in page.indicators
        for line in [subject.lines[each.code]]
    ]


def ranked(reading: ReportReading, by: str, head: str) -> Table:
    """Units by their on-time rate, with the place that they had in the period before."""
    asked = tables.below(reading) if by == "grid" else {}
    page = reading.figures(by=by, rank=tables.BEST, **asked)
    rows = list[tuple[Cell, ...]]()
    for row in page.rows:
        before, moved = (None, None) if row.rank is UNSET else (row.rank.before, row.rank.moved)
        rate = row.on_time_rate
        rows.append(
            (
                place_of(row),
                named(row),
                share_of(rate),
                rate.numerator,
                rate.denominator,
                "" if before is None or before.place is None else before.place,
                "" if not moved else f"{'升' if moved > 0 else '降'} {abs(moved)}",
                why_of(row),
            )
        )
    columns = (
        Column("名次"),
        Column(head, False, 22),
        Column("按期结案率", width=11),
        Column("按期"),
        Column("应结案"),
        Column("上期名次"),
        Column("升降", False, 6),
        Column("备注", False, 10),
    )
    return Table(f"各{head}按期结案率", columns, tuple(rows), tables.explained(page), tables.BARS)

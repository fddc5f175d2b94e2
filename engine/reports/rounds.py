"""The ledger of leaders' rounds (领导包抓督导工作记录, M133): what sponsors owed in a month, and each record of it."""

from collections import Counter
from collections.abc import Iterator

from engine.reports.document import Cell, Column, Document, Section, Table
from engine.reports.reading import ReportReading, filled
from engine.store import exports
from engine.views.duties import DutyLine, DutyQuestion, duty_page
from engine.views.figure_question import dashed
from engine.views.local_times import LocalClock, minute
from engine.views.questions import BadQuestion
from engine.views.readers import NotReadable
from schemas import facts
from schemas.kinds.duty import DutyRecorded
from workflows.definitions.duty import DUTY

SPONSOR = "sponsor"
"""The role of the leaders who look after a grid (包抓领导)."""


def rounds(reading: ReportReading) -> Document:
    """The ledger of a month. Raises Unanswerable; also for an instant: what is owed is told as of now."""
    if reading.question.at:
        raise BadQuestion("at", "duties are told as of now", "leave `at` out")
    owed = [line for line in duties_of(reading) if role_of(reading, line) == SPONSOR]
    records = [record for line in owed if line.recorded for record in records_of(reading, line)]
    states = Counter(state_of(line) for line in owed)
    told = "，".join(f"{state} {count} 项" for state, count in states.most_common())
    sections = [
        Section("一、应履职与已履职", (), (Table("包抓任务", OWED, tuple(owed_row(line) for line in owed)),)),
        Section("二、督导记录", (), (Table("督导记录", RECORDED, tuple(records), "时间为所述的起止时间；未述的为空"),)),
    ]
    return Document(
        stem=f"rounds-{reading.grid}-{reading.since}",
        title=f"{reading.place}领导包抓督导工作记录",
        subtitle=reading.period_text,
        lead=f"包抓任务 {len(owed)} 项{f'：{told}' if told else ''}；督导记录 {len(records)} 条。",
        facts=reading.facts(),
        sections=filled(sections),
        at=reading.here.at,
    )


OWED = (
    Column("岗位", False, 20),
    Column("网格", False, 22),
    Column("任务", False, 14),
    Column("期间", False, 23),
    Column("应做"),
    Column("已做"),
    Column("未做"),
    Column("状态", False, 10),
)
RECORDED = (
    Column("岗位", False, 20),
    Column("任务", False, 14),
    Column("开始", False, 16),
    Column("结束", False, 16),
    Column("网格", False, 22),
    Column("登记表", False, 8),
    Column("照片等"),
    Column("发现问题"),
)


def duties_of(reading: ReportReading) -> Iterator[DutyLine]:
    """Every duty of the period in the grid, of those that the reader reads."""
    source, cursor = reading.source, ""
    while True:
        question = DutyQuestion(
            grid=reading.grid, period=reading.length, day=dashed(reading.since), limit=500, cursor=cursor
        )
        try:
            page = duty_page(source.connection, source.policies, question, source.now, source.readable)
        except NotReadable:
            reading.unread[DUTY.name] = DUTY.zh
            return
        yield from page.duties
        if page.next is None:
            return
        cursor = page.next


def role_of(reading: ReportReading, line: DutyLine) -> str:
    """The role that owes a duty: that of its row, or of its post where the active pack has no such row."""
    register = reading.names.register
    row, post = register.duties.get(line.duty.code), register.posts.get(line.post.code)
    return row.role if row is not None else post.role if post is not None else ""


def state_of(line: DutyLine) -> str:
    """How far it has come: its state, and of one whose period is over that it may still be told."""
    return f"{line.state_zh}（期满）" if line.lapsed else line.state_zh


def owed_row(line: DutyLine) -> tuple[Cell, ...]:
    """What is owed, and how far it has come."""
    named = (line.post.name, line.grid.name, line.duty.name, f"{line.first} 至 {line.last}")
    return (*named, line.quota, line.recorded, line.left, state_of(line))


def records_of(reading: ReportReading, line: DutyLine) -> Iterator[tuple[Cell, ...]]:
    """The records of a duty, in the order in which they came; those that keep nothing more are among them."""
    clock = LocalClock(reading.names)
    for step in exports.steps_of(reading.source.connection, line.subject):
        told = facts.decode_facts(step.body)
        files = sum(isinstance(fact, facts.Evidenced) for fact in told)
        for fact in told:
            if isinstance(fact, DutyRecorded):
                where = reading.names.grid(fact.grid).name if fact.grid else line.grid.name
                spent = minute(clock.minute(fact.started)), minute(clock.minute(fact.ended))
                form = "有" if fact.form else ""
                yield (line.post.name, line.duty.name, *spent, where, form, files, len(fact.problems))

"""The negative list (环境保护负面清单, M113): what was decided against the units of a grid and was served in a year.

Which actions stand on it is pack data (`negative` in actions.csv), and so is who reads it: posts of the roles of the
option `negative_list`, of their own grid and all below it. No text says either, so both are ours. It is of units, never
of people. Whoever hands it out has audited the reading before.
"""

from collections import Counter
from collections.abc import Iterator

from engine.reports.document import Column, Document, Section, Table
from engine.reports.reading import ReportReading
from engine.views.deductions import supervisions
from engine.views.names import Names, prefix_of
from engine.views.questions import BadQuestion
from engine.views.readers import NotReadable
from engine.views.words import post_asked
from schemas.kinds.supervision import Supervision
from schemas.short_numbers import short_number, spoken
from workflows.case import Case
from workflows.definitions.supervision import RESCINDED
from workflows.reading import READS_EVERYTHING

COLUMNS = (
    Column("单位", False, 24),
    Column("方式", False, 18),
    Column("文号", False, 22),
    Column("送达", False, 11),
    Column("状态", False, 8),
    Column("编号", False, 12),
)
TOTALS = (Column("单位", False, 24), Column("计入件数"), Column("已撤销"))
STANDING = {"in_force": "执行中", "ended": "已销号", "revoked": "已撤销"}


def negative_list(reading: ReportReading) -> Document:
    """The list of a year and a grid. Raises Unanswerable: NotReadable where the post is not of a role that reads it."""
    source, names = reading.source, reading.names
    if not reading.question.post:
        raise BadQuestion("post", "the negative list is read by a post", "name it")
    post = post_asked(source.principal, reading.question.post, names.register)
    grid = reading.question.grid or post.grid
    if post.role not in names.register.options.negative_list:
        reason = f"the role of post {post.code} does not read the negative list"
        raise NotReadable("post", reason, "the pack says who does, in its option `negative_list`")
    if grid not in names.register.grids or post.grid not in names.register.path(grid):
        raise NotReadable("grid", f"post {post.code} reads the list of {post.grid} and below", "name a grid of these")
    listed = sorted(each_listed(reading, grid), key=lambda each: (unit_of(each[1], names), each[1].served or 0))
    counted, revoked = Counter[str](), Counter[str]()
    for case, own in listed:
        (revoked if case.state == RESCINDED else counted)[unit_of(own, names)] += 1
    units = sorted({*counted, *revoked}, key=lambda unit: (-counted[unit], unit))
    rows = tuple(
        (
            unit_of(own, names),
            names.titles(case.category)[0],
            own.document,
            names.instant(own.served or 0)[:10],
            STANDING["in_force" if case.closed is None else "revoked" if case.state == RESCINDED else "ended"],
            spoken(short_number(case.id)),
        )
        for case, own in listed
    )
    totals = tuple((unit, counted[unit], revoked[unit]) for unit in units)
    note = "已撤销的不计入；列入范围由方案数据规定（我方建议），仅列单位，不列个人"
    return Document(
        stem=f"negative-list-{grid}-{reading.since}",
        title=f"{names.grid(grid).name}环境保护负面清单",
        subtitle=reading.period_text,
        lead=f"列入 {sum(counted.values())} 件，涉及单位 {len(counted)} 个；已撤销 {sum(revoked.values())} 件。",
        facts=reading.facts(),
        sections=(
            Section("一、按单位", (), (Table("单位", TOTALS, totals, note),)),
            Section("二、明细", (), (Table("明细", COLUMNS, rows),)),
        ),
        at=reading.here.at,
        read_by=post.code,
        read_of=grid,
    )


def each_listed(reading: ReportReading, grid: str) -> Iterator[tuple[Case, Supervision]]:
    """What was served in the period on units of a grid, and stands on the list."""
    names, day = reading.names, reading.names.register.clock_of_days.local_day
    actions = {row.action for row in names.register.pack.actions if row.negative}
    for case in supervisions(reading.source.connection, prefix_of(names, grid), reading.here.at, READS_EVERYTHING):
        own = case.own
        if not isinstance(own, Supervision) or own.served is None or case.category not in actions:
            continue
        if reading.since <= day(own.served) <= reading.until:
            yield case, own


def unit_of(own: Supervision, names: Names) -> str:
    """The name of the unit that has to answer."""
    return names.department(own.department).name if own.department else names.grid(own.unit).name

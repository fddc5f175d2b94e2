"""The question for a report, and the views that it asks: each as the reader, of one grid and one period.

Who reads nothing of a kind of case is told so once, and the report goes on without it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import Struct

from engine.policies import Policies
from engine.principals import LOCAL, Principal
from engine.reports.document import Section
from engine.store.database import Connection
from engine.views.assessment import bounds
from engine.views.figure_question import PerformanceQuestion, dashed
from engine.views.incident_list import MOST, IncidentLine, IncidentQuestion, incident_page
from engine.views.names import Names, active_names, prefix_of
from engine.views.performance import PerformancePage, performance_page
from engine.views.present import Present, reading_of
from engine.views.questions import BadQuestion, check_definition
from engine.views.readers import NotReadable, grid_asked
from workflows.definitions import DEFINITIONS, REFERENCE
from workflows.figures import publication_day
from workflows.machine import Definition
from workflows.reading import Readable

LENGTHS = {"month": "月", "quarter": "季度", "half": "半年", "year": "年"}
"""The periods of reports."""
READINGS = {
    "now": "此刻所知",
    "last_record": "历史数据，最后一条记录时所知",
    "as_known_then": "当时所知",
}
LISTED_MOST = 2000
"""Cases that a table lists at most; that there are more it says."""


class ReportQuestion(Struct, frozen=True, kw_only=True):
    """Which report, as texts. Without a period it is the one that holds the present day; without a grid all that the
    reader reads, which must be one subtree. `id` is the case of a report that is about one; `post` is for whom a report
    is read that has more than figures."""

    period: str = ""  # 2026, 2026-H1, 2026-Q3, 2026-08, or a local day in it
    grid: str = ""
    definition: str = ""
    at: str = ""  # as of this instant, as known then
    id: str = ""
    post: str = ""


class Source(NamedTuple):
    """Whom a report asks: one snapshot of a database, as a reader reads it. `principal`: who speaks for a post."""

    connection: Connection
    policies: Policies
    now: int
    readable: Readable
    principal: Principal = LOCAL


class ReportReading:
    """The views of one question. `since` and `until` are the local days of the period; while `running` it is not over.
    Raises Unanswerable where the question has no answer."""

    def __init__(self, source: Source, question: ReportQuestion, length: str) -> None:
        connection, policies, now, readable, _ = source
        names = active_names(connection, policies)
        check_definition(question.definition)
        kind = question.definition or names.register.pack.options.main_definition or REFERENCE
        self.source, self.question, self.length = source, question, length
        self.names: Names = names
        self.kind: Definition = DEFINITIONS[kind]
        self.here: Present = reading_of(connection, names, now, question.at)
        self.grid: str = grid_asked(readable, names, kind, question.grid) or names.register.root
        prefix_of(names, self.grid)
        self.today: int = names.register.clock_of_days.local_day(self.here.at)
        self.since, self.until = bounds(question.period, length, self.today)
        if self.since > self.today:
            raise BadQuestion("period", "this period is still to come", "ask for one that has begun")
        self.running: bool = self.until >= self.today
        end = names.register.clock_of_days.day_start(publication_day(self.until, 1)) - 1
        self.stood: str = question.at if self.running else names.instant(min(end, self.here.at))
        """The instant as of which open cases stand beside the figures; empty: now."""
        self.unread: dict[str, str] = {}
        """What was left out, since its reader reads nothing of it: Chinese names of kinds by their codes."""

    @property
    def place(self) -> str:
        """The name of the grid."""
        return self.names.grid(self.grid).name

    @property
    def period_text(self) -> str:
        """The period as people say it."""
        year, month = self.since // 10_000, self.since // 100 % 100
        quarter, half = f"第 {(month + 2) // 3} 季度", "上半年" if month < 7 else "下半年"
        parts = {"month": f" {month} 月", "quarter": quarter, "half": half, "year": ""}
        return f"{year} 年{parts[self.length]}"

    def figures(self, **asked: str) -> PerformancePage:
        """Figures of the period and the grid, unless something else is asked for. Raises Unanswerable."""
        question = self.question
        days = {"period": self.length, "day": dashed(self.since)} if not asked.get("since") else {}
        given = {"grid": self.grid, "definition": self.kind.name, "at": question.at} | days | asked
        return performance_page(
            self.source.connection,
            self.source.policies,
            PerformanceQuestion(**given),
            self.source.now,
            self.source.readable,
        )

    def figures_of(self, kind: Definition, **asked: str) -> PerformancePage | None:
        """Figures of another kind of case; None where the reader reads none of them, which the report says."""
        try:
            return self.figures(definition=kind.name, **asked)
        except NotReadable:
            self.unread[kind.name] = kind.zh
            return None

    def cases(self, **asked: Any) -> Iterator[IncidentLine]:
        """Cases that the reader reads, in the grid, as they stood when the open ones of the figures are counted; page
        by page, as long as they are taken. Of a kind of which nothing is read there are none.

        A grid is always named: what is concealed lies nowhere, so that no report shows it, to nobody."""
        source, cursor = self.source, ""
        while True:
            given: dict[str, Any] = {"grid": self.grid, "at": self.stood, "limit": MOST, "cursor": cursor}
            question = IncidentQuestion(**(given | asked))
            try:
                page = incident_page(source.connection, source.policies, question, source.now, source.readable)
            except NotReadable:
                name = str(asked.get("definition", ""))
                self.unread[name] = DEFINITIONS[name].zh if name else "案件"
                return
            yield from page.incidents
            if page.next is None:
                return
            cursor = page.next

    def facts(self, *remarks: str) -> tuple[tuple[str, str], ...]:
        """What a report says of itself: as of when, by which rules, and what is not in it."""
        register = self.names.register
        known = READINGS[self.here.kind]
        told = [
            ("网格", f"{self.place}（{self.grid}）"),
            ("期间", f"{dashed(self.since)} 至 {dashed(self.until)}" + ("（期未满）" if self.running else "")),
            ("截至", f"{self.names.instant(self.here.at)}（{known}）"),
            ("规则包", f"{register.pack.title_zh}（{register.hash[:12]}）"),
            ("说明", register.pack.notice),
            ("备注", "；".join(dict.fromkeys(filter(None, remarks)))),
            ("未列", "、".join(self.unread.values()) + "：不在查看范围内" if self.unread else ""),
        ]
        return tuple((name, text) for name, text in told if text)


def filled(sections: list[Section]) -> tuple[Section, ...]:
    """The sections that have something to say."""
    return tuple(each for each in sections if each.paragraphs or each.tables)

"""The reports by their names: of which length of time each is, and who makes it."""

from collections.abc import Callable
from typing import NamedTuple

from engine.reports.bulletin import brief, bulletin
from engine.reports.debrief import debrief
from engine.reports.document import Document
from engine.reports.evidence import evidence
from engine.reports.letter import letter
from engine.reports.negative import negative_list
from engine.reports.ranking import ranking
from engine.reports.reading import ReportQuestion, ReportReading, Source
from engine.reports.rounds import rounds
from engine.views.questions import BadQuestion


class Report(NamedTuple):
    """A report: its name in both languages, the length of its period, and how it is made."""

    zh: str
    en: str
    length: str
    make: Callable[[ReportReading], Document]
    of_a_period: bool = True  # else it is of one case, or read by a post alone


REPORTS = {
    "bulletin": Report("月度通报", "Monthly bulletin", "month", bulletin),
    "ranking": Report("季度考核排名", "Quarterly ranking", "quarter", ranking),
    "brief": Report("季度工作简报", "Quarterly brief", "quarter", brief),
    "half-year": Report("半年通报", "Half-yearly bulletin", "half", bulletin),
    "debrief": Report("年度述职", "Yearly debrief", "year", debrief),
    "rounds": Report("领导包抓督导记录", "Leaders' rounds", "month", rounds),
    "evidence": Report("第三方审核材料", "Evidence for a third-party review", "year", evidence),
    "negative-list": Report("负面清单", "Negative list", "year", negative_list, of_a_period=False),
    "letter": Report("督办函", "Letter of supervision", "month", letter, of_a_period=False),
}


def report_of(name: str, source: Source, question: ReportQuestion) -> Document:
    """The report that is asked for. Raises Unanswerable, also where its reader does not read it."""
    if name not in REPORTS:
        raise BadQuestion("name", "there is no such report", f"choose one of: {', '.join(REPORTS)}")
    report = REPORTS[name]
    return report.make(ReportReading(source, question, report.length))

"""A program of an office opens every file of a report, and its figures are those of the view.

Enters: the demo's month, replayed, and a letter that was served after it. Leaves: what LibreOffice makes of each file:
CSV of a workbook, text and PDF of a Word file and of a page.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from engine.clock import now_ms
from engine.packs import folder_of
from engine.policies import Policies
from engine.reports.document import Points, Share, Span, Table, text_of
from engine.reports.files import FORMATS
from engine.reports.making import REPORTS, report_of
from engine.reports.reading import ReportQuestion, Source
from engine.store.database import open_database
from engine.views.figure_question import PerformanceQuestion
from engine.views.performance import performance_page
from gridpatrol.demo.month import write_month
from tests.support.recorded import gridpatrol
from tests.support.reports import tables_of, texts_of
from workflows.reading import READS_EVERYTHING

END = "2026-10-16T10:00:00+08:00"
PERIODIC = [name for name in REPORTS if REPORTS[name].of_a_period]
STREET = "WY01"
"""Writer opens reports of one street: it takes long for tables of a thousand rows."""
LETTER, AFTER = "WY01.019e0000-0000-7000-8000-000000000001", "2026-10-16T10:05:00+08:00"
"""A supervision that is served when the month is over, and until when it is followed."""
OTHERS = {
    "letter": {"id": LETTER, "post": "WY-OFFICE"},
    "negative-list": {"period": "2026", "post": "WY-INSPECTION"},
}
"""Reports that are about one case, or for one post."""
ENDINGS = ("xlsx", "docx", "html")
A4 = re.compile(rb"/MediaBox\s*\[\s*0 0 59[45](?:\.\d+)? 84[12]")


@pytest.fixture(scope="module")
def office() -> str:
    """LibreOffice; where it is not found the tests are skipped with the reason, but fail where it was installed."""
    found = os.environ.get("GRIDPATROL_TEST_SOFFICE") or shutil.which("soffice")
    if not found:
        pytest.skip(
            "no soffice: install libreoffice-calc-nogui and libreoffice-writer-nogui, or GRIDPATROL_TEST_SOFFICE"
        )
    return found


@pytest.fixture(scope="module")
def month_url(tmp_path_factory: pytest.TempPathFactory, office: str) -> str:
    """The demo's month."""
    folder = tmp_path_factory.mktemp("office")
    file, url = folder / "month.jsonl", f"sqlite:///{folder / 'month.db'}"
    write_month(file, folder_of("weiyang"), datetime.fromisoformat(END), 311)
    words: list[tuple[str, dict[str, str]]] = [
        ("proposed", {"action": "letter", "grid": STREET, "ground": "多次逾期"}),
        ("decided", {"document": "示例督〔2026〕1号"}),
        ("served", {}),
    ]
    with file.open("ab") as month:
        for minute, (said, data) in enumerate(words, 1):
            event = {
                "specversion": "1.0",
                "id": f"letter-{minute}",
                "source": "/demo/office",
                "type": f"gridpatrol.supervision.{said}.v1",
                "subject": LETTER,
                "time": f"2026-10-16T10:0{minute}:00+08:00",
                "actor": "WY-OFFICE" if said == "proposed" else "WY-SUPERVISOR",
                "data": data,
            }
            month.write(msgspec.json.encode(event) + b"\n")
    gridpatrol("replay", file, "--until", AFTER, "--database", url, status=1)  # twelve of them are refused on purpose
    return url


def tables_in(url: str, grid: str = "") -> dict[str, list[Table]]:
    """The tables of each report, of all or of a grid."""
    with closing(open_database(url)) as database, database.read() as connection:
        source = Source(connection, Policies(), now_ms(), READS_EVERYTHING)
        made = {name: report_of(name, source, ReportQuestion(grid=grid)) for name in PERIODIC}
    return {name: [each for each in tables_of(document) if each.rows] for name, document in made.items()}


@pytest.fixture(scope="module")
def documents(month_url: str) -> dict[str, list[Table]]:
    """The tables of each report."""
    return tables_in(month_url)


@pytest.fixture(scope="module")
def converted(month_url: str, office: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What LibreOffice made of all files, each kind in one go: its start costs more than a file."""
    folder = tmp_path_factory.mktemp("converted")
    for name in PERIODIC:
        for ending in ENDINGS:
            of = () if ending == "xlsx" else ("--grid", STREET)
            gridpatrol("report", name, "--database", month_url, *of, "-o", folder / f"{name}.{ending}")
    for name, asked in OTHERS.items():
        flags = [word for key, text in asked.items() for word in (f"--{key}", text)]
        for ending in ("docx", "html"):
            gridpatrol("report", name, "--database", month_url, *flags, "-o", folder / f"{name}.{ending}")
    own = f"-env:UserInstallation=file://{folder / 'office'}"
    every_sheet = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,true,false,false,-1"
    for ending, form, there in (
        ("xlsx", every_sheet, "sheets"),
        ("docx", "txt:Text (encoded):UTF8", "words"),
        ("docx", "pdf", "pdf"),
        ("html", "pdf:writer_web_pdf_Export", "pages"),
    ):
        files = [str(file) for file in sorted(folder.glob(f"*.{ending}"))]
        ask = [office, own, "--headless", "--convert-to", form, "--outdir", str(folder / there), *files]
        subprocess.run(ask, check=True, capture_output=True, timeout=300)
    return folder


def as_calc_says(cell: object) -> str:
    """A cell of a workbook as Calc writes it in CSV."""
    match cell:
        case Share(points=None) | Span(ms=None) | Points(hundredths=None) | None:
            return ""
        case Span(ms=int(ms)):
            return str(ms // 60_000)
        case _:
            return text_of(cell)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PERIODIC)
def test_calc_reads_every_figure_of_a_workbook(name: str, converted: Path, documents: dict[str, list[Table]]) -> None:
    sheets = []
    for file in (converted / "sheets").glob(f"{name}-*.csv"):
        with open(file, encoding="utf-8", newline="") as opened:
            sheets.append([line for line in csv.reader(opened)])
    assert documents[name]
    for table in documents[name]:
        wanted = [[as_calc_says(cell) for cell in row] for row in table.rows]
        assert any(sheet[1 : 1 + len(wanted)] == wanted for sheet in sheets), (name, table.title, wanted[:2])


@pytest.mark.parametrize("name", PERIODIC)
def test_writer_reads_every_figure_of_a_word_file_and_prints_it_on_a4(
    name: str, converted: Path, month_url: str
) -> None:
    words = (converted / "words" / f"{name}.txt").read_text(encoding="utf-8-sig").split()
    tables = tables_in(month_url, STREET)[name]
    assert tables
    for table in tables:
        for row in table.rows[:500]:
            for cell in row:
                assert set(text_of(cell).split()) <= {*words}, (name, table.title, text_of(cell))
    for there in ("pdf", "pages"):
        printed = (converted / there / f"{name}.pdf").read_bytes()
        assert printed.startswith(b"%PDF-") and A4.search(printed), there


@pytest.mark.parametrize("name", OTHERS)
def test_writer_reads_a_letter_and_a_list_for_one_post(name: str, converted: Path, month_url: str) -> None:
    words = (converted / "words" / f"{name}.txt").read_text(encoding="utf-8-sig")
    with closing(open_database(month_url)) as database, database.read() as connection:
        source = Source(connection, Policies(), now_ms(), READS_EVERYTHING)
        document = report_of(name, source, ReportQuestion(**OTHERS[name]))
    said = [document.title, *(text for section in document.sections for text in section.paragraphs)]
    said += [text for each in tables_of(document) if each.rows for row in texts_of(each) for text in row]
    assert set(" ".join(said).split()) <= {*words.split()}
    assert (name == "letter") == ("示例督〔2026〕1号" in words)
    for there in ("pdf", "pages"):
        printed = (converted / there / f"{name}.pdf").read_bytes()
        assert printed.startswith(b"%PDF-") and A4.search(printed), there


def test_the_month_s_bulletin_has_the_figures_that_the_command_shows(
    month_url: str, documents: dict[str, list[Table]]
) -> None:
    with closing(open_database(month_url)) as database, database.read() as connection:
        asking = PerformanceQuestion(by="grid", level="3", rank="on_time_rate")
        page = performance_page(connection, Policies(), asking, now_ms())
    [grids] = [table for table in documents["bulletin"] if table.title == "各网格"]
    assert len(page.rows) == 14  # the streets, and what the district and the city have themselves
    for row, cells in zip(page.rows, grids.rows, strict=False):
        assert cells[1:5] == (row.name, row.counts.get("reported", 0), row.counts.get("closed", 0), row.n)
        assert cells[5] == Share(row.on_time_rate.basis_points, row.thin and row.n > 0)
    assert set(FORMATS) == {"html", "xlsx", "docx", "csv"}

"""Every number of the demo's month and of the city's weeks opens into cases that give it, on both databases; and the
ledger of a month is opened by a program of an office.

Enters: the demo's month and the city's record, replayed on SQLite and copied to PostgreSQL. Leaves: how many numbers
were opened, none of them wrong.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from consumers.performance.consume import consume
from engine.clock import now_ms
from engine.packs import folder_of
from engine.policies import Policies
from engine.store.database import open_database
from engine.views.figure_question import PerformanceQuestion
from gridpatrol.demo.month import write_month
from lab.parts.postgres import fresh_database
from tests.city.outcomes import Run
from tests.support.opened import check_opened, keep_cells
from tests.support.recorded import gridpatrol

END = "2026-10-16T10:00:00+08:00"


@pytest.fixture(scope="module")
def month_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo's month."""
    folder = tmp_path_factory.mktemp("opened")
    file, url = folder / "month.jsonl", f"sqlite:///{folder / 'month.db'}"
    write_month(file, folder_of("weiyang"), datetime.fromisoformat(END), 311)
    gridpatrol("replay", file, "--until", END, "--database", url, status=1)  # twelve of them are refused on purpose
    return url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def either_url(request: pytest.FixtureRequest, month_url: str) -> Iterator[str]:
    """The month on each database."""
    if request.param == "sqlite":
        yield month_url
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        gridpatrol("db", "copy", "--from", month_url, "--database", url)
        yield url


QUESTIONS = [
    PerformanceQuestion(definition="incident", by="grid", level="3", period="month", day="2026-10-01"),
    PerformanceQuestion(definition="incident", by="department", period="month", day="2026-09-01"),
    PerformanceQuestion(definition="incident", by="level", period="week", day="2026-10-06"),
    PerformanceQuestion(definition="incident", by="group", period="half_month", day="2026-10-02"),
    PerformanceQuestion(definition="incident", by="unit", period="all"),
    PerformanceQuestion(definition="duty", by="grid", level="3", period="week", day="2026-10-06"),
    PerformanceQuestion(definition="duty", by="level", period="day", day="2026-10-05"),
]
BY_CLOCK = [
    PerformanceQuestion(definition="incident", by="grid", level="3", clock=clock, period="month", day="2026-10-01")
    for clock in ("handle", "total")
]
ON_BOTH = [QUESTIONS[0], QUESTIONS[2], QUESTIONS[5], BY_CLOCK[0]]
DEEP = [
    PerformanceQuestion(definition="incident", by="grid", level="4", period="day", day="2026-10-08"),
    PerformanceQuestion(definition="duty", grid="WY01", by="post", period="day", day="2026-10-06"),
]


def test_every_number_of_the_month_opens_into_cases_that_give_it(
    either_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies, now, opened = Policies(), now_ms(), 0
    asked = [*QUESTIONS, *BY_CLOCK, *DEEP] if either_url.startswith("sqlite") else ON_BOTH
    with closing(open_database(either_url)) as database, database.begin() as connection:
        keep_cells(connection, monkeypatch)
        for question in asked:
            found = check_opened(connection, policies, question, now, standing_too=False)
            assert found, question
            opened += found
    assert opened > 500


def test_open_cases_and_what_is_not_kept_open_as_well(either_url: str) -> None:
    """A few numbers as everybody asks for them: the reading is narrowed to the cases that can count."""
    policies, now = Policies(), now_ms()
    with closing(open_database(either_url)) as database, database.read() as connection:
        for question in (
            PerformanceQuestion(definition="incident", grid="WY05", period="month", day="2026-10-01"),
            PerformanceQuestion(definition="incident", department="WY-URBAN", period="week", day="2026-10-06"),
            PerformanceQuestion(definition="duty", grid="WY01-01", period="week", day="2026-10-06"),
        ):
            assert check_opened(connection, policies, question, now) > 10


@pytest.mark.parametrize("day", ["2015-04-20", "2015-07-06"])
@pytest.mark.parametrize("by", ["grid", "department"])
def test_every_number_of_the_city_s_weeks_opens_into_cases_that_give_it(
    whole: Run, monkeypatch: pytest.MonkeyPatch, by: str, day: str
) -> None:
    question, database = PerformanceQuestion(by=by, period="week", day=day), whole.engine.database
    while consume(database):
        pass
    with database.begin() as connection:
        keep_cells(connection, monkeypatch)
        assert check_opened(connection, Policies(), question, now_ms(), standing_too=False) > 30
        connection.rollback()


def test_a_program_of_an_office_opens_the_ledger(month_url: str, tmp_path: Path) -> None:
    """LibreOffice reads the workbook and writes its first sheet as CSV, line by line what openpyxl reads."""
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("no soffice: install LibreOffice Calc")
    book = tmp_path / "ledger.xlsx"
    gridpatrol("ledger", "--day", "2026-10-01", "--database", month_url, "-o", book)
    own = f"-env:UserInstallation=file://{tmp_path / 'office'}"
    as_csv = ["--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76", "--outdir", str(tmp_path)]
    subprocess.run([office, own, "--headless", *as_csv, str(book)], check=True, capture_output=True, timeout=300)
    with open(tmp_path / "ledger.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    sheet = openpyxl.load_workbook(book, read_only=True).worksheets[0]
    rows = list(sheet.iter_rows(min_row=3, values_only=True))
    assert len(lines) - 2 == len(rows) > 300
    assert [line[0] for line in lines[2:]] == [row[0] for row in rows]
    assert [line[4] for line in lines[2:]] == [row[4].strftime("%Y-%m-%d %H:%M") for row in rows]

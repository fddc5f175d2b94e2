"""Reports say what the views say, to who reads it, in every format.

Enters: cases, duties and supervisions on both databases, and a door. Leaves: documents and their files, compared with
`/v1/performance`, `/v1/assessment` and the list of cases as the same reader.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docx
import httpx
import openpyxl
import pytest
from msgspec.structs import replace

from consumers.performance import consume
from engine.clock import now_ms
from engine.policies import Policies
from engine.principals import digest_of, new_token
from engine.reports.document import Document, Share, Table
from engine.reports.files import FORMATS
from engine.reports.making import REPORTS, report_of
from engine.reports.reading import ReportQuestion, Source
from engine.store import audit
from engine.store.sql import execute
from engine.views.duties import DutyQuestion, duty_page
from engine.views.figure_question import PerformanceQuestion, dashed
from engine.views.names import active_names
from engine.views.performance import performance_page
from engine.views.questions import BadQuestion
from lab.parts.postgres import fresh_database
from schemas.derived_ids import derived_subject
from schemas.short_numbers import short_number, spoken
from tests.integration.test_door import problem
from tests.support.builders import BARE, CENTRE, DAY, DUST, HOTLINE, HOUR, STREET, event, shipped, subject, weiyang
from tests.support.reports import html_tables, tables_of, texts_of
from tests.support.serving import Served, prepared, served, tell, wait_until
from tests.support.settings_files import put_file
from workflows.periods import first_instant, holding
from workflows.reading import READS_EVERYTHING

AGES = (95, 61, 45, 31, 29, 2)
"""How many days ago the cases of the first street were reported; all are open."""
SERVED, HIDDEN = subject("WY01", 70), subject("WY01", 71)
SPONSOR = "WY01-SPONSOR"
DAYS = shipped().clock_of_days
WITH_ROUNDS = replace(
    weiyang().pack,
    duties=tuple(row for row in shipped().pack.duties if row.role == "sponsor" and row.levels == (3,)),
    actions=tuple(replace(row, negative=row.action == "circular") for row in weiyang().pack.actions),
    options=replace(weiyang().pack.options, negative_list=("office",)),
)
"""The sample pack with what the leaders of streets owe, where offices read the negative list."""
SENDERS = [HOTLINE, CENTRE, "WY-OFFICE", STREET, "WY01-SPONSOR", "WY02-CHIEF", "WY02-01-CHIEF"]
NAMES = ("all", "street", "nothing", "sender", "office")
TOKENS = {name: new_token() for name in NAMES}


def principals(folder: Path) -> str:
    """The file of principals."""
    said = {"all": "reads = true", "street": 'reads = ["WY01"]', "nothing": 'actors = ["WY02-CHIEF"]'}
    said["office"] = 'actors = ["WY-OFFICE", "WY02-CHIEF"]\nreads = true'
    said["sender"] = f"actors = {SENDERS!r}".replace("'", '"')
    lines = [f'[principal.{name}]\n{text}\ntokens = ["{digest_of(TOKENS[name])}"]' for name, text in said.items()]
    return str(put_file(folder / "principals.toml", "\n".join(lines)))


def begin(engine: Any, now: int) -> None:
    """Cases of two streets, one supervision that was served, and one that never was."""
    told = list[tuple[int, str, str, str, dict[str, Any]]]()
    reported = {"category": BARE, "source": "hotline"}
    for number, days in enumerate(AGES, 1):
        then, case = now - days * DAY, subject("WY01", number)
        told.append((then, case, "report.submitted", HOTLINE, reported | {"grid": "WY01-01"}))
    for number in range(11, 24):
        then, case = now - 20 * DAY + number * HOUR, subject("WY02", number)
        told += [
            (then, case, "report.submitted", HOTLINE, reported | {"category": DUST, "grid": "WY02-01"}),
            (then + 1, case, "incident.accepted", "WY02-CHIEF", {}),
            (then + 2, case, "handling.completed", "WY02-CHIEF", {}),
            (then + 3, case, "verification.recorded", "WY02-01-CHIEF", {"outcome": "solved"}),
            (then + 4, case, "incident.closed", "WY02-01-CHIEF", {}),
        ]
    for case, days in ((SERVED, 9), (HIDDEN, 8)):
        about = {"action": "letter", "grid": "WY01", "ground": "秘密"}
        told.append((now - days * DAY, case, "supervision.proposed", CENTRE, about))
    then = now - 7 * DAY
    told += [
        (then, SERVED, "supervision.decided", "WY-OFFICE", {"document": "未督〔2026〕12号"}),
        (then + 1, SERVED, "supervision.served", "WY-OFFICE", {}),
        (then + DAY, SERVED, "supervision.answered", STREET, {"answer": "…"}),
        (then + 2 * DAY, SERVED, "supervision.revoked", "WY-OFFICE", {"reason": "error"}),
    ]
    day = DAYS.local_day(now - 4 * DAY)
    period = holding("half_month", day)
    contact = derived_subject("WY01", "duty", "CONTACT-STREET", SPONSOR, period.first, first_instant(period, DAYS))
    told.append((DAYS.day_start(day) + 12 * HOUR, contact, "duty.recorded", SPONSOR, {"grid": "WY01-01"}))
    for at, case, kind, actor, data in sorted(told, key=lambda each: each[0]):
        said = event(kind, actor, at, case=case, id=f"{case}.{kind}", **data)
        assert tell(engine, said, at) == "done", said


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door on them, everything folded."""
    folder = tmp_path_factory.mktemp("reports")
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'gridpatrol.db'}"
        if request.param == "postgresql":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        engine = stack.enter_context(prepared(url, principals=principals(folder)))
        engine.install(WITH_ROUNDS, now_ms() - 99 * DAY)
        begin(engine, now_ms())
        while consume.consume(engine.database):
            pass
        engine.consumers = [consume.consume]
        running = stack.enter_context(served(engine))
        wait_until(lambda: asked(running, "all", "/v1/performance", period="all").json()["rows"])
        yield running


def asked(door: Served, name: str, path: str, **query: Any) -> httpx.Response:
    """What a principal is answered."""
    headers = {"Authorization": f"Bearer {TOKENS[name]}"}
    return door.client.get(path, params=query or None, headers=headers)


def made(door: Served, name: str, now: int = 0, **question: str) -> Document:
    """A report as an operator has it."""
    with door.engine.database.read() as connection:
        source = Source(connection, Policies(), now or now_ms(), READS_EVERYTHING)
        return report_of(name, source, ReportQuestion(**question))


def table(document: Document, title: str) -> Table:
    """A table of a document by its title."""
    [found] = [each for each in tables_of(document) if each.title == title]
    return found


def column(of: Table, head: str) -> list[Any]:
    """The cells of a column."""
    return [row[[each.head for each in of.columns].index(head)] for row in of.rows]


def days_ago(days: int, now: int) -> str:
    """A local day."""
    return dashed(DAYS.local_day(now - days * DAY))


def busy_day() -> str:
    """A local day on which cases of the second street were reported, whatever the calendar says today."""
    return dashed(DAYS.local_day(now_ms() - 20 * DAY + 17 * HOUR))


PERIODIC = [name for name in REPORTS if REPORTS[name].of_a_period]


# ---- figures ------------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M58", "M91")
@pytest.mark.parametrize("name", ["bulletin", "brief", "half-year"])
def test_a_bulletin_has_the_figures_of_the_view_grid_by_grid(door: Served, name: str) -> None:
    now = now_ms()
    day = busy_day()
    document = made(door, name, now, period=day)
    asking = {
        "period": REPORTS[name].length,
        "day": day,
        "grid": "XA",
        "by": "grid",
        "level": "3",
        "rank": "on_time_rate",
    }
    with door.engine.database.read() as connection:
        view = performance_page(connection, Policies(), PerformanceQuestion(**asking), now)
    grids = table(document, "各网格")
    assert len(view.rows) >= 1
    for heads, values in {
        "网格": [row.name for row in view.rows],
        "上报": [row.counts.get("reported", 0) for row in view.rows],
        "结案": [row.counts.get("closed", 0) for row in view.rows],
        "应结案": [row.n for row in view.rows],
        "按期结案率": [Share(row.on_time_rate.basis_points, row.thin and row.n > 0) for row in view.rows],
        "逾期": [row.counts.get("overdue", 0) for row in view.rows],
    }.items():
        assert column(grids, heads)[: len(view.rows)] == values, heads
    standing = {row.name: (row.open, row.overdue) for row in view.standing}
    shown = zip(column(grids, "网格"), column(grids, "在办"), column(grids, "在办全程超期"), strict=True)
    assert {place: counts for place, *counts in shown if any(counts)} == {
        k: [*v] for k, v in standing.items() if any(v)
    }
    total = table(document, "总体")
    assert column(total, "上报") == [sum(row.counts.get("reported", 0) for row in view.rows)]
    assert column(total, "在办") == [sum(row.open for row in view.standing)]
    assert f"上报 {column(total, '上报')[0]} 件" in document.lead


def test_a_trend_adds_up_to_its_period(door: Served) -> None:
    for name in ("bulletin", "brief", "half-year", "debrief"):
        document = made(door, name, period=busy_day())
        [trend] = [each for each in tables_of(document) if each.title in ("逐日", "逐月")]
        assert sum(column(trend, "上报")) == column(table(document, "总体"), "上报")[0] > 0


@pytest.mark.mechanism("M135")
def test_a_brief_for_the_press_names_no_single_case(door: Served) -> None:
    document = made(door, "brief", period=busy_day())
    assert "工作简报" in document.title and column(table(document, "总体"), "上报")[0] > 0
    assert not [each.title for each in tables_of(document) if "编号" in [column.head for column in each.columns]]


@pytest.mark.mechanism("M98")
def test_a_period_that_is_over_lists_what_was_open_then(door: Served) -> None:
    now = now_ms()
    document = made(door, "bulletin", now, period=days_ago(61, now))
    month = days_ago(61, now)[:7]
    listed = table(document, "最早上报而仍在办的案件")
    assert [when[:7] <= month for when in column(listed, "上报")] == [True] * column(table(document, "总体"), "在办")[0]


@pytest.mark.mechanism("M111")
def test_evidence_lists_what_was_open_for_longer_than_thirty_days(door: Served) -> None:
    now = now_ms()
    document = made(door, "evidence", now, period=days_ago(0, now))
    waited = table(document, "久拖未决的案件")
    assert column(waited, "天数") == [days for days in AGES if days > 30]
    assert column(waited, "编号") == [spoken(short_number(subject("WY01", number))) for number in (1, 2, 3, 4)]
    assert column(table(document, "在办时长"), "件数") == [4, 2, 1]
    assert any("M115" in str(basis) or basis for basis in column(table(document, "督办方式的出处"), "出处"))


def test_a_ranking_has_the_sheet_of_the_card_and_nothing_that_it_proposes(door: Served) -> None:
    now = now_ms()
    document = made(door, "ranking", now, period=busy_day())
    sheet = asked(door, "all", "/v1/assessment", card="TOWN-QUARTER", period=busy_day()).json()
    grades = table(document, "TOWN-QUARTER 得分与名次")
    assert column(grades, "单位") == [each["name"] for each in sheet["scores"]]
    assert [cell.hundredths for cell in column(grades, "总分")] == [
        None if each["thin"] else each["total"] for each in sheet["scores"]
    ]
    behind = table(document, "TOWN-QUARTER 各项依据")
    assert len(behind.rows) == len(sheet["scores"]) * len(sheet["indicators"])
    lines = [each["lines"][line["code"]] for each in sheet["scores"] for line in sheet["indicators"]]
    assert column(behind, "分子") == [line["above"] for line in lines]
    assert "建议" not in FORMATS["csv"].write(document).decode()


@pytest.mark.mechanism("M133")
def test_rounds_have_every_duty_of_the_sponsors_with_its_records(door: Served) -> None:
    now = now_ms()
    day = DAYS.local_day(now - 4 * DAY)
    document = made(door, "rounds", now, period=str(day))
    with door.engine.database.read() as connection:
        question = DutyQuestion(grid="XA", period="month", day=str(day), limit=500)
        page = duty_page(connection, Policies(), question, now)
    assert page.next is None and len(page.duties) >= 24
    rows = table(document, "包抓任务").rows
    assert [row[0] for row in rows] == [line.post.name for line in page.duties]
    assert [row[4:7] for row in rows] == [(line.quota, line.recorded, line.left) for line in page.duties]
    assert sum(line.recorded for line in page.duties) == 1
    assert [row[1:] for row in table(document, "督导记录").rows] == [
        ("包抓联系", "", "", shipped().grids["WY01-01"].name, "", 0, 0)
    ]
    with pytest.raises(BadQuestion):
        made(door, "rounds", now, at="2026-01-01T00:00:00Z")


# ---- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PERIODIC)
def test_every_file_of_a_report_has_the_tables_of_its_document(door: Served, name: str) -> None:
    now = now_ms()
    document = made(door, name, now, period=busy_day())
    wanted = [texts_of(each) for each in tables_of(document) if each.rows]
    assert wanted
    page = FORMATS["html"].write(document).decode()
    assert html_tables(page) == wanted
    made_by_word = docx.Document(io.BytesIO(FORMATS["docx"].write(document)))
    found = [[[cell.text for cell in row.cells] for row in each.rows] for each in made_by_word.tables]
    assert found == [rows[:501] for rows in wanted]
    book: Any = openpyxl.load_workbook(io.BytesIO(FORMATS["xlsx"].write(document)))
    tables = tables_of(document)
    assert len(book.worksheets) == 1 + len(tables)
    for sheet, each in zip(book.worksheets[1:], tables, strict=True):
        for at, row in enumerate(each.rows, 2):
            for number, cell in enumerate(row, 1):
                read = sheet.cell(at, number).value
                if isinstance(cell, Share):
                    assert read == (None if cell.points is None else cell.points / 10_000)
                elif isinstance(cell, int):
                    assert read == cell


# ---- who reads ----------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M127")
@pytest.mark.parametrize("name", PERIODIC)
def test_a_report_is_of_what_its_reader_reads(door: Served, name: str) -> None:
    path = f"/v1/reports/{name}"
    own = asked(door, "street", path, format="csv", period=busy_day())
    assert own.status_code == 200, own.text
    whole = asked(door, "all", path, format="csv", period=busy_day()).text
    assert "二号街道" in whole and "一号街道" in whole
    first = own.text.splitlines()[0]
    assert first.startswith("\ufeff一号街道") and "二号街道" not in own.text.partition("出处")[0]
    refused = asked(door, "street", path, grid="WY02")
    if name == "rounds":  # nothing of the other street is listed, which is said
        assert refused.status_code == 200 and "不在查看范围内" in refused.text and "WY02-SPONSOR" not in refused.text
    else:
        assert problem(refused, 403)["field"] == "grid"
    assert problem(asked(door, "nothing", path), 403)["reason"] == "no_right"


def test_what_is_concealed_is_in_no_report_of_anybody(door: Served) -> None:
    hidden, shown = (spoken(short_number(case)) for case in (HIDDEN, SERVED))
    for name in PERIODIC:
        for reader in ("all", "street"):
            text = asked(door, reader, f"/v1/reports/{name}").text
            assert hidden not in text
    at = days_ago(6, now_ms()) + "T23:00:00+08:00"
    then = asked(door, "all", "/v1/reports/bulletin", at=at).text
    assert shown in then and hidden not in then


@pytest.mark.mechanism("M115")
def test_a_letter_is_as_it_was_served_and_there_is_none_before(door: Served) -> None:
    answer = asked(door, "street", "/v1/reports/letter", id=SERVED, format="docx")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="letter-{short_number(SERVED)}.docx"'
    texts = [paragraph.text for paragraph in docx.Document(io.BytesIO(answer.content)).paragraphs]
    assert texts[:2] == ["督办函", "未督〔2026〕12号"]
    assert "一号街道办事处（示例）：" in texts and any(
        text.startswith("请于 ") and text.endswith("前回复。") for text in texts
    )
    assert not any("撤销" in text or "秘密" in text for text in texts), "what came later, or was sealed"
    for reader, status in (("all", 400), ("street", 404)):
        assert asked(door, reader, "/v1/reports/letter", id=HIDDEN).status_code == status
    assert problem(asked(door, "all", "/v1/reports/letter", id=subject("WY01", 1)), 400)["field"] == "id"
    assert problem(asked(door, "all", "/v1/reports/letter"), 400)["field"] == "id"


def readings(door: Served) -> list[tuple[str, str]]:
    """Who has read what people wrote to the supervision, as the audit has it."""
    with door.engine.database.read() as connection:
        sql = "SELECT who, outcome FROM audit WHERE act = 'words.read' AND object = ? ORDER BY id"
        return [(who, outcome) for who, outcome in execute(connection, sql, SERVED)]


def test_a_letter_has_its_ground_for_a_post_that_reads_it_and_the_reading_is_audited(door: Served) -> None:
    before = readings(door)
    told = asked(door, "all", "/v1/reports/letter", id=SERVED, post="WY-OFFICE")
    assert problem(told, 403)["field"] == "post"  # it reads everything, and speaks for nobody
    told = asked(door, "street", "/v1/reports/letter", id=SERVED, post=STREET)
    assert problem(told, 403)["field"] == "post"
    assert readings(door) == before
    told = asked(door, "office", "/v1/reports/letter", id=SERVED, post="WY02-CHIEF")
    assert told.status_code == 403 and "秘密" not in told.text
    told = asked(door, "office", "/v1/reports/letter", id=SERVED, post="WY-OFFICE")
    assert told.status_code == 200 and "事由：秘密" in told.text, told.text
    assert readings(door) == [*before, ("office:WY-OFFICE", "without contact")]
    assert "事由：（由承办单位填写）" in asked(door, "office", "/v1/reports/letter", id=SERVED).text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"period": "2026-13"}, "period"),
        ({"period": "2026-Q1"}, "period"),
        ({"period": "2999-01"}, "period"),
        ({"grid": "NOWHERE"}, "grid"),
        ({"definition": "nothing"}, "definition"),
        ({"format": "pdf"}, "format"),
        ({"at": "yesterday"}, "at"),
    ],
)
def test_a_question_that_has_no_answer_names_its_field(door: Served, query: dict[str, str], field: str) -> None:
    found = problem(asked(door, "all", "/v1/reports/bulletin", **query), 400)
    assert found["field"] == field and not set(query.values()) & set(found["detail"].split())
    assert problem(asked(door, "all", "/v1/reports/nothing"), 400)["field"] == "name"


def test_each_format_is_sent_as_what_it_is(door: Served) -> None:
    for name, kind in FORMATS.items():
        answer = asked(door, "all", "/v1/reports/bulletin", format=name)
        assert (
            answer.headers["content-type"].partition(";")[0] == kind.media
            and answer.headers["x-content-type-options"] == "nosniff"
        )
        assert ("content-disposition" in answer.headers) is (name != "html")
    assert "default-src 'none'" in asked(door, "all", "/v1/reports/bulletin").headers["content-security-policy"]


# ---- one map, one net, one set of standards -----------------------------------------------------------------


@pytest.mark.mechanism("M12")
def test_the_map_has_each_grid_with_its_owner_and_what_is_open_in_it(door: Served) -> None:
    answer = asked(door, "all", "/v1/grids.geojson")
    assert answer.headers["content-type"].startswith("application/geo+json")
    found = {each["id"]: each for each in answer.json()["features"]}
    assert answer.json()["type"] == "FeatureCollection" and len(found) == 119
    street, leaf, other = (found[code]["properties"] for code in ("WY01", "WY01-01", "WY02"))
    assert street["open"] == leaf["open"] == found["XA"]["properties"]["open"] == len(AGES) and other["open"] == 0
    assert street["overdue"] > 0 and [each["code"] for each in street["owners"]] == ["WY01-CHIEF"]
    assert found["WY01-01"]["geometry"]["type"] == "MultiPolygon"
    own = asked(door, "street", "/v1/grids.geojson").json()["features"]
    assert own and all(each["id"].startswith("WY01") for each in own)
    assert problem(asked(door, "street", "/v1/grids.geojson", grid="WY02"), 403)["field"] == "grid"


@pytest.mark.mechanism("M12", "M134")
def test_organisation_and_workflow_are_those_of_the_active_pack(door: Served) -> None:
    net, standards = (asked(door, "street", f"/v1/{name}").json() for name in ("organisation", "workflow"))
    with door.engine.database.read() as connection:
        register = active_names(connection, Policies()).register
    assert {each["code"] for each in net["posts"]} == set(register.posts)
    assert {each["code"] for each in net["grids"]} == set(register.grids)
    assert net["pack_hash"] == standards["pack_hash"] == register.hash
    assert len(standards["limits"]) == len(register.pack.limits)
    [incident] = [kind for kind in standards["kinds"] if kind["name"] == "incident"]
    states = {state["name"] for state in incident["states"]}
    assert {name for row in incident["transitions"] for name in row["sources"]} <= states


@pytest.mark.mechanism("M113")
def test_the_negative_list_is_read_by_the_roles_of_the_pack_of_their_own_grid_and_each_reading_is_audited(
    door: Served,
) -> None:
    path, then = "/v1/reports/negative-list", now_ms() - HOUR
    for number, end in ((951, ""), (952, "supervision.revoked")):
        case = subject("WY02", number)
        steps = [("proposed", CENTRE, {"action": "circular", "grid": "WY02", "ground": "秘密"})]
        steps += [("decided", "WY-OFFICE", {"document": f"未通〔2026〕{number}号"}), ("served", "WY-OFFICE", {})]
        steps += [("revoked", "WY-OFFICE", {"reason": "error"})] if end else []
        for place, (kind, actor, data) in enumerate(steps):
            said = event(f"supervision.{kind}", actor, then + place, case=case, id=f"{case}.{kind}", **data)
            answer = door.post(said, Prefer="wait=20", Authorization=f"Bearer {TOKENS['sender']}")
            assert answer.json().get("outcome") == "done", answer.text
    for name, query, field in (
        ("all", {}, "post"),
        ("all", {"post": "WY-OFFICE"}, "post"),  # it reads everything, and speaks for nobody
        ("office", {"post": "WY02-CHIEF"}, "post"),  # not of a role that reads it
        ("office", {"post": "WY-OFFICE", "grid": "XA"}, "grid"),
    ):
        refused = asked(door, name, path, **query)
        assert refused.status_code in (400, 403) and refused.json()["field"] == field, (query, refused.text)
    with door.engine.database.read() as connection:
        assert audit.listed(connection, act="negative_list.read") == []
    told = asked(door, "office", path, post="WY-OFFICE", format="csv").text
    assert "未通〔2026〕951号" in told and "执行中" in told and "已撤销" in told and "秘密" not in told
    assert "未督〔2026〕12号" not in told, "a letter does not stand on this pack's list"
    with door.engine.database.read() as connection:
        (row,) = audit.listed(connection, act="negative_list.read")
    assert (row.who, row.object) == ("office:WY-OFFICE", "WY")

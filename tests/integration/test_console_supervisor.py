"""The pages of who supervises: supervision by forms, the sheet opened to its cases, duties, a unit, sponsors."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy.engine import URL

from consumers.performance import consume
from consumers.signals.adapter import Adapter
from engine.clock import now_ms
from engine.console.acts import new_number
from engine.console.pages.desk import ROW_ACTS
from engine.inbox import Submission
from engine.policies import Policies
from engine.runtime import Engine
from engine.store.database import file_of
from engine.store.recording import Recorder
from engine.views.desk import DeskQuestion, desk
from engine.views.supervisions import PROPOSE
from lab.parts.postgres import fresh_database
from schemas.device_values import DeviceValue
from schemas.instants import written
from schemas.kinds.supervision import SUPERVISION
from schemas.partition import partition_of
from tests.integration.test_console import HTML, Browser, Page, as_post, browser, close_browsers, get, send
from tests.integration.test_reading import OURS, THEIRS, long_overdue
from tests.support.builders import HOUR, shipped
from tests.support.serving import Served, prepared, served, wait_until
from workflows.reading import READS_EVERYTHING

__all__ = ["close_browsers"]  # a fixture that closes what a test has opened
EVENT = {event.zh: trigger for trigger, event in SUPERVISION.events.items()}
DECIDE, SERVE, ANSWER, REVIEW, CLEAR = (EVENT[zh] for zh in ("决定督办", "送达", "答复", "审核", "销号"))
DAYS_OWED = 3
PAGES = (
    "/supervision",
    "/joint",
    "/approvals",
    "/petitions",
    "/assessment",
    "/duties",
    "/sponsors",
    "/signals",
    "/responsibility",
    "/units/WY01",
)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door of this machine, with an overdue case in each of two streets."""
    with prepared(f"sqlite:///{tmp_path_factory.mktemp('supervisor') / 'gridpatrol.db'}") as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        engine.install(shipped().pack, now_ms() - 482 * HOUR)  # which asks for duties
        long_overdue(engine)
        bear_duties(engine)
        with served(engine) as running:
            wait_until(lambda: running.get("/v1/performance?period=year")["rows"])
            yield running


def bear_duties(engine: Engine) -> None:
    """Days of the past, one after the other, in which posts of a street owed something."""
    home = partition_of("WY01", engine.count)
    for day in range(DAYS_OWED):
        engine.append([Submission(home, "tick", "owner", "")], now_ms() - 480 * HOUR + (241 + 24 * day) * HOUR)
        while engine.work(None) is not None:
            pass


def month_of_duties() -> str:
    """The month in which the middle one of these days lies."""
    return datetime.fromtimestamp(now_ms() / 1000 - 9 * 86_400, UTC).strftime("%Y-%m")


def propose(client: Browser, **typed: str) -> tuple[str, dict[str, str]]:
    """Propose a letter by the form: the id of the supervision, and what was sent."""
    fields = get(client, "/supervision/new").form("/supervision/proposals") | {"action": "letter"} | typed
    answer = send(client, "/supervision/proposals", fields)
    assert answer.status_code == 303, answer.text
    listed = get(client, answer.headers["location"])
    assert "已办：拟议督办" in listed.text
    return answer.headers["location"].partition("about=")[2].partition("&")[0], fields


def act(client: Browser, id_: str, trigger: str, **typed: str) -> str:
    """Do what a form of the list offers; the list after it."""
    action = f"/supervision/{id_}/acts"
    answer = send(client, action, get(client, "/supervision").form(action, trigger=trigger) | typed)
    assert answer.status_code == 303, answer.text
    return get(client, answer.headers["location"]).text


def offered(client: Browser, id_: str) -> set[str]:
    """The acts that the list offers with a supervision."""
    page = get(client, "/supervision")
    return {form["trigger"] for form in page.forms if form[""] == f"/supervision/{id_}/acts"}


def test_who_must_act_stands_with_the_text_and_what_was_signed(local: Served) -> None:
    """The page says of a grid and a category what the API says of them."""
    chief = as_post(local, "WY01-CHIEF")
    told = local.get("/v1/responsible", grid="WY01-01", category="D3-04")
    page = get(chief, "/responsibility?grid=WY01-01&category=D3-04").text
    owner = (told["department"] or told["owner"]["grid"])["name"]
    assert f"由 {owner} 办理" in page and told["duties"]
    assert all(line["duty_zh"] in page and line["body"]["name"] in page for line in told["duties"])
    assert all(clock["limit"] in page for clock in told["clocks"])
    unsigned = local.get("/v1/responsibilities", grid="WY01", unsigned="true")["lists"]
    mine = get(chief, "/responsibility").text  # without a question: of the grid of the post
    assert all(line["body"]["name"] in mine for line in unsigned)
    assert chief.get("/responsibility?grid=NOWHERE", headers=HTML).status_code == 400


def act_on_case(client: Browser, id_: str, trigger: str, **typed: str) -> None:
    """Do what a form of the page of a case offers."""
    action = f"/cases/{id_}/acts"
    answer = send(client, action, get(client, f"/cases/{id_}").form(action, trigger=trigger) | typed)
    assert answer.status_code == 303, answer.text


@pytest.mark.mechanism("M64", "M74")
def test_who_is_waited_for_stands_on_the_page_of_joint_work(local: Served) -> None:
    chief, below, beside = (as_post(local, code) for code in ("WY02-CHIEF", "WY02-03-CHIEF", "WY03-CHIEF"))
    act_on_case(chief, THEIRS, "incident.accepted")
    act_on_case(chief, THEIRS, "parts.ordered", owners="WY02-03", limit="3工作日")
    page = get(chief, "/joint").text
    assert "协办在办 1 件，涉及 1 件事件" in page and "在等协办" not in page
    act_on_case(chief, THEIRS, "handling.completed")
    page = get(below, "/joint").text
    assert "1 件事件在等协办" in page and "等这一家" in page and "二号街道第3社区（示例）" in page
    assert get(beside, "/joint").text.count("没有在办的协办件") == 1, "another street reads of none of it"
    (part,) = local.get("/v1/incidents", definition="part")["incidents"]
    act_on_case(below, part["id"], "part.returned", reason="not_our_area")
    assert "1 件被退回，待牵头单位决定" in get(chief, "/joint").text
    act_on_case(chief, THEIRS, "parts.ordered", owners="WY02-03")
    act_on_case(below, part["id"], "part.completed")
    page = get(chief, "/joint?lang=en").text
    assert "Parts open: 0, of incidents: 1" in page and "asked for 2 times" in page
    assert local.get(f"/v1/incidents/{THEIRS}")["state"] == "verifying"
    member, action = as_post(local, "WY02-01-CHIEF"), f"/cases/{THEIRS}/acts"
    check = get(member, f"/cases/{THEIRS}")
    assert "二号街道第3社区（示例）（已办）" in check.text, "parts are named by whose they are"
    fields = check.form(action, trigger="verification.recorded", parts=part["id"])
    answer = send(member, action, fields | {"outcome": "solved"})
    assert answer.status_code == 422, "a check that finds it solved reopens nothing"
    assert f'value="{part["id"]}" checked' in answer.text and '"parts"' in answer.text
    assert send(member, action, fields | {"outcome": "unsolved", "event": str(uuid4())}).status_code == 303
    assert [local.get(f"/v1/incidents/{id_}")["state"] for id_ in (THEIRS, part["id"])] == ["reported", "entrusted"]


@pytest.mark.mechanism("M119", "M122")
def test_an_application_is_entered_by_a_form_and_spoken_of_after_its_end(local: Served) -> None:
    hall, office, member = (as_post(local, code) for code in ("WY-12345", "WY-EPB-H", "WY01-01-CHIEF"))
    assert "/approvals/new" in get(hall, "/approvals").text and "/approvals/new" not in get(member, "/approvals").text
    assert member.get("/approvals/new", headers=HTML).status_code == 403
    form = get(hall, "/approvals/new")
    fields = form.form("/approvals/applications") | {"matter": "eia-form", "grid": "WY01", "department": "WY-EPB"}
    assert "环境影响报告表" in form.text and 'name="about"' not in form.text
    answer = send(hall, "/approvals/applications", fields | {"grid": "WY01", "matter": "NONE"})
    assert answer.status_code == 422 and html.escape("NONE") not in answer.text
    fields |= {"applicant": "某某公司", "project": "新建锅炉房", "event": str(uuid4())}
    there = [send(hall, "/approvals/applications", fields).headers["location"] for _ in range(2)]
    id_ = there[0].partition("/cases/")[2].partition("?")[0]
    assert there[1].startswith(f"/cases/{id_}"), "sent twice it is one"
    assert "已办：申请" in get(hall, there[0]).text
    act_on_case(office, id_, "approval.referred", body="police_desk")
    act_on_case(office, id_, "approval.decided", outcome="granted")
    act_on_case(office, id_, "approval.referral_answered", body="police_desk", outcome="unfounded")
    act_on_case(office, id_, "approval.line_entered", purpose="fee", amount_fen="120000", day="2026-03-02")
    assert "1,200.00" in get(office, f"/approvals/money?approval={id_}&from=2026-03-01").text
    assert "某某公司" not in get(member, "/approvals?ended=true").text


def test_a_letter_goes_from_proposed_to_cleared_by_forms_alone(local: Served) -> None:
    desk, office, street = (as_post(local, code) for code in ("WY-DISPATCH", "WY-OFFICE", "WY01-CHIEF"))
    id_, _ = propose(desk, about=OURS, ground="it burns")
    assert id_ in get(desk, "/supervision").text and DECIDE not in offered(desk, id_)
    assert id_ not in get(street, "/supervision").text, "it is concealed until it is served"
    assert "待您办 1 件" in get(office, "/supervision").text
    assert "已办：决定督办" in act(office, id_, DECIDE, document="2026-12")
    act(office, id_, SERVE)
    page = get(street, "/supervision?which=mine")
    assert id_ in page.text and "在单位 1 件" in page.text and offered(street, id_) == {ANSWER}
    assert offered(as_post(local, "WY02-CHIEF"), id_) == set()
    act(street, id_, ANSWER, answer="we have been there")
    assert "退回补正" in act(office, id_, REVIEW, outcome="sent_back")
    act(street, id_, ANSWER, answer="it is out")
    act(office, id_, REVIEW, outcome="passed")
    act(office, id_, CLEAR)
    assert id_ not in get(office, "/supervision").text
    assert id_ in get(office, "/supervision?ended=true").text
    case = local.get(f"/v1/incidents/{id_}")
    assert case["state"] == "cleared" and case["about"] == OURS
    assert "burns" not in get(office, "/supervision?ended=true").text


def test_a_proposal_sent_twice_begins_one_supervision(local: Served) -> None:
    client = as_post(local, "WY-SUPERVISOR")
    id_, fields = propose(client, grid="WY02")
    again = send(client, "/supervision/proposals", fields)
    assert again.status_code == 303 and "how=again" in again.headers["location"]
    assert id_ in again.headers["location"] and id_.startswith("WY02.")
    other, _ = propose(client, department="WY-URBAN")
    assert other.startswith("XA."), "what is about a department lies in the home of the root"


def test_what_is_refused_keeps_what_was_typed_and_says_why(local: Served) -> None:
    client = as_post(local, "WY-SUPERVISOR")
    fields = get(client, "/supervision/new").form("/supervision/proposals") | {"action": "no-such", "grid": "WY03"}
    answer = send(client, "/supervision/proposals", fields | {"ground": "<b>"})
    assert answer.status_code == 422 and "没有办成：拟议督办" in answer.text
    assert "&lt;b&gt;" in answer.text and '<option value="WY03" selected>' in answer.text
    number = {"number": "1", "action": "letter", "grid": "WY03"}
    assert send(client, "/supervision/proposals", fields | number).status_code == 400


def test_who_may_not_propose_has_neither_the_link_nor_the_form(local: Served) -> None:
    for code in ("WY01-01-MEMBER", "WY01-CHIEF", "WY-12345"):
        client = as_post(local, code)
        assert "/supervision/new" not in get(client, "/supervision").text
        assert client.get("/supervision/new", headers=HTML).status_code == 403
        mark = get(client, "/supervision?lang=zh")
        fields = {"mark": mark_of(client), "trigger": PROPOSE, "event": str(uuid4()), "action": "letter"}
        answer = send(client, "/supervision/proposals", fields | {"grid": "WY01", "number": new_number(now_ms())})
        assert answer.status_code in (403, 422), (code, mark.status)
    nobody = browser(local)
    assert "选定岗位后才能办理" in get(nobody, "/supervision").text
    page = get(nobody, "/supervision/new")
    assert "选定岗位后才能办理" in page.text and not any("trigger" in form for form in page.forms)


def mark_of(client: Browser) -> str:
    """The mark of the forms of a session."""
    return get(client, "/me").form("/me/post")["mark"]


def test_a_sheet_opens_from_score_to_indicator_to_cases(local: Served) -> None:
    client = as_post(local, "WY-CHIEF")
    at = local.get("/v1/assessment", card="TOWN-QUARTER")["as_of"]
    sheet = local.get("/v1/assessment", card="TOWN-QUARTER", at=at)
    page = get(client, f"/assessment?{urlencode({'card': 'TOWN-QUARTER', 'at': at})}")
    assert sheet["sheet"][:12] in page.text and "按期结案率" in page.text
    one = next(line for line in sheet["scores"] if line["key"] == "WY01")
    (link,) = {link for link in page.links if "subject=WY01" in link and "WY01-" not in link}
    opened = get(client, link)
    assert f"{one['total'] / 100:.2f}" in opened.text
    links = [link for link in opened.links if link.startswith("/figures?")]
    assert len(links) == sum(len(line["opens"]) for line in one["lines"].values())
    for term, asked in one["lines"]["on-time"]["opens"].items():
        value = local.get(asked)["value"]
        shown = get(client, f"/figures?{asked.partition('?')[2]}")
        assert f"：{value}</p>" in shown.text, (term, asked)
    overdue = one["lines"]["on-time"]["opens"]["closable"]
    assert OURS in get(client, f"/figures?{overdue.partition('?')[2]}").text


def test_a_sheet_that_there_is_not_is_told_beside_the_choice(local: Served) -> None:
    client = as_post(local, "WY-CHIEF")
    for asked in ("card=NONE", "card=YEAR&period=2999", "card=YEAR&period=soon"):
        answer = client.get(f"/assessment?{asked}", headers=HTML)
        assert answer.status_code == 400 and "这样问没有得分表" in answer.text and 'name="card"' in answer.text


def test_duties_add_up_from_the_district_to_the_post(local: Served) -> None:
    client = as_post(local, "WY-CHIEF")
    month = month_of_duties()
    page = get(client, f"/duties?grid=WY01&month={month}")
    row = local.get("/v1/performance", definition="duty", grid="WY01", period="month", day=f"{month}-01")["rows"][0]
    rate = row["rates"]["coverage"]
    assert rate["denominator"] and f"（{rate['numerator']}/{rate['denominator']}）" in page.text
    assert 'class="calendar"' in page.text and "heat3" in page.text
    link = next(html.unescape(link) for link in page.links if link.startswith("/duties?grid=WY01-"))
    assert "逐日" in get(client, link).text and "WY01-0" in get(client, link).text
    owed = get(client, f"/duties?post=WY01-01-MEMBER&month={month}")
    asked = {"post": "WY01-01-MEMBER", "period": "month", "day": f"{month}-01", "limit": 500}
    lines = local.get("/v1/duties", **asked)["duties"]
    assert owed.text.count('class="day"') >= len({line["first"] for line in lines if line["period"] == "day"})
    assert all(line["duty"]["name"] in owed.text for line in lines) and lines
    assert client.get("/duties?month=soon", headers=HTML).status_code == 400


def test_a_unit_says_what_its_figures_say(local: Served) -> None:
    client = as_post(local, "WY-CHIEF")
    for code, asked in (("WY01", {"grid": "WY01"}), ("WY-URBAN", {"department": "WY-URBAN"})):
        text = get(client, f"/units/{code}").text
        rate = local.get("/v1/performance", period="month", **asked)["rows"][0]["on_time_rate"]
        counted = f"（{rate['numerator']}/{rate['denominator']}）"
        assert (counted if rate["denominator"] else "本月还没有应结案的案件") in text, code
        assert "逐月" in text
    assert client.get("/units/NONE", headers=HTML).status_code == 400
    months = get(client, "/units/WY01?lang=en")
    link = next(link for link in months.links if link.startswith("/figures?measure=reported"))
    assert OURS in get(client, html.unescape(link)).text


def test_a_unit_with_nothing_in_hand_has_a_desk(local: Served) -> None:
    client = as_post(local, "WY-CHIEF")
    for code in ("WY07", "WY-URBAN"):
        text = get(client, f"/desk?office={code}").text
        assert "没有案件" in text and "在办 0 件" in text


def plans(engine: Engine, question: DeskQuestion) -> list[str]:
    """How the database finds the cases of a desk, statement by statement."""
    database, policies = engine.database, Policies()
    recorder = Recorder(database)
    with database.read() as connection:
        desk(connection, policies, question, now_ms(), READS_EVERYTHING, ROW_ACTS)
    said = [
        each for transaction in recorder.transactions for each in transaction.statements if "FROM cases" in each.text
    ]
    found, explain = [], "EXPLAIN QUERY PLAN " if file_of(str(database.url)) is not None else "EXPLAIN "
    with database.read() as connection:
        if explain == "EXPLAIN ":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # of a few rows it would be the cheapest
        for each in said:
            given = each.parameters[0] if isinstance(each.parameters, list) else each.parameters
            found.append("\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + each.text, given)))
    return found


def check_plans(engine: Engine) -> None:
    """No list of the desk goes through the table, and that of a department or of a unit with few goes by its holder."""
    for question in (DeskQuestion(), DeskQuestion(overdue=True), DeskQuestion(office="WY01")):
        found = plans(engine, question)
        assert found and not [plan for plan in found if "SCAN cases" in plan or "Seq Scan on cases" in plan], found
    for question in (DeskQuestion(office="WY-URBAN"), DeskQuestion(office="WY-URBAN", overdue=True)):
        assert any("cases_held_by_department" in plan for plan in plans(engine, question))
    assert any("cases_held" in plan for plan in plans(engine, DeskQuestion(office="WY07")))


def test_the_lists_of_the_desk_are_found_by_an_index(local: Served) -> None:
    check_plans(local.engine)


def test_a_unit_is_ranked_among_its_peers_only_for_who_reads_them(local: Served) -> None:
    street, other = as_post(local, "WY01-CHIEF"), as_post(local, "WY02-CHIEF")
    assert "没有可比的排名" in get(street, "/units/WY01").text
    assert other.get("/units/WY01", headers=HTML).status_code == 403


def test_a_sponsor_sees_its_own_grid_and_who_supervises_sees_all(local: Served) -> None:
    month = month_of_duties()
    mine = get(as_post(local, "WY01-SPONSOR"), f"/sponsors?month={month}").text
    assert "您包抓 一号街道办事处" in mine and "包抓联系" in mine and "二号街道" not in mine
    every = get(as_post(local, "WY-CHIEF"), "/sponsors").text
    posts = re.findall(r'href="/duties\?post=(WY\d\d-SPONSOR)"', every)
    assert len(posts) == 12 and "全程超期 2 件" in every
    below = get(as_post(local, "WY-CHIEF"), "/sponsors?grid=WY01").text
    assert len(re.findall(r'href="/duties\?post=WY01-\d\d-SPONSOR', below)) == 9
    # What is a number of cases opens them; what its visitor does not read is no link.
    late = re.findall(r'href="(/figures\?measure=standing.overdue[^"]*)"', every)
    assert late and any(OURS in get(as_post(local, "WY-CHIEF"), html.unescape(each)).text for each in late)
    street = get(as_post(local, "WY01-CHIEF"), "/sponsors?grid=WY01")
    assert "/sponsors?grid=WY&" not in street.text and '/sponsors?grid=WY"' not in street.text


def test_devices_are_shown_with_what_stands_of_them_to_who_reads_their_grids(local: Served) -> None:
    adapter, now = Adapter(local.engine.database), now_ms()
    said = [{"device": "DEMO-DUST-1", "quantity": "pm10", "value": "199", "at": written(now - HOUR)}]
    said += [{**said[0], "at": written(now - HOUR // 2)}]
    adapter.take(msgspec.convert(said, list[DeviceValue]), lambda post: True, now)
    adapter.tick(now - HOUR, now)
    district = get(as_post(local, "WY-CHIEF"), "/signals").text
    assert "10 台设备，1 个报警未恢复，9 台失联" in district and "工地 PM10 199" in district
    street = get(as_post(local, "WY02-CHIEF"), "/signals").text
    assert "1 台设备，0 个报警未恢复，1 台失联" in street and "DEMO-SECTION-1" in street


def test_in_english_no_word_of_the_new_pages_is_chinese(local: Served) -> None:
    client = as_post(local, "WY-SUPERVISOR")
    for path in (*PAGES, "/supervision/new"):
        shown = re.sub(r"<[^>]*>", " ", get(client, f"{path}?lang=en").text)
        ours = re.findall("督查督办|考核细则|履职率|按期|包抓岗位|拟议|在办|得分|月份", shown)
        assert not ours, (path, ours)


def test_pages_run_and_style_nothing_of_their_own_and_are_a_few_statements(local: Served) -> None:
    client = as_post(local, "WY-SUPERVISOR")
    for path in (*PAGES, "/supervision/new"):
        page: Page = get(client, path)
        assert not page.inline and all(link.startswith(("/", "#", "?")) for link in page.links), path
        assert len(page.text) < 180_000, path


def test_postgresql_answers_each_page(postgres_server: URL) -> None:
    with fresh_database(postgres_server) as url, prepared(url) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        long_overdue(engine)
        with served(engine) as running:
            client, office = as_post(running, "WY-SUPERVISOR"), as_post(running, "WY-OFFICE")
            id_, _ = propose(client, about=THEIRS)
            assert "已办：决定督办" in act(office, id_, DECIDE)
            for path in PAGES:
                assert get(client, path).status == 200
            check_plans(engine)
            assert OURS in get(client, "/figures?measure=standing.overdue&grid=WY01&definition=incident").text

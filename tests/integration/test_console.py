"""The console over HTTP, without a script: signing in, forms, headers, what each page shows, and what is posted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.engine import URL

from consumers.performance import consume
from engine.clock import now_ms
from engine.console import sessions
from engine.console.pages import mount
from engine.console.sessions import COOKIE, KEY_DAYS, LASTS_MS
from engine.console.static_files import address_of, static_files
from engine.operations import tokens
from engine.operations.tokens import PersonWanted
from engine.principals import digest_of, new_token
from engine.store import audit
from engine.store.audit import Act
from engine.store.recording import Recorder
from lab.parts.postgres import fresh_database
from schemas.events import OF_ANY_CASE
from tests.integration.test_reading import OURS, THEIRS, long_overdue
from tests.support.builders import OPERATOR, event, subject
from tests.support.serving import Served, prepared, served, wait_until
from tests.support.settings_files import put_file, read_at_once
from workflows.clocks.limits import DAY_MS

NAMES = ("all", "street", "chief", "nothing", "ops")
TOKENS = {name: new_token() for name in NAMES}
FILE = f"""
[principal.all]
reads = true
tokens = ["{digest_of(TOKENS["all"])}"]
[principal.street]
reads = ["WY01"]
tokens = ["{digest_of(TOKENS["street"])}"]
[principal.chief]
actors = ["WY-CHIEF"]
reads = true
tokens = ["{digest_of(TOKENS["chief"])}"]
[principal.nothing]
actors = ["WY02-CHIEF"]
tokens = ["{digest_of(TOKENS["nothing"])}"]
[principal.ops]
operator = true
reads = true
tokens = ["{digest_of(TOKENS["ops"])}"]
"""
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES = (
    "/desk",
    f"/cases/{OURS}",
    "/alerts",
    "/ranking?period=year",
    "/me",
    "/cases?search=x",
    "/ledger?period=all",
    "/reports",
)


class Page(HTMLParser):
    """A page as a browser without scripts knows it: its forms with their hidden fields, links, and what would run."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.text, self.status = answer.text, answer.status_code
        self.forms: list[dict[str, str]] = []
        self.inline: list[str] = []
        self.links: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.inline += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []
        self.links += [given[name] for name in ("href", "src", "action", "sse-connect", "hx-get") if name in given]
        if tag == "form":
            self.forms.append({"": given.get("action", ""), "method": given.get("method", "get")})
        elif tag == "input" and self.forms and given.get("name"):
            self.forms[-1][given["name"]] = given.get("value", "")

    def form(self, action: str, **fields: str) -> dict[str, str]:
        """The hidden fields of the first form of an action that has these."""
        for found in self.forms:
            if found[""] == action and fields.items() <= found.items():
                return {name: value for name, value in found.items() if name not in ("", "method")}
        raise AssertionError(f"no form for {action} with {fields} in {[each[''] for each in self.forms]}")


def get(client: httpx.Client, path: str) -> Page:
    """A page that must be 200."""
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 200, (path, answer.status_code, answer.text[-800:])
    return Page(answer)


def send(client: httpx.Client, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
    """Post a form."""
    return client.post(path, data=fields, headers=HTML | headers)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that asks for tokens."""
    folder = tmp_path_factory.mktemp("console")
    file = put_file(folder / "principals.toml", FILE)
    with prepared(f"sqlite:///{folder / 'gridpatrol.db'}", principals=str(file)) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        long_overdue(engine)
        with served(engine) as running:
            head = {"Authorization": f"Bearer {TOKENS['all']}"}
            wait_until(lambda: OURS in running.client.get("/v1/alerts", headers=head).text)
            yield running


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door of this machine, without tokens."""
    with prepared(f"sqlite:///{tmp_path_factory.mktemp('local') / 'gridpatrol.db'}") as engine:
        long_overdue(engine)
        with served(engine) as running:
            yield running


class Browser(httpx.Client):
    """A browser that may be used before it is entered."""

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


OPENED: list[Browser] = []


@pytest.fixture(autouse=True)
def close_browsers() -> Iterator[None]:
    """Browsers are closed when a test ends."""
    yield
    while OPENED:
        OPENED.pop().close()


def browser(door: Served, name: str = "") -> Browser:
    """A browser of its own, signed in."""
    client = Browser(base_url=door.client.base_url, timeout=20)
    OPENED.append(client)
    if name:
        answer = send(client, "/sign-in", {"token": TOKENS[name], "next": "/desk"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/desk"), answer.text
    return client


def as_post(door: Served, code: str) -> Browser:
    """A browser of this machine that has chosen a post."""
    client = browser(door)
    page = get(client, f"/me?q={code}")
    fields = page.form("/me/post") | {"post": code}
    assert send(client, "/me/post", fields).status_code == 303
    return client


# ---- signing in ---------------------------------------------------------------------------------------------


def test_a_browser_is_sent_to_sign_in_and_back_to_where_it_was_going(door: Served) -> None:
    with browser(door) as client:
        assert client.get("/", headers=HTML).headers["location"] == "/desk"
        assert client.get("/", headers={"Accept": "*/*"}).text.startswith("gridpatrol")
        answer = client.get(f"/cases/{OURS}?words=true", headers=HTML)
        assert answer.status_code == 303
        page = get(client, answer.headers["location"])
        fields = page.form("/sign-in")
        assert fields["next"] == f"/cases/{OURS}?words=true"
        there = send(client, "/sign-in", fields | {"token": f" {TOKENS['all']} "})
        assert there.headers["location"] == fields["next"]
        cookie = there.headers["set-cookie"]
        assert (
            "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie and "Max-Age=43200" in cookie
        )
        assert TOKENS["all"] not in cookie
        assert "超期" in get(client, "/desk").text


@pytest.mark.parametrize(
    "there", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "", "/x\n"]
)
def test_signing_in_leads_nowhere_else(door: Served, there: str) -> None:
    with browser(door) as client:
        assert send(client, "/sign-in", {"token": TOKENS["all"], "next": there}).headers["location"] == "/desk"


def test_a_wrong_token_is_told_and_opens_nothing(door: Served) -> None:
    with browser(door) as client:
        answer = send(client, "/sign-in", {"token": "gp_wrong", "next": "/desk"})
        assert answer.status_code == 401 and "没有这个令牌" in answer.text and "set-cookie" not in answer.headers
        assert client.get("/desk", headers=HTML).status_code == 303


def test_over_tls_the_cookie_is_for_tls_alone_also_behind_a_proxy(door: Served) -> None:
    with browser(door) as client:
        origin = str(door.client.base_url).replace("http://", "https://")
        answer = send(client, "/sign-in", {"token": TOKENS["all"]}, Origin=origin)
        assert "Secure" in answer.headers["set-cookie"]


def test_signing_out_ends_the_session_in_the_browser(door: Served) -> None:
    with browser(door, "all") as client:
        page = get(client, "/desk")
        assert send(client, "/sign-out", {"mark": "no"}).status_code == 403
        assert send(client, "/sign-out", page.form("/sign-out")).headers["location"] == "/sign-in?out=true"
        assert COOKIE not in client.cookies
        assert client.get("/desk", headers=HTML).status_code == 303


def test_pages_of_this_machine_that_load_side_by_side_take_each_others_forms(local: Served) -> None:
    with browser(local) as one, browser(local) as other:
        form = get(one, "/me").form("/me/post")
        get(other, "/me")  # a browser keeps the session that came last
        assert send(other, "/me/post", form | {"post": ""}).status_code == 303


@pytest.mark.parametrize("change", ["last", "first", "unsigned", "other letters"])
def test_a_cookie_that_was_not_signed_here_is_none(door: Served, change: str) -> None:
    with browser(door, "all") as client:
        cookie = client.cookies[COOKIE]
    forged = {
        "last": cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
        "first": "x" + cookie,
        "unsigned": cookie.partition(".")[0],
        "other letters": f"\xe9.{cookie}",
    }
    head = {b"Cookie": f"{COOKIE}={forged[change]}".encode("latin-1"), b"Accept": b"text/html"}
    assert httpx.get(f"{door.client.base_url}/desk", headers=list(head.items())).status_code == 303


def test_a_session_ends_with_its_time_and_with_its_token(
    door: Served, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_at_once(monkeypatch)
    file = put_file(tmp_path / "principals.toml", "")
    with prepared(sqlite_url, principals=str(file)) as engine:
        issued = tokens.add(engine, PersonWanted("WY01-CHIEF"), OPERATOR)
        with served(engine) as running, httpx.Client(base_url=running.client.base_url) as client:
            send(client, "/sign-in", {"token": issued.token})
            assert "WY01-CHIEF" in get(client, "/desk").text
            later = now_ms() + LASTS_MS + 1
            with monkeypatch.context() as patch:
                patch.setattr(sessions, "now_ms", lambda: later)
                assert client.get("/desk", headers=HTML).status_code == 303
            assert client.get("/desk", headers=HTML).status_code == 200
            running.writer.call(lambda engine: tokens.withdraw(engine, "WY01-CHIEF", OPERATOR)).result(10)
            wait_until(lambda: client.get("/desk", headers=HTML).status_code == 303)


def test_gateways_share_the_keys_and_take_up_a_new_one(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two doors on one database; a key that is too old is followed by another, and sessions of the old one go on."""
    with prepared(sqlite_url) as engine, served(engine) as one, served(engine) as two:
        client = as_post(one, "WY-CHIEF")
        head = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}", **HTML}
        assert "WY-CHIEF" in httpx.get(f"{two.client.base_url}/desk", headers=head).text
        monkeypatch.setattr(sessions, "LOOK_S", 0.0)
        later = now_ms() + KEY_DAYS * DAY_MS
        monkeypatch.setattr(sessions, "KEY_DAYS", 0)
        assert "WY-CHIEF" in httpx.get(f"{two.client.base_url}/desk", headers=head).text
        with engine.database.read() as connection:
            keys = sessions.read_keys(connection)
        assert len(keys) >= 2 and len({key.secret for key in keys}) == len(keys)
        monkeypatch.setattr(sessions, "now_ms", lambda: later + LASTS_MS)
        with engine.database.read() as connection:
            assert sessions.read_keys(connection) == keys[-1:]  # the old one is good no more


# ---- headers, files, forms ----------------------------------------------------------------------------------


def test_every_page_has_its_policy_and_runs_and_styles_nothing_of_its_own(door: Served) -> None:
    with browser(door, "chief") as client, browser(door, "ops") as operator:
        answers = [client.get(path, headers=HTML) for path in PAGES]
        answers += [operator.get("/health", headers=HTML), client.get("/sign-in?out=true", headers=HTML)]
        answers += [client.get("/cases/none", headers=HTML), client.get("/nowhere", headers=HTML)]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        page = Page(answer)
        assert not page.inline and "javascript:" not in page.text
        assert all(link.startswith(("/", "#", "?")) for link in page.links), page.links


def test_static_files_are_kept_for_a_year_under_names_of_their_bytes(door: Served) -> None:
    with browser(door) as client:
        for name in ("console.css", "console.js", "htmx.min.js", "sse.min.js", "icon.svg"):
            plain = client.get(address_of(name), headers={"Accept-Encoding": "identity"})
            assert plain.status_code == 200 and "immutable" in plain.headers["cache-control"]
            assert client.get(address_of(name)).content == plain.content
        assert client.get("/static/console.css").status_code == 404
        assert client.get("/static/..%2Fcatalogue.py").status_code == 404


def test_all_that_a_browser_loads_is_under_300_kilobytes(door: Served) -> None:
    with browser(door, "all") as client:
        assert sum(len(file.body) for file in static_files().values()) < 200_000
        for path in PAGES:
            assert len(client.get(path, headers=HTML).content) < 180_000


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"mark": ""}, 403), ({"mark": "0" * 80}, 403), ({"event": "x"}, 400), ({"trigger": "no.such"}, 400)],
    ids=["no mark", "another mark", "no id", "no trigger"],
)
def test_a_form_of_nobodys_session_does_nothing(door: Served, changed: dict[str, str], status: int) -> None:
    with browser(door, "chief") as client:
        fields = get(client, f"/cases/{OURS}").form(f"/cases/{OURS}/acts")
        answer = send(client, f"/cases/{OURS}/acts", fields | changed)
        assert answer.status_code == status, answer.text


def test_the_form_of_one_session_is_none_of_another(door: Served) -> None:
    with browser(door, "chief") as mine, browser(door, "chief") as theirs:
        fields = get(mine, f"/cases/{OURS}").form(f"/cases/{OURS}/acts")
        assert send(theirs, f"/cases/{OURS}/acts", fields).status_code == 403


def test_a_page_of_another_origin_may_post_nothing(door: Served) -> None:
    with browser(door, "chief") as client:
        fields = get(client, f"/cases/{OURS}").form(f"/cases/{OURS}/acts")
        assert send(client, f"/cases/{OURS}/acts", fields, Origin="https://evil.example").status_code == 403


# ---- what pages show, and to whom ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/desk", "nothing"),
        ("/alerts", "nothing"),
        ("/ranking", "nothing"),
        (f"/cases/{OURS}", "nothing"),
        ("/health", "all"),
    ],
)
def test_a_page_is_refused_with_its_reason_and_remedy(door: Served, path: str, who: str) -> None:
    with browser(door, who) as client:
        answer = client.get(path, headers=HTML)
        assert answer.status_code == 403 and "没有权限" in answer.text and "怎么办" in answer.text


def test_the_desk_counts_and_lists_what_is_read(door: Served) -> None:
    with browser(door, "all") as every, browser(door, "street") as street:
        assert "此刻超期 2 件" in get(every, "/desk").text
        text = get(street, "/desk").text
        assert "此刻超期 1 件" in text and OURS in text and THEIRS not in text
        office = get(every, "/desk?office=WY02&overdue=true")
        assert THEIRS in office.text and OURS not in office.text
        assert every.get("/desk?office=NONE", headers=HTML).status_code == 400


def test_each_number_of_the_desk_opens_as_many_cases(door: Served) -> None:
    with browser(door, "all") as client:
        page = get(client, "/desk")
        found = re.findall(r'<a (?:class="late" )?href="(/desk\?office=[^"]+)">(\d+)</a>', page.text)
        assert found
        for link, number in found:
            listed = get(client, link.replace("&amp;", "&")).text
            assert listed.count('<tr id="row-') == int(number), link
        (late,) = re.findall(r'href="(/desk\?overdue=true)">此刻超期 (\d+) 件', page.text)
        assert get(client, late[0]).text.count('<tr id="row-') == int(late[1])


def test_a_case_that_is_not_read_is_shown_as_none(door: Served) -> None:
    with browser(door, "street") as client:
        answers = [client.get(f"/cases/{id_}", headers=HTML) for id_ in (THEIRS, subject("WY02", 99))]
        assert [answer.status_code for answer in answers] == [404, 404]
        shown = [re.sub(r'value="[0-9a-f]{80}"', "", answer.text) for answer in answers]
    assert shown[0].replace(THEIRS, "") == shown[1].replace(subject("WY02", 99), "")


def test_a_case_says_who_holds_it_why_it_is_late_and_what_happened(door: Served) -> None:
    with browser(door, "all") as client:
        zh, en = get(client, f"/cases/{OURS}").text, get(client, f"/cases/{OURS}?lang=en").text
    assert "超期" in zh and "责任在" in zh and "经过" in zh and "时限怎么算的" in zh
    assert "overdue" in en and "What happened" in en and "How this deadline comes about" in en
    assert "dust" not in zh and "词" not in en.partition("<main")[0]


def test_words_are_read_by_posts_alone_and_each_reading_is_audited(local: Served) -> None:
    supervisor, stranger = as_post(local, "WY-CHIEF"), as_post(local, "WY02-01-MEMBER")
    page = get(supervisor, f"/cases/{OURS}")
    assert "dust" not in page.text and "看文字记录" in page.text
    before = audited(local)
    assert "dust" in get(supervisor, f"/cases/{OURS}?words=true").text
    assert audited(local) == before + 1
    assert stranger.get(f"/cases/{OURS}?words=true", headers=HTML).status_code == 404
    assert audited(local) == before + 1


def audited(door: Served) -> int:
    """How many readings of words the audit has."""
    with door.engine.database.read() as connection:
        sql = "SELECT count(*) FROM audit WHERE act = ?"
        return int(connection.exec_driver_sql(sql, (Act.WORDS_READ.value,)).scalar_one())


def test_in_english_no_word_of_the_page_is_chinese(door: Served) -> None:
    with browser(door, "chief") as client:
        for path in ("/sign-in?out=true", "/alerts", "/ranking?period=year", "/me"):
            shown = re.sub(r"<[^>]*>", " ", get(client, f"{path}{'&' if '?' in path else '?'}lang=en").text)
            ours = re.findall("督办台|我的告警|排名|退出|登录|期间|岗位|指标", shown)
            assert not ours, (path, ours)
        assert 'lang="en"' in get(client, "/desk").text  # the choice is kept


def test_a_search_finds_one_case_and_opens_it(door: Served) -> None:
    with browser(door, "all") as client:
        number = re.findall(r'<code class="quiet">(\d{9})</code>', get(client, "/desk").text)[0]
        assert client.get(f"/cases?search={number}", headers=HTML).headers["location"].startswith("/cases/WY0")
        assert "0 件" in get(client, "/cases?search=nothing").text


def test_alerts_are_those_of_the_post_and_are_marked_as_seen(local: Served) -> None:
    client = as_post(local, "WY01-CHIEF")
    wait_until(lambda: "条未读" in get(client, "/alerts").text)
    page = get(client, "/alerts")
    answer = send(client, "/alerts/seen", page.form("/alerts/seen"))
    assert answer.status_code == 303
    after = get(client, answer.headers["location"]).text
    assert "已标为已读" in after and "都看过了" in after


def test_ranks_have_both_sides_of_a_rate_and_open_their_cases(door: Served) -> None:
    with browser(door, "all") as client:
        page = get(client, "/ranking?period=year&rank=overdue")
        link = next(each for each in page.links if each.startswith("/figures"))
        assert "measure=overdue" in link
        assert OURS in get(client, link).text or THEIRS in get(client, link).text


def test_health_says_what_is_well_and_replays_a_letter(door: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bad = event("case.urged", "WY-CHIEF", now_ms(), case=OURS, id=f"bad-{uuid4()}") | {"data": {"note": 7}}
    head = {"Authorization": f"Bearer {TOKENS['chief']}"}
    assert door.post(bad, **head).status_code == 400
    with browser(door, "ops") as client:
        page = get(client, "/health")
        assert "封死信未处理" in page.text and "invalid" in page.text
        [asked] = [line for line in caplog.records if line.message == "operator.asked"]
        assert (asked.__dict__["principal"], asked.__dict__["path"]) == ("ops", "/health")
        assert "填写不符合要求" in page.text, "the reason in words"
        there = next(link for link in page.links if link.startswith("/health/letters/"))
        letter = get(client, there)
        assert "填写不符合要求" in letter.text and "<pre" not in letter.text
        shown = client.get(f"{there}?sealed=true", headers=HTML)
        assert shown.status_code == 200, shown.text[-900:]
        assert bad["id"] in shown.text
        with door.engine.database.read() as connection:
            assert audit.listed(connection, act=Act.SEALED_READ)[0].object == there.rpartition("/")[2]
        assert client.get("/health/letters/none", headers=HTML).status_code == 404
        (form,) = [each for each in page.forms if each[""].endswith("/replays")][:1]
        answer = send(client, form[""], {"mark": form["mark"]})
        assert answer.status_code == 303 and "how=" in answer.headers["location"]
        assert "重放结果" in get(client, answer.headers["location"]).text


def test_a_page_is_a_few_statements_whatever_it_lists(door: Served) -> None:
    """No statement is asked once for each line."""
    with browser(door, "chief") as client:
        for path in ("/desk", "/alerts", f"/cases/{OURS}"):
            get(client, path)
            recorder = Recorder(door.engine.database)
            get(client, path)
            said = [each.text for transaction in recorder.transactions for each in transaction.statements]
            assert 0 < len(said) < 20, (path, said)


# ---- acts ---------------------------------------------------------------------------------------------------

URGED = next(trigger for trigger, each in OF_ANY_CASE.items() if each.zh == "催办")
COMMENTED = next(trigger for trigger, each in OF_ANY_CASE.items() if each.zh == "备注")
DEADLINE = next(trigger for trigger, each in OF_ANY_CASE.items() if each.zh == "延期/督办")


def steps_of(door: Served, case: str, trigger: str) -> int:
    """How many steps of a case an event of this kind has made."""
    history = door.client.get(f"/v1/incidents/{case}").json()["history"]
    return sum(step["cause"]["type"] == f"gridpatrol.{trigger}.v1" for step in history)


def test_only_acts_that_the_post_may_do_now_are_there(local: Served) -> None:
    chief, stranger, nobody = as_post(local, "WY-CHIEF"), as_post(local, "WY01-01-CHIEF"), browser(local)
    offered = {form.get("trigger") for form in get(chief, f"/cases/{OURS}").forms}
    assert {URGED, COMMENTED, DEADLINE} <= offered
    below = {form.get("trigger") for form in get(stranger, f"/cases/{OURS}").forms}
    assert COMMENTED in below and DEADLINE not in below
    page = get(nobody, f"/cases/{OURS}")
    assert not any("trigger" in form for form in page.forms) and "选定岗位后才能办理" in page.text


def test_a_form_sent_twice_acts_once(local: Served) -> None:
    client, before = as_post(local, "WY-CHIEF"), steps_of(local, OURS, URGED)
    fields = get(client, f"/cases/{OURS}").form(f"/cases/{OURS}/acts", trigger=URGED)
    answers = [send(client, f"/cases/{OURS}/acts", fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert "已办：催办" in get(client, answers[0].headers["location"]).text
    assert "已提交过" in get(client, answers[1].headers["location"]).text
    assert steps_of(local, OURS, URGED) == before + 1


def test_at_another_gateway_too(local: Served) -> None:
    """Which has not kept the bytes: the engine knows the id, and does nothing again."""
    with served(local.engine) as other:
        client, before = as_post(local, "WY-CHIEF"), steps_of(local, OURS, URGED)
        fields = get(client, f"/cases/{OURS}").form(f"/cases/{OURS}/acts", trigger=URGED)
        assert send(client, f"/cases/{OURS}/acts", fields).status_code == 303
        head = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}", **HTML}
        again = httpx.post(f"{other.client.base_url}/cases/{OURS}/acts", data=fields, headers=head)
        assert again.status_code == 303 and "how=again" in again.headers["location"]
        assert steps_of(local, OURS, URGED) == before + 1


def test_nobodys_link_says_that_something_was_done(local: Served) -> None:
    client = as_post(local, "WY-CHIEF")
    for sure in ("", "0" * 24):
        assert "已办" not in get(client, f"/cases/{OURS}?said={URGED}&how=done&sure={sure}").text


def test_a_deadline_is_ordered_in_the_zone_of_the_pack(local: Served) -> None:
    client = as_post(local, "WY-SUPERVISOR")
    fields = get(client, "/desk").form(f"/desk/{THEIRS}/acts", trigger=DEADLINE) | {"due": "2037-03-02T18:00"}
    answer = send(client, f"/desk/{THEIRS}/acts", fields)
    assert answer.status_code == 200 and "已办：延期/督办" in answer.text
    case = httpx.get(f"{local.client.base_url}/v1/incidents/{THEIRS}").json()
    assert "2037-03-02T18:00:00+08:00" in {clock["due_at"] for clock in case["clocks"]}


def test_what_is_refused_is_told_with_its_reason_and_what_was_typed_stays(local: Served) -> None:
    client = as_post(local, "WY-SUPERVISOR")
    fields = get(client, f"/cases/{OURS}").form(f"/cases/{OURS}/acts", trigger=DEADLINE)
    typed = fields | {"limit": "soon & <b>", "clock": "total"}
    answer = send(client, f"/cases/{OURS}/acts", typed)
    assert answer.status_code == 422
    assert "没有办成" in answer.text and 'value="soon &amp; &lt;b&gt;"' in answer.text and "<b>" not in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_one_post_cannot_act_for_another(door: Served) -> None:
    with browser(door, "chief") as client:
        page = get(client, "/me")
        assert send(client, "/me/post", page.form("/me/post") | {"post": "WY01-CHIEF"}).status_code == 400
    with browser(door, "all") as reader:
        page = get(reader, f"/cases/{OURS}")
        fields = {"mark": page.form("/sign-out")["mark"], "trigger": URGED, "event": str(uuid4())}
        assert send(reader, f"/cases/{OURS}/acts", fields).status_code == 403


def test_the_stream_says_that_something_moved_and_nothing_of_it(local: Served) -> None:
    client = as_post(local, "WY-CHIEF")
    fields = get(client, f"/cases/{THEIRS}").form(f"/cases/{THEIRS}/acts", trigger=URGED)
    (link,) = [each for each in get(client, "/desk").links if each.startswith("/desk/stream")]
    assert send(client, f"/cases/{THEIRS}/acts", fields).status_code == 303  # between the page and its stream
    with client.stream("GET", link) as answer:
        text, lines = "", answer.iter_lines()
        while "event: moved" not in text and "still here" not in text:
            text += f"{next(lines)}\n"
        text += next(lines)
    assert text.index("event: opened") < text.index("event: moved") and "WY" not in text


def test_postgresql_answers_each_page_the_same(postgres_server: URL) -> None:
    with fresh_database(postgres_server) as url, prepared(url) as engine:
        long_overdue(engine)
        with served(engine) as running:
            client = as_post(running, "WY-CHIEF")
            wait_until(lambda: "条未读" in get(client, "/alerts").text or "还没有发给" in get(client, "/alerts").text)
            assert "此刻超期 2 件" in get(client, "/desk").text
            assert "经过" in get(client, f"/cases/{OURS}").text and get(client, "/health").status == 200
            assert OURS in get(client, "/desk?office=WY01").text
            assert get(client, "/ranking?period=year").status == 200
            fields = get(client, f"/cases/{OURS}").form(f"/cases/{OURS}/acts", trigger=URGED)
            answer = send(client, f"/cases/{OURS}/acts", fields)
            assert "已办：催办" in get(client, answer.headers["location"]).text


def test_only_the_application_imports_the_console() -> None:
    root = Path(mount.__file__).parents[2]
    importers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "engine.console" in path.read_text(encoding="utf-8") and "console" not in path.relative_to(root).parts
    }
    assert importers == {"http/app.py"}

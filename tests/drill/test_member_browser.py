"""The pages of a grid member in a real Chromium at phone width: a day without a network with a browser that is killed,
what one act may become, two members on one phone, and what a judge of accessibility says of each page.

`GRIDPATROL_SCREENSHOTS=DIR` keeps a picture of every page.
"""

from __future__ import annotations

import os
import signal
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from engine.clock import now_ms
from engine.console.pages import member
from engine.principals import digest_of, new_token
from tests.integration.test_door import report
from tests.support.browser import PICTURES, axe, browsing, chromium
from tests.support.builders import DUST, LEAF, LEAF_CHIEF, MEMBER, STREET, changed, event, shipped, subject
from tests.support.serving import Served, prepared, served
from tests.support.settings_files import put_file
from workflows.clocks.limits import DAY_MS, HOUR_MS

TOKENS = {name: new_token() for name in ("member", "other")}
FILE = f"""
[principal.member]
actors = ["{MEMBER}"]
reads = ["{LEAF}"]
tokens = ["{digest_of(TOKENS["member"])}"]
[principal.other]
actors = ["{LEAF_CHIEF}"]
reads = ["{LEAF}"]
tokens = ["{digest_of(TOKENS["other"])}"]
"""
PHONE = {"width": 360, "height": 740}
HERE = {"longitude": 108.8450, "latitude": 34.3850, "accuracy": 9}
PAGES = ("today", "problem", "outbox", "cases", "checks", "patrol")
CHECKED, FRESH = subject("WY01", 1), subject("WY01", 2)
WAIT_MS = 30_000
SAY = (
    "member.say([{ id: member.newId(), type: 'gridpatrol.report.submitted.v1', about: '裸土',"
    " subject: member.newSubject('WY01'), data: { category: 'D3-01', source: 'patrol', grid: 'WY01-01' } }])"
)
"""A report, as a page keeps it."""


def png(wide: int, high: int, rows: bytes) -> bytes:
    """A PNG of rows that begin with their filter."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def picture(colour: tuple[int, int, int], wide: int = 1800, high: int = 1200) -> bytes:
    """A field of one colour under a sky."""
    sky, ground = b"\x00" + bytes((196, 214, 230)) * wide, b"\x00" + bytes(colour) * wide
    return png(wide, high, sky * (high // 3) + ground * (high - high // 3))


def leaves(wide: int = 1200, high: int = 900) -> bytes:
    """A picture that does not compress: more than one piece when it is sent."""
    return png(wide, high, b"".join(b"\x00" + os.urandom(3 * wide) for _ in range(high)))


def file_of(data: bytes) -> dict[str, Any]:
    """A photo as a browser is given it."""
    return {"name": "photo.png", "mimeType": "image/png", "buffer": data}


def iso(ms: int) -> str:
    """An instant as events have it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def happen(door: Served) -> None:
    """A case that was handled and is to be checked, with a photo from before and one from after, and a patrol's find
    that is to be dissuaded."""
    photos = {kind: picture(colour) for kind, colour in (("far", (150, 118, 82)), ("after", (96, 140, 92)))}
    named = {kind: {"sha256": sha256(data).hexdigest(), "kind": kind} for kind, data in photos.items()}
    for kind, data in photos.items():
        assert door.client.put(f"/v1/files/{named[kind]['sha256']}", content=data).status_code == 201
    now = now_ms()
    found = report(CHECKED, now, evidence=[named["far"]])
    said = [
        found,
        event("incident.accepted", STREET, now, case=CHECKED, id="accepted"),
        event("handling.completed", STREET, now, case=CHECKED, id="handled", evidence=[named["after"]]),
        event("report.submitted", MEMBER, now, case=FRESH, id="found", category=DUST, source="patrol", grid=LEAF),
    ]
    for each in said:
        assert door.post(each, Prefer="wait=20").json()["outcome"] == "done"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door of this machine, in whose pack the posts of leaf grids owe a patrol each day."""
    pack = changed(shipped(), duties=tuple(row for row in shipped().pack.duties if row.code == "PATROL"))
    with prepared(f"sqlite:///{tmp_path_factory.mktemp('member') / 'gridpatrol.db'}") as engine:
        engine.install(pack.pack, now_ms() - 2 * DAY_MS)
        engine.drain()
        with served(engine) as running:
            happen(running)
            yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that asks for tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    file = put_file(folder / "principals.toml", FILE)
    with prepared(f"sqlite:///{folder / 'gridpatrol.db'}", principals=str(file)) as engine, served(engine) as running:
        yield running


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    """One browser for all tests but the one that is killed."""
    with browsing() as opened:
        yield opened


def base_of(door: Served) -> str:
    """The address of a door."""
    return str(door.client.base_url).rstrip("/")


def watched(page: Any, base: str) -> Any:
    """A page that notes every request that leaves its door and every complaint of the browser."""
    page.strayed, page.complaints = [], []
    page.on(
        "request",
        lambda asked: page.strayed.append(asked.url) if not asked.url.startswith((base, "blob:")) else None,
    )
    page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


def complaints(page: Any) -> list[str]:
    """What the browser complained of, but for answers that are expected and for the network that was away."""
    expected = ("ERR_INTERNET_DISCONNECTED", "404", "401", "409", "403", "503", "429", "ERR_FAILED")
    return [each for each in page.complaints if not any(known in each for known in expected)]


@contextmanager
def phone(door: Served, chrome: Any, post: str = MEMBER, **more: Any) -> Iterator[Any]:
    """A phone on which a post was chosen."""
    base = base_of(door)
    given = {"geolocation": HERE, "permissions": ["geolocation"], "viewport": PHONE, "has_touch": True} | more
    context = chrome.new_context(base_url=base, **given)
    page = watched(context.new_page(), base)
    choose(page, post)
    try:
        yield page
        assert not page.strayed and not complaints(page), (page.strayed, complaints(page))
    finally:
        context.close()


def choose(page: Any, post: str) -> None:
    """Act for a post from now on."""
    page.goto(f"/me?q={post}&next=/m/today")
    page.locator(f"button[value='{post}']").click()
    page.wait_for_url("**/m/today")
    ready(page, "today")
    page.locator(".net[data-state=online]").wait_for(timeout=WAIT_MS)


def ready(page: Any, name: str) -> None:
    """Wait until a page shows what the phone keeps."""
    page.locator(f"body[data-ready={name}]").wait_for(timeout=WAIT_MS)


def show(page: Any, name: str) -> None:
    """Go to a page."""
    page.goto(f"/m/{name}")
    ready(page, name)


def kept_acts(page: Any) -> list[dict[str, Any]]:
    """What the outbox of the phone has, in order."""
    found: list[dict[str, Any]] = page.evaluate("member.acts()")
    return found


def settle(page: Any, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Wait until the acts are as they should be, and give them."""
    end = time.monotonic() + WAIT_MS / 1000
    while not until(rows := kept_acts(page)):
        if time.monotonic() > end:
            told = [(row["event"]["type"], row["state"], row.get("detail")) for row in rows]
            raise AssertionError((told, page.evaluate("JSON.stringify(member.sync)"), page.complaints))
        page.wait_for_timeout(50)
    return rows


def is_settled(rows: list[dict[str, Any]]) -> bool:
    """Whether all acts of a phone were decided."""
    return bool(rows) and all(row["state"] in ("done", "refused", "rejected", "conflict") for row in rows)


def file_report(page: Any, photo: bytes | None, dissuasion: str, words: str) -> None:
    """Report a problem as a member does."""
    show(page, "problem")
    if photo is not None:
        page.locator(".photo-field input[type=file]").set_input_files(file_of(photo))
        page.locator(".photos img").first.wait_for(timeout=WAIT_MS)
    page.locator("#category").select_option(DUST)
    page.locator(f"input[name=dissuasion][value='{dissuasion}']").check()
    page.locator("#locate").click()
    page.locator(".place-map .spot").wait_for(timeout=WAIT_MS)
    page.locator("#description").fill(words)


def keep_picture(page: Any, name: str) -> None:
    """Keep a picture of a page as it is now, where pictures are asked for."""
    if folder := os.environ.get(PICTURES):
        page.screenshot(path=str(Path(folder) / f"member-{name}-zh-360-light.png"), full_page=True)


def steps_of(door: Served, case: str) -> list[dict[str, Any]]:
    """The history of a case."""
    found: list[dict[str, Any]] = door.get(f"/v1/incidents/{case}")["history"]
    return found


# ---- how the pages look and what they say -------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_answers_its_question_fits_a_phone_and_offends_no_judge(
    door: Served, chrome: Any, scheme: str
) -> None:
    judge, folder = axe(), os.environ.get(PICTURES)
    answers = {
        "today": ("还有", "left"),
        "problem": ("上报问题", "Report a problem"),
        "outbox": ("都办完了", "All is settled"),
        "cases": ("我报的在办", "of mine are open"),
        "checks": ("待核查 1 处", "1 to check"),
        "patrol": ("还没开始巡查", "No patrol is running"),
    }
    told = list[tuple[str, str, str]]()
    with phone(door, chrome, color_scheme=scheme, bypass_csp=True) as page:
        for name in PAGES:
            for number, language in enumerate(("zh", "en")):
                page.goto(f"/m/{name}?lang={language}")
                ready(page, name)
                page.locator(".net[data-state=online]").wait_for(timeout=WAIT_MS)
                assert answers[name][number] in page.locator(".answer").first.inner_text(), (name, language)
                assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], (name, language)
                small = page.evaluate(
                    "[...document.querySelectorAll('button, summary, .button, #menu a, select, label.big')]"
                    ".filter(each => each.offsetParent && each.getBoundingClientRect().height < 43)"
                    ".map(each => each.outerHTML.slice(0, 90))"
                )
                assert not small, (name, small)
                if name == "checks":
                    page.locator(".compare img").nth(1).wait_for(timeout=WAIT_MS)
                if folder:
                    shot = Path(folder) / f"member-{name}-{language}-360-{scheme}.png"
                    page.screenshot(path=str(shot), full_page=True)
            page.evaluate(judge)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
            told += [(name, each["id"], each["nodes"][0]["html"][:160]) for each in serious]
        page.goto("/m/today?lang=zh")
    assert not told, "\n".join(map(str, told))


# ---- a day without a network --------------------------------------------------------------------------------


@contextmanager
def own_browser(chrome: Any, folder: Path, base: str) -> Iterator[tuple[Any, Any]]:
    """A browser that keeps what it stores in a folder, and a page of it."""
    context = chrome.browser_type.launch_persistent_context(
        str(folder),
        executable_path=chromium(),
        args=["--no-sandbox", "--disable-dev-shm-usage"],
        base_url=base,
        viewport=PHONE,
        geolocation=HERE,
        permissions=["geolocation"],
    )
    try:
        yield context, watched(context.new_page(), base)
    finally:
        context.close()


def kill(folder: Path) -> None:
    """End the browser that keeps its things in a folder, and all of its processes, at once."""
    asked = f"--user-data-dir={folder}".encode()
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().split(b"\0")
        except OSError:
            continue
        if asked in words and not any(word.startswith(b"--type=") for word in words):
            os.kill(int(each.parent.name), signal.SIGKILL)
            return
    raise AssertionError("there is no such browser")


def record_check(page: Any, case: str, outcome: str) -> None:
    """Say on the page of checks what came of one."""
    task = page.locator(f"li[id='{case}']")
    task.locator("details.act-form summary").click()
    task.locator(f"form.act input[value='{outcome}']").check()
    task.locator("form.act button.main").click()


def test_a_day_without_a_network_and_a_killed_browser_lose_nothing_and_double_nothing(
    door: Served, chrome: Any, tmp_path: Path
) -> None:
    base, folder, now = base_of(door), tmp_path / "browser", now_ms()
    morning = now - 23 * HOUR_MS
    told = dict[str, str]()  # the instant of each act by its id, as the phone kept it

    def at(page: Any, hours: float) -> None:
        page.clock.set_system_time((morning + round(hours * HOUR_MS)) / 1000)

    def remember(page: Any, count: int) -> None:
        rows = settle(page, lambda rows: len(rows) == count)
        told.update({row["id"]: row["event"]["time"] for row in rows})
        assert all(row["state"] == "waiting" for row in rows)

    try:
        with own_browser(chrome, folder, base) as (context, page):
            choose(page, MEMBER)
            page.locator("body[data-worker='1']").wait_for(timeout=WAIT_MS)
            settle(page, lambda _: page.evaluate("member.kept('pack').then(Boolean)"))
            context.set_offline(True)
            at(page, 0)
            for hour, (dissuasion, photo) in enumerate((("ineffective", picture((150, 90, 60))), ("effective", None))):
                at(page, 1 + 2 * hour)
                file_report(page, photo, dissuasion, f"裸土未覆盖 {hour}")
                page.locator("#report-form button.main").dblclick()
                page.locator("#kept").wait_for(timeout=WAIT_MS)
            remember(page, 5)  # a report, a dissuasion in vain and a reporting up; a report and a dissuasion
            show(page, "checks")
            at(page, 7)
            record_check(page, CHECKED, "solved")
            remember(page, 6)
            at(page, 9)
            file_report(page, picture((60, 90, 150)), "", "还没写完")
            settle(page, lambda _: "还没写完" in page.evaluate("member.kept('draft:report').then(JSON.stringify)"))
            kill(folder)
    except Exception as error:  # the driver misses its browser
        assert "closed" in str(error) or "Target" in str(error), error
    with own_browser(chrome, folder, base) as (context, page):
        context.set_offline(True)
        at(page, 10)
        show(page, "outbox")
        assert "6 件待发" in page.locator(".answer").inner_text()
        keep_picture(page, "outbox-offline")
        remember(page, 6)
        show(page, "problem")
        assert page.locator("#description").input_value() == "还没写完"
        assert page.locator(".photos img").count() == 1 and page.locator("#category").input_value() == DUST
        keep_picture(page, "problem-draft")
        at(page, 11)
        page.locator("input[name=dissuasion][value=ineffective]").check()
        page.locator("#report-form button.main").click()
        page.locator("#kept").wait_for(timeout=WAIT_MS)
        keep_picture(page, "problem-kept-offline")
        remember(page, 9)
        show(page, "today")
        keep_picture(page, "today-offline")
        at(page, 12)
        show(page, "cases")
        line = page.locator("li.task", has_text="待发").first
        line.locator("details.more > summary").click()
        line.locator("summary", has_text="备注").click()
        line.locator("textarea").fill("下午再看")
        line.locator("form.act button.main").click()
        remember(page, 10)
        page.clock.set_system_time(now_ms() / 1000)  # a patrol of the day: that day may have begun a minute ago
        show(page, "patrol")
        page.locator("button.main", has_text="开始巡查").click()
        keep_picture(page, "patrol-running")
        page.locator("button.main", has_text="结束巡查").click()
        remember(page, 11)
        context.set_offline(False)
        settle(page, lambda _: page.evaluate("member.sync.state") in ("online", "nopost"))
        if page.evaluate("member.sync.state") == "nopost":  # a browser that is killed may forget its session
            choose(page, MEMBER)
        rows = settle(page, is_settled)
        settle(page, lambda _: page.evaluate("member.waitingPhotos().then(all => !all.length)"))
        assert not page.strayed and not complaints(page), (page.strayed, complaints(page))
    assert {row["id"]: row["state"] for row in rows} == dict.fromkeys(told, "done"), rows
    assert {row["id"]: row["event"]["time"] for row in rows} == told
    happened = list[tuple[str, str]]()
    for case in {row["subject"] for row in rows}:
        found = door.get(f"/v1/incidents/{case}")
        assert all(file["state"] == "here" for file in found["files"])
        for step in found["history"]:
            if step["cause"]["id"] in told:
                happened.append((step["cause"]["id"], step["cause"]["occurred_at"]))
    assert len(happened) == len(told) == 11  # each of them once
    for id_, occurred in happened:
        assert datetime.fromisoformat(occurred) == datetime.fromisoformat(told[id_].replace("Z", "+00:00"))


# ---- what becomes of one act --------------------------------------------------------------------------------


def test_what_is_refused_says_why_and_is_mended_and_sent_anew(door: Served, chrome: Any) -> None:
    with phone(door, chrome, service_workers="block") as page:
        show(page, "problem")
        page.evaluate(
            "member.say([{ id: member.newId(), type: 'gridpatrol.report.submitted.v1', about: '裸土',"
            " subject: member.newSubject('WY01'), data: { category: 'NO-SUCH', source: 'patrol', grid: 'WY01-01' } }])"
        )
        page.evaluate("member.sync.soon()")
        settle(page, is_settled)
        show(page, "outbox")
        assert "1 件没办成" in page.locator(".answer").inner_text()
        entry = page.locator("li.sent[data-state=refused], li.sent[data-state=rejected]")
        entry.locator("summary", has_text="改").click()
        entry.locator("select[id$=-category]").select_option(DUST)
        keep_picture(page, "outbox-mending")
        entry.locator("button.main").click()
        rows = settle(page, lambda rows: len(rows) == 2 and is_settled(rows))
        assert [row["state"] for row in rows][1] == "done" and rows[0]["mended"] == rows[1]["id"]
        assert rows[0]["subject"] == rows[1]["subject"] and rows[0]["event"]["time"] == rows[1]["event"]["time"]
        assert len(steps_of(door, rows[1]["subject"])) >= 1


def test_what_came_early_is_parked_and_says_for_what(door: Served, chrome: Any) -> None:
    with phone(door, chrome, service_workers="block") as page:
        page.evaluate(
            "member.say([{ id: member.newId(), type: 'gridpatrol.dissuasion.recorded.v1', about: '扬尘',"
            " subject: member.newSubject('WY01'), data: { outcome: 'effective' } }])"
        )
        page.evaluate("member.sync.soon()")
        settle(page, lambda rows: [row["state"] for row in rows] == ["parked"])
        show(page, "outbox")
        line = page.locator("li.sent[data-state=parked]").inner_text()
        keep_picture(page, "outbox-parked")
        assert "等前一步" in line and "发现" in line
        rows = kept_acts(page)
        born = event("report.submitted", MEMBER, now_ms(), case=rows[0]["subject"], id="late", grid=LEAF)
        born["data"] |= {"category": DUST, "source": "patrol"}
        assert door.post(born, Prefer="wait=20").json()["outcome"] == "done"
        page.evaluate("member.sync.soon()")
        settle(page, lambda rows: [row["state"] for row in rows] == ["done"])


def test_a_cut_photo_goes_on_where_it_was_and_an_answer_that_was_lost_doubles_nothing(
    door: Served, chrome: Any
) -> None:
    with phone(door, chrome, service_workers="block") as page:
        ranges, batches = list[str](), list[int]()

        def cut(route: Any) -> None:
            if route.request.method == "PUT":
                ranges.append(route.request.headers["content-range"])
                if len(ranges) == 2:
                    route.abort()
                    return
            route.continue_()

        def lose(route: Any) -> None:
            answer = route.fetch()
            batches.append(answer.status)
            if len(batches) == 1:
                route.abort()
            else:
                route.fulfill(response=answer)

        file_report(page, leaves(), "effective", "")
        page.route("**/m/v1/files/*", cut)
        page.route("**/m/v1/events/batch", lose)
        page.locator("#report-form button.main").click()
        page.locator("#kept").wait_for(timeout=WAIT_MS)
        rows = settle(page, is_settled)
        settle(page, lambda _: page.evaluate("member.waitingPhotos().then(all => !all.length)"))
        assert [row["state"] for row in rows] == ["done", "done"]
        first = [each.partition("/")[0].removeprefix("bytes ").partition("-")[0] for each in ranges]
        assert first[:3] == ["0", "262144", "262144"] and len(ranges) > 3, ranges
        assert batches[0] == 202
        found = door.get(f"/v1/incidents/{rows[0]['subject']}")
        assert [file["state"] for file in found["files"]] == ["here"]
        ids = [step["cause"]["id"] for step in found["history"]]
        assert all(ids.count(row["id"]) == 1 for row in rows)


def test_what_is_known_nearby_is_told_before_a_report_is_sent(door: Served, chrome: Any) -> None:
    near = {"lon": HERE["longitude"], "lat": HERE["latitude"], "crs": "WGS84"}
    said = event("report.submitted", MEMBER, now_ms(), case=subject("WY01", 3), id="near")
    said["data"] |= {"category": DUST, "source": "patrol", "position": near}
    assert door.post(said, Prefer="wait=20").json()["outcome"] == "done"
    with phone(door, chrome, service_workers="block") as page:
        file_report(page, None, "effective", "")
        page.locator("#report-form .outcome", has_text="附近已有").wait_for(timeout=WAIT_MS)
        keep_picture(page, "problem-nearby")


def test_a_busy_server_is_left_alone_for_as_long_as_it_says(door: Served, chrome: Any) -> None:
    with phone(door, chrome, service_workers="block") as page:
        asked = list[int]()

        def busy(route: Any) -> None:
            asked.append(1)
            route.fulfill(status=503, headers={"Retry-After": "3600"}, json={"reason": "busy"})

        page.route("**/m/v1/events/batch", busy)
        show(page, "cases")
        page.evaluate(
            "(() => { const kept = window.setTimeout; window.waits = [];"
            " window.setTimeout = (go, ms, ...more) => { window.waits.push(ms); return kept(go, ms, ...more); }; })()"
        )
        page.evaluate(SAY)
        page.evaluate("member.sync.soon()")
        settle(page, lambda _: page.evaluate("window.waits.some(ms => ms >= 3600000)"))
        assert [row["state"] for row in kept_acts(page)] == ["waiting"] and asked
        page.unroute("**/m/v1/events/batch")
        page.evaluate("member.sync.soon()")
        settle(page, is_settled)


def test_a_full_phone_says_so_and_keeps_what_was_typed(door: Served, chrome: Any) -> None:
    with phone(door, chrome, service_workers="block") as page:
        page.add_init_script("navigator.storage.estimate = async () => ({ quota: 1e9, usage: 999e6 });")
        file_report(page, None, "effective", "写好的话")
        assert "快满了" in page.locator("#report-form .outcome").first.inner_text()
        page.evaluate("void (member.keepPhoto = async () => { throw new DOMException('', 'QuotaExceededError'); })")
        page.locator(".photo-field input[type=file]").set_input_files(file_of(picture((1, 2, 3))))
        page.locator(".photo-field .outcome.bad").wait_for(timeout=WAIT_MS)
        assert "没有存下" in page.locator(".photo-field .outcome.bad").inner_text()
        page.evaluate("void (member.say = async () => { throw new DOMException('', 'QuotaExceededError'); })")
        page.locator("#report-form button.main").click()
        page.locator("#report-form .outcome.bad", has_text="填的都还在").wait_for(timeout=WAIT_MS)
        show(page, "problem")
        assert page.locator("#description").input_value() == "写好的话" and not kept_acts(page)


UPDATE = """async () => {
  const registration = await navigator.serviceWorker.getRegistration();
  await registration.update().catch(() => null);
  const kept = (await caches.keys()).filter((name) => !name.endsWith("language"));
  return { kept, stands: ["installing", "waiting", "active"].map((which) => registration[which]?.state ?? "") };
}"""
"""A browser looks for a release with each page that it opens. A look may fail right after the network came back."""
PATIENT_S = 12.0
"""How long a new worker may wait for the old one."""


def test_a_new_release_takes_over_when_all_of_its_files_are_there_and_not_before(
    door: Served, chrome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine Chromium sometimes believes for minutes that a worker which has nothing to do is at work, and
    lets the next one wait, all of whose files are there. Another phone has better luck."""
    assert any(takes_over(door, chrome, monkeypatch) for _ in range(4))


def takes_over(door: Served, chrome: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a new release takes over on one phone, after one that was broken; else it waits for the old one."""
    monkeypatch.undo()
    script = member.worker_script()
    version = script.partition(b'"')[2].partition(b'"')[0]
    with phone(door, chrome) as page:
        page.locator("body[data-worker='1']").wait_for(timeout=WAIT_MS)
        broken = script.replace(version, b"broken").replace(b'"/m/manifest.webmanifest"', b'"/m/nowhere"')
        monkeypatch.setattr(member, "worker_script", lambda: broken)
        ended = page.evaluate(
            "navigator.serviceWorker.getRegistration().then(one => one.update()).then(one => new Promise(done => {"
            " const next = one.installing; if (!next) { done('none'); return; }"
            " next.onstatechange = () => done(next.state); }), error => 'refused')"
        )
        assert ended in ("redundant", "none", "refused")
        page.context.set_offline(True)
        show(page, "outbox")
        page.context.set_offline(False)
        monkeypatch.setattr(member, "worker_script", lambda: script.replace(version, b"next"))
        until, patient_until = time.monotonic() + WAIT_MS / 1000, None
        while (seen := page.evaluate(UPDATE))["kept"] != ["gridpatrol next"]:
            now = time.monotonic()
            assert now < until, (seen, page.complaints)
            if seen["stands"] == ["", "installed", "activated"]:
                patient_until = patient_until or now + PATIENT_S
                if now > patient_until:
                    return False
            page.wait_for_timeout(50)
        page.context.set_offline(True)
        show(page, "today")
        page.context.set_offline(False)
        return True


def test_an_address_that_is_not_secure_says_so_and_takes_no_photo(door: Served, chrome: Any) -> None:
    with phone(door, chrome, service_workers="block") as page:
        page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false });")
        show(page, "problem")
        assert "不是 https" in page.locator("#status").inner_text()
        page.locator(".photo-field input[type=file]").set_input_files(file_of(picture((1, 2, 3))))
        page.locator(".photo-field .outcome.bad", has_text="不能存照片").wait_for(timeout=WAIT_MS)


# ---- who has signed in --------------------------------------------------------------------------------------


def sign_in(page: Any, name: str) -> None:
    """Sign in with a token."""
    page.goto("/sign-in?out=true&next=/m/today")
    page.locator("#token").fill(TOKENS[name])
    page.locator("button.main").click()
    page.wait_for_url("**/m/today")
    ready(page, "today")
    page.locator(".net[data-state=online]").wait_for(timeout=WAIT_MS)


def test_another_member_on_the_phone_neither_sees_nor_sends_what_the_first_one_left(
    guarded: Served, chrome: Any
) -> None:
    base = base_of(guarded)
    context = chrome.new_context(base_url=base, viewport=PHONE, service_workers="block")
    page = watched(context.new_page(), base)
    sign_in(page, "member")
    page.route("**/m/v1/events/batch", lambda route: route.abort())
    page.evaluate(SAY)
    mine = kept_acts(page)
    show(page, "today")
    page.locator("#leave").click()
    page.locator("#leaving", has_text="还有 1 件").wait_for(timeout=WAIT_MS)
    keep_picture(page, "leaving")
    page.locator("#leaving button", has_text="仍要退出").click()
    page.wait_for_url("**/sign-in**")
    page.unroute("**/m/v1/events/batch")
    sign_in(page, "other")
    assert kept_acts(page) == []
    show(page, "outbox")
    told = page.locator("#page").inner_text()
    assert "另有别人未发的 1 件" in told and "裸土" not in told
    # A page that the first one left open in another tab sends nothing in the session of the second one.
    sign_in(page, "member")
    page.evaluate("void (member.meet = async () => { throw new member.errors.Away('asleep'); })")
    tab = context.new_page()
    sign_in(tab, "other")
    refused = page.evaluate("member.ask('/m/v1/outcomes?source=x').then(() => 'answered', (error) => error.message)")
    assert refused == "another_member"
    # Nor does it while it asks anew who has signed in: it shows the second one.
    sign_in(page, "member")
    settle(page, is_settled)
    page.route("**/m/v1/events/batch", lambda route: route.abort())
    page.evaluate(SAY)
    sign_in(tab, "other")
    page.unroute("**/m/v1/events/batch")
    page.evaluate("member.sync.soon()")
    settle(page, lambda rows: rows == [])
    tab.close()
    sign_in(page, "member")
    rows = settle(page, is_settled)
    assert [row["state"] for row in rows] == ["done", "done"] and rows[0]["id"] == mine[0]["id"]
    assert rows[0]["event"]["actor"] == MEMBER and not page.strayed
    context.close()


def test_a_session_that_is_over_asks_to_sign_in_and_loses_nothing(guarded: Served, chrome: Any) -> None:
    base = base_of(guarded)
    context = chrome.new_context(base_url=base, viewport=PHONE, service_workers="block")
    page = watched(context.new_page(), base)
    sign_in(page, "member")
    context.clear_cookies()
    page.evaluate(SAY)
    show(page, "outbox")
    page.locator("#status", has_text="登录已过期").wait_for(timeout=WAIT_MS)
    keep_picture(page, "signed-out")
    before = kept_acts(page)
    assert before[-1]["state"] == "waiting"
    sign_in(page, "member")
    rows = settle(page, is_settled)
    assert rows[-1]["id"] == before[-1]["id"] and rows[-1]["state"] == "done"
    context.close()

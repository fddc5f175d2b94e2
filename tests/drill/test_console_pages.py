"""The pages of supervisors and operators in a real Chromium: each answers its question, fits its width in both
languages, offends no judge, and nothing leaves the machine. `GRIDPATROL_SCREENSHOTS=DIR` keeps a picture of every page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from consumers.performance import consume
from engine.clock import now_ms
from engine.console.pages import mount
from engine.views.supervisions import PROPOSE
from gridpatrol.run.channel_probe import FileProbe
from tests.drill.test_console_browser import PAGES as FIRST
from tests.drill.test_console_browser import check_print, chrome, opened_page
from tests.drill.test_member_browser import PAGES as MEMBERS
from tests.integration.test_channel_command import webhook
from tests.integration.test_console import as_post, close_browsers
from tests.integration.test_console_supervisor import DECIDE, SERVE, act, bear_duties, month_of_duties, propose
from tests.integration.test_petitions_page import HOTLINE, LATE, MESSAGE, OVER, USUAL, answered, say, take
from tests.integration.test_reading import OURS, THEIRS, long_overdue
from tests.support.browser import PICTURES, axe
from tests.support.builders import HOUR, event, shipped, subject
from tests.support.receivers import http_receiver
from tests.support.serving import Served, prepared, served, tell

__all__ = ["chrome", "close_browsers"]
SCRIPTS = ("/m/v1/", "/m/session", "/m/manifest", "/m/worker", "/m/icon")
SUPERVISOR = "WY-SUPERVISOR"
NO_PAGES = ("/static/", "/desk/stream", "/ledger.", "/reports/{", *SCRIPTS)
"""Files, streams and what scripts ask for."""
MONTH = quote(month_of_duties())
PAGES = {
    "supervision": ("/supervision", "督办在办", "Supervisions open"),
    "supervision-ended": ("/supervision?ended=true", "已结束", "have ended"),
    "approvals": ("/approvals", "在办 1 件", "Open: 1"),
    "approvals-ended": ("/approvals?ended=true", "已办结", "have ended"),
    "approval-new": ("/approvals/new", "", ""),
    "approval-money": ("/approvals/money", "", ""),
    "petitions": ("/petitions", "在办 3 件", "Open: 3"),
    "petitions-ended": ("/petitions?ended=true", "已结束 1 件", "1 have ended"),
    "proposal": (f"/supervision/new?about={OURS}", "", ""),
    "joint": ("/joint", "没有在办的协办件", "No part is open"),
    "sheet": ("/assessment?card=TOWN-QUARTER", "排名", "ranked"),
    "sheet-opened": ("/assessment?card=TOWN-QUARTER&subject=WY01", "得", "points"),
    "duties": (f"/duties?grid=WY01&month={MONTH}", "履职率", "kept"),
    "duties-post": (f"/duties?post=WY01-01-MEMBER&month={MONTH}", "未履职", "missed"),
    "unit": ("/units/WY01", "本月", "month"),
    "department": ("/units/WY-URBAN", "本月", "month"),
    "sponsors": (f"/sponsors?month={MONTH}", "有包抓领导", "have a sponsor"),
    "signals": ("/signals", "台设备", "devices"),
    "responsibility": ("/responsibility?grid=WY01-01&category=D3-04", "办理", "to act on"),
    "packs": ("/packs", "现行策略包", "active pack"),
    "tokens": ("/tokens", "有令牌", "have a token"),
    "channels": ("/channels", "渠道", "channels"),
    "whatif": ("/whatif", "换一个策略包", "another pack"),
    "health": ("/health", "。", "."),
    "audit": ("/audit", "还没有核对过", "nobody has verified"),
}
LOOKS_AS = {"approval-new": HOTLINE}
"""Pages that not everybody has, and a post that has them; the others are looked at as a supervisor."""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door of this machine with overdue cases, duties of some days, two supervisions, petitions, and a channel."""
    folder = tmp_path_factory.mktemp("pages")
    with prepared(f"sqlite:///{folder / 'gridpatrol.db'}") as engine, http_receiver() as receiver:
        engine.consumers = [consume.consume, *engine.consumers]
        engine.install(shipped().pack, now_ms() - 482 * HOUR)
        long_overdue(engine)
        bear_duties(engine)
        filed = {"matter": "eia-form", "grid": "WY01", "department": "WY-EPB", "lane": "emergency"}
        then = now_ms() - 40 * 24 * HOUR
        said = event("approval.filed", "WY-12345", then, case=subject("XA", 77), **filed)
        assert tell(engine, said, then) == "done"
        for id_, via in ((LATE, ""), (USUAL, ""), (MESSAGE, "message-board"), (OVER, "")):
            take(engine, id_, then, via)
        answered(engine, USUAL, then + HOUR, "dissatisfied")
        answered(engine, OVER, then + HOUR, "satisfied")
        say(engine, "petition.ended", HOTLINE, then + 5 * HOUR, OVER)
        with served(engine, channels=FileProbe(str(webhook(folder, receiver)))) as running:
            desk, office = as_post(running, "WY-DISPATCH"), as_post(running, "WY-OFFICE")
            id_, _ = propose(desk, about=OURS)
            act(office, id_, DECIDE)
            act(office, id_, SERVE)
            propose(as_post(running, SUPERVISOR), about=THEIRS, action="listed")
            unknown = event("report.submitted", "WY01-01-MEMBER", now_ms(), case=subject("WY01", 88), id="no-such")
            unknown["data"] |= {"category": "NO-SUCH", "source": "patrol", "grid": "WY01-01"}
            assert running.post(unknown, Prefer="wait=20").json()["outcome"] == "refused"
            yield running


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1440, "light"), (1440, "dark")])
def test_every_page_answers_its_question_fits_its_width_and_offends_no_judge(
    door: Served, chrome: Any, width: int, scheme: str
) -> None:
    judge, folder, looks_as = axe(), os.environ.get(PICTURES), SUPERVISOR
    for page in opened_page(door, chrome, width, color_scheme=scheme, bypass_csp=True):
        told = list[tuple[str, str, str]]()
        page.goto("/health")
        letter = page.locator("a[href^='/health/letters/']").first.get_attribute("href")
        for name, (path, *answers) in {**PAGES, "letter": (letter, "没有这个代码", "does not know this code")}.items():
            if (post := LOOKS_AS.get(name, SUPERVISOR)) != looks_as:
                page.goto(f"/me?q={post}")
                page.locator(f"button[value='{post}']").click()
                looks_as = post
            for number, language in enumerate(("zh", "en") if scheme == "light" else ("zh",)):
                page.goto(f"{path}{'&' if '?' in path else '?'}lang={language}")
                if answers[number]:
                    assert answers[number] in page.locator(".answer").first.inner_text(), (name, language)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (name, language, width, wide)
                if folder:
                    shot = Path(folder) / f"{name}-{language}-{width}-{scheme}.png"
                    page.screenshot(path=str(shot), full_page=True)
                if (width, scheme, language) == (1440, "light", "zh"):
                    check_print(page, name)
            page.evaluate(judge)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
            told += [(name, each["id"], each["nodes"][0]["html"][:160]) for each in serious]
        assert not told, "\n".join(map(str, told))


def test_each_page_that_the_console_serves_is_among_those_that_are_looked_at() -> None:
    seen = {path.partition("?")[0] for path, *_ in PAGES.values()} | {path.partition("?")[0] for path in FIRST.values()}
    seen |= {f"/m/{name}" for name in MEMBERS} | {"/health/letters/1"}
    handlers = [each for _, routes in (*mount.GUARDED, (None, mount.UNGUARDED)) for each in routes]
    served = {path for each in handlers if "GET" in getattr(each, "http_methods", ()) for path in each.paths}
    pages = {path for path in served if not path.startswith(NO_PAGES) and path != "/m"}
    looked = {path for path in pages if any(re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", path), each) for each in seen)}
    assert looked == pages and len(pages) > 25, sorted(pages - looked)


def test_a_supervision_is_proposed_without_script(door: Served, chrome: Any) -> None:
    for page in opened_page(door, chrome, 360, java_script_enabled=False):
        page.goto("/supervision")
        page.locator("a[href='/supervision/new']").click()
        page.locator("#f-action").select_option("letter")
        page.locator("select[name='grid']").select_option("WY05")
        page.locator("form.proposal button").click()
        assert "已办：拟议督办" in page.locator(".outcome").inner_text()
        assert PROPOSE in page.url

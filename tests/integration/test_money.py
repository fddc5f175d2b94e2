"""What supervisions charge, the feed for banks, the veto in a sheet of a year, and figures of a campaign, on each
database.

In: supervisions of enterprises and of a district, cases of a campaign. Out: sheets, feeds, audit rows, figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from consumers.performance import consume
from consumers.verify import verify
from engine.clock import now_ms
from engine.policies import Policies
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.store import audit, sheets
from engine.store.sql import execute
from engine.views.assessment import AssessmentQuestion, assessment_page
from engine.views.deductions import DeductionQuestion, deduction_page
from engine.views.stored_sheets import row_of, sheet_of, stored_page
from tests.support.builders import BARE, DAY, HOTLINE, HOUR, LEAF, changed, event, subject
from tests.support.serving import Served, prepared, served, tell
from tests.support.settings_files import put_file
from workflows.assessment.cards import card_of
from workflows.assessment.filed import Still, digest, outcome
from workflows.policy.model import CampaignRow, NoticeRow, Post

OUTLETS, LISTED, LETTER, VETO = (subject("WY01", 10), subject("WY01", 11), subject("WY01", 12), subject("WY01", 13))
IN_CAMPAIGN, OUTSIDE = subject("WY01", 1), subject("WY01", 2)
WORDS = {
    "bank": '["BANK"]',
    "banks": '["BANK", "BANK-2"]',
    "street": '["WY01-CHIEF"]',
    "all": "[]",
}
TOKENS = {name: new_token() for name in WORDS}


def principals(folder: Path) -> str:
    """The file of principals: the banks read nothing else."""
    lines = []
    for name, actors in WORDS.items():
        lines += [f"[principal.{name}]", f"actors = {actors}", f'tokens = ["{digest_of(TOKENS[name])}"]']
        lines += ['reads = ["WY01"]'] if name == "street" else ["reads = true"] if name == "all" else []
    return str(put_file(folder / "principals.toml", "\n".join(lines)))


def asked(door: Served, name: str, path: str, accept: str = "application/json", **query: Any) -> httpx.Response:
    """What a principal is answered."""
    head = {"Authorization": f"Bearer {TOKENS[name]}", "Accept": accept}
    return door.client.get(path, params=query or None, headers=head)


def say(engine: Engine, kind: str, actor: str, case: str, at: int, **data: Any) -> None:
    """Say something that must be taken."""
    said = event(kind, actor, at, case=case, id=f"{kind}/{case}", **data)
    assert tell(engine, said, at) == "done", (kind, case)


def supervised(engine: Engine, case: str, at: int, office: str, **about: Any) -> None:
    """A supervision that is proposed, decided and served."""
    say(engine, "supervision.proposed", "WY-DISPATCH", case, at, **about)
    say(engine, "supervision.decided", office, case, at + HOUR, document="2026-7")
    say(engine, "supervision.served", office, case, at + 2 * HOUR)


def begin(engine: Engine, then: int) -> None:
    """A pack with two banks and a campaign, four supervisions, and two cases."""
    pack = engine.active()
    assert pack is not None
    banks = (Post("BANK", "Bank", "bank", "WY"), Post("BANK-2", "Another bank", "bank", "XA"))
    year = pack.clock_of_days.local_day(then + 14 * HOUR) // 10_000
    cards = tuple(replace(row, year=year) for row in pack.pack.scorecards)
    notices = (*pack.pack.notices, NoticeRow("published", ("bank",), "supervision"))
    campaign = CampaignRow("clear-sky", "蓝天行动", "Clear sky")
    rules = changed(pack, posts=(*pack.pack.posts, *banks), campaigns=(campaign,), scorecards=cards, notices=notices)
    engine.install(rules.pack, then)
    engine.drain()
    supervised(engine, OUTLETS, then + HOUR, "XA-OFFICE", action="deduction", grid="WY01", site="SITE-1", count=3)
    supervised(engine, LISTED, then + 4 * HOUR, "WY-OFFICE", action="blacklist", grid="WY01", site="SITE-2")
    supervised(engine, LETTER, then + 8 * HOUR, "WY-OFFICE", action="letter", grid="WY01", site="SITE-3")
    supervised(engine, VETO, then + 12 * HOUR, "XA-OFFICE", action="veto", grid="WY01")
    say(engine, "supervision.revoked", "XA-OFFICE", OUTLETS, then + 20 * HOUR, reason="error")
    found: dict[str, Any] = {"category": BARE, "source": "hotline", "grid": LEAF}
    say(engine, "report.submitted", HOTLINE, IN_CAMPAIGN, then + 21 * HOUR, campaign="clear-sky", **found)
    say(engine, "report.submitted", HOTLINE, OUTSIDE, then + 21 * HOUR, **found)


@pytest.mark.mechanism("M121", "M123", "M124")
def test_money_banks_vetoes_and_campaigns(database_url: str, tmp_path: Path) -> None:
    with prepared(database_url, principals=principals(tmp_path)) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        then = now_ms() - 30 * DAY
        begin(engine, then)
        with served(engine) as door:
            of_charges(door, engine, then)
            of_banks(door, engine)
            of_subscriptions(door, engine)
            of_campaigns(door)
        of_vetoes(engine, then)
        engine.drain()
        assert verify(engine.database) == []


def of_charges(door: Served, engine: Engine, then: int) -> None:
    """A charge stays, and a counter-line takes it back; each opens into its supervision."""
    local_day = engine.active().clock_of_days.local_day  # type: ignore[union-attr]
    years = {local_day(then + hours * HOUR) // 10_000 for hours in (3, 20)}
    lines, units = list[Any](), list[Any]()
    for year in sorted(years):
        page = asked(door, "all", "/v1/deductions", year=str(year)).json()
        lines, units = lines + page["lines"], units + page["units"]
    assert [(line["entry"], line["amount_fen"], line["count"]) for line in lines] == [
        ("charge", 300_000_000, 3),
        ("counter", -300_000_000, 3),
    ]
    assert {(line["supervision"], line["unit"]["code"], line["kind"]) for line in lines} == {
        (OUTLETS, "SITE-1", "site")
    }
    assert sum(unit["balance_fen"] for unit in units) == 0
    assert sum(unit["charged_fen"] for unit in units) == 300_000_000
    assert asked(door, "all", f"/v1/incidents/{OUTLETS}").json()["state"] == "rescinded"
    text = asked(door, "all", "/v1/deductions", "text/csv", year=str(min(years))).text
    assert "amount_fen" in text.splitlines()[0] and "300000000" in text
    assert asked(door, "street", "/v1/deductions", grid="WY02").json()["lines"] == []
    assert asked(door, "all", "/v1/deductions", year="soon").status_code == 400
    assert asked(door, "bank", "/v1/deductions").status_code == 403
    with engine.database.read() as connection:
        told = [deduction_page(connection, Policies(), DeductionQuestion(year=str(y)), now_ms()) for y in sorted(years)]
    assert [line.amount_fen for page in told for line in page.lines] == [300_000_000, -300_000_000]


def of_banks(door: Served, engine: Engine) -> None:
    """A bank reads what is told in public of enterprises, and each reading is audited."""
    for name in ("street", "all"):
        refused = asked(door, name, "/v1/violations")
        assert (refused.status_code, refused.json()["reason"]) == (403, "no_right")
    with engine.database.read() as connection:
        assert audit.listed(connection, act="violations.read") == [], "nothing was read"
    page = asked(door, "bank", "/v1/violations").json()
    found = [(each["site"], each["action"], each["standing"], each["document"]) for each in page["violations"]]
    assert found == [("SITE-1", "deduction", "revoked", "2026-7"), ("SITE-2", "blacklist", "in_force", "2026-7")]
    assert (page["reader"], page["grid"]) == ("BANK", "WY")
    latest = page["violations"][1]["served_at"]
    since = asked(door, "bank", "/v1/violations", since=latest).json()["violations"]
    assert [each["site"] for each in since] == ["SITE-1", "SITE-2"], "revoked after it"
    assert "SITE-2" in asked(door, "bank", "/v1/violations", "text/csv").text
    assert asked(door, "banks", "/v1/violations").status_code == 400
    assert asked(door, "banks", "/v1/violations", post="BANK-2").json()["grid"] == "XA"
    assert asked(door, "bank", "/v1/violations", post="BANK-2").status_code == 403
    assert asked(door, "bank", f"/v1/incidents/{LISTED}").status_code == 403, "it reads the feed and nothing else"
    with engine.database.read() as connection:
        rows = audit.listed(connection, act="violations.read")
    assert [(row.who, row.object) for row in reversed(rows)] == [("bank:BANK", "WY")] * 3 + [("banks:BANK-2", "XA")]


def of_subscriptions(door: Served, engine: Engine) -> None:
    """A bank subscribes to what the feed has, and to nothing else; which enterprise it is stands in the feed."""
    wanted = {"name": "credit", "posts": ["BANK"], "moves": ["published"]}

    def made(name: str) -> httpx.Response:
        head = {"Authorization": f"Bearer {TOKENS[name]}"}
        return door.client.post("/v1/subscriptions", json=wanted, headers=head)

    assert made("street").json()["field"] == "posts", "nobody else asks for what a bank is told"
    subscription = made("bank").json()["subscription"]
    epoch = subscription["place"].partition("-")[0]
    lines = f"/v1/subscriptions/{subscription['id']}/lines"
    page = asked(door, "bank", lines, place=f"{epoch}-0", limit="500")
    told = [(line["case"], line["category"], line["on"], [*line["recipients"]]) for line in page.json()["lines"]]
    assert told == [
        (OUTLETS, "deduction", "published", ["BANK"]),
        (LISTED, "blacklist", "published", ["BANK"]),
        (OUTLETS, "deduction", "published", ["BANK"]),
    ], "served, served, revoked; not the letter, which is not public, nor the veto, which is about no enterprise"
    assert "SITE-" not in page.text
    [opened] = asked(door, "bank", "/v1/violations", supervision=told[-1][0]).json()["violations"]
    assert (opened["site"], opened["standing"]) == ("SITE-1", "revoked")
    assert asked(door, "bank", "/v1/violations", supervision=LETTER).json()["violations"] == []
    with engine.database.read() as connection:
        assert audit.listed(connection, act="subscription.made")[0].who.startswith("bank")
        assert audit.listed(connection, act="violations.read")[0].who == "bank:BANK"


def of_campaigns(door: Served) -> None:
    """Lists and figures are asked for by campaign."""
    listed = asked(door, "all", "/v1/incidents", campaign="clear-sky").json()["incidents"]
    assert [line["id"] for line in listed] == [IN_CAMPAIGN]
    detail = asked(door, "all", f"/v1/incidents/{IN_CAMPAIGN}").json()
    assert detail["campaign"] == {"code": "clear-sky", "name": "蓝天行动"}
    for route in ("/v1/incidents", "/v1/performance"):
        assert asked(door, "all", route, campaign="nothing").status_code == 400
    for at in ({}, {"at": detail["as_of"]}):
        [row] = asked(door, "all", "/v1/performance", period="all", campaign="clear-sky", **at).json()["rows"]
        assert row["counts"]["reported"] == 1
    [row] = asked(door, "all", "/v1/performance", period="all").json()["rows"]
    assert row["counts"]["reported"] == 2
    asks = {"period": "all", "measure": "reported", "campaign": "clear-sky"}
    opened = asked(door, "all", "/v1/performance/cases", **asks).json()
    assert (opened["value"], [line["id"] for line in opened["cases"]]) == (1, [IN_CAMPAIGN])
    past = asked(door, "all", "/v1/incidents", campaign="clear-sky", at=detail["as_of"]).json()["incidents"]
    assert [line["id"] for line in past] == [IN_CAMPAIGN]


def of_vetoes(engine: Engine, then: int) -> None:
    """A veto stands beside the score of its year, until it is rescinded."""
    active = engine.active()
    assert active is not None
    year = str(active.clock_of_days.local_day(then + 14 * HOUR) // 10_000)

    def grades() -> dict[str, tuple[str, list[str]]]:
        with engine.database.read() as connection:
            page = assessment_page(connection, Policies(), AssessmentQuestion(card="YEAR", period=year), now_ms())
        return {line.key: (line.grade, line.vetoes) for line in page.scores}

    assert grades()["WY01"] == ("veto", [VETO])
    with engine.database.read() as connection:
        days, as_of, card = (int(f"{year}0101"), int(f"{year}1231")), now_ms(), card_of(active.pack, "YEAR", int(year))
        assert card is not None
        filed = sheet_of(connection, active, card, *days, as_of, Still())
    assert filed.vetoes == {"WY01": (VETO,)}, "it is a part of what is signed"
    with engine.database.begin() as connection:
        sheets.write_sheet(connection, row_of(filed))
    say(engine, "supervision.revoked", "XA-OFFICE", VETO, now_ms(), reason="error")
    assert grades()["WY01"] == ("", [])
    with engine.database.read() as connection:
        stored = stored_page(connection, Policies(), digest(filed))
        after = sheet_of(connection, active, card, *days, now_ms(), Still())
    assert [line.vetoes for line in stored.scores if line.key == "WY01"] == [[VETO]], "as it was known"
    assert after.vetoes == {} and outcome(after) != outcome(filed), "it is to be restated"
    without = replace(filed, vetoes={})
    with engine.database.begin() as connection:
        sheets.write_sheet(connection, row_of(without))
    wrong = [each for each in verify(engine.database) if each.what == "sheet"]
    assert len(wrong) == 1 and VETO in wrong[0].expected, "and verified as it was known"
    with engine.database.begin() as connection:
        execute(connection, "DELETE FROM sheets WHERE hash = ?", digest(without))

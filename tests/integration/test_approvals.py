"""Approvals under a ban, on each database: the same whatever the slices and partitions, and what the door shows.

Enters: what posts say in March 2026 under the sample pack, with more approvals than a docket tells in one step. Leaves:
the facts of each case, in bytes; figures, the story, the sealed words, the recount.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from consumers.performance import consume
from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine.clock import now_ms
from engine.policies import Policies
from engine.replay import export_log, replay_events, replay_log
from engine.runtime import Engine
from engine.store import exports
from engine.views.names import active_names
from gridpatrol.render.story import story
from lab import runs
from lab.runs import engine_on, install
from schemas import facts
from schemas.derived_ids import docket_subject
from schemas.facts import decode_facts
from tests.integration.test_sends_across import line_of, settle, sound
from tests.support.builders import DAY, HOUR, at, event, subject, weiyang
from tests.support.serving import Served, prepared, served, tell, wait_until
from workflows.definitions.docket import AT_ONCE

HALL, EPB, CITY = "WY-12345", "WY-EPB-H", "XA-CHIEF"
FILED, UNTIL = at("03-02 10:00"), at("03-20 12:00")
MANY = [subject("XA", number) for number in range(1, AT_ONCE * 2 + 6)]
BAN, LATER = subject("XA", 800), subject("XA", 801)


def said(kind: str, by: str, when: int, case: str, **data: Any) -> bytes:
    """An event that arrives when it occurs."""
    return json.dumps(event(kind, by, when, case=case, id=f"{kind}-{case}-{when}", **data)).encode()


def filed(when: int, case: str, **data: Any) -> bytes:
    """An application that is to be in a community of the district."""
    asked = {"matter": "eia-form", "grid": "WY03-02", "department": "WY-EPB", **data}
    return said("approval.filed", HALL, when, case, **asked)


BANNED, LIFTED = at("03-03 11:00"), at("03-09 11:00")
EVENTS = [
    *(filed(FILED, case) for case in MANY),
    said("supervision.proposed", "XA-OFFICE", at("03-03 09:00"), BAN, action="permit-ban", grid="WY"),
    said("supervision.decided", CITY, at("03-03 10:00"), BAN),
    said("supervision.served", CITY, BANNED, BAN),
    said("approval.withdrawn", HALL, BANNED, MANY[-1]),  # at the same instant, while it is being told
    filed(at("03-04 10:00"), LATER),
    said("approval.paused", EPB, at("03-05 10:00"), MANY[0], ground="papers"),
    said("supervision.cleared", CITY, LIFTED, BAN),
    said("approval.resumed", EPB, at("03-10 10:00"), MANY[0], ground="papers"),
    *(said("approval.decided", EPB, at("03-12 15:00"), case, outcome="granted") for case in MANY[:3]),
]


def run(engine: Engine) -> None:
    """All of it."""
    install(engine, weiyang().pack)
    replay_events(engine, EVENTS, "approvals", UNTIL)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Any:
    url = f"sqlite:///{tmp_path_factory.mktemp('approvals')}/a.db"
    with engine_on(url, 1, consumers=runs.consumers()) as engine:
        run(engine)
        engine.feed()
        yield engine


def told(engine: Engine, case: str, kind: type[facts.ClockFact]) -> list[tuple[str, int]]:
    """The clocks of a case that a kind of fact tells of, with the judged instants."""
    return [
        (fact.clock, fact.judged)
        for step in runs.steps(engine)
        if step.case_id == case
        for fact in decode_facts(step.body)
        if isinstance(fact, kind) and isinstance(fact, facts.ClockPaused | facts.ClockResumed)
    ]


@pytest.mark.mechanism("M119", "M124")
def test_a_ban_pauses_all_that_is_open_at_its_instant_and_nothing_counts_meanwhile(ran: Engine) -> None:
    for case in MANY[1:-1]:
        assert sorted(told(ran, case, facts.ClockPaused)) == [("promise", BANNED), ("statute", BANNED)]
        assert sorted(told(ran, case, facts.ClockResumed)) == [("promise", LIFTED), ("statute", LIFTED)]
    assert told(ran, MANY[-1], facts.ClockPaused) == []
    assert sorted(told(ran, MANY[0], facts.ClockResumed)) == [
        ("promise", at("03-10 10:00")),
        ("statute", at("03-10 10:00")),
    ]
    assert {when for _, when in told(ran, LATER, facts.ClockPaused)} == {at("03-04 10:00")}
    with ran.database.read() as connection:
        names = active_names(connection, Policies())
        lines = "\n".join(story(exports.steps_of(connection, MANY[0]), names))
        docket = "\n".join(story(exports.steps_of(connection, docket_subject("XA")), names))
    assert "区域限批" in lines and "中止计时 the time stands still: papers" in lines and "准予许可" in lines, lines
    assert "解除限批" in docket and f"已告知 {AT_ONCE}" in docket


def test_what_is_kept_follows_from_the_log(ran: Engine, tmp_path: Path) -> None:
    assert [str(each) for each in verify(ran.database)] == []
    assert [str(each) for each in replayed_beside(ran, tmp_path)] == []
    with engine_on(f"sqlite:///{tmp_path / 'again.db'}", 1, 1, 1) as again:
        replay_log(again, export_log(ran))
        assert runs.steps(again) == runs.steps(ran)


@pytest.mark.parametrize("limits", [(2, 500, 1000), (4, 1, 1)])
def test_slices_partitions_and_databases_change_nothing(ran: Engine, database_url: str, limits: Sequence[int]) -> None:
    with engine_on(database_url, *limits) as engine:
        run(engine)
        assert runs.facts(engine) == runs.facts(ran)


@pytest.mark.mechanism("M124")
@pytest.mark.parametrize("partitions", [1, 32])
def test_a_ban_of_another_home_reaches_the_docket_through_the_log(
    database_url: str, partitions: int, tmp_path: Path
) -> None:
    here, elsewhere, ban = subject("XA", 1), subject("XA", 2), subject("WY03", 1)
    with line_of(database_url, partitions) as line:
        # The ban comes first, so it is what bears the docket.
        line.say("supervision.proposed", "XA-OFFICE", FILED, case=ban, action="permit-ban", grid="WY03")
        line.say("supervision.decided", CITY, FILED + 1, case=ban)
        line.say("supervision.served", CITY, FILED + 2, case=ban)
        assert settle(line, FILED + 3) == 2
        for case, grid in ((here, "WY03-02"), (elsewhere, "WY04")):
            asked = {"matter": "eia-form", "grid": grid, "department": "WY-EPB"}
            line.say("approval.filed", HALL, FILED + 10, case=case, **asked)
        settle(line, FILED + 11)
        assert len(line.of(facts.ClockPaused, 1, "XA")) == 2 and line.of(facts.ClockPaused, 2, "XA") == []
        line.say("supervision.cleared", CITY, FILED + HOUR, case=ban)
        assert settle(line, FILED + HOUR + 1) >= 1
        assert len(line.of(facts.ClockResumed, 1, "XA")) == 2
        sound(line, tmp_path)


@pytest.mark.mechanism("M88", "M119", "M122")
def test_the_door_lists_them_by_kind_keeps_who_applies_sealed_and_counts_what_was_in_time(database_url: str) -> None:
    first, second = subject("XA", 1), subject("XA", 2)
    with prepared(database_url) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        then = now_ms() - 45 * DAY
        for case, matter in ((first, "eia-form"), (second, "eia-report")):
            data = {"grid": "WY01", "department": "WY-EPB", "applicant": "某某公司", "project": "新建锅炉房"}
            assert tell(engine, event("approval.filed", HALL, then, case=case, id=case, matter=matter, **data), then)
        words: list[tuple[str, str, dict[str, Any]]] = [
            ("approval.referred", first, {"body": "police_desk"}),
            ("approval.referral_answered", first, {"body": "police_desk", "outcome": "case_filed"}),
            ("approval.line_entered", first, {"purpose": "fee", "amount_fen": 500, "day": "2026-03-02"}),
            ("approval.line_reversed", first, {"line": 1, "day": "2026-03-03"}),
            ("approval.decided", first, {"outcome": "granted"}),
        ]
        for number, (kind, case, data) in enumerate(words):
            then += HOUR
            assert tell(engine, event(kind, EPB, then, case=case, id=f"w{number}", **data), then) == "done"
        with served(engine) as door:
            listed = door.get("/v1/incidents", definition="approval", category="eia-form", open="all")
            assert [line["id"] for line in listed["incidents"]] == [first]
            with engine.database.read() as connection:
                bodies = "".join(step.body for step in exports.steps_of(connection, first))
            assert "某某公司" not in bodies and "锅炉房" not in bodies
            assert door.get(f"/v1/incidents/{first}")["category"]["name_zh"] == "环境影响报告表"
            assert first not in door.client.get("/v1/incidents").text  # listed where they are asked for
            page = door.client.get("/approvals", headers={"Accept": "text/html"}).text
            assert second in page and first not in page and "超过承诺时限 1 件" in page and "环境影响报告书" in page
            ended = door.client.get("/approvals?ended=true&lang=en", headers={"Accept": "text/html"}).text
            assert first in ended and "1 have ended" in ended
            of_money(door, first)

            def counted() -> bool:
                rows = door.get("/v1/performance", definition="approval", period="all", by="category")["rows"]
                counts = {row["key"]: row["counts"] for row in rows}
                form, report = counts.get("eia-form", {}), counts.get("eia-report", {})
                return (
                    form.get("promise_kept"),
                    form.get("referral_outcomes:case_filed"),
                    report.get("applications"),
                ) == (
                    1,
                    1,
                    1,
                ) and report.get("breach:promise") == 1

            wait_until(counted)
        engine.drain()
        assert verify(engine.database) == []


def of_money(door: Served, case: str) -> None:
    """A fee and what took it back are lines of their days, and each opens into its approval."""
    days = {"from": "2026-03-01", "to": "2026-03-31"}
    page = door.get("/v1/approval-money", **days, grid="WY01")
    lines = [(each["day"], each["amount_fen"], each["reverses"], each["reversed_by"]) for each in page["lines"]]
    assert lines == [(20260302, 500, 0, 2), (20260303, -500, 1, 0)]
    assert {(each["approval"], each["matter"]["code"]) for each in page["lines"]} == {(case, "eia-form")}
    assert page["purposes"] == [
        {"purpose": "fee", "lines": 2, "entered_fen": 500, "reversed_fen": -500, "total_fen": 0}
    ]
    for other in ({"to": "2026-03-01"}, {"from": "2026-03-02", "grid": "WY02"}, {**days, "purpose": "trading"}):
        assert door.get("/v1/approval-money", **other)["lines"] == []
    assert len(door.get("/v1/approval-money", **days, approval=case)["lines"]) == 2
    for wrong, field in (({"purpose": "bribe"}, "purpose"), ({"from": "soon"}, "from"), ({"grid": "NO"}, "grid")):
        answer = door.client.get("/v1/approval-money", params=wrong)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
    text = door.client.get("/v1/approval-money", params=days, headers={"Accept": "text/csv"}).text
    assert "amount_fen" in text.splitlines()[0] and len(text.splitlines()) == 3
    shown = door.client.get("/approvals/money", params={**days, "lang": "zh"}, headers={"Accept": "text/html"}).text
    assert "款项 2 笔" in shown and "收费" in shown and f"/cases/{case}" in shown and "冲销第 1 行" in shown

"""Duties from their birth to their figures: borne by time, recorded at the door, told in views, counted and verified.

Enters: what the posts of one leaf grid say in March 2026, and today. Leaves: facts, figures, lists, alerts.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from consumers.verify import verify
from engine.clock import now_ms
from engine.metrics import gauges
from engine.policies import Policies
from engine.replay import replay_events
from engine.runtime import Engine
from engine.store.database import Database
from engine.views.duties import DutyQuestion, duty_page
from engine.views.performance import PerformanceQuestion, performance_page
from engine.views.questions import BadQuestion
from gridpatrol.render.duties import print_duties
from gridpatrol.render.figures import figure_table
from lab import runs
from lab.runs import engine_on
from schemas.derived_ids import derived_subject
from tests.support.builders import DAY, HOTLINE, LEAF, MEMBER, STREET, at, event, shipped
from tests.support.serving import prepared, served, tell
from workflows.policy.model import Pack

LEADER = "WY01-01-SPONSOR"
DAYS = shipped().clock_of_days
END = at("04-12 12:00")


def small() -> Pack:
    """The sample pack with the posts of one leaf grid and of those above it."""
    pack = shipped().pack
    path = shipped().path(LEAF)
    return replace(pack, posts=tuple(p for p in pack.posts if p.grid in path and p.code != "WY01-SPONSOR"))


def patrol(day: int, post: str = MEMBER) -> str:
    return derived_subject("WY01", "duty", "PATROL", post, day, DAYS.day_start(day))


def march() -> list[bytes]:
    """Patrols of all days but the 9th and 17th; that of the 20th is told a day late, the 9th is excused in April."""
    said = [event("report.submitted", HOTLINE, at("02-28 09:00"), category="D3-01", source="hotline", grid=LEAF)]
    for day in range(1, 32):
        if day not in (9, 17):
            came = at("03-21 18:00") if day == 20 else None
            time = at(f"03-{day:02d} 16:00")
            one = event("duty.recorded", MEMBER, time, case=patrol(20260300 + day), id=f"p{day}")
            said.append(one | ({"recordedtime": DAYS.local(came)} if came else {}))
    said.append(event("duty.excused", STREET, at("04-02 10:00"), case=patrol(20260309), id="x", reason="illness"))
    said.sort(key=lambda one: str(one.get("recordedtime", one["time"])))
    return [json.dumps(one).encode() for one in said]


def told(engine: Engine) -> None:
    engine.install(small(), runs.BEFORE_ALL)
    engine.drain()
    replay_events(engine, march(), "march", END)
    engine.feed()


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path_factory.mktemp('duties')}/month.db"
    with engine_on(url, 4, consumers=runs.consumers()) as engine:
        told(engine)
        yield engine


def figures(database: Database, **asked: str) -> Any:
    question = PerformanceQuestion(definition="duty", day="2026-03-15", **asked)
    with database.read() as connection:
        return performance_page(connection, Policies(), question, END)


def duties(database: Database, now: int = END, **asked: Any) -> Any:
    with database.read() as connection:
        return duty_page(connection, Policies(), DutyQuestion(**asked), now)


# ---- figures ------------------------------------------------------------------------------------------------


def test_coverage_of_a_month_is_kept_among_what_was_due_less_the_excused(month: Engine) -> None:
    (row,) = figures(month.database, post=MEMBER).rows
    shown = {
        name: row.counts.get(name, 0) for name in ("due", "kept", "told_late", "missed", "excused", "awaited", "void")
    }
    assert shown == {"due": 31, "kept": 29, "told_late": 1, "missed": 1, "excused": 1, "awaited": 0, "void": 0}
    assert (row.rates["coverage"].numerator, row.rates["coverage"].denominator) == (29, 30)
    assert row.rates["coverage"].basis_points == 9667


def test_figures_of_a_grid_are_those_of_its_posts(month: Engine) -> None:
    for asked in ({"by": "grid", "grid": "WY01"}, {"by": "grid"}, {"by": "post"}, {"by": "level"}):
        rows = figures(month.database, **asked).rows
        assert sum(row.counts.get("kept", 0) for row in rows) == 29
        assert sum(row.counts.get("due", 0) for row in rows) == 31 + 5 * 2  # and five weeks of visits and contacts
    posts = {row.key: row.counts.get("missed", 0) for row in figures(month.database, by="post").rows}
    assert posts == {MEMBER: 1, LEADER: 10}


def test_a_day_and_a_week_are_read_like_a_month(month: Engine) -> None:
    assert figures(month.database, period="day", post=MEMBER).rows[0].counts["kept"] == 1
    assert figures(month.database, period="week", post=MEMBER).rows[0].counts["due"] == 7


def test_a_duty_enters_no_rate_of_the_incident(month: Engine) -> None:
    with month.database.read() as connection:
        page = performance_page(connection, Policies(), PerformanceQuestion(period="all"), END)
    assert page.definition == "incident"
    assert "kept" not in page.rows[0].counts and page.rows[0].n <= 1


def test_an_excuse_after_the_days_of_grace_restates_the_month(month: Engine) -> None:
    (row,) = figures(month.database, post=MEMBER, published="true").rows
    assert row.restated is False  # it came on the second of April, within the days of grace
    assert row.published is not None and row.published.counts["excused"] == 1


def test_the_recount_by_sql_agrees(month: Engine) -> None:
    assert [found for found in verify(month.database) if found.what not in ("position", "delivery")] == []


@pytest.mark.parametrize("partitions", [1, 32])
def test_the_facts_are_the_same_on_any_number_of_partitions_and_slices_of_one(
    month: Engine, tmp_path: Path, partitions: int
) -> None:
    with engine_on(f"sqlite:///{tmp_path}/other.db", partitions, 1 if partitions == 1 else 60) as other:
        told(other)
        assert runs.facts(other) == runs.facts(month)


# ---- lists --------------------------------------------------------------------------------------------------


def test_a_month_is_shown_as_a_calendar(month: Engine) -> None:
    page = duties(month.database, post=MEMBER, period="month", day="2026-03-01", limit=500)
    with redirect_stdout(io.StringIO()) as output:
        print_duties(MEMBER, page)
    lines = output.getvalue().splitlines()
    assert lines[2] == "日常巡查 PATROL, 每天 every day: 29 已履职 kept, 1 未履职 missed, 1 免责 excused"
    assert lines[6].split() == ["9", "–", "10", "✓", "11", "✓", "12", "✓", "13", "✓", "14", "✓", "15", "✓"]
    assert lines[7].split()[2:4] == ["17", "✗"]
    with redirect_stdout(io.StringIO()) as output:
        figure_table(figures(month.database, by="post"))
    assert "96.67%" in output.getvalue()


def test_duties_come_page_by_page(month: Engine) -> None:
    whole = duties(month.database, grid="WY01", period="month", day="2026-03-01", limit=500)
    assert len(whole.duties) == 31 + 12 and whole.next is None
    found, cursor = [], ""
    while True:
        page = duties(month.database, grid="WY01", period="month", day="2026-03-01", limit=10, cursor=cursor)
        found += page.duties
        if page.next is None:
            break
        cursor = page.next
    assert found == whole.duties


def test_a_phone_is_told_the_subjects_of_the_days_to_come(month: Engine) -> None:
    page = duties(month.database, post=MEMBER)
    days = {line.first: (line.state, line.subject) for line in page.duties}
    assert list(days) == [f"2026-04-{day:02d}" for day in range(12, 20)]
    assert days["2026-04-12"] == ("owed", patrol(20260412))
    assert days["2026-04-15"] == ("awaited", patrol(20260415))


def test_nobody_is_told_of_what_lies_further_ahead_than_a_month(month: Engine) -> None:
    page = duties(month.database, post=MEMBER, period="year", day="2026-12-01", limit=500)
    assert page.duties[-1].last == "2026-05-13"


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"post": "NOBODY"}, "post"), ({"grid": "X"}, "grid"), ({"period": "fortnight"}, "period"), ({"day": "x"}, "day")],
)
def test_a_question_that_cannot_be_answered_names_its_field(month: Engine, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(BadQuestion) as refused:
        duties(month.database, **asked)
    assert refused.value.field == field


def test_a_missed_patrol_alerts_its_post_and_chief_once(month: Engine) -> None:
    with month.database.read() as connection:
        sql = "SELECT recipients FROM alerts WHERE case_id = ? AND kind = 'due'"
        rows = connection.exec_driver_sql(sql, (patrol(20260317),)).fetchall()
    assert [sorted(json.loads(row[0])) for row in rows] == [["WY01-01-CHIEF", MEMBER]]


# ---- at the door --------------------------------------------------------------------------------------------


def test_what_the_door_says_is_owed_can_be_recorded_under_its_subject(database_url: str) -> None:
    with prepared(database_url) as engine:
        now = now_ms()
        engine.install(small(), now - 2 * DAY)
        engine.drain()
        tell(engine, event("comment.added", MEMBER, now - 1000), now - 1000)
        with served(engine) as door:
            lines = door.get("/v1/duties", post=MEMBER, period="day")["duties"]
            (line,) = [line for line in lines if line["duty"]["code"] == "PATROL"]
            assert (line["state"], line["left"], line["duty"]["name"]) == ("owed", 1, "日常巡查")
            said = event("duty.recorded", MEMBER, now_ms(), case=line["subject"], id="walked")
            answer = door.post(said, Prefer="wait=5").json()
            assert answer["outcome"] == "done", answer
            lines = door.get("/v1/duties", post=MEMBER, period="day")["duties"]
            assert [(each["state"], each["recorded"], each["left"]) for each in lines] == [("kept", 1, 0)]
            mine = door.get("/v1/incidents", definition="duty", holder=MEMBER)["incidents"]
            assert line["subject"] not in [case["id"] for case in mine]  # it is done, yesterday's may still be told
            assert door.client.get("/v1/duties", params={"post": "NOBODY"}).status_code == 400


def test_duties_are_no_incidents_for_the_gauges_and_vacant_posts_are_counted(month: Engine) -> None:
    registry = CollectorRegistry()
    gauges.register(registry, month.database)
    families = {family.name: family.samples for family in registry.collect()}
    assert {s.labels["definition"] for s in families["gridpatrol_incidents"]} == {"incident"}
    assert {s.labels["definition"] for s in families["gridpatrol_incidents_overdue"]} <= {"incident"}
    assert {s.value for s in families["gridpatrol_posts_vacant"]} == {0}
    posts = tuple(replace(post, vacant=post.code == MEMBER) for post in small().posts)
    with engine_on(f"{month.settings.database}.vacant", 1) as other:
        other.install(replace(small(), posts=posts), runs.BEFORE_ALL)
        other.drain()
        vacant = CollectorRegistry()
        gauges.register(vacant, other.database)
        assert vacant.get_sample_value("gridpatrol_posts_vacant", {"level": "4", "role": "member"}) == 1

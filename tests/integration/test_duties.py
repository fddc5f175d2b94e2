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
from engine.inbox import Submission
from engine.metrics import gauges
from engine.packs import folder_of
from engine.policies import Policies
from engine.replay import replay_events
from engine.runtime import Engine
from engine.store.database import Database
from engine.views.duties import DutyQuestion, duty_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.performance import performance_page
from engine.views.questions import BadQuestion
from gridpatrol.demo.traffic import Traffic
from gridpatrol.render.duties import print_duties
from gridpatrol.render.figures import figure_table
from lab import runs
from lab.runs import engine_on
from schemas import facts
from schemas.derived_ids import derived_subject
from schemas.facts import decode_facts
from tests.support.builders import DAY, HOTLINE, LEAF, MEMBER, STREET, at, event, shipped
from tests.support.recorded import gridpatrol
from tests.support.serving import prepared, served, tell
from workflows.clocks.limits import parse_limit
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


@pytest.mark.mechanism("M13")
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


def test_years_later_a_post_s_duties_are_those_of_the_last_record_and_the_page_says_so(
    month: Engine,
) -> None:
    page, then = (duties(month.database, wall, post=MEMBER, period="month") for wall in (END + 4_000 * DAY, END))
    assert (page.reading, then.reading) == ("last_record", "now")
    assert (page.since, page.as_of[:7]) == (then.since, then.as_of[:7])
    assert page.duties and page.duties == then.duties
    with redirect_stdout(io.StringIO()) as output:
        print_duties(MEMBER, page)
    assert output.getvalue().startswith(f"As of the last record, {page.as_of}.")


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


def test_a_duty_of_an_earlier_pack_is_listed_with_its_words(tmp_path: Path) -> None:
    """From the tenth on the patrol has another code and name, and its post is gone."""
    with engine_on(f"sqlite:///{tmp_path}/packs.db", 4) as engine:
        engine.install(small(), runs.BEFORE_ALL)
        engine.drain()
        replay_events(engine, march()[:8], "march", at("03-08 18:00"))
        rows = [replace(row, code="WALK", name="清晨巡查") if row.code == "PATROL" else row for row in small().duties]
        posts = tuple(post for post in small().posts if post.code != MEMBER)
        engine.install(replace(small(), duties=tuple(rows), posts=posts), at("03-10 12:00"))
        engine.drain()
        for day in (11, 12):
            engine.append([Submission(p, "tick", "owner", "") for p in engine.rows], at(f"03-{day} 01:00"))
            engine.drain()
        page = duties(engine.database, at("03-12 12:00"), post=MEMBER, period="month", day="2026-03-01")
        assert [line.first for line in page.duties] == [f"2026-03-{day:02d}" for day in range(1, 11)]
        assert {(line.duty.code, line.duty.name) for line in page.duties} == {("PATROL", "日常巡查")}
        assert {(line.post.name, line.grid.name) for line in page.duties} == {
            ("网格员（监督员）", "一号街道第1社区（示例）")
        }
        assert [line.state for line in page.duties[-3:]] == ["missed", "owed", "void"]  # the 9th may be told
        grid = duties(engine.database, at("03-12 12:00"), grid=LEAF, period="month", day="2026-03-01", limit=500)
        assert [line for line in grid.duties if line.post.code == MEMBER] == page.duties
        leader = [line.first for line in grid.duties if line.duty.code == "VISIT-LEAF"]
        assert leader == ["2026-02-23", "2026-03-02", "2026-03-09", "2026-03-16", "2026-03-23", "2026-03-30"]


def test_what_a_request_costs_follows_from_what_it_returns(month: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a whole city, one post and one page: subjects are derived for these, and nothing else is looked at."""
    with engine_on(f"{month.settings.database}.city", 4) as city:
        city.install(shipped().pack, runs.BEFORE_ALL)
        city.drain()
        now, derived = at("01-05 12:00"), list[str]()

        def counted(*named: Any) -> str:
            derived.append(named[3])
            return derived_subject(*named)

        monkeypatch.setattr("engine.views.duties.derived_subject", counted)
        page = duties(city.database, now, post=MEMBER, period="month", day="2026-02-01", limit=500)
        assert len(page.duties) == len(derived) == 5  # up to 31 days ahead
        derived.clear()
        first = duties(city.database, now, grid="WY12", limit=20)
        assert len(derived) <= 3 * 21 and {line.post.code[:4] for line in first.duties} == {"WY12"}
        derived.clear()
        second = duties(city.database, now, grid="WY12", limit=20, cursor=first.next)
        assert len(derived) <= 3 * 21 and second.duties[0] != first.duties[-1]


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


# ---- what ends within its period --------------------------------------------------------------------------------


def rounds_of_member(**changes: Any) -> Pack:
    """A pack in which a member owes something of each day, week and half-month, and is warned of each a day before.

    `row`: without these rows; `post`, `grid`: the last day of post and grid; `occupancy`: the post is vacant.
    """
    pack, [patrol_row] = small(), [row for row in small().duties if row.code == "PATROL"]
    duties = [replace(patrol_row, code=name.upper(), period=name) for name in PERIODS]
    of_duties = replace(next(row for row in pack.rungs if row.definition == "duty"), tell=("holder_chief", "holder"))
    warn = replace(of_duties, rung="warn", offset="before", limit=parse_limit("1自然日"))
    again = replace(of_duties, rung="overdue", offset="after", limit=parse_limit("1自然日"))
    return replace(
        pack,
        duties=tuple(row for row in duties if "row" not in changes),
        rungs=(*[row for row in pack.rungs if row.definition != "duty"], warn, of_duties, again),
        posts=tuple(
            replace(post, valid_to=changes.get("post", 0), vacant="occupancy" in changes)
            if post.code == MEMBER
            else post
            for post in pack.posts
        ),
        grids=tuple(
            replace(grid, valid_to=changes.get("grid", 0)) if grid.code == LEAF else grid for grid in pack.grids
        ),
    )


PERIODS = ("day", "week", "half_month")
BEGUN = (20260311, 20260309, 20260301)
"""The first days of those that hold Wednesday, 11 March."""
WEDNESDAY = at("03-11 12:00")


@pytest.mark.parametrize(
    ("changes", "came", "end"),
    [
        ({"row": True}, WEDNESDAY, WEDNESDAY - 1),
        ({"occupancy": True}, WEDNESDAY, WEDNESDAY - 1),
        ({"post": 20260310}, WEDNESDAY, WEDNESDAY - 1),
        ({"grid": 20260310}, WEDNESDAY, WEDNESDAY - 1),
        ({"post": 20260311}, at("02-20 12:00"), at("03-12 00:00") - 1),  # known before anything began
        ({"grid": 20260311}, at("02-20 12:00"), at("03-12 00:00") - 1),
        ({"post": 20260311}, at("03-10 12:00"), at("03-12 00:00") - 1),  # known once all of it had begun
        ({"grid": 20260311}, at("03-11 23:00"), at("03-12 00:00") - 1),
    ],
)
def test_what_ends_within_its_period_is_void_and_nobody_is_told_of_it_any_more(
    tmp_path: Path, changes: dict[str, Any], came: int, end: int
) -> None:
    with engine_on(f"sqlite:///{tmp_path / 'a.db'}", 1, consumers=runs.consumers()) as engine:
        engine.install(rounds_of_member(), at("02-18 12:00"))
        for time in sorted([came, *range(at("02-20 00:00"), at("03-20 12:00"), 4 * DAY)]):
            if time == came:
                engine.install(rounds_of_member(**changes), time)
            else:
                engine.append([Submission(0, "tick", "owner", "")], time)
        engine.drain()
        ended, told = dict[str, tuple[str, int]](), dict[str, list[int]]()
        for step in runs.steps(engine):
            for fact in decode_facts(step.body):
                if isinstance(fact, facts.ClockStopped):
                    ended[step.case_id] = (fact.result, fact.judged)
                elif isinstance(fact, facts.AlertRaised):
                    told.setdefault(step.case_id, []).append(fact.due_at)
        cases = [
            derived_subject("WY01", "duty", name.upper(), MEMBER, first, DAYS.day_start(first))
            for name, first in zip(PERIODS, BEGUN, strict=True)
        ]
        whole = end == at("03-12 00:00") - 1  # the day itself was owed to its end
        assert [ended[case] for case in cases[whole:]] == [("void", end)] * (3 - whole)
        if whole:
            assert ended[cases[0]][0] == "void" and at("03-12 00:00") - 1 in told[cases[0]]  # missed, and told
        assert all(instant <= end for case in cases[whole:] for instant in told.get(case, ()))
        with engine.database.read() as connection:
            sql = "SELECT sum(value) FROM figures WHERE measure = 'ended:void'"
            assert connection.exec_driver_sql(sql).scalar_one() == 3 - whole
        assert [found for found in verify(engine.database) if found.what not in ("position", "delivery")] == []


# ---- at the door --------------------------------------------------------------------------------------------


def test_what_the_door_says_is_owed_can_be_recorded_under_its_subject(database_url: str, tmp_path: Path) -> None:
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
            # Tomorrow's: it waits for time, whatever is said of it, and for no report.
            lines = door.get("/v1/duties", post=MEMBER)["duties"]
            [later] = [line for line in lines if line["state"] == "awaited" and line["duty"]["code"] == "PATROL"][1:2]
            early = event("case.urged", STREET, now_ms(), case=later["subject"], id="early")
            for _ in range(2):
                answer = door.post(early, Prefer="wait=1").json()
                assert "parked" in (answer["outcome"], answer.get("first")) and answer["until"], answer
                assert "waits_for" not in answer
            assert "waits_for" not in door.client.get(answer["status_url"]).json()
            [waiting] = door.get(f"/v1/incidents/{later['subject']}")["parked"]
            assert waiting["waits_for"] == []
            file, address = tmp_path / "early.jsonl", str(door.client.base_url).removeprefix("http://").rstrip("/")
            file.write_text(json.dumps(early | {"id": "again"}))
            assert "waits for time" in gridpatrol("publish", file, "--listen", address)
            wrong = event("incident.accepted", STREET, now_ms(), case=later["subject"], id="wrong")
            answer = door.post(wrong, Prefer="wait=5").json()
            assert (answer["outcome"], answer["field"]) == ("refused", "type"), answer


def test_nobody_records_tomorrow_s_patrol_today_whatever_its_time_says(tmp_path: Path) -> None:
    with engine_on(f"sqlite:///{tmp_path}/early.db", 4) as engine:
        engine.install(small(), at("03-02 08:00"))
        engine.drain()
        today, tomorrow = patrol(20260303), patrol(20260304)
        walked = event("duty.recorded", MEMBER, at("03-03 16:00"), case=today, id="today")
        assert tell(engine, walked, at("03-03 16:00")) == "done"
        for id_, time in (("now", "03-03 16:30"), ("ahead", "03-04 16:00")):
            early = event("duty.recorded", MEMBER, at(time), case=tomorrow, id=id_)
            assert tell(engine, early, at("03-03 16:30")) == "refused"
        with engine.database.read() as connection:
            sql = "SELECT reason, field, detail FROM dead_letters"
            letters = [tuple(row) for row in connection.exec_driver_sql(sql)]
        why = f"its period has not begun, and nobody has done yet what is owed in it: send it to {today}"
        assert letters == [("misrouted", "subject", why)] * 2
        # That somebody will be on leave is known before.
        leave = event("duty.excused", STREET, at("03-03 17:00"), case=patrol(20260305), id="leave", reason="leave")
        assert tell(engine, leave, at("03-03 17:00")) == "parked"
        # A minute after midnight the period has begun, and its case may be on its way still.
        walked = event("duty.recorded", MEMBER, at("03-04 00:00") + 1000, case=tomorrow, id="at once")
        assert tell(engine, walked, at("03-04 00:00") + 1000) in ("parked", "done")
        for day in (4, 5):
            engine.append([Submission(p, "tick", "owner", "") for p in engine.rows], at(f"03-0{day} 09:00"))
            engine.drain()
        lines = duties(engine.database, at("03-05 12:00"), post=MEMBER, period="month", day="2026-03-01").duties[:3]
        assert [line.state for line in lines] == ["kept", "kept", "excused"]


def test_the_people_of_the_demo_record_what_the_door_says_is_owed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nobody forgetful, and all of them out when their day begins."""
    for name, value in {"DONE": 1.0, "EXCUSED": 0.0, "OFFLINE": 0.0, "LIVE_HOURS": (0.0, 0.0)}.items():
        monkeypatch.setattr(f"gridpatrol.demo.rounds.{name}", value)
    with prepared(f"sqlite:///{tmp_path}/live.db") as engine:
        now = now_ms()
        engine.install(small(), now - 9 * DAY)
        engine.drain()
        for came in (now - 5 * DAY, now - 1000):
            tell(engine, event("comment.added", MEMBER, came), came)
        with served(engine) as door:
            traffic, said = Traffic(str(door.client.base_url), folder_of("weiyang"), 1, now=lambda: now_ms() / 1000), 0
            for _ in range(2):  # what has been said is not said again
                traffic.look_at_duties()
                for id_ in [id_ for id_, each in traffic.rounds.items() if each.at <= now_ms()]:
                    traffic.say_of_a_duty(id_)
                    said += 1
            lines = door.get("/v1/duties", grid=LEAF, day=DAYS.local(now)[:10])["duties"]
            states = {line["duty"]["code"]: (line["state"], line["recorded"]) for line in lines}
            assert states["PATROL"] == ("kept", 1) and len(states) == 3
            assert sum(recorded for _, recorded in states.values()) == said
        with engine.database.read() as connection:
            letters = connection.exec_driver_sql("SELECT type FROM dead_letters").scalars().all()
        assert "gridpatrol.duty.recorded.v1" not in letters


@pytest.mark.mechanism("M7")
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

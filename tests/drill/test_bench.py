"""The benchmark and the city's table: small, so that they keep working; their figures are for people.

Enters: a few events. Leaves: figures that hang together.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.store import recount
from engine.store.database import open_database
from gridpatrol.bench import APART, FAMILIES, growth, timers
from gridpatrol.bench import duties as bench_duties
from gridpatrol.bench import run as bench_run
from gridpatrol.bench.door import DoorRun, loading, serving
from gridpatrol.bench.load import Job
from gridpatrol.cli import main
from gridpatrol.run import city
from lab.bench import recorded
from lab.parts import postgres
from workflows import case as cases
from workflows.definitions import comes_up


@pytest.fixture(autouse=True)
def folder_of_its_own(as_it_was: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)


def measured(*only: str) -> dict[str, Any]:
    """What the bench prints of these families on a fiftieth of its events."""
    words = ["bench", "--scale", "0.02", "--json", *(word for name in only for word in ("--only", name))]
    result = CliRunner().invoke(main, words, prog_name="gridpatrol")
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_bench_measures_both_databases_or_says_why_not() -> None:
    done = measured("batches", "patrols", "decide", "replay")
    by_database: dict[str, list[dict[str, Any]]] = {}
    for run in done["runs"]:
        by_database.setdefault(run["database"], []).append(run)
        assert run["events_per_s"] > 0 and run["cpu_ms"] > 0 and run["bare_share"] > 0
        # Of the process there is always some; of a server only where it runs on this machine.
        assert run["cpu_ms"] == pytest.approx(run["process_cpu_ms"] + (run["database_cpu_ms"] or 0), abs=0.001)
    assert [run["batch"] for run in by_database["sqlite"]] == [500, 100, 1]
    # Append, decide, follow: each commits once for a batch. An event that comes alone is decided as it is appended.
    for run in by_database["sqlite"]:
        commits = 2 if run["batch"] == 1 else 3
        assert round(run["commits"] * run["events"] / -(-run["events"] // run["batch"])) == commits
    assert 10 < by_database["sqlite"][-1]["statements"] < 26
    # What an event takes on disk does not grow unseen. In so short a run most cases are open, and larger than later.
    room = by_database["sqlite"][0]["bytes_per_event"]
    assert 500 < room["facts"] < 1_000 and sum(room.values()) < 4_500
    assert all({"facts", "inbox", "seen", "cases"} <= set(run["bytes_per_event"]) for run in done["runs"])
    assert "postgresql" in by_database or done["skipped"]
    for name in by_database:
        # What the statements of f28de43 take is less than the whole way now, and more than nothing.
        whole = done[name]
        assert 0 < whole["statements_cpu_ms"] < whole["cpu_ms_per_event"]
        assert whole["ratio"] == pytest.approx(whole["statements_cpu_ms"] / whole["cpu_ms_per_event"], abs=0.001)
    assert 1 < done["decide_us"] < 10_000
    interpreter = done["interpreter"]
    assert interpreter["version"] == f"{platform.python_implementation()} {platform.python_version()}"
    assert set(interpreter["options"]) <= {"--enable-optimizations", "--with-lto"} and interpreter["yardstick_ms"] > 0
    assert done["replay"]["events"] >= 500 and done["replay"]["events_per_s"] > 0 and done["replay"]["cpu_ms"] > 0
    assert [one["database"] for one in done["duties"]] == list(by_database)
    for one in done["duties"]:
        births, endings = one["runs"]
        leaves, homes = one["leaves"], -(-one["leaves"] // bench_duties.BELOW)
        turns = range(homes * 2, homes * 10)  # a home bears 48 at most in a turn, and tells when its day is done
        assert births["steps"] - leaves in turns
        # Two days later: one is born, one lapses, and of the first one what was not kept ends.
        assert endings["steps"] - (3 * leaves - one["kept"]) in turns
        for run in (births, endings):
            assert run["events"] >= 100 and run["cpu_s"] > 0
            assert 0 <= run["p50_ms"] <= run["p99_ms"] <= run["longest_ms"]
        # What a kept patrol leaves behind does not grow unseen.
        assert one["kept_bytes"]["facts"] < 2_500 and one["kept_bytes"]["cases"] < 1_500
        assert one["kept_cpu_ms"] > 0
    assert os.listdir() == []


def test_the_door_is_measured_with_a_load_of_its_own() -> None:
    done = measured("door", "incidents", "readable", "alerts", "handwritten")
    databases = ["sqlite"] if done["skipped"] else ["sqlite", "postgresql"]
    rows = [done["incident1"], done["incident32"], done["door_to_alert"]]
    for family in ("door32", "door1", "readable"):
        assert list(done[family]) == databases
        rows += done[family].values()
    for row in rows:
        assert row["events"] >= 20 and row["cpu_ms"] > 0 and row["load_cpu_ms"] > 0
        # All is decided and followed after the last answer.
        assert 0 < row["events_per_s"] <= row["answers_per_s"]
        assert 0 < row["p50_s"] <= row["p99_s"] <= row["longest_s"]
        assert 0 < row["load_percent"] < 10
    assert done["incident32"]["events"] % 4 == 0 and done["door_to_alert"]["alerts"] > 0
    assert done["skipped"] or done["handwritten"]["cpu_ratio"] > 0
    assert [done[f"door{number}"]["sqlite"]["in_flight"] for number in (1, 32)] == [1, 32]


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_what_was_recorded_at_f28de43_writes_every_event_again(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The yardstick does the work of the engine that was: 5,000 events, each with its step, figures and answer."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/recorded.db"
        if name == "postgresql":
            url = stack.enter_context(postgres.fresh_database(request.getfixturevalue("postgres_server")))
        assert recorded.statements_cpu_ms(name, url) > 0
        check_recorded(url)


def check_recorded(url: str) -> None:
    """Every event is there, and was followed."""
    database = open_database(url)
    try:
        with database.read() as connection:
            counted = [
                connection.exec_driver_sql(sql).scalar_one()
                for sql in (
                    "SELECT count(*) FROM facts",
                    "SELECT count(*) FROM seen",
                    "SELECT sum(n) FROM positions WHERE consumer = 'performance'",
                    "SELECT sum(n) FROM positions WHERE consumer = 'alerts'",
                )
            ]
        assert counted[0] >= 5_000 and counted[1] == 5_000 and counted[2] == counted[3] == counted[0]
    finally:
        database.close()


def test_every_deadline_that_was_prepared_fires_and_none_before_it_is_due(tmp_path: Path) -> None:
    late = timers.measure_lateness(f"sqlite:///{tmp_path}/d.db", tmp_path, 0.01)
    assert late.due == 1_000 and 0 <= late.lateness_p50_s <= late.lateness_p99_s <= late.longest_s


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_a_crowd_waits_comes_up_and_is_decided_as_if_it_had_been_reported(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its cases are what the engine would have written, in every column that it looks for, and so are the counts."""
    with ExitStack() as stack:
        urls = [f"sqlite:///{tmp_path}/{size}.db" for size in (400, 2_000)]
        if name == "postgresql":
            server = request.getfixturevalue("postgres_server")
            urls = [stack.enter_context(postgres.fresh_database(server)) for _ in urls]
        heard = list[tuple[int, int]]()
        few, many = growth.measure_growth(urls, [400, 2_000], 0.01, 1, lambda *now: heard.append(now))
        assert (few.waiting, many.waiting, few.cost_ratio) == (400, 2_000, 1) and many.cost_ratio > 0
        assert heard[-1][1] == 2_000 and heard[-1][0] >= 1_900  # a hundred were reported, the others are copies
        check_crowd(urls[1], 2_000)


def check_crowd(url: str, number: int) -> None:
    """Of the crowd some have come up and some were accepted; all the others wait, and nothing of them is due."""
    events = 180  # at this scale: 40 at first, 100 in batches, 40 alone
    database = open_database(url)
    try:
        with database.read() as connection:
            assert list(recount.wrong_open_counts(connection)) == []
            rows = connection.exec_driver_sql(
                "SELECT id, state, next_at, due_at, body FROM cases WHERE open AND body LIKE '%%hotline%%'"
                if database.dialect == "postgresql"
                else "SELECT id, state, next_at, due_at, body FROM cases WHERE open AND body LIKE '%hotline%'"
            ).fetchall()
            clock = connection.exec_driver_sql("SELECT max(clock) FROM partitions").scalar_one()
            told = {row[0] for row in connection.exec_driver_sql("SELECT case_id FROM alerts")}
        assert len(rows) == number
        for id_, _, next_at, due_at, body in rows:
            case = cases.decode(body)
            assert case.id == id_ and comes_up(case) == next_at is not None and due_at is not None
        copies = {row[0]: row for row in rows if int(row[0][-12:], 16) <= number}
        assert len(copies) == number - growth.TEMPLATES
        assert sum(row[1] == "accepted" for row in copies.values()) == events // growth.ABOUT_EVERY
        assert 0 < len(told & copies.keys()) <= events // growth.UP_EVERY
        # Beside the few that came up, what is not due before the last event is not due for long.
        assert sum(row[2] > clock + 3_000_000 for row in rows) >= number - growth.TEMPLATES - events // growth.UP_EVERY
    finally:
        database.close()


def test_growth_is_told_by_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """On crowds that are made within seconds; which sizes they stand for is asserted first."""
    assert growth.SIZES == {"sqlite": (10_000, 1_000_000, 10_000_000), "postgresql": (10_000, 1_000_000)}
    monkeypatch.setattr(growth, "SIZES", {"sqlite": (20_000, 50_000, 100_000)})
    monkeypatch.setattr(growth, "OPEN", 50_000)
    done = measured("growth", "memory")
    assert 30 < done["rss_mib_1m_open"] < 1_000
    found = done["growth"]
    assert [one["waiting"] for one in found["databases"]["sqlite"]] == [400, 1_000, 2_000]
    grown = found["databases"]["sqlite"]
    assert all(one["cpu_ms"] > 0 and one["alone_cpu_ms"] > 0 for one in grown)
    assert [found["cost_ratio_1m"], found["cost_ratio_10m"]] == [one["cost_ratio"] for one in grown[1:]]


def test_the_worse_database_says_how_much_a_million_cases_cost() -> None:
    ratios = {"sqlite": [1.0, 1.04, 1.3], "postgresql": [1.0, 1.09]}
    found = growth.together(
        {
            name: [growth.Grown(waiting=10, cpu_ms=1, alone_cpu_ms=2, cost_ratio=ratio) for ratio in values]
            for name, values in ratios.items()
        }
    )
    assert (found.cost_ratio_1m, found.cost_ratio_10m) == (1.09, 1.3)


def test_growth_begins_only_where_the_disk_has_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(bench_run, "disk_usage", lambda _: usage._replace(free=5 << 30))
    result = CliRunner().invoke(main, ["bench", "--only", "growth"], prog_name="gridpatrol")
    assert result.exit_code == 1 and "5,120 MiB free" in result.stderr and "TMPDIR" in result.stderr
    assert "growth takes up to 25.1 GB" in result.stderr


def test_every_figure_of_the_bench_has_its_name() -> None:
    """Other programs read them by these names; each family is a method that is called by its own."""
    nested = {
        "door32",
        "door1",
        "incident1",
        "incident32",
        "readable",
        "door_to_alert",
        "handwritten",
        "timers",
        "replay",
        "growth",
    }
    assert nested | {"sqlite", "postgresql", "decide_us", "rss_mib_1m_open"} <= set(bench_run.Bench.__struct_fields__)
    assert {"cpu_ms", "events_per_s", "p50_s", "p99_s"} <= set(DoorRun.__struct_fields__)
    assert {"cpu_ms_per_event", "ratio"} <= set(bench_run.Batched.__struct_fields__)
    assert all(callable(getattr(bench_run.Measuring, name)) for name in (*FAMILIES, *APART))


def test_a_load_that_is_not_taken_ends_the_measurement(tmp_path: Path) -> None:
    """What the rules refuse is no event that was carried: the second report of a case is a conflict, not done."""
    with serving(f"sqlite:///{tmp_path}/d.db", tmp_path) as opened:
        job = Job(url=opened.url, number=4, in_flight=2, said="incidents")
        with loading(job) as start:
            assert start().events == 16
        with loading(job) as start, pytest.raises(RuntimeError, match="the load was not taken"):
            start()


SEEN = city.City(
    as_of=city.END,
    events=31_327,
    cases=16_782,
    closed=14_545,
    open=2_237,
    outcomes={"on_time": 9_047, "overdue": 4_492, "not_due": 229, "without_deadline": 3_014},
    flags=13_743,
    flags_equal=13_742,
    deadlines=2_000,
    deadlines_equal=1_939,
    districts=[city.District("D9", 1_254, 771, 315, 130, 1_000_000, None)],
)


def test_a_share_is_never_told_better_than_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    city.print_city(SEEN, "sqlite:///var/city.db")
    printed = capsys.readouterr().out
    assert "13,742 of 13,743" in printed and "100" not in printed.partition("district")[0]
    assert "96.9" in printed and "97" not in printed.partition("district")[0]
    assert "70.9 %" in printed and "--database sqlite:///var/city.db" in printed


def test_an_open_case_past_its_deadline_is_overdue_and_one_before_it_is_not() -> None:
    assert city.outcome(city.TotalClock(due=5, breached=True)) == "overdue"
    assert city.outcome(city.TotalClock(due=50)) == "not_due"
    assert city.outcome(city.TotalClock()) == "without_deadline"
    assert city.outcome(city.TotalClock(due=5, breached=True, result="on_time")) == "on_time"
    assert city.flag(city.TotalClock(due=50)) == "ONTIME"

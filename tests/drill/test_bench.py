"""The benchmark and the city's table: small, so that they keep working; their figures are for people.

Enters: a few events. Leaves: figures that hang together.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gridpatrol.cli import main
from gridpatrol.run import city


@pytest.fixture(autouse=True)
def folder_of_its_own(as_it_was: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)


def test_the_bench_measures_both_databases_or_says_why_not() -> None:
    result = CliRunner().invoke(main, ["bench", "--scale", "0.02", "--json"], prog_name="gridpatrol")
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    done = json.loads(result.stdout)
    by_database: dict[str, list[dict[str, Any]]] = {}
    for run in done["runs"]:
        by_database.setdefault(run["database"], []).append(run)
        assert run["events_per_s"] > 0 and run["cpu_ms"] > 0 and run["bare_share"] > 0
        # Of the process there is always some; of a server only where it runs on this machine.
        assert run["cpu_ms"] == pytest.approx(run["process_cpu_ms"] + (run["database_cpu_ms"] or 0), abs=0.001)
    assert [run["batch"] for run in by_database["sqlite"]] == [500, 100, 1]
    assert "postgresql" in by_database or done["skipped"]
    assert os.listdir() == []


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

"""The demo's month is the same to the byte, and what is charged and told in it is just.

In: a month of demo traffic of one seed. Out: its facts and alerts as they were recorded when rules last changed, and
what holds for every case: who is told, who is charged, and that figures of a grid and of those below it add up.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from engine.packs import folder_of
from engine.store.database import open_database
from engine.views.figure_question import select
from engine.views.names import Names
from engine.views.performance import figure_rows
from gridpatrol.demo.month import write_month
from schemas import facts
from tests.support import recorded
from tests.support.builders import weiyang
from tests.support.recorded import facts_of, gridpatrol, sums
from workflows.definitions.incident import INCIDENT

END = "2026-10-16T10:00:00+08:00"
"""When the demo's month ends; its seed is that of `gridpatrol demo run`."""
SEED = 311


@pytest.fixture(scope="module")
def month_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of the demo's month."""
    folder = tmp_path_factory.mktemp("month")
    file, url = folder / "month.jsonl", f"sqlite:///{folder / 'month.db'}"
    write_month(file, folder_of("weiyang"), datetime.fromisoformat(END), SEED)
    assert recorded.digest(file.read_bytes()) == sums()["month.jsonl"], "the month itself is another"
    gridpatrol("replay", file, "--until", END, "--database", url, status=1)  # twelve of them are refused on purpose
    return url


def test_the_month_of_the_demo_has_the_recorded_facts_and_answers(month_url: str, tmp_path: Path) -> None:
    assert recorded.digest(facts_of(month_url, tmp_path)) == sums()["month.facts.jsonl"]
    alerts = gridpatrol("alert", "list", "--limit", "10000", "--json", "--database", month_url)
    assert recorded.digest(alerts.encode()) == sums()["month.alerts.json"]
    gridpatrol("verify", "--database", month_url)


def test_every_alert_of_a_check_or_a_closing_reaches_a_post_of_the_level_that_must_act(
    month_url: str, tmp_path: Path
) -> None:
    policy, told = weiyang(), Counter[str]()
    for step in map(facts.decode_step, facts_of(month_url, tmp_path).splitlines()):
        for fact in step.facts:
            if isinstance(fact, facts.AlertRaised) and fact.clock in ("verify", "close"):
                grid = step.path.split("/")[fact.level]
                assert grid in {policy.posts[post].grid for post in fact.to}, (step.case, fact)
                told[fact.clock] += 1
    assert told["verify"] > 100 and told["close"] > 0, told


def test_what_is_charged_to_a_grid_is_its_own_and_that_of_the_grids_below_it(month_url: str) -> None:
    """For every grid of the month and every measure of clocks: the rows of its children and its own add up to it."""
    policy, compared = weiyang(), Counter[str]()
    with closing(open_database(month_url)) as database, database.read() as connection:
        names = Names(policy)
        clocks = ["", "total", *INCIDENT.clocks]
        for grid, clock in ((code, clock) for code in policy.grids for clock in clocks):
            asked = select(policy, definition="incident", grid=grid, clock=clock)
            (whole,) = figure_rows(connection, names, asked)
            rows = figure_rows(connection, names, structs.replace(asked, by="grid"))
            below = {code for code, known in policy.grids.items() if known.parent == grid}
            assert {row.key for row in rows} <= {grid, *below}
            total = Counter[str]()
            for row in rows:
                total.update(row.counts)
            assert total == whole.counts, (grid, clock)
            own = Counter[str]()
            for row in (row for row in rows if row.key == grid):
                own.update(m.partition(":")[0] for m in row.counts if ":" in m)
            compared.update(own if below else {})
    assert set(compared) >= {"breach", "passed_on", "void", "on_time", "overdue"}, compared


def test_no_unit_is_charged_with_a_clock_that_it_did_not_hold(month_url: str, tmp_path: Path) -> None:
    """Told a second time from the facts alone: who held a case when, who ordered, and which clocks ran meanwhile."""
    held: dict[str, list[tuple[int, facts.Unit]]] = {}
    runs: dict[tuple[str, str, int], list[list[Any]]] = {}
    ordered: dict[tuple[str, str, int], facts.Unit] = {}
    charged = Counter[str]()
    steps = map(facts.decode_step, facts_of(month_url, tmp_path).splitlines())
    for step in sorted(steps, key=lambda step: (step.case, step.seq)):
        for fact in step.facts:
            if isinstance(fact, facts.Held):
                held.setdefault(step.case, []).append((fact.since, fact.unit))
            if not isinstance(fact, facts.ClockFact):
                continue
            clock = step.case, fact.clock, fact.level
            match fact:
                case facts.ClockStarted():
                    runs[clock] = [[*run] for run in fact.runs] + [[fact.judged, None]]
                    if fact.holder is not None:
                        ordered[clock] = fact.holder
                case facts.ClockPaused() if runs[clock][-1][1] is None:
                    runs[clock][-1][1] = fact.judged
                case facts.ClockResumed():
                    runs[clock].append([fact.judged, None])
            unit = getattr(fact, "charged", None)
            if unit is None:
                assert not isinstance(fact, facts.ClockStopped) and not getattr(fact, "breach", False), fact
                continue
            charged[fact.clock] += 1
            if clock in ordered:
                assert unit == ordered[clock]
                continue
            spans = zip(held[step.case], [*held[step.case][1:], (None, unit)], strict=True)
            its = [(since, until) for (since, who), (until, _) in spans if who == unit]
            assert any(
                (end is None or since <= end) and (until is None or begin is None or begin <= until)
                for since, until in its
                for begin, end in runs[clock]
            ), (step.case, step.seq, fact)
            assert fact.level in (0, unit.level), fact
    assert set(charged) >= {"accept", "handle", "rectify", "verify", "close", "total"}, charged

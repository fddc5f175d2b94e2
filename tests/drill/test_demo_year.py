"""The demo's year: supervision, tasks, targets, audit draws, assessments and exemptions in each of their main states.

Enters: a made-up year of the sample city, played into an empty database. Leaves: what offices have said in it, that the
rules took all of it, that it is marked as made up, and that the same year comes out again.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from consumers.verify import verify
from engine.packs import folder_of, load_pack
from engine.store.database import open_database
from engine.store.sql import execute
from gridpatrol.demo.year import MADE_UP, write_pack
from gridpatrol.run.demo_year import Wanted, run
from gridpatrol.run.wiring import settings_of
from tests.support.recorded import facts_of, gridpatrol

Fact = dict[str, Any]
WANTED = Wanted(year=2025, incidents=200, every=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the year lies."""
    made = tmp_path_factory.mktemp("year")
    assert run(settings_of(database=f"sqlite:///{made / 'year.db'}"), made / "year", WANTED) > 2000
    return made


@pytest.fixture(scope="module")
def told(folder: Path) -> list[Fact]:
    """All facts of the year."""
    steps = map(json.loads, facts_of(f"sqlite:///{folder / 'year.db'}", folder).splitlines())
    return [fact | {"of": step["definition"], "action": step["category"]} for step in steps for fact in step["facts"]]


def entered(told: list[Fact], definition: str) -> Counter[str]:
    """How often a case of a kind came into each state."""
    moved = (fact for fact in told if fact["fact"] == "incident.moved" and fact["of"] == definition)
    return Counter(fact["state"] for fact in moved)


def count(told: list[Fact], name: str, **members: Any) -> int:
    """How many facts of a name have these members."""
    return sum(fact["fact"] == name and members.items() <= fact.items() for fact in told)


def test_what_people_and_offices_say_is_taken_and_what_a_faulty_app_sends_is_not(folder: Path) -> None:
    database = open_database(f"sqlite:///{folder / 'year.db'}")
    with database.read() as connection:
        letters = list(execute(connection, "SELECT source, type, detail FROM dead_letters"))
    sent = [tuple(row) for row in letters if row[0] != "/demo/faulty"]
    assert len(sent) < len(letters)
    # What a supervision holds (挂牌督办) is not closed before that is cleared, nor that cleared before it is solved.
    held = {"gridpatrol.incident.closed.v1", "gridpatrol.supervision.cleared.v1"}
    assert {type_ for _, type_, _ in sent} <= held, sent
    database.close()


def test_every_figure_and_sheet_of_it_is_as_it_is_recounted(folder: Path) -> None:
    database = open_database(f"sqlite:///{folder / 'year.db'}")
    assert verify(database) == []
    database.close()


@pytest.mark.mechanism("M58", "M79", "M94", "M121", "M124")
def test_supervisions_are_in_motion(told: list[Fact]) -> None:
    states = entered(told, "supervision")
    wanted = {"proposed", "approved", "served", "answered", "sent_back", "reviewed", "cleared", "elevated"}
    assert states.keys() >= wanted | {"declined", "withdrawn", "rescinded"}, states
    assert count(told, "supervision.called_for"), "rungs have borne some"
    assert count(told, "case.hold_placed") and count(told, "case.hold_lifted")
    decided = {fact["action"] for fact in told if fact["fact"] == "supervision.decided"}
    assert decided >= {"letter", "watch", "deduction", "veto", "listed"}, decided
    assert any(fact.get("amount_fen") for fact in told if fact["fact"] == "supervision.decided")
    assert count(told, "home.listed"), "a served watch lists a grid"


@pytest.mark.mechanism("M38", "M66", "M97", "M107")
def test_tasks_lists_and_draws_are_in_motion(told: list[Fact]) -> None:
    tasks = entered(told, "task")
    wanted = {"handed_down", "taken_on", "reported", "checked", "sent_back", "settled", "withdrawn"}
    assert tasks.keys() >= wanted, tasks
    assert count(told, "task.progressed") > 50
    assert count(told, "responsibility.signed") and count(told, "post.spoke_untrained")
    assert entered(told, "draw").keys() >= {"undrawn", "drawn", "finished", "called_off"}
    assert entered(told, "visit").keys() >= {"unvisited", "revisited", "dropped"}
    assert {fact["outcome"] for fact in told if fact["fact"] == "visit.recorded"} == {"held", "failed"}
    assert {fact["root_cause"] for fact in told if fact["fact"] == "incident.root_cause_found"} == {
        "polluter",
        "supervision",
        "service",
    }
    assert count(told, "incident.campaign_named")


@pytest.mark.mechanism("M135")
def test_leaders_receive_the_public_each_month_or_are_seen_not_to(folder: Path) -> None:
    [row] = [duty for duty in load_pack(str(folder / "year" / "pack")).duties if duty.code == "RECEPTION-STREET"]
    assert (row.name, row.role, row.levels, row.period) == ("接访日", "sponsor", (3,), "month")
    steps = [json.loads(line) for line in facts_of(f"sqlite:///{folder / 'year.db'}", folder).splitlines()]
    owed = {step["case"] for step in steps for fact in step["facts"] if fact.get("duty") == row.code}
    facts = (fact for step in steps if step["case"] in owed for fact in step["facts"])
    states = Counter(fact["state"] for fact in facts if fact["fact"] == "incident.moved")
    assert states["owed"] == len(owed) >= 12 * 12 and states["kept"] > len(owed) / 2 and states["missed"], states


@pytest.mark.mechanism("M56", "M86", "M92", "M102")
def test_targets_and_assessments_are_in_motion(told: list[Fact]) -> None:
    assert entered(told, "target").keys() >= {"signed", "met", "missed", "unscored"}
    assert count(told, "target.measured", corrects=True)
    states = entered(told, "assessment")
    assert states.keys() >= {"computed", "commented", "announced", "restating"}, states
    assert count(told, "assessment.restated")
    assert count(told, "exemption.decided", granted=True) and count(told, "exemption.decided", granted=False)
    assert count(told, "exemption.requested") and count(told, "exemption.appealed")


def test_it_is_marked_as_made_up_and_plays_once(folder: Path, tmp_path: Path) -> None:
    pack = load_pack(str(folder / "year" / "pack"))
    assert MADE_UP in pack.notice
    gridpatrol("demo", "year", "--database", f"sqlite:///{folder / 'year.db'}", status=1)
    assert load_pack(str(write_pack(folder_of("weiyang"), tmp_path / "pack", 2025))) == pack

"""The demo's year: each kind of case in each of its main states, and what passes between homes.

Enters: a made-up year of the sample city, played into an empty database. Leaves: what offices have said in it, that the
rules took all of it, that it is marked as made up, and that the same year comes out again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from consumers.performance import consume
from consumers.verify import verify
from engine.packs import folder_of, load_pack
from engine.runtime import Engine
from engine.store import clocks, sends
from engine.store.database import open_database
from engine.store.sql import execute
from engine.views.answers import find_answer
from gridpatrol.demo.year import MADE_UP, write_pack
from gridpatrol.run.demo_year import CODES, Wanted, run
from gridpatrol.run.wiring import settings_of
from schemas.kinds.petition import CHANNELS, LINES
from schemas.partition import home_of
from tests.drill.test_demo import BLOCK, OVER_A_YEAR, shell
from tests.integration.test_console import as_post, close_browsers
from tests.support.builders import shipped
from tests.support.forks import command_in
from tests.support.links import follow
from tests.support.recorded import facts_of, gridpatrol
from tests.support.serving import served
from tests.support.source_files import ROOT

__all__ = ["close_browsers"]
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
    return [
        fact
        | {"of": step["definition"], "action": step["category"], "home": home_of(step["case"]), "case_id": step["case"]}
        for step in steps
        for fact in step["facts"]
    ]


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
    with database.read() as connection:
        assert sum(sends.count_outgoing(connection).values()) == 0, "what cases say to each other has arrived"
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


def test_each_page_of_it_opens_and_each_link_leads_on(folder: Path) -> None:
    """As who supervises, as the chief of a street and as a member: what a page offers is there, and is read."""
    url = f"sqlite:///{folder / 'year.db'}"
    database = open_database(url)
    with database.begin() as connection:
        clocks.note_replayed(connection, "a test")  # its time stays that of the year
    with served(Engine(database, settings_of(database=url), [consume.consume])) as door:
        for post, least in (("WY-SUPERVISOR", 120), ("WY03-CHIEF", 60), ("WY01-01-MEMBER", 30)):
            assert follow(as_post(door, post)) >= least, post
    database.close()


@pytest.mark.mechanism("M49", "M61", "M63", "M76", "M77", "M126")
def test_petitions_are_in_motion(told: list[Fact], folder: Path) -> None:
    states = entered(told, "petition")
    wanted = {"submitted", "examining", "accepted", "answered", "reexamination", "review", "revisited", "settled"}
    assert states.keys() >= wanted | {"rejected", "withdrawn"}, states
    assert {fact["channel"] for fact in told if fact["fact"] == "petition.taken"} == {*CHANNELS}
    assert count(told, "petition.answered", lane="leader"), "a message of the board goes by its lane"
    decided = {(fact["line"], fact["outcome"]) for fact in told if fact["fact"] == "petition.reward_decided"}
    assert decided == {(line, outcome) for line in LINES for outcome in ("paid", "refused")}
    # What was taken in here is worked on in the home of its place.
    across = [fact for fact in told if fact["fact"] == "petition.joined" and fact["home"] != home_of(fact["case"])]
    assert {fact["home"] for fact in across} > {"XA"} and all(fact["case"] for fact in across)
    assert count(told, "petition.case_over") and count(told, "case.proposal_decided")
    assert {each["state"] for each in told if each["fact"] == "incident.moved" and each["of"] == "service_request"} == {
        "reported",
        "closed",
    }
    assert count(told, "case.reopened"), "who called is not satisfied with what was closed"
    first, *_ = (folder / "year" / CODES).read_text(encoding="utf-8").split()
    database = open_database(f"sqlite:///{folder / 'year.db'}")
    with database.read() as connection:
        found = find_answer(connection, first)
        assert found is not None and found.answer and find_answer(connection, f"{first[:-1]}0") is None
    database.close()


@pytest.mark.mechanism("M52", "M72", "M73", "M116")
def test_signals_are_in_motion(told: list[Fact]) -> None:
    states = entered(told, "signal")
    assert states.keys() == {"checking", "alarmed", "subsided", "over", "ruled_out"}, states
    assert count(told, "signal.worsened") and count(told, "signal.over", reason="heard_again"), "one fell silent"
    attached = [fact for fact in told if fact["fact"] == "signal.attached"]
    assert {fact.get("bears", False) for fact in attached} == {True, False}, "two devices of a place share an incident"
    borne = Counter(fact["case_id"] for fact in attached if fact.get("bears"))
    assert max(borne.values()) > 1, "an episode outlasts the handling of its incident"
    assert len({fact["type"] for fact in told if fact["fact"] == "signal.began"}) == len(shipped().device_types)


@pytest.mark.mechanism("M30", "M31", "M64", "M74", "M75")
def test_joint_work_is_in_motion(told: list[Fact]) -> None:
    states = entered(told, "part")
    wanted = {"entrusted", "written_to", "taken_on", "finished", "settled", "sent_back", "let_off"}
    assert states.keys() >= wanted, states
    assert entered(told, "incident")["awaiting_parts"] and count(told, "incident.parts_reopened")
    assert {fact["what"] for fact in told if fact["fact"] == "incident.joint_acted"} == {"meeting", "enforcement"}
    answers = {fact["outcome"] for fact in told if fact["fact"] == "part.answered"}
    assert answers >= {"agreed", "finished"}, "a neighbour was written to"


@pytest.mark.mechanism("M88", "M119", "M120", "M122", "M124")
def test_approvals_are_in_motion(told: list[Fact]) -> None:
    states = entered(told, "approval")
    assert states.keys() >= {"examining", "on_hold", "permitted", "declined"}, states
    assert count(told, "approval.banned") and count(told, "approval.unbanned"), "a permit ban holds for a while"
    assert len({fact["ground"] for fact in told if fact["fact"] == "approval.paused"}) > 1
    assert {fact["body"] for fact in told if fact["fact"] == "approval.referral_answered"} == {
        "police_desk",
        "enforcement_team",
    }
    for late in ("past_promise", "past_statute"):
        assert {bool(fact.get(late)) for fact in told if fact["fact"] == "approval.decided"} == {True, False}, late
    assert count(told, "approval.filed", emergency=True) and count(told, "approval.visited")
    assert any(fact.get("reverses") for fact in told if fact["fact"] == "approval.line_entered")
    called = Counter(fact["action"] for fact in told if fact["fact"] == "supervision.called_for")
    assert called["accountability"], "the ladder of the hall, or of the law's time, ends in a supervision"


@pytest.mark.mechanism("M13", "M47", "M94")
def test_where_a_street_is_listed_it_is_patrolled_every_day(told: list[Fact]) -> None:
    owed = Counter((fact["duty"], fact["home"]) for fact in told if fact["fact"] == "duty.owed")
    patrolled = {home for duty, home in owed if duty == "PATROL"}
    assert patrolled and patrolled == {fact["home"] for fact in told if fact["fact"] == "home.listed"}
    assert all(owed["PATROL", home] > 4 * owed["VISIT-LEAF", home] > 0 for home in patrolled), owed
    assert entered(told, "duty").keys() == {"owed", "kept", "missed", "excused"}


def test_what_the_page_tells_to_try_works(folder: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs/demo.md").read_text(encoding="utf-8").partition(OVER_A_YEAR)[2]
    (tmp_path / "var").symlink_to(folder)
    commands = tmp_path / "bin"
    commands.mkdir()
    with command_in(commands):
        script = "\n".join((f"export PATH={commands}:$PATH", *BLOCK.findall(page)))
        walked = shell(script, tmp_path)
    for words in (
        "满意 satisfied",
        "已答复|已受理",
        "已恢复 over",
        "(entrusted|taken_on|finished|settled|let_off|written_to|moot|sent_back) ",
        "按承诺时限办结率",
        "PM2.5",
    ):
        assert re.search(words, walked), f"{words}\n{walked}"
    assert "年度目标" in (folder / "debrief.html").read_text(encoding="utf-8")


def test_it_is_marked_as_made_up_and_plays_once(folder: Path, tmp_path: Path) -> None:
    pack = load_pack(str(folder / "year" / "pack"))
    assert MADE_UP in pack.notice
    gridpatrol("demo", "year", "--database", f"sqlite:///{folder / 'year.db'}", status=1)
    assert load_pack(str(write_pack(folder_of("weiyang"), tmp_path / "pack", 2025))) == pack

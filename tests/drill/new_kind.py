"""The inquiry, a kind of case that CONTRIBUTING.md adds, from the door to the recount, on each database.

The recipe runs this in its copy of the tree, where there is such a kind. Enters: its events, early, late and wrong ones
among them. Leaves: what a sender, an owner and an operator see of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from consumers.alerts import fold
from consumers.performance.consume import consume
from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine.clock import now_ms
from engine.policies import Policies
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import clocks, exports
from engine.views.names import active_names
from gridpatrol.render.story import story
from lab.runs import open_at_this_release
from schemas import facts
from tests.support.builders import DAY, HOTLINE, HOUR, Story, at, event, subject, weiyang
from tests.support.serving import served, tell
from workflows.definitions import DEFINITIONS
from workflows.machine import mermaid
from workflows.rehearsal import rehearse

HANDLER = "WY-EPB-H"
ASKED = {"department": "WY-EPB", "about": subject("WY01", 9)}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine with both consumers on an empty database, the sample pack active since long."""
    database = open_at_this_release(database_url)
    engine = Engine(database, Settings(database=database_url, partitions=4), [consume, fold.consume])
    fold.epoch(database)
    engine.install(weiyang().pack, now_ms() - 100 * DAY)
    engine.drain()
    with database.begin() as connection:
        clocks.note_replayed(connection, "a test")  # its time is that of the test
    yield engine
    database.close()


def test_an_inquiry_goes_from_the_door_to_the_recount(engine: Engine, tmp_path: Path) -> None:
    case, then = subject("WY01", 1), now_ms() - 60 * DAY
    # An answer before the question waits for it, and is decided with it: it does not satisfy.
    early = event("inquiry.answered", HANDLER, then, case=case, id="early", outcome="open")
    assert tell(engine, early, then) == "parked"
    born = event("inquiry.asked", HOTLINE, then + HOUR, case=case, id="asked", **ASKED)
    assert tell(engine, born, then + HOUR) == "done"
    assert tell(engine, event("case.urged", "WY-CHIEF", then + DAY, case=case, id="urged"), then + DAY) == "done"
    # Two working days are over.
    last = event("inquiry.answered", HANDLER, then + 10 * DAY, case=case, id="last", outcome="satisfied")
    assert tell(engine, last, then + 10 * DAY) == "done"
    with served(engine) as door:
        live = subject("WY02", 2)
        now = now_ms()
        answer = door.post(event("inquiry.asked", HOTLINE, now, case=live, id="live", **ASKED), Prefer="wait=10")
        assert answer.json()["field"] == "data.about", answer.text  # of another home
        asked = event("inquiry.asked", HOTLINE, now, case=live, id="live2", deadline=None)
        assert door.post(asked, Prefer="wait=10").json()["outcome"] == "refused"  # roles.csv: the intake orders none
        asked = event("inquiry.asked", HOTLINE, now, case=live, id="live3", question="哪天收垃圾？")
        assert door.post(asked, Prefer="wait=10").json()["outcome"] == "done"
        said = event("incident.accepted", "WY02-CHIEF", now, case=live, id="x")
        assert door.post(said, Prefer="wait=10").json()["outcome"] == "refused"
        shown = door.get(f"/v1/incidents/{live}")
        assert (shown["definition"], shown["state"], shown["state_zh"]) == ("inquiry", "unanswered", "待答复")
        assert shown["owner"]["grid"]["code"] == "WY02"  # no department was sent
        assert {clock["name"] for clock in shown["clocks"]} == {"satisfy", "total"}
        assert [each["trigger"] for each in shown["allowed"] if each["trigger"].startswith("inquiry.")] == [
            "inquiry.answered"
        ]
        shown = door.get(f"/v1/incidents/{case}")
        assert (shown["state"], shown["open"], shown["about"]) == ("answered", False, subject("WY01", 9))
        assert shown["own"] == {"kind": "inquiry", "answers": 2}
        alerts = door.get("/v1/alerts", case=case)["alerts"]
        assert "urged" in {notice["on"] for notice in door.get("/v1/notices", case=case)["notices"]}
        [due] = [alert for alert in alerts if (alert["clock"], alert["kind"]) == ("satisfy", "due")]
        assert HANDLER in {post["code"] for post in due["recipients"]}
    with engine.database.read() as connection:
        counted = connection.execute(text("SELECT measure, sum(value) FROM figures GROUP BY measure")).all()
        figures = {measure: value for measure, value in counted if value}
        names = active_names(connection, Policies())
        lines = "\n".join(story(exports.steps_of(connection, case), names))
    assert {"answers:open": 1, "answers:satisfied": 1, "breach:satisfy": 1}.items() <= figures.items()
    assert sum(figures.get(measure, 0) for measure in ("on_time", "closed_late", "without_deadline")) == 1
    assert not {"urged", "answered"} & set(figures)  # the inquiry counts neither: it declares no such measure
    assert "待答复 unanswered" in lines and "已答复 answered" in lines
    assert "答复 answered: open" in lines and "答复 satisfy 超期 overdue" in lines
    engine.drain()
    assert verify(engine.database) == []
    assert replayed_beside(engine, tmp_path) == []


def test_an_inquiry_is_drawn_and_rehearsed() -> None:
    drawn = mermaid(DEFINITIONS["inquiry"])
    assert "open --> answered : inquiry.answered" in drawn and "answered 已答复" in drawn
    done = rehearse(weiyang(), at("03-02 09:00"))
    assert {state for kind, state in done.states if kind == "inquiry"} == {"awaited", "unanswered", "answered"}
    assert ("inquiry", "satisfy") in done.clocks


def test_an_inquiry_answered_in_time_is_on_time_and_the_incident_s_facts_are_as_before() -> None:
    asked = Story()
    asked.done("inquiry.asked", HOTLINE, department="WY-EPB")
    asked.done("inquiry.answered", HANDLER, outcome="satisfied")
    results = {fact.clock: fact.result for fact in asked.facts if isinstance(fact, facts.ClockStopped)}
    assert results["satisfy"] == "on_time" and asked.case.closed is not None
    reported = Story(number=2)
    reported.done("report.submitted", HOTLINE, category="D3-04", source="hotline", grid="WY01-01")
    assert reported.case.definition == "incident" and reported.case.own is None

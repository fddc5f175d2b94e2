"""Tasks at the door, on each database: given to many under one code, added up, listed, counted; and the recount.

In: events of posts. Out: what `/v1/tasks/CODE`, lists, figures and the command show, and to whom.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from consumers.performance import consume
from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine.clock import now_ms
from engine.policies import Policies
from engine.runtime import Engine
from engine.store import exports
from engine.views.names import active_names
from gridpatrol.commands.task import command
from gridpatrol.render.story import story
from tests.support.builders import DAY, HOUR, STREET, event, subject
from tests.support.serving import prepared, served, tell, wait_until

OFFICE, CITY = "WY-OFFICE", "XA-OFFICE"
FIRST, SECOND, THIRD = subject("WY01", 1), subject("WY02", 2), subject("XA", 3)


def give(engine: Engine, case: str, by: str, then: int, due: str, **data: Any) -> None:
    """A task of the code `ready`."""
    said = {"code": "ready", "goal": "五到位", "quantity": "5", "counted_in": "项", "due": due}
    assert tell(engine, event("task.assigned", by, then, case=case, id=case, **{**said, **data}), then) == "done"


def begin(engine: Engine) -> int:
    """Three tasks, one of which is late, and what has come of them; the instant of the last word."""
    then = now_ms() - 20 * DAY
    with engine.database.read() as connection:
        days = active_names(connection, Policies()).register.clock_of_days
    soon, later = (days.local(then + n * DAY)[:10] for n in (5, 60))
    give(engine, FIRST, OFFICE, then, soon, grid="WY01")
    give(engine, SECOND, OFFICE, then, later, grid="WY02")
    give(engine, THIRD, CITY, then, later, department="WY-EPB", counted_in="km", quantity="0.3")
    words = [
        ("task.progressed", "WY-EPB-H", THIRD, {"done": "0.1"}),
        ("task.progressed", "WY-EPB-H", THIRD, {"done": "0.2"}),
        ("task.claimed", STREET, FIRST, {}),
        ("task.progressed", STREET, FIRST, {"done": "3"}),
        ("task.reported", "WY02-CHIEF", SECOND, {}),
        ("task.checked", OFFICE, SECOND, {"outcome": "passed"}),
        ("task.ended", OFFICE, SECOND, {}),
    ]
    for number, (kind, actor, case, data) in enumerate(words):
        then += HOUR
        assert tell(engine, event(kind, actor, then, case=case, id=f"w{number}", **data), then) == "done"
    return then


def test_what_was_given_to_many_is_added_up_and_opens_into_its_tasks(database_url: str, tmp_path: Path) -> None:
    with prepared(database_url) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        begin(engine)
        with served(engine) as door:
            wait_until(lambda: FIRST in door.client.get("/v1/alerts", params={"case": FIRST}).text)
            page = door.get("/v1/tasks/ready")
            assert (page["owners"], page["late"]) == (3, 1)
            assert page["states"] == {"handed_down": 1, "settled": 1, "taken_on": 1}
            assert page["amounts"] == [
                {"counted_in": "项", "quantity": "10", "done": "8"},
                {"counted_in": "km", "quantity": "0.3", "done": "0.2"},
            ]
            assert [(line["id"], line["late"]) for line in page["tasks"]] == [
                (FIRST, True),
                (SECOND, False),
                (THIRD, False),
            ]
            part = door.get("/v1/tasks/ready", grid="WY01")
            assert (part["owners"], part["amounts"][0]["done"]) == (1, "3")
            first = door.get("/v1/tasks/ready", limit="2")
            assert [line["id"] for line in first["tasks"]] == [FIRST, SECOND] and first["owners"] == 3
            rest = door.get("/v1/tasks/ready", limit="2", cursor=first["next"])
            assert [line["id"] for line in rest["tasks"]] == [THIRD] and rest["next"] is None
            assert door.get("/v1/tasks/nothing")["owners"] == 0
            listed = door.get("/v1/incidents", definition="task", category="ready", open="all")["incidents"]
            assert {line["id"] for line in listed} == {FIRST, SECOND, THIRD}
            assert FIRST not in door.client.get("/v1/incidents").text  # tasks are listed where they are asked for
            assert FIRST in door.client.get("/v1/tasks", params={"post": STREET}).text

            def counted() -> bool:
                figures = door.get("/v1/performance", definition="task", period="all", by="category")
                rows = {row["key"]: row["counts"] for row in figures["rows"]}
                ready = rows.get("ready", {})
                return (ready.get("given"), ready.get("done"), ready.get("late"), ready.get("settled")) == (3, 1, 1, 1)

            wait_until(counted)
        engine.drain()
        assert verify(engine.database) == []
        assert replayed_beside(engine, tmp_path) == []
        with engine.database.read() as connection:
            lines = "\n".join(story(exports.steps_of(connection, SECOND), active_names(connection, Policies())))
        assert "下达 given: 五到位, 5 项" in lines and "办结 ended" in lines
    shown = CliRunner().invoke(command, ["code", "ready", "--database", database_url, "--json"])
    assert json.loads(shown.output)["amounts"][0]["done"] == "8", shown.output
    said = CliRunner().invoke(command, ["code", "ready", "--database", database_url])
    assert "3 owners, 1 late" in said.output and "逾期 late" in said.output

"""Petitions at the door, on each database: taken in, worked on, answered, and looked up by the code of who asked.

In: events of posts, and what anybody sends to `/v1/answers`. Out: answers, figures, what the log and the tables hold.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from consumers.performance import consume
from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine.clock import now_ms
from engine.policies import Policies
from engine.quotas import LOOKUPS_AT_ONCE
from engine.runtime import Engine
from engine.store import exports
from engine.store.incident_queries import read_case
from engine.store.tables import metadata
from engine.views.names import active_names
from gridpatrol.render.story import story
from schemas.derived_ids import petitioned_subject
from schemas.kinds.petition import Petition
from tests.integration.test_door import problem
from tests.integration.test_sends_across import line_of, settle
from tests.simulation.line import NOW
from tests.support.builders import HOUR, LEAF_CHIEF, STREET, event, subject
from tests.support.serving import prepared, served, tell, wait_until
from workflows.case import decode

HOTLINE = "WY-12345"
ASKED, TOLD = subject("WY01", 1), "…扬尘已覆盖"


def say(engine: Engine, kind: str, by: str, then: int, case: str = ASKED, **data: Any) -> None:
    """Say something that is taken."""
    assert tell(engine, event(kind, by, then, case=case, id=f"{kind}{then}", **data), then) == "done", kind


def begin(engine: Engine, then: int) -> str:
    """A petition that is answered after its incident was closed; the id of that incident."""
    said = {"category": "D3-04", "channel": "phone", "grid": "WY01-01", "description": "…", "contact": "139"}
    say(engine, "petition.submitted", HOTLINE, then, **said)
    say(engine, "petition.accepted", STREET, then + 1)
    with engine.database.read() as connection:
        [work] = connection.execute(text("SELECT id FROM cases WHERE definition = 'incident'")).scalars()
    steps = [
        ("incident.accepted", STREET, {}),
        ("handling.completed", STREET, {}),
        ("verification.recorded", LEAF_CHIEF, {"outcome": "solved"}),
        ("incident.closed", LEAF_CHIEF, {}),
    ]
    for number, (kind, by, data) in enumerate(steps, 2):
        say(engine, kind, by, then + number, case=work, **data)
    say(engine, "petition.answered", STREET, then + HOUR, found="true", answer=TOLD)
    say(engine, "petition.revisited", HOTLINE, then + 2 * HOUR, outcome="satisfied")
    return str(work)


def test_who_asked_looks_up_the_answer_by_a_code_that_is_in_no_table(database_url: str) -> None:
    with prepared(database_url) as engine:
        begin(engine, now_ms() - 30 * HOUR)
        with served(engine) as door:
            code = door.client.post(f"/v1/petitions/{ASKED}/code", params={"post": HOTLINE}).json()["code"]
            assert re.fullmatch(r"\d{9}(-[A-Z2-7]{5}){4}-[A-Z2-7]", code)  # a number, and 104 bits
            found = door.client.post("/v1/answers", json={"code": code.lower().replace("-", " ")})
            assert found.json() == {"state": "revisited", "state_zh": "已回访", "answer": TOLD}
            another = door.client.post(f"/v1/petitions/{ASKED}/code", params={"post": HOTLINE}).json()["code"]
            gone = problem(door.client.post("/v1/answers", json={"code": code}), 404)
            assert gone == problem(door.client.post("/v1/answers", json={"code": "123456789-AAAAA"}), 404)
            assert door.client.post("/v1/answers", json={"code": another}).status_code == 200
            other = door.client.post(f"/v1/petitions/{ASKED}/code", params={"post": "WY02-CHIEF"})
            assert problem(other, 403)["field"] == "actor"
            by_hand = event("petition.code_given", HOTLINE, now_ms(), case=ASKED, id="x", digest="0" * 64)
            assert problem(door.client.post("/v1/events", json=by_hand), 400)["reason"] == "engine_only"
            asked = [door.client.post("/v1/answers", json={"code": "1"}) for _ in range(LOOKUPS_AT_ONCE)]
            assert problem(asked[-1], 429)["quota"] == "lookups" and "Retry-After" in asked[-1].headers
        secrets = [each.partition("-")[2] for each in (code, another)]
        with engine.database.read() as connection:
            for table in metadata.sorted_tables:
                rows = repr(connection.execute(table.select()).all())
                assert not any(part in rows for each in secrets for part in (each, each.replace("-", ""))), table.name


def test_figures_say_how_many_asked_and_who_is_satisfied_and_are_recounted(database_url: str, tmp_path: Path) -> None:
    with prepared(database_url) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        work = begin(engine, now_ms() - 30 * HOUR)
        with served(engine) as door:

            def counted() -> bool:
                figures = door.get("/v1/performance", definition="petition", period="all", by="category")
                nothing: dict[str, Any] = {"counts": {}, "rates": {}}
                row = next((row for row in figures["rows"] if row["key"] == "D3-04"), nothing)
                counts, rate = row["counts"], row["rates"].get("satisfaction_rate", {})
                seen = counts.get("petition_answers"), counts.get("petitions_joined"), rate.get("basis_points")
                return seen == (1, 1, 10_000)

            wait_until(counted)
            listed = door.get("/v1/incidents", definition="petition", open="all")["incidents"]
            assert [line["id"] for line in listed] == [ASKED] and ASKED not in str(door.get("/v1/incidents"))
        engine.drain()
        assert verify(engine.database) == []
        assert replayed_beside(engine, tmp_path) == []
        with engine.database.read() as connection:
            names = active_names(connection, Policies())
            lines = "\n".join(story(exports.steps_of(connection, ASKED), names))
            beside = "\n".join(story(exports.steps_of(connection, work), names))
        assert f"交办 to be worked on in {work}" in lines and f"has ended: {work}, closed" in lines
        assert ASKED in beside and "139" not in lines + beside


@pytest.mark.parametrize("partitions", [1, 32])
def test_the_city_hands_a_petition_to_the_home_of_its_place_and_hears_the_end(
    database_url: str, tmp_path: Path, partitions: int
) -> None:
    asked, office, then = subject("XA", 1), "XA-OFFICE", NOW
    with line_of(database_url, partitions) as line:

        def tell_at(kind: str, by: str, case: str, later: int, **data: Any) -> None:
            line.say(kind, by, then + later, case=case, **data)
            settle(line, then + later + 100)

        tell_at("petition.submitted", office, asked, 0, category="D3-04", channel="letter", grid="WY01-01")
        tell_at("petition.accepted", office, asked, 1000)
        with line.engine.database.read() as connection:
            work = connection.execute(text("SELECT id FROM cases WHERE definition = 'incident'")).scalar_one()
        assert work == petitioned_subject(asked, "WY01")
        tell_at("incident.rejected", "WY-DISPATCH", work, 2000, reason="unfounded")
        with line.engine.database.read() as connection:
            kept = [decode(read_case(connection, id_) or "") for id_ in (asked, work)]
        assert kept[1].petitions == (asked,) and kept[1].path[-1] == "WY01-01"
        assert isinstance(kept[0].own, Petition)
        assert (kept[0].path, kept[0].own.case, kept[0].own.case_state) == (("XA",), work, "rejected")
        # Where a similar case is open there it is joined, and where none is there that was named, nothing is.
        here: dict[str, Any] = {"category": "D3-04", "grid": "WY01-01"}
        here["position"] = {"lon": 108.9, "lat": 34.3, "crs": "CGCS2000"}
        found, again = subject("WY01", 7), subject("XA", 2)
        tell_at("report.submitted", LEAF_CHIEF, found, 3000, source="patrol", **here)
        tell_at("petition.submitted", office, again, 4000, channel="visit", **here)
        tell_at("petition.accepted", office, again, 5000)
        with line.engine.database.read() as connection:
            kept = [decode(read_case(connection, id_) or "") for id_ in (again, found)]
            assert read_case(connection, petitioned_subject(again, "WY01")) is None
        assert isinstance(kept[0].own, Petition) and kept[1].petitions == (again,)
        assert (kept[0].own.case, kept[0].own.before, kept[0].own.asked) == (found, True, "")
        tell_at("petition.attached", office, again, 6000, into=subject("WY01", 99))
        with line.engine.database.read() as connection:
            kept = [decode(read_case(connection, id_) or "") for id_ in (again, found)]
            told = "\n".join(story(exports.steps_of(connection, again), active_names(connection, Policies())))
        assert isinstance(kept[0].own, Petition) and kept[1].petitions == ()
        assert (kept[0].own.case, kept[0].own.asked) == ("", "")
        assert f"未能关联 cannot be worked on in {subject('WY01', 99)}" in told and "未能照办" in told
        assert verify(line.engine.database, live=True) == []
        assert replayed_beside(line.engine, tmp_path) == []

"""A phone comes back and sends all it has in one batch, in any order: the case is the same, and all of it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from engine.clock import now_ms
from engine.runtime import Engine
from engine.store import slices
from engine.store.sql import execute
from schemas.samples import PHOTO
from tests.support.builders import LEAF, MEMBER, event, subject
from tests.support.serving import Served, prepared, served
from workflows import case as cases

MINUTE = 60_000
SAID: list[tuple[str, int, dict[str, Any]]] = [
    ("report.submitted", 0, {"category": "D3-01", "source": "patrol", "grid": LEAF}),
    ("dissuasion.recorded", 5, {"outcome": "ineffective"}),
    ("evidence.added", 7, {"evidence": [PHOTO]}),
    ("incident.reported_up", 9, {}),
]
"""What was said offline: the trigger, minutes after the first, and the data."""
TOLD = {"clock.stopped", "incident.moved", "incident.evidence_added"}


@pytest.fixture
def door(database_url: str) -> Iterator[Served]:
    """A door without tokens, on each database."""
    with prepared(database_url) as engine, served(engine) as running:
        yield running


def sent(number: int, order: tuple[int, ...], began: int) -> list[dict[str, Any]]:
    """The events of a case in an order."""
    found = []
    for place in order:
        trigger, minute, data = SAID[place]
        said = event(
            trigger, MEMBER, began + minute * MINUTE, case=subject("WY01", number), id=f"{number}.{place}", **data
        )
        found.append(said | {"source": "app/phone"})
    return found


def left_of(engine: Engine, number: int) -> tuple[Any, ...]:
    """What became of a case, without what tells cases and arrivals apart."""
    id_ = subject("WY01", number)
    with engine.database.read() as connection:
        [(_, _, body)] = slices.read_cases(connection, [id_])
        rows = execute(connection, "SELECT body FROM facts WHERE case_id = ? ORDER BY seq", id_).scalars().all()
        steps = rows if engine.database.dialect == "postgresql" else None
        if steps is None:
            steps = (
                execute(connection, "SELECT inflated(body) FROM facts WHERE case_id = ? ORDER BY seq", id_)
                .scalars()
                .all()
            )
    case = cases.decode(body)
    clocks = sorted((clock.name, clock.level, clock.started, clock.due) for clock in case.clocks)
    told = [fact for step in steps for fact in json.loads(step) if fact["fact"] in TOLD]
    return case.state, case.owner, case.cycle, clocks, sorted(json.dumps(fact, sort_keys=True) for fact in told)


def test_a_batch_in_any_order_makes_the_same_case_and_its_sender_learns_all_outcomes(door: Served) -> None:
    began, orders = now_ms() - 20 * MINUTE, list(permutations(range(len(SAID))))
    place, outcomes = "", dict[str, str]()
    for number, order in enumerate(orders, 1):
        batch = sent(number, order, began)
        answer = door.client.post(
            "/v1/events/batch",
            content=json.dumps(batch),
            headers={"Content-Type": "application/cloudevents-batch+json", "Prefer": "wait=20"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] == len(SAID) and {r["outcome"] for r in answer.json()["results"]} <= {
            "done"
        }, order
        page = door.get("/v1/outcomes", source="app/phone", after=place)
        assert not page["more"]
        place = page["next"]
        # None comes twice, also where it had waited: it was decided by the time its sender asked.
        assert outcomes.keys().isdisjoint(each["id"] for each in page["outcomes"])
        outcomes |= {each["id"]: each["outcome"] for each in page["outcomes"]}
    expected = left_of(door.engine, 1)
    assert expected[0] == "reported" and {json.loads(fact)["fact"] for fact in expected[-1]} == TOLD
    for number, order in enumerate(orders, 1):
        assert left_of(door.engine, number) == expected, order
    assert outcomes == {
        f"{number}.{place}": "done" for number in range(1, len(orders) + 1) for place in range(len(SAID))
    }

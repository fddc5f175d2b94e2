"""An audit draw at the door, on each database: drawn by the server, read by its office alone, visited, recomputed.

In: closed cases, and an order. Out: what each principal reads before and after, what was drawn, and the recount.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from consumers.performance import consume
from consumers.verify import mismatches, verify
from consumers.verify.replayed import replayed_beside
from engine.clock import now_ms
from engine.operations.draws import Draws
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.store import draws
from engine.views.draws import read_draw, recount
from schemas.kinds.draw import lot
from tests.support.builders import BARE, DAY, HOTLINE, HOUR, LEAF, STREET, event, instant, subject
from tests.support.serving import Served, prepared, served, tell, wait_until
from tests.support.settings_files import put_file
from workflows import case as cases

DRAW = subject("WY01", 900)
CASES = [subject("WY01", number) for number in range(1, 8)]
READERS = {
    "office": (["WY-OFFICE"], ["WY"]),  # orders, and visits
    "street": ([STREET], ["WY01", "own"]),  # is visited
    "leaf": (["WY01-01-CHIEF", "WY01-01-MEMBER"], ["own"]),  # closed them
    "district": ([], ["WY"]),
    "city": (["XA-CHIEF"], ["XA"]),
    "all": ([], True),
}
TOKENS = {name: new_token() for name in READERS}
INSIDERS = {"office", "all"}


def principals(folder: Path) -> str:
    """The file of principals."""
    lines = []
    for name, (actors, reads) in READERS.items():
        said = "true" if reads is True else str(reads).replace("'", '"')
        lines += [f"[principal.{name}]", f"actors = {actors!r}".replace("'", '"')]
        lines += [f"reads = {said}", f'tokens = ["{digest_of(TOKENS[name])}"]']
    return str(put_file(folder / "principals.toml", "\n".join(lines)))


def asked(door: Served, name: str, path: str, **query: Any) -> httpx.Response:
    """What a principal is answered."""
    return door.client.get(path, params=query or None, headers={"Authorization": f"Bearer {TOKENS[name]}"})


def say(door: Served, kind: str, case: str, status: str = "done", **data: Any) -> httpx.Response:
    """Say something for the office."""
    headers = {"Authorization": f"Bearer {TOKENS['office']}", "Prefer": "wait=20"}
    answer = door.post(event(kind, "WY-OFFICE", now_ms(), case=case, id=f"{kind}/{case}", **data), **headers)
    assert answer.json().get("outcome") == status, answer.text
    return answer


def closed(engine: Engine, case: str, at: int) -> None:
    """A case from its report to its end."""
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("report.submitted", HOTLINE, {"category": BARE, "source": "hotline", "grid": LEAF}),
        ("incident.accepted", STREET, {}),
        ("handling.completed", STREET, {}),
        ("verification.recorded", "WY01-01-MEMBER", {"outcome": "solved"}),
        ("incident.closed", "WY01-01-MEMBER", {"root_cause": "polluter"}),
    ]
    for number, (kind, actor, data) in enumerate(steps):
        at += HOUR
        assert tell(engine, event(kind, actor, at, case=case, id=f"{case}/{number}", **data), at) == "done", kind


def order(now: int, share: int = 40) -> dict[str, Any]:
    return {"share": share, "grid": "WY01", "since": instant(now - 30 * DAY), "before": instant(now - HOUR)}


def mentions(door: Served, name: str, *words: str) -> bool:
    """Whether anything that a principal may ask tells it of the draw or its visits."""
    routes: list[tuple[str, dict[str, Any]]] = [
        ("/v1/incidents", {"definition": "draw", "open": "all"}),
        ("/v1/incidents", {"definition": "visit", "open": "all"}),
        ("/v1/incidents", {"search": DRAW}),
        (f"/v1/incidents/{DRAW}", {}),
        ("/v1/notices", {}),
        ("/v1/alerts", {}),
        *((f"/v1/incidents/{case}", {}) for case in CASES),
        *((f"/v1/incidents/{word}", {}) for word in words),
    ]
    # An answer may repeat what was asked for, and never with 200.
    answers = [asked(door, name, path, **query) for path, query in routes]
    return any(word in answer.text for word in words for answer in answers if answer.status_code == 200)


@pytest.mark.mechanism("M97")
def test_it_is_drawn_once_visited_by_its_office_and_recomputed_by_anybody(database_url: str, tmp_path: Path) -> None:
    with prepared(database_url, principals=principals(tmp_path)) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        now = now_ms()
        for number, case in enumerate(CASES):
            closed(engine, case, now - 20 * DAY + number * DAY)
        with served(engine) as door:
            say(door, "draw.ordered", DRAW, **order(now))
            follower = Draws(door.writer)
            follower.start()
            try:
                visited(door, engine)
            finally:
                follower.stop()
        engine.drain()
        assert verify(engine.database) == []
        assert replayed_beside(engine, tmp_path) == []


def visited(door: Served, engine: Engine) -> None:
    """Wait until it is drawn, look who reads it, visit, and recompute it."""

    def state() -> str:
        return str(asked(door, "all", f"/v1/incidents/{DRAW}").json().get("state"))

    wait_until(lambda: state() == "drawn")
    with engine.database.read() as connection:
        own = read_draw(connection, DRAW)[1]
        rows = draws.read_visits(connection, "visit", DRAW)
        again = recount(connection, DRAW)
        assert [str(each) for each in mismatches(connection, live=True)] == []
    assert len(bytes.fromhex(own.seed)) == 32 and (own.cases, own.hits) == (len(CASES), 3)
    assert [check.what for check in again.checks if not check.holds] == [] and again.cases == sorted(CASES)
    about = {cases.decode(row.body).about: row.id for row in rows}
    assert set(about) == set(lot(own.seed, 40, CASES)) == set(again.hits)
    ids = tuple(about.values())
    assert {name for name in READERS if mentions(door, name, DRAW, *ids)} == INSIDERS
    first, *others = sorted(about)
    say(door, "visit.recorded", about[first], outcome="failed", note="没有整改")
    assert asked(door, "street", f"/v1/incidents/{about[first]}").status_code == 200
    assert "case.visited" in asked(door, "leaf", f"/v1/incidents/{first}").text
    assert not mentions(door, "district", *(about[each] for each in others))
    for each in others:
        say(door, "visit.recorded", about[each], outcome="held")
    wait_until(lambda: state() == "finished")
    assert asked(door, "street", f"/v1/incidents/{DRAW}").json()["own"]["seed"] == own.seed

    def counted() -> bool:
        page = asked(door, "street", "/v1/performance", period="all", grid=LEAF).json()
        [row] = page["rows"]
        found = row["rates"].get("visit_failed_rate") or {}
        return (row["counts"].get("visited"), row["counts"].get("visits_failed"), found.get("numerator")) == (3, 1, 1)

    wait_until(counted)
    opened = asked(door, "street", "/v1/performance/cases", period="all", unit=LEAF, measure="visits_failed").json()
    assert [line["id"] for line in opened["cases"]] == [first]

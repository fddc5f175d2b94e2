"""The supervision at the door, on each database: who is shown it before it is served, and after; and the recount.

In: events of posts, before a server runs and through its door. Out: what each principal reads on each route.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from consumers.performance import consume
from consumers.verify import mismatches, verify
from consumers.verify.replayed import replayed_beside
from engine.clock import now_ms
from engine.policies import Policies
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.store import exports
from engine.views.names import active_names
from gridpatrol.render.story import story
from tests.support.builders import BARE, CENTRE, DAY, HOTLINE, HOUR, LEAF, STREET, event, subject
from tests.support.serving import Served, prepared, served, tell, wait_until
from tests.support.settings_files import put_file

LETTER, CASE = subject("WY01", 7), subject("WY01", 1)
SENDS = ["WY-OFFICE", "WY-DISPATCH", STREET]
READERS = {
    "desk": (["WY-DISPATCH"], ["own"]),  # proposes
    "office": (["WY-OFFICE"], ["WY"]),  # decides
    "street": ([STREET], ["WY01", "own"]),  # is supervised
    "district": ([], ["WY"]),
    "city": (["XA-CHIEF"], ["XA"]),
    "intake": ([HOTLINE], ["own"]),  # of the office's grid, and decides nothing
    "all": ([], True),
    "sender": (SENDS, []),
}
TOKENS = {name: new_token() for name in READERS}
INSIDERS = {"desk", "office", "all"}


def principals(folder: Path) -> str:
    """The file of principals."""
    lines = []
    for name, (actors, reads) in READERS.items():
        said = "true" if reads is True else str(reads).replace("'", '"')
        lines += [f"[principal.{name}]", f"actors = {actors!r}".replace("'", '"')]
        lines += [f"reads = {said}"] * bool(reads) + [f'tokens = ["{digest_of(TOKENS[name])}"]']
    return str(put_file(folder / "principals.toml", "\n".join(lines)))


def asked(door: Served, name: str, path: str, **query: Any) -> httpx.Response:
    """What a principal is answered."""
    headers = {"Authorization": f"Bearer {TOKENS[name]}"}
    return door.client.get(path, params=query or None, headers=headers)


def readers_of(door: Served, path: str, **query: Any) -> set[str]:
    """The principals that are shown the letter by a route."""
    return {name for name in READERS if LETTER in asked(door, name, path, **query).text}


def counted(door: Served, name: str) -> int:
    """How many supervisions a principal is shown in figures, of whatever measure."""
    page = asked(door, name, "/v1/performance", definition="supervision", period="all", grid="WY01").json()
    return sum(value for row in page.get("rows", []) for value in row["counts"].values())


def say(door: Served, kind: str, actor: str, **data: Any) -> None:
    """Say something by the door that must be taken."""
    headers = {"Authorization": f"Bearer {TOKENS['sender']}", "Prefer": "wait=20"}
    said = event(kind, actor, now_ms(), case=LETTER, id=kind, **data)
    answer = door.post(said, **headers)
    assert answer.json().get("outcome") == "done", answer.text


def begin(engine: Engine) -> None:
    """A case, and a letter about it that is proposed, long enough ago that the deciding office is told it is late."""
    then = now_ms() - 30 * DAY
    report = event("report.submitted", HOTLINE, then, case=CASE, id="r", category=BARE, source="hotline", grid=LEAF)
    assert tell(engine, report, then) == "done"
    about = {"action": "letter", "grid": "WY01", "about": CASE, "ground": "秘密"}
    proposed = event("supervision.proposed", CENTRE, then + HOUR, case=LETTER, id="p", **about)
    assert tell(engine, proposed, then + HOUR) == "done"


def test_before_it_is_served_nobody_is_shown_it_but_who_proposed_it_and_who_decides(
    database_url: str, tmp_path: Path
) -> None:
    with prepared(database_url, principals=principals(tmp_path)) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        begin(engine)
        with served(engine) as door:
            wait_until(lambda: "decision" in asked(door, "all", "/v1/alerts", case=LETTER).text)
            every = {"definition": "supervision", "open": "all"}
            assert readers_of(door, "/v1/incidents", **every) == INSIDERS
            assert readers_of(door, "/v1/incidents", search=LETTER) == INSIDERS
            assert readers_of(door, f"/v1/incidents/{LETTER}") == INSIDERS
            assert readers_of(door, f"/v1/incidents/{CASE}") == set()
            for route in ("/v1/alerts", "/v1/notices"):  # told to the posts of the office alone
                assert readers_of(door, route) <= INSIDERS
            assert readers_of(door, "/v1/notices") >= {"office"} | {"all"}
            words = asked(door, "office", f"/v1/incidents/{LETTER}/words")
            assert "秘密" in words.text
            assert asked(door, "street", f"/v1/incidents/{LETTER}/words").status_code == 404
            assert {name for name in ("street", "district", "city") if counted(door, name)} == set()
            assert LETTER in asked(door, "office", "/v1/tasks", post="WY-OFFICE").text

            with engine.database.read() as connection:  # late, counted, and concealed
                assert [str(each) for each in mismatches(connection, live=True)] == []
            say(door, "supervision.decided", "WY-OFFICE", document="2026-12")
            assert readers_of(door, "/v1/incidents", **every) == INSIDERS
            say(door, "supervision.served", "WY-OFFICE")
            assert readers_of(door, "/v1/incidents", **every) == READERS.keys() - {"sender"}
            assert LETTER in asked(door, "street", "/v1/tasks", post=STREET).text
            wait_until(lambda: LETTER in asked(door, "street", "/v1/notices", post=STREET).text)
            wait_until(lambda: counted(door, "street") > 0)
            say(door, "supervision.answered", STREET, answer="…")
            say(door, "supervision.reviewed", "WY-OFFICE", outcome="passed")
            say(door, "supervision.cleared", "WY-OFFICE")
            shown = asked(door, "street", f"/v1/incidents/{LETTER}").json()
            assert (shown["state"], shown["state_zh"], shown["category"]["name_zh"]) == ("cleared", "销号", "督办函")

            def cleared() -> bool:
                figures = asked(door, "street", "/v1/performance", definition="supervision", period="all", grid="WY01")
                counts = {name: value for row in figures.json()["rows"] for name, value in row["counts"].items()}
                return counts.get("served") == counts.get("replies") == counts.get("on_time") == 1

            wait_until(cleared)
        engine.drain()
        assert verify(engine.database) == []
        assert replayed_beside(engine, tmp_path) == []
        with engine.database.read() as connection:
            lines = "\n".join(story(exports.steps_of(connection, LETTER), active_names(connection, Policies())))
        assert "拟议 proposed" in lines and "送达 served on WY01" in lines and "销号 cleared" in lines

"""The feed for discipline inspection: who reads it, by page and by stream, and what it says was exempted by whom.

In: cases of two districts' streets, an exemption that was granted and one that was refused, letters and acts. Out:
lines with their hashes, refusals, and a row of the audit for each reading.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from consumers.audit import anchors
from consumers.audit.chainer import Chainer
from engine.clock import now_ms
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.store import audit, chains, verifications
from engine.store.audit import Act
from tests.integration.test_erasure import NAME, keep_bad
from tests.integration.test_reading import OURS, THEIRS, long_overdue
from tests.support.builders import HOUR, OPERATOR, STREET, changed, event
from tests.support.serving import Served, prepared, served, tell
from tests.support.settings_files import put_file
from workflows.policy.model import Post

WORDS = {
    "city": '["XA-INSPECTION"]',
    "street": '["WY02-INSPECTION"]',
    "several": '["XA-INSPECTION", "WY02-INSPECTION"]',
    "chief": '["WY01-CHIEF"]',
    "ops": "[]",
}
TOKENS = {name: new_token() for name in WORDS}


def bearer(name: str) -> dict[str, str]:
    """The header of a principal."""
    return {"Authorization": f"Bearer {TOKENS[name]}"}


def decide(engine: Engine, case: str, then: int, by: str, **data: Any) -> None:
    """An exemption of the missed acceptance is asked for, and decided."""
    asked = event("exemption.requested", by, then, case=case, id=f"{case}.ask", clock="accept", ground="outage")
    assert tell(engine, asked, then) == "done"
    kind = "exemption.granted" if data else "exemption.refused"
    said = event(kind, "WY-OFFICE", then + HOUR, case=case, id=f"{case}.decided", clock="accept", **data)
    assert tell(engine, said, then + HOUR) == "done"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two cases with missed deadlines: one is exempted, the other is not."""
    folder = tmp_path_factory.mktemp("inspection")
    lines = []
    for name, actors in WORDS.items():
        lines += [f"[principal.{name}]", f"actors = {actors}", f'tokens = ["{digest_of(TOKENS[name])}"]']
        lines += ["reads = true"] if name == "chief" else ["operator = true"] if name == "ops" else []
    file = put_file(folder / "principals.toml", "\n".join(lines))
    with prepared(f"sqlite:///{folder / 'gridpatrol.db'}", principals=str(file)) as engine:
        pack = engine.active()
        assert pack is not None
        posts = (*pack.pack.posts, Post("WY02-INSPECTION", "二街道纪检", "inspection", "WY02"))
        long_overdue(engine)
        engine.install(changed(pack, posts=posts).pack, now_ms() - 200 * HOUR)
        engine.drain()
        then = now_ms() - 100 * HOUR
        decide(engine, OURS, then, STREET, no_harm=True)
        decide(engine, THEIRS, then, "WY02-CHIEF")
        keep_bad(engine)
        with engine.database.begin() as connection:
            audit.write(connection, OPERATOR, Act.SEALED_READ, "1.1")
        Chainer(engine.database).catch_up()
        with served(engine) as running:
            yield running


def asked(door: Served, name: str, path: str = "/v1/audit", **query: Any) -> httpx.Response:
    """What a principal is answered."""
    return door.client.get(path, params=query or None, headers=bearer(name))


def readings(door: Served) -> list[tuple[str, str, str]]:
    """Who has read the feed of which grid, the latest first."""
    with door.engine.database.read() as connection:
        return [(row.who, row.object, row.outcome) for row in audit.listed(connection, act="audit.read")]


@pytest.mark.mechanism("M39", "M125")
def test_inspection_reads_what_was_exempted_and_by_whom(door: Served) -> None:
    page = asked(door, "city", only="exempted").json()
    found = {line["step"]["case"]: line["step"] for line in page["lines"]}
    assert found.keys() == {OURS, THEIRS} and (page["reader"], page["grid"]) == ("XA-INSPECTION", "XA")
    [granted], [refused] = found[OURS]["exempted"], found[THEIRS]["exempted"]
    assert (granted["clock"], granted["granted"], granted["ground"]) == ("accept", True, "outage")
    assert granted["by"]["code"] == refused["by"]["code"] == "WY-OFFICE" and not refused["granted"]
    assert "准予免责" in found[OURS]["said"]["zh"] and "not exempted" in found[THEIRS]["said"]["en"]
    assert readings(door)[0] == ("city:XA-INSPECTION", "XA", "2 lines")


def test_the_whole_feed_is_dense_and_each_line_has_the_hash_of_its_link(door: Served) -> None:
    lines, cursor = list[Any](), ""
    while True:
        page = asked(door, "city", limit=7, **({"cursor": cursor} if cursor else {})).json()
        lines += page["lines"]
        if (cursor := page["next"]) is None:
            break
    assert [line["number"] for line in lines] == [*range(1, page["last"] + 1)]
    assert {line["what"] for line in lines} == {"step", "letter", "act"}
    with door.engine.database.read() as connection:
        for line in lines:
            at = (line["chain"], line["n"])
            assert chains.hashes_at(connection, [at])[at] == (line["epoch"], line["hash"])
    assert NAME not in json.dumps(lines), "nothing personal is in a line"
    letter = next(line["letter"] for line in lines if line["what"] == "letter")
    assert letter["id"] == "door-bad"


def test_a_post_of_a_street_reads_its_street_and_no_letters(door: Served) -> None:
    lines = asked(door, "street").json()["lines"]
    assert {line["step"]["case"] for line in lines if line["step"]["definition"] == "incident"} <= {THEIRS}
    assert OURS not in json.dumps(lines) and {line["what"] for line in lines} == {"step"}
    assert asked(door, "several").json()["grid"] == "XA", "the highest of several"
    assert asked(door, "several", post="WY02-INSPECTION").json()["grid"] == "WY02"


@pytest.mark.parametrize("path", ["/v1/audit", "/v1/audit/stream"])
def test_nobody_else_reads_it(door: Served, path: str) -> None:
    before = readings(door)
    for name in ("chief", "ops"):
        answer = asked(door, name, path)
        assert (answer.status_code, answer.json()["reason"]) == (403, "no_right")
    assert asked(door, "street", path, post="XA-INSPECTION").status_code == 403
    assert asked(door, "city", path, only="everything").status_code == 400
    assert readings(door) == before


def streamed(door: Served, name: str, count: int, **query: Any) -> list[tuple[str, str, Any]]:
    """(id, event, data) of the first events of a stream."""
    found: list[tuple[str, str, Any]] = []
    with door.client.stream("GET", "/v1/audit/stream", params=query or None, headers=bearer(name)) as answer:
        assert answer.status_code == 200
        said: dict[str, str] = {}
        for line in answer.iter_lines():
            if not line and said.get("event"):
                found.append((said["id"], said["event"], json.loads(said["data"])))
                said = {}
                if len(found) == count:
                    break
            elif ": " in line:
                key, _, value = line.partition(": ")
                said[key] = value
    return found


def test_a_stream_tells_what_is_chained_and_goes_on_where_it_was(door: Served) -> None:
    [(opened, event_, _)] = streamed(door, "city", 1)
    last = int(opened.partition("-")[2])
    assert event_ == "opened" and readings(door)[0] == ("city:XA-INSPECTION", "XA", "stream")
    Chainer(door.engine.database).catch_up()  # that it was opened is an act, and a line
    begun, first = streamed(door, "city", 2, last_event_id=opened)
    assert begun[:2] == (opened, "opened")
    assert first[:2] == (f"1-{last + 1}", "line") and first[2]["act"]["act"] == "audit.read"
    exempted = streamed(door, "city", 3, only="exempted", last_event_id="1-0")
    assert {each[2]["step"]["case"] for each in exempted[1:]} == {OURS, THEIRS}
    again, line = streamed(door, "city", 2, last_event_id="7-3")
    assert again[1] == "restarted" and line[2]["number"] == 1


def test_who_operates_sees_when_what_is_stored_was_verified_last(door: Served) -> None:
    found = asked(door, "ops", "/v1/verifications").json()
    assert (found["verify"], found["audit"], found["runs"], found["anchor"]) == (None, None, [], None)
    assert {chain["name"] for chain in found["chains"]} > {"letters", "acts"}
    with door.engine.database.begin() as connection:
        at = now_ms()
        verifications.write(connection, "gridpatrol verify --replay", "local:clerk", at - 9, at, {"case": 2, "step": 1})
        verifications.write(connection, "gridpatrol audit verify", "local:clerk", at - 8, at, {})
        anchors.make(connection, at)
    found = asked(door, "ops", "/v1/verifications").json()
    last = found["verify"]
    assert (last["command"], last["outcome"], last["findings"]) == ("gridpatrol verify --replay", "findings", 3)
    assert last["counts"] == {"case": 2, "step": 1} and last["who"] == "local:clerk"
    assert found["audit"]["outcome"] == "clean" and found["anchor"]["number"] == 1
    assert [run["command"] for run in found["runs"]] == ["gridpatrol audit verify", "gridpatrol verify --replay"]
    assert asked(door, "city", "/v1/verifications").status_code == 403

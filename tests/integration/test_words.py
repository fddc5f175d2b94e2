"""The words of a case: who reads which of them, that each reading is audited first, and what was erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy.exc import OperationalError

from engine.clock import now_ms
from engine.operations import erasure
from engine.principals import digest_of, new_token
from engine.store import audit
from gridpatrol.cli import main
from lab.parts.postgres import fresh_database
from schemas.envelope import to_ms
from tests.integration.test_audit import acts
from tests.integration.test_door import problem, report
from tests.support.builders import HOTLINE, HOUR, MEMBER, OPERATOR, STREET, event, subject
from tests.support.recorded import gridpatrol
from tests.support.serving import Served, prepared, served, tell
from tests.support.settings_files import put_file

CASE, ERASED, SILENT, EARLY = (subject("WY01", n) for n in range(1, 5))
NAME, PHONE, DUST = "somebody", "029-10000000", "尘土飞扬 dust"
POSTS = {
    "hotline": HOTLINE,
    "street": STREET,
    "member": MEMBER,
    "neighbour": "WY01-02-MEMBER",
    "district": "WY-CHIEF",
    "sewers": "WY-EPB-H",
}
TOKENS = {name: new_token() for name in (*POSTS, "several", "reader")}
FILE = "".join(
    f'[principal.{name}]\nactors = ["{post}"]\nreads = true\ntokens = ["{digest_of(TOKENS[name])}"]\n'
    for name, post in POSTS.items()
)
FILE += f"""
[principal.several]
actors = ["{STREET}", "WY02-*"]
reads = true
tokens = ["{digest_of(TOKENS["several"])}"]
[principal.reader]
reads = true
tokens = ["{digest_of(TOKENS["reader"])}"]
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door on four cases: one with words, one whose words were erased, one without, one that had waited."""
    folder = tmp_path_factory.mktemp("words")
    file = put_file(folder / "principals.toml", FILE)
    if request.param == "sqlite":
        yield from _door(f"sqlite:///{folder / 'gridpatrol.db'}", str(file))
    else:
        with fresh_database(request.getfixturevalue("postgres_server")) as url:
            yield from _door(url, str(file))


def _door(url: str, file: str) -> Iterator[Served]:
    with prepared(url, principals=file) as engine:
        then = now_ms() - HOUR
        told: dict[str, Any] = {"description": DUST, "nickname": {"of": NAME}}
        told |= {"reporter_name": NAME, "reporter_contact": PHONE}
        for number, case in enumerate((CASE, ERASED)):
            assert tell(engine, report(case, then, **told), then) == "done"
            said = event("comment.added", STREET, then + 1000, case=case, id=f"c{number}", text="seen", note="twice")
            assert tell(engine, said, then + 60_000) == "done"
        assert tell(engine, report(SILENT, then), then) == "done"
        early = event("incident.accepted", STREET, then + 1000, case=EARLY, id="early", note="before its report")
        assert tell(engine, early, then) == "parked"
        assert tell(engine, report(EARLY, then), then + 1000) == "done"
        erasure.erase(engine, ERASED, OPERATOR)
        with served(engine) as running:
            yield running


def asked(door: Served, name: str, case: str = CASE, **query: str) -> httpx.Response:
    """What a principal is answered about the words of a case."""
    headers = {"Authorization": f"Bearer {TOKENS[name]}"}
    return door.client.get(f"/v1/incidents/{case}/words", params=query or None, headers=headers)


def words(answer: httpx.Response) -> list[dict[str, str]]:
    """By step, each text by its member."""
    assert answer.status_code == 200, answer.text
    return [{word["member"]: word["text"] for word in step["words"]} for step in answer.json()["steps"]]


REMARK = {"text": "seen", "note": "twice"}
ALL = {
    "description": DUST,
    "reporter_name": NAME,
    "reporter_contact": PHONE,
    "nickname": '{"of":"somebody"}',  # what the contract does not know may be contact
}


def test_owner_and_supervisor_read_all_of_it_in_the_order_of_the_steps(door: Served) -> None:
    for name in ("street", "district"):
        answer = asked(door, name)
        assert words(answer) == [ALL, REMARK]
        body = answer.json()
        assert (body["id"], body["reader"]["code"], body["contact"]) == (CASE, POSTS[name], True)
        first, second = body["steps"]
        assert (first["type"], first["post"]["code"]) == ("gridpatrol.report.submitted.v1", HOTLINE)
        assert (second["type"], second["post"]["code"]) == ("gridpatrol.comment.added.v1", STREET)
        assert first["seq"] < second["seq"] and first["at"] < second["at"] and second["occurred_at"] < second["at"]
        assert [step["withheld"] for step in body["steps"]] == [0, 0]
        assert {word["member"] for word in first["words"] if word["contact"]} == ALL.keys() - {"description"}


def test_other_posts_on_its_way_read_the_words_without_contact(door: Served) -> None:
    answer = asked(door, "hotline")
    assert words(answer) == [{"description": DUST}, REMARK]
    assert not answer.json()["contact"] and [step["withheld"] for step in answer.json()["steps"]] == [3, 0]
    assert PHONE not in answer.text and NAME not in answer.text


@pytest.mark.parametrize("name", ["neighbour", "sewers"])
def test_a_post_that_has_no_part_in_it_reads_none(door: Served, name: str) -> None:
    before = acts(door.engine)
    body = problem(asked(door, name), 403)
    assert (body["reason"], body["field"]) == ("not_readable", "post")
    assert POSTS[name] in body["detail"] and "R14" in body["remedy"]
    assert acts(door.engine) == before


def test_a_principal_reads_for_one_of_its_posts(door: Served) -> None:
    assert problem(asked(door, "several"), 400)["field"] == "post"
    assert words(asked(door, "several", post=STREET)) == [ALL, REMARK]
    assert problem(asked(door, "several", post="WY02-CHIEF"), 403)["reason"] == "not_readable"
    assert "`actors`" in problem(asked(door, "several", post=MEMBER), 403)["detail"]
    assert "no post of this code" in problem(asked(door, "several", post="WY02-NOBODY"), 400)["detail"]
    assert "speaks for no post" in problem(asked(door, "reader"), 403)["detail"]
    assert problem(asked(door, "street", subject("WY01", 99)), 404)["reason"] == "unknown_case"


def test_each_reading_is_a_row_of_the_audit(door: Served) -> None:
    before = len(acts(door.engine))
    asked(door, "street")
    asked(door, "hotline")
    assert acts(door.engine)[before:] == [
        (f"street:{STREET}", "words.read", CASE, "http", "with contact"),
        (f"hotline:{HOTLINE}", "words.read", CASE, "http", "without contact"),
    ]


def test_what_cannot_be_audited_is_not_answered(door: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("INSERT", None, Exception("disk full"))

    monkeypatch.setattr(audit, "write", fail)
    answer = asked(door, "street")
    body = problem(answer, 503)
    assert "not shown" in body["detail"] and DUST not in answer.text


def test_what_was_erased_says_so_and_when(door: Served) -> None:
    for earlier in (False, True):
        if earlier:  # an earlier release has erased it: the audit knows when
            with door.engine.database.begin() as connection:
                connection.exec_driver_sql("UPDATE sealed SET erased_at = 0")
        answer = asked(door, "street", ERASED)
        assert words(answer) == [{}, {}]
        for step in answer.json()["steps"]:
            assert step["erased"] and step["withheld"] == 0
            assert 0 <= now_ms() - to_ms(datetime.fromisoformat(step["erased_at"])) < HOUR
    with door.engine.database.read() as connection:
        [row] = audit.listed(connection, act="incident.erased")
    assert row.object == ERASED


def test_a_case_without_words_has_none_and_what_waited_has_them_once(door: Served) -> None:
    assert words(asked(door, "street", SILENT)) == []
    assert words(asked(door, "street", EARLY)) == [{"note": "before its report"}]


# ---- the command --------------------------------------------------------------------------------------------


def test_the_command_shows_the_words_and_audits_who_looked(database_url: str) -> None:
    with prepared(database_url) as engine:
        then = now_ms() - HOUR
        assert tell(engine, report(CASE, then, description=DUST, reporter_contact=PHONE), then) == "done"
        text = gridpatrol("incident", "show", CASE, "--words", "--post", STREET, database=database_url)
        assert DUST in text and PHONE in text and STREET in text
        text = gridpatrol("incident", "show", CASE, "--words", "--post", HOTLINE, database=database_url)
        assert DUST in text and PHONE not in text and "1 not shown" in text
        shown = ("incident", "show", CASE, "--words", "--post", STREET, "--json")
        assert json.loads(gridpatrol(*shown, database=database_url))["steps"][0]["words"][0]["text"] == DUST
        erasure.erase(engine, CASE, OPERATOR)
        assert "已删除 erased" in gridpatrol(*shown[:-1], database=database_url)
        for words, why in (((), "speaks for several posts"), (("--post", "WY02-CHIEF"), "not on this case's way")):
            command = ["incident", "show", CASE, "--words", *words, "--database", database_url]
            result = CliRunner().invoke(main, command)
            assert result.exit_code != 0 and why in result.output
        rows = [row for row in acts(engine) if row[1] == "words.read"]
    assert [(row[2], row[3], row[4]) for row in rows] == [
        (CASE, "cli", "with contact"),
        (CASE, "cli", "without contact"),
        (CASE, "cli", "with contact"),
        (CASE, "cli", "with contact"),
    ]
    assert all(row[0].startswith("local:") and row[0].endswith((STREET, HOTLINE)) for row in rows)

"""People with tokens of their own: given, rotated, withdrawn and expired, at every door, on each database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from engine import principals
from engine.clock import now_ms
from engine.errors import SettingsError
from engine.lease import Lease
from engine.operations import tokens
from engine.operations.tokens import PersonRefused, PersonWanted, TokenWanted
from engine.people import PrincipalsAndPeople, person_of
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.settings import Settings
from engine.store.people import PersonRow
from gridpatrol.cli import main
from tests.integration.test_audit import acts
from tests.integration.test_door import problem, report
from tests.integration.test_door_principals import records
from tests.support.builders import DAY, HOUR, MEMBER, OPERATOR, STREET, changed, event, subject, weiyang
from tests.support.recorded import gridpatrol
from tests.support.serving import Served, prepared, served, tell, wait_until
from tests.support.settings_files import put_file, read_at_once

TOKEN = new_token()
FILE = f"""
[principal.ops]
operator = true
tokens = ["{digest_of(TOKEN)}"]
"""
OPS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of principals: an operator, and nobody else. Doors look whenever they can."""
    read_at_once(monkeypatch)
    return put_file(tmp_path / "principals.toml", FILE)


@pytest.fixture
def engine(database_url: str, file: Path) -> Iterator[Engine]:
    """An engine with the sample pack."""
    with prepared(database_url, principals=str(file)) as opened:
        yield opened


def bearer(token: str) -> dict[str, str]:
    """The header of a person."""
    return {"Authorization": f"Bearer {token}"}


def add(door: Served, post: str, **wanted: Any) -> str:
    """A token for a post, by the route."""
    answer = door.client.post("/v1/operator/people", json={"post": post} | wanted, headers=OPS)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


def status(door: Served, token: str, path: str = "/v1/incidents") -> int:
    """What a person is answered."""
    return door.client.get(path, headers=bearer(token)).status_code


def test_a_person_speaks_for_its_post_and_reads_by_its_role(engine: Engine) -> None:
    then = now_ms() - HOUR
    ours, theirs = subject("WY01", 1), subject("WY02", 2)
    assert tell(engine, report(ours, then), then) == "done"
    assert tell(engine, report(theirs, then, "WY02-01"), then) == "done"
    with served(engine) as door:
        tokens = {post: add(door, post) for post in (STREET, "WY-CHIEF", "WY-EPB-H")}

        def listed(post: str) -> set[str]:
            wait_until(lambda: status(door, tokens[post]) == 200)
            answer = door.client.get("/v1/incidents", headers=bearer(tokens[post]))
            return {line["id"] for line in answer.json()["incidents"]}

        assert listed(STREET) == {ours} and listed("WY-CHIEF") == {ours, theirs} and listed("WY-EPB-H") == set()
        accept = event("incident.accepted", STREET, now_ms(), case=ours, id="a")
        answer = door.post(accept, Prefer="wait=20", **bearer(tokens[STREET]))
        assert answer.json()["outcome"] == "done"
        assert problem(door.post(accept, **bearer(tokens["WY-CHIEF"])), 403)["field"] == "actor"
        assert status(door, tokens[STREET], answer.json()["status_url"]) == 200
        assert status(door, tokens["WY-EPB-H"], answer.json()["status_url"]) == 404
        assert status(door, tokens[STREET], "/v1/operator/people") == 403


def test_a_token_is_shown_once_and_kept_as_a_digest(engine: Engine) -> None:
    with served(engine) as door:
        token = add(door, MEMBER)
        answer = door.client.get("/v1/operator/people", headers=OPS)
        [line] = answer.json()["people"]
        assert token not in answer.text and (line["principal"], line["post"]) == (f"post:{MEMBER}", MEMBER)
        assert line["reads"] == "role" and line["expires_at"] - line["issued_at"] == 180 * DAY
    with engine.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT * FROM people").all()
    assert digest_of(token) in str(stored) and token not in str(stored)
    assert token not in str(acts(engine))


def test_a_rotated_token_goes_on_for_a_while_or_ends_at_once(engine: Engine) -> None:
    with served(engine) as door:
        first = add(door, STREET)
        wait_until(lambda: status(door, first) == 200)
        route = f"/v1/operator/people/{STREET}/tokens"
        answer = door.client.post(route, json={}, headers=OPS).json()
        second = answer["token"]
        assert 0 < answer["old_until"] - now_ms() <= 24 * HOUR
        wait_until(lambda: status(door, second) == 200)
        assert status(door, first) == 200
        third = door.client.post(route, json={"at_once": True, "days": 1}, headers=OPS).json()
        assert third["expires_at"] - now_ms() <= DAY
        wait_until(lambda: status(door, third["token"]) == 200)
        assert (status(door, first), status(door, second)) == (401, 401)
        listed = door.client.get("/v1/operator/people", params={"ended": "true"}, headers=OPS).json()["people"]
        assert [line["ended"] for line in listed] == ["rotated", "rotated", ""]


def test_a_withdrawn_token_is_known_nowhere_and_its_stream_ends(engine: Engine) -> None:
    with served(engine) as door:
        token = add(door, STREET)
        wait_until(lambda: status(door, token) == 200)
        with door.client.stream("GET", "/v1/alerts/stream", headers=bearer(token)) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("retry:")
            ended = door.client.post(f"/v1/operator/people/{STREET}/withdrawals", headers=OPS).json()
            assert ended == {"principal": f"post:{STREET}", "post": STREET, "tokens": 1}
            assert "event: alert" not in "".join(lines)  # and it ends
        assert status(door, token) == 401
        again = door.client.post(f"/v1/operator/people/{STREET}/withdrawals", headers=OPS)
        assert "nobody has a token for this post" in problem(again, 400)["detail"]
        assert add(door, STREET) != token
    assert [row[1] for row in acts(engine)] == ["principal.added", "principal.withdrawn", "principal.added"]


def test_another_door_knows_what_has_changed_since_it_looked(engine: Engine, file: Path) -> None:
    """Each gateway has a memory of its own, and asks the database for what is new in it."""
    others = [PrincipalsAndPeople(str(file), engine.database) for _ in range(2)]
    issued = tokens.add(engine, PersonWanted(STREET), OPERATOR)
    later = tokens.add(engine, PersonWanted(MEMBER), OPERATOR)
    assert [other.of_token(issued.token) for other in others] == [None, None]
    for other in others:
        other.people(engine.database)
    found = {other.of_token(issued.token) for other in others} | {other.named(f"post:{STREET}") for other in others}
    assert [one.name for one in found if one] == [f"post:{STREET}"]
    fresh = tokens.rotate(engine, STREET, TokenWanted(at_once=True), OPERATOR)
    others[0].people(engine.database)
    assert others[0].of_token(issued.token) is None and others[0].of_token(fresh.token) is not None
    assert others[1].of_token(issued.token) is not None, "it has not looked yet"
    others[1].people(engine.database)
    assert others[1].of_token(issued.token) is None
    assert others[1].of_token(fresh.token) is not None and others[1].of_token(later.token) is not None


def test_a_door_that_looks_asks_for_one_number_only(engine: Engine, file: Path) -> None:
    known = PrincipalsAndPeople(str(file), engine.database)
    issued = tokens.add(engine, PersonWanted(STREET), OPERATOR)
    known.people(engine.database)
    with engine.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM people")  # nobody does so; whoever reads the rows again would see it
    known.people(engine.database)
    assert known.of_token(issued.token) is not None


def test_a_token_expires_without_anybody_looking(engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = tokens.add(engine, PersonWanted(STREET, days=3), OPERATOR)
    known = PrincipalsAndPeople(str(file), engine.database)
    for passed, is_known in ((2 * DAY, True), (3 * DAY + HOUR, False)):
        monkeypatch.setattr("engine.people.now_ms", lambda passed=passed: now_ms() + passed)
        assert (known.of_token(issued.token) is not None) is is_known
    monkeypatch.setattr(tokens, "now_ms", lambda: now_ms() + 4 * DAY)
    with pytest.raises(PersonRefused, match="nobody has a token"):
        tokens.rotate(engine, STREET, TokenWanted(), OPERATOR)
    tokens.add(engine, PersonWanted(STREET), OPERATOR)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (PersonWanted("NOBODY"), "no post of this code"),
        (PersonWanted("CAMERA"), "is a machine's"),
        (PersonWanted(STREET, days=0), "1 to 3660 days"),
        (PersonWanted(STREET, days=99_999), "1 to 3660 days"),
        (PersonWanted(STREET, reads=["WY99"]), "no grid of one of these codes"),
        (PersonWanted(STREET, reads="WY01"), "true, false"),
    ],
)
def test_what_cannot_be_given_is_refused_with_a_reason(sqlite_url: str, wanted: PersonWanted, why: str) -> None:
    with prepared(sqlite_url) as engine:
        camera = replace(weiyang().posts["WY-12345"], code="CAMERA", machine=True)
        engine.install(changed(posts=(*weiyang().pack.posts, camera)).pack, now_ms())
        engine.drain()
        with pytest.raises(PersonRefused, match=why):
            tokens.add(engine, wanted, OPERATOR)
        assert acts(engine) == []


def test_one_post_has_one_person(engine: Engine) -> None:
    tokens.add(engine, PersonWanted(STREET), OPERATOR)
    with pytest.raises(PersonRefused, match="somebody has a token") as raised:
        tokens.add(engine, PersonWanted(STREET), OPERATOR)
    assert "rotate it" in raised.value.remedy


def test_a_reach_that_was_said_stands_in_the_place_of_the_role_s(engine: Engine, file: Path) -> None:
    said: list[Any] = [True, False, "own", ["WY", "own"], None]
    posts = ["WY-CHIEF", "WY-OFFICE", "WY-SUPERVISOR", "WY-DISPATCH", STREET]
    for post, reads in zip(posts, said, strict=True):
        tokens.add(engine, PersonWanted(post, reads), OPERATOR)
    known = PrincipalsAndPeople(str(file), engine.database)
    shown = [principals.as_written(one.reads) for post in posts if (one := known.named(f"post:{post}")) is not None]
    assert shown == [True, False, "own", ["own", "WY"], "role"]
    # a kind of case that a later release has is read as nothing, and costs no other person its token
    assert not person_of(PersonRow("d", "n", "p", '{"kites": true}', 0, 0)).reads


def test_settings_of_tokens_are_checked() -> None:
    with pytest.raises(SettingsError, match="token_days"):
        Settings(token_days=0)
    with pytest.raises(SettingsError, match="token_grace_hours"):
        Settings(token_grace_hours=-1)


# ---- the commands -------------------------------------------------------------------------------------------


def test_the_commands_give_list_rotate_and_withdraw(database_url: str, file: Path) -> None:
    with prepared(database_url):
        pass

    def run(*words: str) -> Any:
        return json.loads(gridpatrol("principal", *words, "--json", database=database_url))

    issued = run("add", MEMBER, "--reads", "own", "--days", "7")
    assert issued["post"] == MEMBER and issued["token"].startswith("gp_")
    assert [one["name"] for one in run("list")] == [f"post:{MEMBER}"]
    [systems, person] = run("list", "--principals", str(file))
    assert (systems["name"], systems["reads"], systems["until"]) == ("ops", False, "")
    assert (person["name"], person["reads"], person["codes"]) == (f"post:{MEMBER}", "own", [MEMBER])
    assert person["until"].endswith("Z")
    assert run("rotate", MEMBER)["old_until"] > now_ms()
    assert "own" in gridpatrol("principal", "list", database=database_url)
    missing = ["principal", "list", "--principals", str(file), "--database", "postgresql://nobody@127.0.0.1:1/none"]
    away = CliRunner().invoke(main, missing)
    assert away.exit_code == 0 and "ops" in away.output and "People are not listed" in away.output
    assert run("withdraw", MEMBER)["tokens"] == 2
    nothing = CliRunner().invoke(main, ["principal", "withdraw", MEMBER, "--database", database_url])
    assert nothing.exit_code == 1 and "nobody has a token for this post" in nothing.output


def test_the_commands_ask_the_server_that_holds_the_database(engine: Engine, tmp_path: Path) -> None:
    with served(engine) as door:
        held = engine.database.url.render_as_string(hide_password=False)
        where = ["--server", str(door.client.base_url), "--token-file", str(tmp_path / "token")]
        (tmp_path / "token").write_text(TOKEN)

        def run(*words: str) -> Any:
            result = CliRunner().invoke(main, ["principal", *words, "--json", "--database", held, *where])
            assert result.exit_code == 0, result.output
            return json.loads(result.stdout)

        lease = Lease(engine.database)
        try:
            issued = run("add", STREET)
            wait_until(lambda: status(door, issued["token"]) == 200)
            fresh = run("rotate", STREET, "--at-once")
            wait_until(lambda: status(door, fresh["token"]) == 200)
            assert status(door, issued["token"]) == 401
            run("withdraw", STREET)
            wait_until(lambda: status(door, fresh["token"]) == 401)
        finally:
            lease.close()
    assert [row[0].partition(":")[0] for row in acts(engine)] == ["ops"] * 3


def test_publishing_asks_the_database_for_no_token(sqlite_url: str, file: Path) -> None:
    """Tokens are in memory: a database that is held up by others holds up nobody who shows one."""
    with prepared(sqlite_url, principals=str(file)) as engine, served(engine) as door:
        token = add(door, STREET)
        wait_until(lambda: status(door, token) == 200)
        path = engine.database.url.database
        assert path is not None
        with sqlite3.connect(path) as held:
            held.execute("BEGIN IMMEDIATE")
            answer: httpx.Response = door.post({"specversion": "1.0"}, **bearer(new_token()))
            assert answer.status_code == 401
            held.rollback()


def test_a_door_that_asks_for_no_token_knows_by_one_who_speaks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_at_once(monkeypatch)
    then = now_ms() - HOUR
    ours, theirs = subject("WY01", 1), subject("WY02", 2)
    with prepared(database_url) as engine:
        assert tell(engine, report(ours, then), then) == "done"
        assert tell(engine, report(theirs, then, "WY02-01"), then) == "done"
        token = tokens.add(engine, PersonWanted(STREET), OPERATOR).token
        with served(engine) as door:
            assert len(door.get("/v1/incidents")["incidents"]) == 2
            mine = door.client.get("/v1/incidents", headers=bearer(token)).json()["incidents"]
            assert [line["id"] for line in mine] == [ours]
            me = door.client.get("/v1/me", headers=bearer(token)).json()
            assert (me["principal"], me["asks_token"], me["rights"]) == (f"post:{STREET}", False, ["actors", "reads"])
            assert door.get("/v1/me")["principal"] == "local"
            accept = event("incident.accepted", STREET, now_ms(), case=ours, id="a")
            assert problem(door.post(accept | {"actor": "WY02-CHIEF"}, **bearer(token)), 403)["field"] == "actor"
            assert door.post(accept, Prefer="wait=20", **bearer(token)).json()["outcome"] == "done"
            assert status(door, token, "/v1/operator/people") == 403
            refused = door.client.get("/v1/incidents", headers=bearer(new_token()))
            assert problem(refused, 401)["remedy"] == "leave the token out: this door asks for none"
            assert door.post(accept, **bearer(new_token())).status_code == 401
            tokens.withdraw(engine, STREET, OPERATOR)
            wait_until(lambda: status(door, token) == 401)
            assert f"post:{STREET}" in {principal for principal, _ in records(door)}

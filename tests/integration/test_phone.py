"""What a phone asks before it sends: who it is, what it takes along, where a position lies, what is known there.

What is told of a place and of similar cases is held against what comes of the reports that are sent then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.clock import now_ms
from engine.principals import digest_of, new_token
from schemas.coordinates import to_bd09, to_gcj02
from tests.integration.test_door import problem, url
from tests.support.builders import BARE, DUST, HOTLINE, LEAF, MEMBER, event, shipped, subject, weiyang
from tests.support.serving import Served, prepared, served
from tests.support.settings_files import put_file, read_at_once
from workflows.policy.borders import METRES_PER_DEGREE

__all__ = ["url"]

TOKENS = {name: new_token() for name in ("member", "app", "street", "reader", "nobody", "old")}
FILE = f"""
[principal.member]
actors = ["{MEMBER}"]
tokens = ["{digest_of(TOKENS["member"])}"]
[principal.app]
actors = ["WY??-??-*", "GONE-1"]
tokens = ["{digest_of(TOKENS["app"])}"]
[principal.street]
actors = ["WY01-*"]
reads = true
tokens = ["{digest_of(TOKENS["street"])}"]
[principal.reader]
reads = true
tokens = ["{digest_of(TOKENS["reader"])}"]
[principal.nobody]
tokens = ["{digest_of(TOKENS["nobody"])}"]
[principal.old]
actors = ["GONE-1"]
tokens = ["{digest_of(TOKENS["old"])}"]
"""
INSIDE = (108.845, 34.385)  # of WY01-01
BORDER = (108.85, 34.385)  # of WY01-01 and WY01-02
METRE = 1 / METRES_PER_DEGREE


@pytest.fixture(scope="module")
def door(url: str) -> Iterator[Served]:
    """A door that asks for no token."""
    with prepared(url) as engine, served(engine) as running:
        yield running


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that asks who speaks."""
    folder = tmp_path_factory.mktemp("asking")
    file = folder / "principals.toml"
    put_file(file, FILE)
    file.chmod(0o600)
    with prepared(f"sqlite:///{folder / 'asking.db'}", principals=str(file)) as engine, served(engine) as running:
        yield running


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


def ask(door: Served, name: str, path: str, **query: Any) -> Any:
    """What a principal is told."""
    answer = door.client.get(path, params=query, headers=bearer(name))
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- who am I -----------------------------------------------------------------------------------------------


def test_a_member_learns_its_post_its_rights_and_the_pack(asking: Served) -> None:
    told = ask(asking, "member", "/v1/me")
    assert (told["principal"], told["asks_token"], told["rights"]) == ("member", True, ["actors"])
    nothing = {"everything": False, "own": False, "supervised": False, "grids": [], "kinds": {}}
    assert told["reads"] == nothing and told["actors"] == [MEMBER]
    [post] = told["posts"]
    assert post == {
        "code": MEMBER,
        "title": "网格员（监督员）",
        "role": "member",
        "grid": {"code": LEAF, "name": "一号街道第1社区（示例）"},
        "level": 4,
        "department": None,
        "home": "WY01",
        "speaks": True,
    }
    assert (told["post_count"], told["next"], told["unknown"]) == (1, None, [])
    assert told["pack"]["hash"] == weiyang().hash and told["pack"]["zone"] == "Asia/Shanghai"
    assert (told["pack"]["main_definition"], told["pack"]["crs"]) == ("incident", "WGS84")
    assert told["as_of"].endswith("+08:00")


def test_patterns_over_a_city_are_told_page_by_page(asking: Served) -> None:
    """315 posts are told in pages that a phone can hold, each once, and what the pack does not have apart."""
    wanted = sorted(code for code, post in weiyang().posts.items() if weiyang().grids[post.grid].level == 4)
    found, cursor = list[str](), ""
    while True:
        page = ask(asking, "app", "/v1/me", limit=100, cursor=cursor)
        assert (page["post_count"], page["actors"]) == (len(wanted), ["GONE-1", "WY??-??-*"])
        assert page["unknown"] == ["GONE-1"] and len(page["posts"]) <= 100
        found += [post["code"] for post in page["posts"]]
        if (cursor := page["next"]) is None:
            break
    assert found == wanted
    assert problem(asking.client.get("/v1/me?limit=501", headers=bearer("app")), 400)["field"] == "limit"
    assert problem(asking.client.get("/v1/me?cursor=x", headers=bearer("app")), 400)["field"] == "cursor"


def test_whoever_is_known_may_ask_who_it_is(asking: Served, door: Served) -> None:
    assert ask(asking, "reader", "/v1/me")["rights"] == ["reads"]
    assert ask(asking, "reader", "/v1/me")["reads"]["everything"]
    assert ask(asking, "nobody", "/v1/me")["rights"] == []
    local = door.get("/v1/me", limit=1)
    assert (local["principal"], local["asks_token"], local["post_count"]) == ("local", False, len(weiyang().posts))


# ---- what the phone takes along -----------------------------------------------------------------------------


def test_a_phone_takes_along_what_a_member_needs_for_a_day(asking: Served) -> None:
    told = ask(asking, "member", "/v1/pack")
    assert told == ask(asking, "member", "/v1/pack", post=MEMBER)
    [post] = told["posts"]
    assert post["path"] == ["XA", "WY", "WY01", LEAF]
    said = {action["type"]: action for action in post["actions"]}
    report = said["gridpatrol.report.submitted.v1"]
    assert (report["rule"], report["sources"], report["scope"]) == ("patrol-report", ["patrol", "public"], "place")
    assert report["offline_ms"] == told["offline_ms"] > 0
    assert said["gridpatrol.incident.closed.v1"]["offline_ms"] == 0  # at a desk
    assert "gridpatrol.incident.accepted.v1" not in said
    drawn = {grid["code"]: grid["border"] for grid in told["grids"]}
    assert list(drawn) == post["path"] and [code for code, border in drawn.items() if border] == [LEAF]
    straw = next(each for each in told["categories"] if each["code"] == "D3-08")
    assert straw["name"] == {"zh": "秸秆焚烧", "en": "Burning of straw"} and straw["dissuade"]
    assert straw["limits"]["incident"]["handle"] == "3紧急工作时"
    assert told["words"]["limits"]["3紧急工作时"] == {"zh": "3紧急工作时", "en": "3 urgent hours"}
    assert told["words"]["states"]["incident"]["verifying"] == {"zh": "核查", "en": "verifying"}
    assert told["words"]["triggers"]["gridpatrol.dissuasion.recorded.v1"]["zh"] == "告知劝阻"
    assert told["words"]["refusals"]["forbidden"]["zh"] == "无此权限"
    assert set(told["choices"]["gridpatrol.dissuasion.recorded.v1"]["outcome"]) == {
        "effective",
        "ineffective",
        "impossible",
    }
    assert {"WY01-CHIEF", "WY-DISPATCH", "WY01-01-CHIEF"} <= {each["code"] for each in told["contacts"]}
    assert not {"WY02-CHIEF", "WY01-02-CHIEF", "WY-CAMERA"} & {each["code"] for each in told["contacts"]} - {
        "WY-CAMERA"
    }


def test_a_street_takes_its_communities_along_and_an_app_of_all_names_a_post(asking: Served) -> None:
    told = ask(asking, "street", "/v1/pack", post="WY01-CHIEF")
    inside = [grid for grid in told["grids"] if grid["parent"] == "WY01"]
    assert len(inside) == len(weiyang().leaves("WY01")) and all(grid["border"] for grid in inside)
    many = problem(asking.client.get("/v1/pack", headers=bearer("app")), 400)
    assert many["field"] == "post" and "/v1/me" in many["remedy"]
    gone = problem(asking.client.get("/v1/pack", headers=bearer("old")), 400)
    assert gone["field"] == "post" and "GONE" not in json.dumps(gone)


@pytest.mark.parametrize("path", ["/v1/pack", "/v1/locate?position=1,1", "/v1/similar?position=1,1&category=D3-08"])
def test_a_post_of_others_is_nobodys_to_ask_for(asking: Served, path: str) -> None:
    with_post = f"{path}{'&' if '?' in path else '?'}post="
    for code in ("WY01-02-MEMBER", "NO-SUCH-POST"):
        refused = problem(asking.client.get(f"{with_post}{code}", headers=bearer("member")), 403)
        assert (refused["reason"], refused["field"]) == ("forbidden", "post")
    unknown = problem(asking.client.get(f"{with_post}GONE-1", headers=bearer("old")), 400)
    assert unknown["field"] == "post"


def test_what_a_phone_has_already_is_not_sent_again_until_another_pack_is_active(tmp_path: Path) -> None:
    """A server that has started anew knows it as well: another gateway would."""
    route = f"/v1/pack?post={MEMBER}"
    with prepared(f"sqlite:///{tmp_path / 'pack.db'}") as engine:
        with served(engine) as door:
            first = door.client.get(route)
        assert first.headers["content-encoding"] == "gzip" and first.headers["cache-control"] == "private, no-cache"
        known = {"If-None-Match": first.headers["etag"]}
        with served(engine) as door:
            assert door.client.get(route, headers=known).status_code == 304
        engine.install(shipped().pack, now_ms() - 1000)
        engine.drain()
        with served(engine) as door:
            again = door.client.get(route, headers=known)
            listed = door.get("/v1/duties", post=MEMBER)["duties"]
    assert again.status_code == 200 and again.json()["hash"] == shipped().hash
    [duty] = again.json()["posts"][0]["duties"]
    subjects = [period["subject"] for period in duty["periods"]]
    assert duty["code"] == "PATROL" and subjects
    assert subjects == [line["subject"] for line in listed][: len(subjects)]


# ---- before sending -----------------------------------------------------------------------------------------


def place(position: tuple[float, float], crs: str = "", **more: Any) -> dict[str, Any]:
    """A question about a place."""
    return {"position": f"{position[0]},{position[1]}"} | ({"crs": crs} if crs else {}) | more


def reported(door: Served, number: int, home: str, actor: str, told: dict[str, Any], category: str) -> dict[str, Any]:
    """What comes of a report of a position."""
    source = "hotline" if actor == HOTLINE else "patrol"
    case, id_ = subject(home, 700 + number), f"phone-{number}"
    data = {"category": category, "source": source, "position": told}
    answer = door.post(event("report.submitted", actor, now_ms(), case=case, id=id_, **data), Prefer="wait=20").json()
    assert answer["outcome"] == "done", answer
    found: dict[str, Any] = answer
    return found


PLACES = [
    (INSIDE, "WGS84", MEMBER),
    (INSIDE, "CGCS2000", MEMBER),
    (to_gcj02(*INSIDE), "GCJ02", MEMBER),
    (to_bd09(*to_gcj02(*INSIDE)), "BD09", MEMBER),
    (BORDER, "WGS84", MEMBER),
    (BORDER, "WGS84", HOTLINE),
    ((BORDER[0] - METRE, BORDER[1]), "", HOTLINE),
    ((108.85, 34.385 - 0.3), "WGS84", MEMBER),
    ((2.35, 48.85), "WGS84", MEMBER),
    ((2.35, 48.85), "WGS84", HOTLINE),
    ((BORDER[0] + 3 * METRE, BORDER[1]), "WGS84", HOTLINE),
    ((108.84 - 3 * METRE, BORDER[1]), "WGS84", HOTLINE),  # three metres off the map
    ((0.0, 0.0), "WGS84", MEMBER),
]


@pytest.mark.parametrize(("number", "asked"), list(enumerate(PLACES)))
def test_a_position_lies_where_the_report_of_it_lies_then(
    door: Served, number: int, asked: tuple[tuple[float, float], str, str]
) -> None:
    position, crs, actor = asked
    told = door.get("/v1/locate", **place(position, crs, accuracy_m=5, post=actor))
    sent = {"lon": position[0], "lat": position[1], "accuracy_m": 5} | ({"crs": crs} if crs else {})
    came = reported(door, number, told["home"], actor, sent, BARE)["place"]
    assert (told["grid"]["code"], told["how"], told["remark"]) == (came["grid"], came["how"], came.get("remark", ""))
    shown = door.get(f"/v1/incidents/{subject(told['home'], 700 + number)}")
    assert [grid["code"] for grid in told["path"]] == [grid["code"] for grid in shown["path"]]
    assert told["own"] == (actor == HOTLINE or told["grid"]["code"] == LEAF)
    if told["remark"] == "":
        assert (round(told["lon"], 7), round(told["lat"], 7)) == (round(shown["lon"], 7), round(shown["lat"], 7))


def test_off_the_map_nobody_without_a_post_has_a_home(door: Served) -> None:
    told = door.get("/v1/locate", position="2.35,48.85")
    assert (told["home"], told["grid"], told["remark"], told["own"]) == (None, None, "off_map", None)
    assert door.get("/v1/locate", position="0,0")["remark"] == "no_position"
    assert door.get("/v1/similar", position="0,0", category=BARE)["cases"] == []


def test_on_a_border_the_grid_of_the_only_post_goes_first(asking: Served) -> None:
    told = ask(asking, "member", "/v1/locate", position=f"{BORDER[0]},{BORDER[1]}")
    assert (told["grid"]["code"], told["own"]) == (LEAF, True)
    assert [grid["code"] for grid in told["touches"]] == ["WY01-02"]


def test_similar_cases_are_those_that_the_engine_proposes_then(door: Served) -> None:
    """Nothing is told of them but what they are, how old and about how far: the members are these and no more."""
    here = (108.847, 34.387)
    cases = []
    for number, metres in enumerate((0, 30, 49, 70), 50):
        position = (here[0], here[1] + metres * METRE)
        sent = {"lon": position[0], "lat": position[1], "crs": "WGS84"}
        cases.append(reported(door, number, "WY01", MEMBER, sent, DUST)["case"])
    asked = place(here, "WGS84", category=DUST, post=MEMBER)
    told = door.get("/v1/similar", **asked)
    classes = {case["id"]: case["within_m"] for case in told["cases"]}
    assert classes == dict(zip(cases[:3], (10, 50, 50), strict=True))
    assert told["cases"][0]["id"] == cases[0] and all(case["age_ms"] >= 0 for case in told["cases"])
    for case in told["cases"]:
        assert set(case) == {"id", "definition", "state", "state_zh", "category", "age_ms", "within_m"}
        assert (case["definition"], case["state"], case["category"]["code"]) == ("incident", "discovered", DUST)
    assert (told["radius_m"], told["window_ms"], told["home"]) == (50, 86_400_000, "WY01")
    shifted = door.get("/v1/similar", **place(to_gcj02(*here), "GCJ02", category=DUST))
    assert [case["id"] for case in shifted["cases"]] == [case["id"] for case in told["cases"]]
    assert door.get("/v1/similar", **place(here, "WGS84", category=BARE))["cases"] == []
    came = reported(door, 60, "WY01", MEMBER, {"lon": here[0], "lat": here[1], "crs": "WGS84"}, DUST)
    assert sorted(case["id"] for case in told["cases"]) == came["similar"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"position": "34.385"}, "position"),
        ({"position": "secret,words"}, "position"),
        ({"position": "181,0"}, "position"),
        ({"position": "34.385,108.845"}, "position"),  # latitude comes second
        ({"position": "1,1", "crs": "gcj02"}, "crs"),
        ({"position": "1,1", "accuracy_m": -1}, "accuracy_m"),
        ({"position": "1,1", "accuracy_m": "nan"}, "accuracy_m"),
        ({"crs": "WGS84"}, "position"),
    ],
)
def test_a_question_that_cannot_be_answered_names_its_field_and_quotes_nothing(
    door: Served, query: dict[str, Any], field: str
) -> None:
    for path, more in (("/v1/locate", {}), ("/v1/similar", {"category": BARE})):
        body = problem(door.client.get(path, params=query | more), 400)
        assert body["field"] == field and body["remedy"]
        assert not any(str(value) in json.dumps(body) for value in query.values() if len(str(value)) > 7)
    missing = problem(door.client.get("/v1/similar?position=108.845,34.385"), 400)
    assert missing["field"] == "category" and "108" not in missing["detail"]
    unknown = problem(door.client.get("/v1/similar?position=108.845,34.385&category=NO-SUCH"), 400)
    assert unknown["field"] == "category" and "NO-SUCH" not in json.dumps(unknown)


def test_a_principal_that_is_withdrawn_learns_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what its phone has already is no answer any more."""
    read_at_once(monkeypatch)
    file = tmp_path / "principals.toml"
    put_file(file, FILE)
    file.chmod(0o600)
    with prepared(f"sqlite:///{tmp_path / 'door.db'}", principals=str(file)) as engine, served(engine) as door:
        first = door.client.get("/v1/pack", headers=bearer("member"))
        known = bearer("member") | {"If-None-Match": first.headers["etag"]}
        assert door.client.get("/v1/pack", headers=known).status_code == 304
        put_file(file, FILE.replace(f'actors = ["{MEMBER}"]', ""))
        assert problem(door.client.get("/v1/pack", headers=known), 403)["right"] == "actors"

"""Who reads what at the door: conditions of SQL against the predicate, and every route by what it answers to whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.performance import consume
from engine.clock import now_ms
from engine.http.app import create_app
from engine.inbox import Submission
from engine.operations import tokens
from engine.operations.tokens import PersonWanted
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.store import alerts, incident_queries, notices
from engine.store.alerts import AlertRow, DeliveryRow
from engine.store.database import Database, open_database
from engine.store.incident_queries import Filters
from engine.store.notices import NoticeRow
from engine.views.incident_list import each_read
from engine.views.past import Order, past_page
from gridpatrol.render.permissions import WAYS, situations
from lab.parts.postgres import fresh_database
from schemas.facts import Unit
from schemas.kinds.duty import Duty
from schemas.short_numbers import short_number
from tests.integration.test_door import problem, report
from tests.integration.test_incident_queries import NOW, case, clock, write
from tests.support.builders import HOTLINE, HOUR, MEMBER, OPERATOR, STREET, event, shipped, subject, weiyang
from tests.support.examples import examples
from tests.support.serving import Served, prepared, served, tell, wait_until
from tests.support.settings_files import put_file, read_at_once
from tests.unit.test_who_may import printed
from workflows.case import Case, Holding, Owner
from workflows.definitions import DEFINITIONS, shown_path
from workflows.reading import Reach, Readable, Reads, resolve

POSTS = [HOTLINE, MEMBER, STREET, "WY-CHIEF", "XA-CHIEF", "WY-EPB-H", "WY-URBAN-H", "WY02-CHIEF", "WY02-01-MEMBER"]
GRIDS = ["XA", "WY", "WY01", "WY01-01", "WY02", "WY02-01"]
DEPARTMENTS = ["", "", "WY-EPB", "WY-URBAN"]
AT_WORK = {
    "supervision": "served",
    "responsibility": "signed",
    "task": "taken_on",
    "target": "signed",
    "assessment": "computed",
    "draw": "finished",
    "visit": "revisited",
    "part": "taken_on",
    "approval": "examining",
    "petition": "submitted",
    "signal": "alarmed",
}
"""A state in which posts work on a case, of kinds that are not handled."""
KINDS = ["incident", "service_request", "duty", "supervision"]
STATES = {
    "duty": ["recorded"],
    "supervision": ["proposed", "served", "declined", "cleared"],
    "assessment": ["computed"],
}

# ---- conditions and predicate -------------------------------------------------------------------------------


def some_cases() -> list[Case]:
    """Cases with every relation that there is, drawn once."""
    draw, register, found = Random(7), weiyang(), list[Case]()
    for number in range(1, 121):
        leaf, kind = draw.choice(["WY01-01", "WY02-01"]), draw.choice(KINDS)
        path = register.path(leaf)
        units = [
            Unit(
                f"/{'/'.join(register.path(draw.choice(GRIDS)))}/",
                draw.choice(DEPARTMENTS),
                draw.choice(["", "", MEMBER]),
            )
            for _ in range(draw.randrange(3))
        ]
        owners = [Owner(draw.choice(GRIDS), 3, draw.choice(DEPARTMENTS)) for _ in range(draw.randrange(1, 3))]
        found.append(
            case(
                number,
                *[clock("total", NOW + draw.randrange(9))] * draw.randrange(2),
                definition=kind,
                state=draw.choice(STATES.get(kind, ["handling"])),
                path=path,
                by=draw.choice([*POSTS, ""]),
                post=draw.choice([MEMBER, ""]) if kind == "duty" else "",
                owner=owners[0],
                trail=tuple(owners[1:]),
                assisting=tuple(draw.sample(["WY-EPB", "WY-URBAN", leaf], draw.randrange(2))),
                checks=tuple(draw.sample([2, 3, 4], draw.randrange(2))),
                handled_by=draw.choice(["", "", "WY-EPB-H"]),
                holdings=tuple(Holding(n, unit) for n, unit in enumerate(units)),
            )
        )
    return found


CASES = some_cases()


def some_lines() -> list[tuple[str, str, str, list[str]]]:
    """(id, kind of case, path, recipients) of alerts, notices and lines of the feed."""
    draw = Random(8)
    return [
        (f"{n:03d}", draw.choice([*KINDS, ""]), shown_path(draw.choice(CASES)), draw.sample(POSTS, draw.randrange(4)))
        for n in range(120)
    ]


LINES = some_lines()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with these cases and lines."""
    if request.param == "sqlite":
        yield from _filled(f"sqlite:///{tmp_path_factory.mktemp('reading') / 'gridpatrol.db'}")
    else:
        with fresh_database(request.getfixturevalue("postgres_server")) as url:
            yield from _filled(url)


def _filled(url: str) -> Iterator[Database]:
    opened = open_database(url)
    opened.create_fresh()
    write(opened, *CASES)
    rows, lines, told = [], [], []
    for n, (id_, kind, path, posts) in enumerate(LINES, 1):
        listed = msgspec.json.encode(posts).decode()
        rows.append(
            AlertRow(
                id_, 0, id_, "due", "total", 3, 0, kind, path, "", listed, n, n, n, None, "firing", None, "", "[]", ""
            )
        )
        lines.append(DeliveryRow(n, id_, "firing", kind, path, "feed", listed, "", n, "{}"))
        told.append(NoticeRow(id_, 0, id_, "assigned", kind, path, "", listed, n, None, False))
    with opened.begin() as connection:
        alerts.write(connection, rows, lines, told)
    yield opened
    opened.close()


REACHES = st.builds(
    Reach,
    everything=st.integers(0, 9).map(lambda n: n == 0),
    own=st.booleans(),
    grids=st.lists(st.sampled_from([*GRIDS, "gone"]), max_size=2).map(tuple),
    supervised=st.booleans(),
)
READERS = st.builds(
    lambda usual, kinds, posts: resolve(
        "p", Reads(usual, tuple(sorted(kinds.items()))), [weiyang().posts[code] for code in posts], weiyang(), NOW
    ),
    REACHES,
    st.dictionaries(st.sampled_from(KINDS), REACHES, max_size=2),
    st.lists(st.sampled_from(POSTS), max_size=3, unique=True),
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(READERS, st.sampled_from(["due_at", "opened_at", "id"]), st.booleans(), st.integers(1, 7))
def test_what_a_listing_shows_is_what_the_predicate_lets_pass(
    filled: Database, readable: Readable, sort: str, descending: bool, size: int
) -> None:
    """The condition loses nothing, and page after page shows exactly what is read, in the order of all."""
    every = Filters(now=NOW, definitions=tuple(KINDS))
    wanted = msgspec.structs.replace(every, readable=readable)
    with filled.read() as connection:
        whole = incident_queries.read_page(connection, every, sort, descending, None, 500)
        passed = incident_queries.read_page(connection, wanted, sort, descending, None, 500)
        shown = [found.id for _, found in each_read(connection, wanted, Order(sort, descending, None), size)]
    by_id = {each.id: each for each in CASES}
    right = [key.id for key, _ in whole if readable.reads_case(by_id[key.id])]
    assert set(right) <= {key.id for key, _ in passed}
    assert shown == right


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(READERS)
def test_what_is_read_of_alerts_notices_and_the_feed_is_the_same_in_sql_and_by_the_predicate(
    filled: Database, readable: Readable
) -> None:
    right = [id_ for id_, kind, path, posts in LINES if readable.of(kind).reads_line(path, posts)]
    with filled.read() as connection:
        found = [row.id for row in alerts.listed(connection, limit=500, readable=readable)]
        told = [row.id for row in notices.listed(connection, limit=500, readable=readable)]
        fed = [row.alert for row in alerts.read_feed(connection, 0, "/", "", 500, readable=readable)]
    assert sorted(found) == sorted(told) == fed == right


# ---- the door -----------------------------------------------------------------------------------------------

OURS, THEIRS = subject("WY01", 1), subject("WY02", 2)
TOKENS = {name: new_token() for name in ("all", "street", "unit", "member", "nothing", "kinds", "ops", "elsewhere")}
FILE = f"""
[principal.all]
reads = true
tokens = ["{digest_of(TOKENS["all"])}"]
[principal.street]
reads = ["WY01"]
tokens = ["{digest_of(TOKENS["street"])}"]
[principal.unit]
actors = ["WY01-CHIEF"]
reads = "own"
tokens = ["{digest_of(TOKENS["unit"])}"]
[principal.member]
actors = ["WY01-02-MEMBER"]
reads = "own"
tokens = ["{digest_of(TOKENS["member"])}"]
[principal.nothing]
actors = ["{HOTLINE}"]
tokens = ["{digest_of(TOKENS["nothing"])}"]
[principal.kinds]
tokens = ["{digest_of(TOKENS["kinds"])}"]
[principal.kinds.reads]
duty = true
[principal.ops]
operator = true
tokens = ["{digest_of(TOKENS["ops"])}"]
[principal.elsewhere]
actors = ["WY07-CHIEF"]
reads = ["WY07", "own"]
tokens = ["{digest_of(TOKENS["elsewhere"])}"]
"""


def bearer(name: str) -> dict[str, str]:
    """The header of a principal."""
    return {"Authorization": f"Bearer {TOKENS[name]}"}


def long_overdue(engine: Engine) -> None:
    """A case of each street, whose deadlines were missed days ago: what is told of that waits for no morning."""
    then = now_ms() - 480 * HOUR
    assert tell(engine, report(OURS, then, description="dust"), then) == "done"
    assert tell(engine, report(THEIRS, then, "WY02-01"), then) == "done"
    engine.append([Submission(p, "tick", "owner", "") for p in range(engine.count)], then + 240 * HOUR)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door on two streets, with a case of each that is long overdue: there are alerts and notices of both."""
    folder = tmp_path_factory.mktemp("door")
    file = put_file(folder / "principals.toml", FILE)
    with prepared(f"sqlite:///{folder / 'gridpatrol.db'}", principals=str(file)) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        long_overdue(engine)
        with served(engine) as running:
            running.get = lambda path, **query: running.client.get(path, params=query, headers=bearer("all")).json()  # type: ignore[method-assign]
            wait_until(lambda: {line["case"] for line in running.get("/v1/alerts")["alerts"]} == {OURS, THEIRS})
            yield running


def asked(door: Served, name: str, path: str, **query: Any) -> httpx.Response:
    """What a principal is answered."""
    return door.client.get(path, params=query or None, headers=bearer(name))


STATUS = f"/v1/events/status?source=app&id={OURS}.r"
STREAM = "/v1/alerts/stream?last_event_id=0-0"
UNASKED = {"/", "/openapi.json", "/healthz", "/readyz", "/metrics", "/sign-in", "/static/{name:str}"} | {
    f"/m{path}" for path in ("", "/{page:str}", "/worker.js", "/manifest.webmanifest")
}
UNASKED |= {"/v1/organisation", "/v1/workflow"}  # the register is no secret
UNASKED |= {"/v1/answers"}  # it opens to a code, whoever has it: test_petitions
"""Routes that say nothing of cases or people."""
OPEN311 = {f"/open311/v2/{name}{ending}" for name in ("discovery", "services") for ending in ("", ".xml", ".json")}
OPEN311 |= {f"/open311/v2/requests{ending}" for ending in ("", ".xml", ".json", "/{service_request_id:str}")}
OPEN311 |= {"/open311/v2/services/{service_code:str}", "/open311/v2/tokens/{token:str}"}
"""Routes that show the catalogue, and petitions to who reads these: `test_open311` asks them."""
PUBLISHES = {
    "/v1/events",
    "/v1/events/batch",
    "/m/v1/events/batch",
    "/cases/{id:str}/acts",
    "/desk/{id:str}/acts",
    "/supervision/proposals",
    "/approvals/applications",
    "/supervision/{id:str}/acts",
    "/v1/petitions/{id:str}/code",
}
"""Routes that take events and tell what became of these: the actor is asked for at the door, the rest in decide."""
SPEAKS = {
    "/v1/violations",
    "/v1/audit",
    "/v1/audit/stream",
    "/v1/me",
    "/v1/pack",
    "/v1/locate",
    "/v1/similar",
    "/v1/outcomes",
    "/v1/signals/values",
    "/v1/files/{sha256:str}",
    "/m/session",
    "/m/v1/pack",
    "/m/v1/locate",
    "/m/v1/similar",
    "/m/v1/outcomes",
    "/m/v1/files/{sha256:str}",
    "/console/v1/files/{sha256:str}",
    "/v1/alerts/seen",
    "/alerts/seen",
    "/desk/stream",
    "/me",
    "/me/post",
    "/sign-out",
    "/supervision/new",
    "/approvals/new",
    "/v1/subscriptions",
    "/v1/subscriptions/{subscription:str}",
    "/v1/subscriptions/{subscription:str}/secrets",
    "/v1/subscriptions/{subscription:str}/place",
    "/v1/subscriptions/{subscription:str}/lines",
    "/v1/subscriptions/{subscription:str}/stream",
    "/v1/subscriptions/{subscription:str}/deliveries",
}
"""Routes that tell who speaks of itself and of what it sent; what is similar is told in brief to whoever would report
it. A file is given to who reads the words of its case, which `test_files` asks. What a subscription tells,
`test_door_subscriptions` and `test_subscriptions` ask; what inspection reads, `test_inspection`."""
READS: dict[str, str] = {
    "/v1/tasks": "/v1/tasks?post=WY01-CHIEF",
    "/v1/incidents": "/v1/incidents?search={case}",
    "/v1/incidents/{id:str}": "/v1/incidents/{case}",
    "/v1/incidents/{id:str}/words": "/v1/incidents/{case}/words",
    "/m/v1/tasks": "/m/v1/tasks?post=WY01-CHIEF",
    "/m/v1/incidents": "/m/v1/incidents?search={case}",
    "/m/v1/incidents/{id:str}": "/m/v1/incidents/{case}",
    "/v1/alerts": "/v1/alerts",
    "/v1/alerts/stream": "/v1/alerts/stream?last_event_id=0-0",
    "/v1/notices": "/v1/notices",
    "/v1/duties": "/v1/duties?grid=WY01",
    "/v1/performance": "/v1/performance?period=all&by=grid",
    "/v1/performance/cases": "/v1/performance/cases?period=all&measure=reported",
    "/v1/tasks/{code:str}": "/v1/tasks/ready",
    "/v1/targets": "/v1/targets",
    "/v1/targets/{id:str}": "/v1/targets/{case}",
    "/v1/deductions": "/v1/deductions",
    "/v1/approval-money": "/v1/approval-money",
    "/v1/assessment": "/v1/assessment?card=TOWN-QUARTER",
    "/v1/responsible": "/v1/responsible?grid=WY01&category=D3-01",
    "/v1/responsibilities": "/v1/responsibilities?grid=WY01",
    "/v1/ledger.csv": "/v1/ledger.csv?period=all",
    "/v1/ledger.xlsx": "/v1/ledger.xlsx?period=all",
    "/v1/reports/{name:str}": "/v1/reports/evidence?format=csv",
    "/v1/grids.geojson": "/v1/grids.geojson",
    "/ledger": "/ledger?period=all",
    "/ledger.csv": "/ledger.csv?period=all",
    "/ledger.xlsx": "/ledger.xlsx?period=all",
    "/reports": "/reports?name=bulletin",
    "/reports/{name:str}/{form:str}": "/reports/evidence/csv",
    "/desk": "/desk",
    "/cases": "/cases?search={number}",
    "/cases/{id:str}": "/cases/{case}",
    "/alerts": "/alerts",
    "/ranking": "/ranking?period=year&by=grid",
    "/figures": "/figures?period=year&measure=reported&by=",
    "/supervision": "/supervision",
    "/joint": "/joint",
    "/approvals": "/approvals",
    "/approvals/money": "/approvals/money",
    "/petitions": "/petitions",
    "/assessment": "/assessment?card=TOWN-QUARTER",
    "/duties": "/duties?grid=WY01",
    "/units/{code:str}": "/units/WY01",
    "/sponsors": "/sponsors?grid=WY01",
    "/signals": "/signals",
    "/responsibility": "/responsibility?grid=WY01",
    "/v1/events/status": "/v1/events/status?source={source}&id={case}.r",
}
"""Every route that reads cases, and a question about the case of the first street. One that is added fails below until
it stands here; then its handler asks `context.read_as`, and what it shows is checked against who may see it."""
OPERATES = (
    "/v1/operator/",
    "/v1/deliveries",
    "/health",
    "/packs",
    "/tokens",
    "/channels",
    "/audit",
    "/whatif",
    "/v1/verifications",
)


def questions() -> dict[str, str]:
    """The question of each route."""
    said = report(OURS, 0)
    return {
        route: path.format(case=OURS, source=said["source"], number=short_number(OURS)) for route, path in READS.items()
    }


def shown_to(door: Served, name: str, path: str) -> str:
    """What a principal is shown, as text: of a stream what it says until it would wait."""
    if not path.startswith("/v1/alerts/stream"):
        return asked(door, name, path).text
    with door.client.stream("GET", path, headers=bearer(name)) as answer:
        if answer.status_code != 200:
            return answer.read().decode()
        text, lines = "", answer.iter_lines()
        mark = {"all": THEIRS, "street": OURS, "unit": OURS}.get(name, "event: ")
        while mark not in text:
            text += next(lines)
        return text


def test_every_route_of_the_door_stands_in_a_table_that_says_who_may_read(door: Served) -> None:
    routes = {route.path for route in create_app(door.writer, door.engine.database).routes}
    unknown = {path for path in routes if not path.startswith(OPERATES)} - UNASKED - OPEN311 - PUBLISHES - SPEAKS
    unknown -= READS.keys()
    assert not unknown, f"say in READS what these show, and to whom: {sorted(unknown)}"
    assert READS.keys() <= routes


@pytest.mark.parametrize("route", sorted(READS))
def test_no_route_shows_a_case_to_who_does_not_read_it(door: Served, route: str) -> None:
    path = questions()[route]
    for name in ("elsewhere", "member", "kinds"):
        text = shown_to(door, name, path)
        assert OURS not in text and "WY01-01" not in text, (name, text)
    for name in ("nothing", "ops"):
        if route != "/v1/events/status":
            assert problem(asked(door, name, path), 403)["reason"] == "no_right"


SHOWN_ELSEWHERE = {
    "/v1/tasks/{code:str}",
    "/v1/targets",
    "/v1/targets/{id:str}",
    "/v1/grids.geojson",
    "/v1/reports/{name:str}",
    "/ledger.xlsx",
    "/reports",
    "/reports/{name:str}/{form:str}",
    "/v1/assessment",
    "/v1/deductions",
    "/v1/approval-money",
    "/v1/duties",
    "/v1/incidents/{id:str}/words",
    "/v1/ledger.xlsx",
    "/v1/responsibilities",
    "/v1/responsible",
    "/alerts",
    "/cases",
    "/ranking",
    "/supervision",
    "/joint",
    "/approvals",
    "/approvals/money",
    "/petitions",
    "/assessment",
    "/duties",
    "/units/{code:str}",
    "/sponsors",
    "/signals",
    "/responsibility",
}
"""Routes that show no case of these in plain text."""


@pytest.mark.parametrize("route", sorted(READS.keys() - SHOWN_ELSEWHERE))
def test_every_route_shows_it_to_who_does(door: Served, route: str) -> None:
    for name in ("all", "street", "unit"):
        text = shown_to(door, name, questions()[route])
        if route == "/v1/performance":
            reported = sum(row["counts"].get("reported", 0) for row in json.loads(text)["rows"])
            assert reported == (2 if name == "all" else 1)
        else:
            assert OURS in text, (name, text)
            assert name == "all" or THEIRS not in text, (name, text)


@pytest.mark.parametrize(
    ("name", "path", "reason", "says"),
    [
        # a grid or a kind of which nothing is read: refused by the rule
        ("street", "/v1/incidents?grid=WY02", "not_readable", "reads what lies in WY01"),
        ("street", "/v1/alerts?grid=WY02", "not_readable", "reads what lies in WY01"),
        ("street", "/v1/alerts/stream?grid=WY02", "not_readable", "reads what lies in WY01"),
        ("street", "/v1/notices?grid=WY02", "not_readable", "reads what lies in WY01"),
        ("street", "/v1/duties?grid=WY02", "not_readable", "reads what lies in WY01"),
        ("street", "/v1/duties?post=WY02-CHIEF", "not_readable", "reads what lies in WY01"),
        ("member", "/v1/duties?post=WY02-CHIEF", "not_readable", "what its own posts have to do with"),
        ("kinds", "/v1/incidents?definition=incident", "not_readable", "reads nothing of this kind"),
        ("kinds", "/v1/performance?period=all", "not_readable", "reads nothing"),
        ("street", "/v1/performance?grid=WY", "not_readable", "reads what lies in WY01"),
        ("street", "/v1/performance?department=WY-EPB", "not_readable", "of more than that"),
        ("unit", "/v1/performance?grid=XA", "not_readable", "of more than that"),
        ("unit", "/v1/performance?post=WY02-CHIEF", "not_readable", "of more than that"),
    ],
)
def test_what_the_register_knows_is_refused_with_the_rule(
    door: Served, name: str, path: str, reason: str, says: str
) -> None:
    body = problem(asked(door, name, path), 403)
    assert body["reason"] == reason and name in body["detail"] and says in body["detail"] and body["remedy"]


@pytest.mark.parametrize("id_", [OURS, subject("WY01", 77)], ids=["that there is", "that there is not"])
def test_a_case_that_is_not_read_is_answered_as_if_there_were_none(door: Served, id_: str) -> None:
    status = questions()["/v1/events/status"].replace(OURS, id_)
    for path in (f"/v1/incidents/{id_}", f"/v1/incidents/{id_}/words", status):
        answers = [asked(door, "elsewhere", path).json(), asked(door, "elsewhere", path.replace(id_, "WY01.x")).json()]
        assert answers[0]["status"] == 404 and answers[0] == answers[1]


def test_a_sender_asks_what_became_of_its_own_events_and_of_no_others(door: Served) -> None:
    path = questions()["/v1/events/status"]
    assert asked(door, "nothing", path).json()["case"] == OURS  # the hotline's own
    assert problem(asked(door, "ops", path), 404)["reason"] == "unknown_event"


def test_figures_are_those_of_the_subtree_and_of_units_of_ones_own(door: Served) -> None:
    def reported(name: str, **query: Any) -> tuple[str, int]:
        page = asked(door, name, "/v1/performance", period="all", **query).json()
        return page["grid"], sum(row["counts"].get("reported", 0) for row in page["rows"])

    assert reported("all") == ("XA", 2)
    assert reported("street") == reported("street", grid="WY01") == ("WY01", 1)  # who reads one subtree is told of that
    assert reported("street", grid="WY01-01") == ("WY01-01", 1)
    assert reported("unit") == ("WY01", 1)
    assert reported("unit", post="WY01-CHIEF") == ("XA", 0)
    assert reported("elsewhere") == ("WY07", 0)
    assert problem(asked(door, "unit", "/v1/performance", grid="WY01-01"), 403)["reason"] == "not_readable"


def test_a_list_of_the_past_shows_no_more_than_one_of_now(door: Served) -> None:
    at = asked(door, "all", "/v1/incidents").json()["as_of"]
    for name, cases in (("all", {OURS, THEIRS}), ("street", {OURS}), ("unit", {OURS}), ("elsewhere", set())):
        for sort in ("due_at", "id"):
            page = asked(door, name, "/v1/incidents", at=at, sort=sort).json()
            assert {line["id"] for line in page["incidents"]} == cases, name


def test_a_stream_asks_each_time_what_its_principal_reads_now(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reach grows while it is open, and it ends with the last of it."""
    read_at_once(monkeypatch)
    file = put_file(tmp_path / "principals.toml", FILE.replace('reads = ["WY01"]', 'reads = ["WY07"]'))
    with prepared(sqlite_url, principals=str(file)) as engine:
        long_overdue(engine)
        with served(engine) as running:
            wait_until(lambda: OURS in asked(running, "all", "/v1/alerts").text)
            with running.client.stream("GET", "/v1/alerts/stream", headers=bearer("street")) as answer:
                lines, text = answer.iter_lines(), ""
                while "event: opened" not in text:
                    text += next(lines)
                put_file(file, FILE)
                seen = event("incident.acknowledged", STREET, now_ms(), case=OURS, id="seen")
                assert running.post(seen, Prefer="wait=20", **bearer("unit")).json()["outcome"] == "done"
                while OURS not in text:
                    text += next(lines)
                put_file(file, FILE.replace('reads = ["WY01"]', "reads = false"))
                assert THEIRS not in text + "".join(lines)


def test_past_pages_ask_the_same_predicate(filled: Database) -> None:
    register = weiyang()
    readable = resolve("p", Reads(Reach(own=True)), [register.posts["WY-EPB-H"]], register, NOW)
    wanted = Filters(now=NOW, open=None, definitions=tuple(KINDS), readable=readable)
    with filled.read() as connection:
        found = past_page(connection, wanted, Order("id", False, None), 500)
    assert all(readable.reads_case(each) for _, each in found)


# ---- cell by cell -------------------------------------------------------------------------------------------


def test_the_door_shows_what_the_table_marks_and_nothing_else(sqlite_url: str, tmp_path: Path) -> None:
    """Every line of docs/who-may.md, asked by a person of that post: the case, its words, contact among them. Where
    the case is not shown, words are asked for once for each kind and role."""
    file, wrong, asked_for = put_file(tmp_path / "principals.toml", ""), list[str](), 0
    hidden = set[tuple[str, str]]()
    with prepared(sqlite_url, principals=str(file)) as engine:
        lines = [
            each
            for kind in DEFINITIONS.values()
            if kind.listed != "never"
            for each in situations(shipped(), kind)
            if each.post.role != "lot"  # the server's own
        ]
        for number, line in enumerate(lines):
            duty = line.case.definition == "duty"
            line.case.id, line.case.policy = subject(weiyang().home(line.case.path[-1]), 1000 + number), weiyang().hash
            at_work = AT_WORK.get(line.case.definition, "handling")
            line.case.state, line.case.own = ("owed", Duty("PATROL", 20260302)) if duty else (at_work, None)
        write(engine.database, *(line.case for line in lines))
        posts = sorted({line.post.code for line in lines})
        given = {post: tokens.add(engine, PersonWanted(post), OPERATOR).token for post in posts}
        with served(engine) as running:
            for line in lines:
                case, head = line.case, {"Authorization": f"Bearer {given[line.post.code]}"}
                shown = running.client.get(f"/v1/incidents/{case.id}", headers=head)
                assert shown.status_code in (200, 404), shown.text
                reads = shown.status_code == 200, False, False
                if reads[0] or (case.definition, line.post.role) not in hidden:
                    words = running.client.get(f"/v1/incidents/{case.id}/words", headers=head)
                    assert words.status_code in (200, 403, 404), words.text
                    reads = reads[0], words.status_code == 200, words.status_code == 200 and words.json()["contact"]
                if not reads[0]:
                    hidden.add((case.definition, line.post.role))
                asked_for += 1
                role, level = line.post.role, str(line.level)
                marks = printed()[case.definition, role, level, WAYS[line.stands]][1]
                if tuple(mark == "✓" for mark in marks) != reads:
                    wrong.append(f"{case.definition} {role} {level} {line.stands}: {marks} but {reads}")
    assert not wrong, "\n".join(wrong)
    assert asked_for == sum(role != "lot" for _, role, _, _ in printed())

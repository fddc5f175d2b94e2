"""The roles of the distributed run as real processes: what each refuses, how they share and hand over work.

Enters: a broker, a PostgreSQL, two gateways, workers, a performance role, two alerts roles; requests at their doors and
commands of the operator. Leaves: answers, exit statuses, sentences, and who owns what.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from engine.clock import now_ms
from engine.packs import folder_of
from lab.installation import Installation, Role, installation
from lab.parts import kafka
from lab.parts.postgres import fresh_database
from lab.parts.processes import eventually
from tests.integration.test_door import report
from tests.support.builders import DUST, MEMBER, STREET, event, subject

PARTITIONS = 8
ROLES = ("gateway-1", "worker-1", "performance-1", "alerts-1")
NUMBERS = iter(range(1, 1_000_000))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, kafka_server: str, postgres_server: URL) -> Iterator[Installation]:
    """Two of everything but the performance role."""
    with (
        kafka.fresh_prefix(kafka_server) as prefix,
        fresh_database(postgres_server) as url,
        installation(
            tmp_path_factory.mktemp("roles"), kafka_server, url, prefix=prefix, partitions=PARTITIONS
        ) as built,
    ):
        built.start("gateway-1", "gateway-2", "worker-1", "worker-2", "performance-1", "alerts-1", "alerts-2")
        built.await_ready()
        yield built
        built.stop()


@pytest.fixture
def bare(tmp_path: Path, kafka_server: str, kafka_prefix: str, postgres_url: str) -> Iterator[Installation]:
    """An installation of which nothing is there yet."""
    built = Installation(tmp_path, kafka_server, postgres_url, prefix=kafka_prefix)
    try:
        yield built
    finally:
        built.kill()


def new(home: str = "WY01") -> dict[str, Any]:
    """A report of a case of its own."""
    return report(subject(home, next(NUMBERS)), now_ms(), f"{home}-01")


def ask(place: Installation, said: dict[str, Any], gateway: str = "gateway-1", **headers: str) -> dict[str, Any]:
    """Publish one event; the answer."""
    url = f"{place[gateway].address()}/v1/events"
    kind = {"Content-Type": "application/cloudevents+json"}
    answer = httpx.post(url, content=json.dumps(said), headers=kind | headers, timeout=60)
    assert answer.status_code in (200, 202), answer.text
    return dict(answer.json())


def outcome(place: Installation, said: dict[str, Any], gateway: str = "gateway-1") -> dict[str, Any]:
    """Publish one event and wait for what becomes of it."""
    return ask(place, said, gateway, Prefer="wait=25; parked=0")


def status(place: Installation, path: str, gateway: str = "gateway-1") -> dict[str, Any]:
    code, body = place[gateway].get(path)
    assert code == 200, body
    return dict(json.loads(body))


def owned(place: Installation, *workers: str) -> list[int]:
    """How many partitions each worker owns."""
    pages = [place[name].get("/metrics")[1] for name in workers]
    found = [re.search(r"^gridpatrol_partitions_owned (\S+)$", page, re.MULTILINE) for page in pages]
    return [int(float(one[1])) if one else 0 for one in found]


def ended(place: Installation, *names: str, within_s: float = 60) -> dict[str, str]:
    """What these said before they ended, refused or to be tried again."""
    eventually(lambda: not any(place[name].running for name in names), "they end", within_s)
    for name in names:
        process = place[name].process
        assert process is not None and process.returncode in (1, 75), place[name].said()
        assert "Traceback" not in place[name].said(), place[name].said()
    return {name: place[name].said() for name in names}


# ---- what a role refuses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        (("--role", "supervisor"), {}, "'supervisor' is not one of 'all', 'gateway', 'worker',"),
        (("--role", "worker"), {}, "role worker needs kafka"),
        ((), {"GRIDPATROL_ROLE": "alerts"}, "role alerts needs kafka"),
        ((), {"GRIDPATROL_ROLE": "mayor"}, "worker, performance, alerts, got 'mayor'"),
        (("--role", "gateway", "--kafka", "127.0.0.1:1", "--listen", "0.0.0.0:0"), {}, "a loopback address"),
    ],
)
def test_a_role_that_cannot_be_is_refused_with_what_there_is(
    tmp_path: Path, words: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    built = Installation(tmp_path, "", f"sqlite:///{tmp_path / 'x.db'}")
    built.environment |= settings
    assert said in " ".join(built.command("serve", *words, check=False).split())


def test_a_schema_of_another_release_is_refused_with_the_command_that_mends_it(bare: Installation) -> None:
    bare.command("db", "upgrade")
    url = make_url(bare.environment["GRIDPATROL_DATABASE"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    bare.start(*ROLES, "all-1")
    for said in ended(bare, *ROLES, "all-1").values():
        assert "the database stands at revision 0001" in said
        assert "`gridpatrol db upgrade`" in said


def test_without_topics_a_role_ends_with_the_command_that_makes_them(bare: Installation) -> None:
    bare.command("db", "upgrade")
    bare.start(*ROLES)
    for said in ended(bare, *ROLES).values():
        assert "Run `gridpatrol topic create`" in said
    bare.command("topic", "create")
    bare.start(*ROLES, GRIDPATROL_KAFKA_PREFIX="nobodys.")
    for said in ended(bare, *ROLES).values():
        assert "Run `gridpatrol topic create`" in said and "nobodys.gridpatrol." in said


def test_where_nobody_listens_a_role_ends_and_speaks_of_the_address_only(bare: Installation) -> None:
    bare.set_up()
    bare.start(*ROLES, GRIDPATROL_KAFKA="127.0.0.1:1")
    for said in ended(bare, *ROLES).values():
        assert "127.0.0.1:1" in said and "Check GRIDPATROL_KAFKA" in said and "kafka_user" not in said


def test_a_second_process_of_the_same_name_ends_and_the_first_goes_on(place: Installation) -> None:
    twin = Installation(place.folder / "twin", "", "")
    twin.folder.mkdir(exist_ok=True)
    twin.environment = place.environment
    try:
        twin.start("worker-1")
        said = ended(twin, "worker-1")["worker-1"]
    finally:
        twin.kill()
    assert "another process runs as worker" in said and "worker-1" in said
    assert place["worker-1"].running and place["worker-1"].get("/readyz")[0] == 200
    assert outcome(place, new())["outcome"] == "done"


# ---- who is ready, who owns what ------------------------------------------------------------------------------


def test_every_role_says_that_it_is_ready_alive_and_how_it_stands(place: Installation) -> None:
    for role in place.roles.values():
        if role.running:
            assert json.loads(role.get("/readyz")[1])["status"] == "ready", role.name
            assert json.loads(role.get("/healthz")[1]) == {"status": "ok"}
            page = role.get("/metrics")[1]
            assert "\ngridpatrol_ready 1.0\n" in page, role.name
            assert "\nprocess_cpu_seconds_total " in page and "\npython_gc_collections_total{" in page, role.name


def test_a_third_worker_takes_partitions_and_gives_them_back(place: Installation) -> None:
    eventually(lambda: owned(place, "worker-1", "worker-2") == [4, 4], "two workers share")
    load = _Load(place)
    try:
        place.start("worker-3")
        place["worker-3"].await_ready()
        three = ("worker-1", "worker-2", "worker-3")
        eventually(lambda: sorted(owned(place, *three)) == [2, 3, 3], lambda: f"three share: {owned(place, *three)}")
        place["worker-3"].stop()
        eventually(lambda: owned(place, "worker-1", "worker-2") == [4, 4], "the partitions go back")
        place.start("worker-3")
        eventually(lambda: owned(place, "worker-3")[0] > 0, "it comes back")
        place["worker-3"].kill()
        eventually(lambda: owned(place, "worker-1", "worker-2") == [4, 4], "a killed one's partitions go back")
    finally:
        sent = load.stop()
    assert len(sent) > 20
    for said in sent:
        place_of = f"/v1/events/status?source={said['source']}&id={said['id']}&subject={said['subject']}"
        eventually(lambda at=place_of: place["gateway-1"].get(at)[0] == 200, "it is decided")  # type: ignore[misc]
    assert place.command("verify").startswith("Everything")


class _Load:
    """Reports at both gateways, until stopped."""

    def __init__(self, place: Installation) -> None:
        self._place, self._stop, self._sent = place, threading.Event(), list[dict[str, Any]]()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.05):
            number += 1
            said = new(f"WY{number % 12 + 1:02}")
            ask(self._place, said, f"gateway-{number % 2 + 1}")
            self._sent.append(said)

    def stop(self) -> list[dict[str, Any]]:
        self._stop.set()
        self._thread.join(30)
        return self._sent


def test_two_gateways_are_one_door(place: Installation) -> None:
    said = new()
    first = outcome(place, said, "gateway-1")
    again = outcome(place, said, "gateway-2")
    assert (first["outcome"], again["outcome"], again["first"]) == ("done", "duplicate", "done")
    accepted = event("incident.accepted", STREET, now_ms(), case=said["subject"], id="accepted")
    assert outcome(place, accepted, "gateway-2")["outcome"] == "done"
    assert status(place, f"/v1/incidents/{said['subject']}", "gateway-1")["state"] == "accepted"
    assert status(place, first["status_url"], "gateway-2")["outcome"] == "done"
    for asked in (f"/v1/pack?post={STREET}", "/v1/me?limit=3", "/v1/locate?position=108.845,34.385&crs=WGS84"):
        told = [status(place, asked, gateway) for gateway in ("gateway-1", "gateway-2")]
        assert told[0] | {"as_of": ""} == told[1] | {"as_of": ""}, asked


def test_whoever_stands_by_takes_over_the_telling_of_alerts(place: Installation) -> None:
    said = new()
    assert outcome(place, said)["outcome"] == "done"
    teller = next(name for name in ("alerts-1", "alerts-2") if "this process tells the alerts" in place[name].said())
    other = {"alerts-1": "alerts-2", "alerts-2": "alerts-1"}[teller]
    assert "standing by" in place[other].said()
    place[teller].kill()
    eventually(lambda: "this process tells the alerts" in place[other].said(), "the other takes over")
    assert outcome(place, _urged(said["subject"]))["outcome"] == "done"
    eventually(lambda: _notices(place, said["subject"]), "a notice of the case")
    place.start(teller)
    place[teller].await_ready()
    eventually(lambda: "standing by" in place[teller].said(), "the first one stands by now")


def _urged(case: str) -> dict[str, Any]:
    return event("incident.urged", STREET, now_ms(), case=case, id=f"urged-{next(NUMBERS)}", note="please")


def _notices(place: Installation, case: str) -> list[dict[str, Any]]:
    """The urgings of a case that are told."""
    found = status(place, f"/v1/notices?case={case}", "gateway-2")["notices"]
    return [notice for notice in found if notice["on"] == "urged" and notice["told"]]


# ---- what a sender hears --------------------------------------------------------------------------------------


def test_who_waits_hears_every_kind_of_outcome(place: Installation) -> None:
    said = new()
    assert outcome(place, said)["outcome"] == "done"
    again = outcome(place, said)
    assert (again["outcome"], again["first"]) == ("duplicate", "done")
    other = outcome(place, said | {"data": said["data"] | {"reference": "another"}})
    assert (other["outcome"], other["reason"], other["field"]) == ("conflict", "conflict", "id")
    foreign = event("incident.accepted", "WY02-CHIEF", now_ms(), case=said["subject"], id="foreign")
    refused = outcome(place, foreign)
    assert (refused["outcome"], refused["reason"], refused["field"]) == ("refused", "forbidden", "actor")
    unborn = new()
    early = event("incident.accepted", STREET, now_ms(), case=unborn["subject"], id="early")
    assert outcome(place, early)["outcome"] == "parked"
    assert outcome(place, unborn)["outcome"] == "done"
    places = [status(place, answer["status_url"])["outcome"] for answer in (again, other, refused)]
    assert places == ["duplicate", "conflict", "refused"]
    assert status(place, f"/v1/incidents/{unborn['subject']}")["state"] == "accepted"


def test_an_event_is_pending_until_its_owner_decides_it(place: Installation) -> None:
    for name in ("worker-1", "worker-2"):
        place[name].stop()
    said = new()
    answer = ask(place, said)
    try:
        waits = status(place, answer["status_url"])
        assert (waits["outcome"], waits["case"]) == ("pending", said["subject"])
        assert (waits["partition"], waits["position"]) == (answer["partition"], answer["position"])
        unheard = ask(place, new(), Prefer="wait=1")
        assert unheard["status"] == "accepted" and "outcome" not in unheard
    finally:
        place.start("worker-1", "worker-2")
    eventually(lambda: status(place, answer["status_url"])["outcome"] == "done", "it is decided")


def test_alerts_are_streamed_at_either_gateway(place: Installation) -> None:
    said = new()
    assert outcome(place, said)["outcome"] == "done"
    heard: list[dict[str, Any]] = []

    def listen() -> None:
        url = f"{place['gateway-2'].address()}/v1/alerts/stream"
        with httpx.stream("GET", url, timeout=60) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and said["subject"] in line:
                    heard.append(json.loads(line.removeprefix("data:")))
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    until = time.monotonic() + 60
    while listener.is_alive() and time.monotonic() < until:
        assert outcome(place, _urged(said["subject"]))["outcome"] == "done"
        listener.join(1)
    assert heard and heard[0]["case"] == said["subject"] and heard[0]["what"] == "told"


def test_figures_follow_at_either_gateway(place: Installation) -> None:
    before = _reported(place, "gateway-1")
    assert outcome(place, new("WY09"))["outcome"] == "done"
    for gateway in ("gateway-1", "gateway-2"):
        eventually(lambda at=gateway: _reported(place, at) == before + 1, "the figure")  # type: ignore[misc]


def _reported(place: Installation, gateway: str) -> int:
    """Reports of a grid, this month and before."""
    rows = status(place, "/v1/performance?grid=WY09&from=2020-01-01", gateway)["rows"]
    return sum(row["counts"]["reported"] for row in rows)


# ---- what an operator does ------------------------------------------------------------------------------------


def test_a_pack_is_activated_and_a_letter_replayed_through_a_gateway(place: Installation, tmp_path: Path) -> None:
    said = event(
        "report.submitted",
        "WY01-01-NEW",
        now_ms(),
        case=subject("WY01", next(NUMBERS)),
        id="new-post",
        category=DUST,
        source="patrol",
        grid="WY01-01",
    )
    assert outcome(place, said)["outcome"] == "refused"
    listed = json.loads(place.command("deadletter", "list", "--json", "--open"))
    [letter] = [one["id"] for one in listed if one["case_id"] == said["subject"]]
    assert f"{letter}: refused" in place.command("deadletter", "replay", letter, check=False)

    folder = tmp_path / "pack"
    shutil.copytree(folder_of("weiyang"), folder)
    with (folder / "posts.csv").open("a", encoding="utf-8") as posts:
        posts.write("WY01-01-NEW,新网格员,member,WY01-01,,,,\n")
    assert "is active" in place.command("pack", "activate", str(folder))
    assert f"{letter}: done" in place.command("deadletter", "replay", letter)
    assert status(place, f"/v1/incidents/{said['subject']}")["state"]


def test_a_partition_that_stands_still_is_settled_through_a_gateway_and_goes_on(place: Installation) -> None:
    first = outcome(place, new("WY05"))
    partition = first["partition"]
    _halt(place, partition)
    stuck, beside, behind = (ask(place, new("WY05")) for _ in range(3))
    eventually(lambda: status(place, "/readyz")["halted"] == [{"partition": partition, "why": "a test"}], "it halts")
    time.sleep(1)
    assert status(place, behind["status_url"])["outcome"] == "pending"
    assert outcome(place, new("WY01"))["outcome"] == "done", "others go on"

    through = ["--through", str(beside["position"])]
    elsewhere = place.command(
        "log", "settle", str(partition), str(stuck["position"]), "--skip", "--server", "127.0.0.1:9", check=False
    )
    assert "no server answers at http://127.0.0.1:9" in elsewhere
    more = ["--server", place["gateway-1"].address(), "--why", "a test"]
    place.command("log", "settle", str(partition), str(stuck["position"]), "--skip", *through, *more)
    eventually(lambda: status(place, behind["status_url"])["outcome"] == "done", "it goes on")
    assert {status(place, one["status_url"])["reason"] for one in (stuck, beside)} == {"failed"}
    said = place.command("log", "settle", str(partition), str(stuck["position"]), "--skip", check=False)
    assert "has been decided already" in said


def _halt(place: Installation, partition: int) -> None:
    """As a worker would, for a reason that no test can bring about at a broker: a stamp that is far ahead."""
    url = make_url(place.environment["GRIDPATROL_DATABASE"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(
            "UPDATE partitions SET halted = 'a test', version = version + 1 WHERE partition = %s", (partition,)
        )


def test_what_is_sealed_is_erased_through_a_gateway(place: Installation) -> None:
    said = event(
        "report.submitted",
        MEMBER,
        now_ms(),
        case=subject("WY01", next(NUMBERS)),
        id="named",
        category=DUST,
        source="patrol",
        grid="WY01-01",
        reporter_name="a name",
    )
    assert outcome(place, said)["outcome"] == "done"
    erased = json.loads(place.command("incident", "erase", "--json", said["subject"]))
    assert (erased["events"], erased["letters"]) == (1, 0)
    assert any("sealed.erased" in place[name].said() for name in ("gateway-1", "gateway-2"))


def test_after_all_this_the_facts_fit_the_cases_and_the_figures_their_recount(place: Installation) -> None:
    def verified() -> bool:
        return place.command("verify", check=False).startswith("Everything")

    eventually(verified, lambda: place.command("verify", check=False))


def test_a_role_that_will_not_stop_leaves_word_of_where_each_of_its_threads_stands(place: Installation) -> None:
    hangs = Role("alerts-3", "alerts", place.environment, place.folder)
    hangs.start()
    try:
        hangs.address()
        assert hangs.stuck().count("Thread 0x") > 2 and "in telling" in hangs.said()
        assert not hangs.running
    finally:
        hangs.kill()


def test_a_gateway_whose_writer_meets_a_defect_ends_and_says_so(place: Installation) -> None:
    """The last one of this page: commands look for the gateway that was started last."""
    broken = Role("gateway-3", "gateway", place.environment, place.folder)
    broken.start(GRIDPATROL_FAILPOINT="append.before_commit:raise")
    try:
        broken.await_ready()
        answer = httpx.post(f"{broken.address()}/v1/events", json=new("WY01"), timeout=30)
        assert answer.status_code >= 500
        assert broken.process is not None and broken.process.wait(30) == 1
        assert "the writer had stopped" in broken.said()
    finally:
        broken.kill()

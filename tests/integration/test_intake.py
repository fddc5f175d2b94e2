"""Systems that publish over Kafka, and whatever else may stand in a topic: checked, forwarded once, or kept as letters.

Enters: a running installation (gateway, worker, alerts); events by real clients of other systems, forged, broken, sent
twice; a gateway that dies between forwarding and telling so. Leaves: cases, dead letters, and an exported log that says
the same when it is replayed elsewhere.
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.engine import URL

from engine import admission
from engine.clock import now_ms
from engine.packs import load_pack
from engine.principals import digest_of, new_token
from engine.replay import replay_log
from engine.store import dead_letters, incident_queries
from engine.store.database import Database, open_database
from engine.store.rows import SeenRow
from lab.installation import Installation, installation
from lab.parts import kafka
from lab.parts.postgres import fresh_database
from lab.parts.processes import eventually
from lab.parts.topics import Sent, by_kafka_python, by_librdkafka, read_topic
from lab.runs import engine_on
from schemas import binary
from schemas.partition import home_of, partition_of
from schemas.topics import Topics
from tests.integration.test_door import report
from tests.support.builders import HOTLINE, MEMBER, event, instant, noise, subject
from tests.support.stored_texts import of_texts

PARTITIONS = 8
TOKEN, HOTLINES = new_token(), new_token()
FILE = f"""
[principal.hotline]
actors = ["{HOTLINE}"]
tokens = ["{digest_of(HOTLINES)}"]
[principal.phones]
actors = ["WY??-*"]
[principal.ops]
actors = ["*"]
reads = true
operator = true
tokens = ["{digest_of(TOKEN)}"]
"""
HOMES = [f"WY{number:02}" for number in range(1, 13)]


class Place:
    """The installation, and what the tests ask of it."""

    def __init__(self, built: Installation, database: Database, bootstrap: str, prefix: str, principals: Path) -> None:
        self.installation, self.database, self.bootstrap, self.principals = built, database, bootstrap, principals
        self.topics = Topics(prefix)
        self.count = 0

    def subjects(self, number: int, home: str = "") -> list[str]:
        """New cases, one home after another."""
        self.count += number
        return [subject(home or HOMES[n % len(HOMES)], n) for n in range(self.count - number + 1, self.count + 1)]

    def told(self, token: str, source: str) -> list[Any]:
        """What the door tells a principal of all that it has sent from a source."""
        url, header = self.installation["gateway-1"].url, {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{url}/v1/outcomes", params={"source": source, "limit": 500}, headers=header)
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["outcomes"]
        return found

    def seen(self, source: str, id_: str) -> SeenRow | None:
        """What became of an event; nothing while it is not decided."""
        with self.database.read() as connection:
            found = incident_queries.read_event(connection, source, id_, None)
        assert len(found) <= 1, found
        return found[0] if found else None

    def outcomes(self, events: list[dict[str, Any]]) -> Counter[str]:
        """What became of events, once all of them are decided."""
        found = eventually(
            lambda: [row for e in events if (row := self.seen(e["source"], e["id"]))] if self._all(events) else [],
            lambda: f"{len(events)} events are decided\n{self.installation['gateway-1'].said()[-2000:]}",
        )
        return Counter(row.outcome for row in found)

    def _all(self, events: list[dict[str, Any]]) -> bool:
        return all(self.seen(e["source"], e["id"]) is not None for e in events)

    def facts(self, case: str) -> list[str]:
        """The steps of a case."""
        with self.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT body FROM facts WHERE case_id = %s ORDER BY seq", (case,))
            return [row.body for row in rows]

    def letter(self, id_: str) -> dead_letters.Letter:
        """A dead letter, as soon as it is there."""

        def read() -> dead_letters.Letter | None:
            with self.database.read() as connection:
                return dead_letters.read(connection, id_)

        found = eventually(read, f"dead letter {id_}")
        assert found is not None
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, kafka_server: str, postgres_server: URL) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("intake")
    principals = folder / "principals.toml"
    principals.write_text(FILE)
    principals.chmod(0o600)
    with (
        kafka.fresh_prefix(kafka_server) as prefix,
        fresh_database(postgres_server) as url,
        installation(
            folder,
            kafka_server,
            url,
            prefix=prefix,
            partitions=PARTITIONS,
            principals=principals,
            token=TOKEN,
            listen="127.0.0.1:0",
        ) as built,
    ):
        built.start("gateway-1", "worker-1", "alerts-1")
        built.await_ready()
        database = open_database(url)
        try:
            yield Place(built, database, kafka_server, prefix, principals)
        finally:
            database.close()
            built.stop()


def by_hotline(case: str, **data: Any) -> dict[str, Any]:
    leaf = f"{home_of(case)}-01"
    return report(case, now_ms(), leaf, **data)


def by_member(case: str) -> dict[str, Any]:
    leaf = f"{home_of(case)}-01"
    return event(
        "report.submitted",
        f"{leaf}-MEMBER",
        now_ms(),
        case=case,
        id=f"{case}.m",
        category="D3-01",
        source="patrol",
        grid=leaf,
    )


def structured(said: dict[str, Any], key: bytes | None = None) -> Sent:
    return Sent(json.dumps(said).encode(), key, [("content-type", binary.STRUCTURED.encode())])


def in_binary(said: dict[str, Any], key: bytes | None = None) -> Sent:
    """The same event with its attributes as headers."""
    headers = [(f"ce_{name}", str(value).encode()) for name, value in said.items() if name != "data"]
    return Sent(json.dumps(said["data"]).encode(), key, [*headers, ("content-type", b"application/json")])


def spoilt(said: dict[str, Any], name: str, value: bytes) -> Sent:
    """A binary event one of whose headers is something else."""
    sent = in_binary(said)
    return sent._replace(headers=[(n, value if n == name else v) for n, v in sent.headers])


# ---- what systems send ----------------------------------------------------------------------------------------


def test_events_reach_the_partition_of_their_home_whatever_partitioner_a_system_has(place: Place) -> None:
    hotline = [by_hotline(case) for case in place.subjects(24)]
    phones = [by_member(case) for case in place.subjects(24)]
    keys = {event["id"]: home_of(event["subject"]).encode() for event in hotline + phones}
    topic = place.topics.intake("hotline")
    by_crc32 = by_librdkafka(place.bootstrap, topic, [structured(said, keys[said["id"]]) for said in hotline[:12]])
    by_murmur2 = by_kafka_python(place.bootstrap, topic, [in_binary(said, keys[said["id"]]) for said in hotline[12:]])
    by_librdkafka(place.bootstrap, place.topics.intake("phones"), [in_binary(said) for said in phones])
    assert by_crc32 != by_murmur2, "the same keys, so both clients would have the same partitioner"

    assert place.outcomes(hotline + phones) == {"done": 48}
    homes = {
        (message.partition, message.key.decode())
        for message in read_topic(place.bootstrap, place.topics.inbox)
        if message.key
    }
    assert homes == {(partition_of(home, PARTITIONS), home) for home in HOMES}
    for said in hotline + phones:
        row = place.seen(said["source"], said["id"])
        assert row is not None and row.partition == partition_of(home_of(said["subject"]), PARTITIONS)


@pytest.mark.parametrize("kind", [b"tick", b"sent"])
def test_an_event_is_stamped_with_the_system_whose_topic_it_came_by(place: Place, kind: bytes) -> None:
    [case] = place.subjects(1)
    said = by_hotline(case)
    forged = Sent(json.dumps(said).encode(), None, [("principal", b"ops"), ("kind", kind)])
    by_librdkafka(place.bootstrap, place.topics.intake("hotline"), [forged])
    assert place.outcomes([said]) == {"done": 1}
    [record] = [m for m in read_topic(place.bootstrap, place.topics.inbox) if case.encode() in m.value]
    assert dict(record.headers) == {"kind": b"event", "principal": b"hotline"}


def test_a_forged_actor_is_refused_and_the_letter_is_published(place: Place) -> None:
    [case, honest] = place.subjects(2)
    forged, next_one = by_member(case), by_hotline(honest)
    topic = place.topics.intake("hotline")
    before = len(read_topic(place.bootstrap, topic))
    [partition, _] = by_kafka_python(place.bootstrap, topic, [structured(forged, b"k"), structured(next_one, b"k")])
    assert place.outcomes([next_one]) == {"done": 1}
    offset = max(m.offset for m in read_topic(place.bootstrap, topic) if m.partition == partition) - 1
    assert len(read_topic(place.bootstrap, topic)) == before + 2

    kept = place.letter(f"intake-hotline-{partition}-{offset}")
    assert (kept.reason, kept.field, kept.principal) == ("forbidden", "actor", "hotline")
    assert (kept.event_id, kept.case_id) == (forged["id"], case)
    assert place.seen(forged["source"], forged["id"]) is None
    assert not place.facts(case)
    told = [each for each in place.told(HOTLINES, forged["source"]) if each["id"] == forged["id"]]
    assert [(each["outcome"], each["reason"], each["field"]) for each in told] == [("refused", "forbidden", "actor")]
    assert "partition" not in told[0] and "position" not in told[0]
    assert forged["id"] not in [each["id"] for each in place.told(TOKEN, forged["source"])], "its sender alone is told"

    def published() -> list[Any]:
        return [m for m in read_topic(place.bootstrap, place.topics.deadletter) if m.key.decode() == kept.id]

    [told] = eventually(published, "the letter is published")
    assert json.loads(told.value)["field"] == "actor"


def test_what_is_no_event_is_a_letter_each_and_the_next_event_is_taken(place: Place) -> None:
    *cases, last = place.subjects(8)
    some = [by_hotline(case) for case in cases]
    bad = [
        Sent(b"\xff\xfe\x00 not UTF-8"),
        Sent(json.dumps(some[0] | {"actor": "\x00"}).encode()),
        Sent(b""),
        Sent(None, b"k"),
        Sent(b"[" * 200_000),
        Sent(b'{"specversion": "1.0", "data": "' + b"x" * 900_000 + b'"}'),
        Sent(b"<event/>", None, [("content-type", b"application/xml")]),
        spoilt(some[1], "ce_specversion", b"0.3"),
        spoilt(some[2], "ce_actor", b"\xff\xff"),
        spoilt(some[3], "ce_subject", b"nowhere"),
        in_binary(some[4])._replace(headers=[("ce_specversion", b"1.0"), ("ce_specversion", b"1.0")]),
        in_binary(some[5])._replace(value=b"{]"),
        structured(some[6] | {"data": {"category": 10**400}}),
        structured(some[0] | {"subject": noise(10_000)}),
        structured(some[1] | {"source": "\x00" * 150_000}),
        spoilt(some[2], "ce_specversion", b"\x01" * 900_000),
    ]
    topic, after = place.topics.intake("hotline"), by_hotline(last)
    first = {m.partition: m.offset + 1 for m in read_topic(place.bootstrap, topic)}.get(0, 0)
    by_kafka_python(place.bootstrap, topic, [sent._replace(partition=0) for sent in [*bad, structured(after)]])
    assert place.outcomes([after]) == {"done": 1}
    reasons = [place.letter(f"intake-hotline-0-{first + number}").reason for number in range(len(bad))]
    assert set(reasons) <= {"undecodable", "invalid", "too_large"}, reasons
    assert not any(map(place.facts, cases))


def test_one_event_over_every_way_in_has_one_effect(place: Place) -> None:
    [case] = place.subjects(1)
    said = by_hotline(case)
    topic = place.topics.intake("hotline")
    by_librdkafka(place.bootstrap, topic, [structured(said), in_binary(said), structured(said, b"another key")])
    stamped = said | {"knativearrivaltime": "2026-03-02T09:00:01Z", "recordedtime": instant(now_ms())}
    stamped["time"] = said["time"].replace("+08:00", "0+08:00")  # to a tenth of a millisecond
    by_librdkafka(place.bootstrap, topic, [structured(stamped), in_binary(stamped)])
    bytes_ = {name: value for name, value in said.items() if name != "data"}
    bytes_["data_base64"] = base64.b64encode(json.dumps(said["data"]).encode()).decode()
    by_librdkafka(place.bootstrap, topic, [structured(bytes_)])
    answer = place.installation.publish([said, said], wait=20)
    assert {result["outcome"] for result in answer["results"]} <= {"done", "duplicate"}, answer

    def copies() -> int:
        return sum(case.encode() in message.value for message in read_topic(place.bootstrap, place.topics.inbox))

    eventually(lambda: copies() == 8, lambda: f"eight copies in the inbox, there are {copies()}")
    answer = place.installation.publish([said], wait=20)
    assert answer["results"][0]["outcome"] == "duplicate" and answer["results"][0]["first"] == "done"
    assert len(place.facts(case)) == 1
    with place.database.read() as connection:
        assert not [row for row in dead_letters.listed(connection, limit=1000) if row.case_id == case]


def test_the_same_id_with_other_content_over_another_way_is_a_conflict(place: Place) -> None:
    [case] = place.subjects(1)
    said = by_hotline(case)
    assert place.installation.publish([said], wait=20)["results"][0]["outcome"] == "done"
    other = said | {"data": said["data"] | {"category": "D3-01"}}
    by_librdkafka(place.bootstrap, place.topics.intake("hotline"), [structured(other)])

    def conflicts() -> list[dead_letters.Letter]:
        with place.database.read() as connection:
            return [row for row in dead_letters.listed(connection, reason="conflict") if row.case_id == case]

    [kept] = eventually(conflicts, "a conflict")
    assert (kept.field, kept.principal) == ("id", "hotline")
    assert len(place.facts(case)) == 1


def test_who_waits_at_a_gateway_for_an_early_event_is_told_what_became_of_it(place: Place) -> None:
    """Another process decides it, and the report comes over Kafka."""
    [case] = place.subjects(1)
    early = event("incident.accepted", f"{home_of(case)}-CHIEF", now_ms(), case=case, id=f"{case}.early")
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/cloudevents+json", "Prefer": "wait=25"}
    url = f"{place.installation['gateway-1'].address()}/v1/events"
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(httpx.post, url, content=json.dumps(early), headers=headers, timeout=30)
        eventually(lambda: place.outcomes([early]) == {"parked": 1}, "it is parked")
        [told] = place.installation.publish([early], wait=20)["results"]
        assert (told["outcome"], told["first"]) == ("duplicate", "parked")
        assert told["waits_for"] == ["gridpatrol.report.submitted.v1"] and told["until"]
        assert not asked.done()
        by_librdkafka(place.bootstrap, place.topics.intake("hotline"), [structured(by_hotline(case))])
        answer = asked.result().json()
    assert (answer["outcome"], answer.keys() & {"waits_for", "until"}) == ("done", set())


# ---- what dies, and what joins --------------------------------------------------------------------------------


def test_a_gateway_killed_between_forwarding_and_saying_so_forwards_again_and_nothing_happens_twice(
    place: Place,
) -> None:
    gateway = place.installation["gateway-1"]
    gateway.stop()
    place.installation.start("gateway-1", GRIDPATROL_FAILPOINT="intake.before_commit:kill")
    said = [by_hotline(case) for case in place.subjects(60)]
    by_librdkafka(place.bootstrap, place.topics.intake("hotline"), [structured(one) for one in said])
    eventually(lambda: not gateway.running, lambda: f"the gateway has died\n{gateway.said()[-2000:]}")

    place.installation.start("gateway-1")
    gateway.await_ready()
    assert place.outcomes(said) == {"done": 60}

    def copies() -> int:
        wanted = {one["subject"].encode() for one in said}
        return sum(any(case in m.value for case in wanted) for m in read_topic(place.bootstrap, place.topics.inbox))

    eventually(lambda: copies() > 60, "some are forwarded twice")
    assert all(len(place.facts(one["subject"])) == 1 for one in said)


def test_a_system_that_joins_is_listened_to_without_a_restart(place: Place) -> None:
    gateway = place.installation["gateway-1"]
    assert gateway.process is not None
    before = gateway.process.pid
    place.principals.write_text(FILE + f'[principal.sensors]\nactors = ["{MEMBER}"]\n')
    eventually(lambda: "no topic" in gateway.said(), "the gateway misses the topic")
    assert "gridpatrol topic create" in gateway.said()
    said_of_nobody = place.installation.command("topic", "create", "--system", "cameras")
    assert "created" in said_of_nobody and "Nobody listens to cameras yet" in said_of_nobody
    [case] = place.subjects(1, "WY01")
    said = by_member(case)
    by_librdkafka(place.bootstrap, place.topics.intake("sensors"), [structured(said)])
    assert place.outcomes([said]) == {"done": 1}
    assert gateway.process.pid == before and gateway.running


# ---- what stands in the inbox itself --------------------------------------------------------------------------


def test_whatever_stands_in_the_inbox_never_stops_the_line_and_a_replay_says_the_same(
    place: Place, tmp_path: Path
) -> None:
    home, elsewhere = "WY01", next(h for h in HOMES if partition_of(h, PARTITIONS) != partition_of("WY01", PARTITIONS))
    here = partition_of(home, PARTITIONS)
    cases = place.subjects(4, home)
    [far] = place.subjects(1, elsewhere)
    as_event = [("kind", b"event"), ("principal", b"gateway")]
    bodies = [_record(by_hotline(case)) for case in cases]
    bad = {
        "not UTF-8": Sent(b"\xff\xfe\x80", home.encode(), as_event),
        "a zero byte": Sent(b"a\x00b", home.encode(), as_event),
        "a zero escaped": Sent(b'{"event": {"id": "\\u0000"}}', home.encode(), as_event),
        "a lone surrogate": Sent(b'{"event": {"id": "\\ud800"}}', home.encode(), as_event),
        "empty": Sent(b"", home.encode(), as_event),
        "no value": Sent(None, home.encode(), as_event),
        "huge": Sent(b"x" * 1_000_000, home.encode(), as_event),
        "deep": Sent(b"[" * 100_000, home.encode(), as_event),
        "an unknown kind": Sent(bodies[0], home.encode(), [("kind", b"wish"), ("principal", b"gateway")]),
        "a kind that is no text": Sent(bodies[1], home.encode(), [("kind", b"\xff\x00"), ("principal", b"\xff\x00")]),
        "no headers": Sent(bodies[2], home.encode(), []),
        "no key": Sent(b"{}", None, as_event),
        "another home's": Sent(_record(by_hotline(far)), elsewhere.encode(), as_event),
        "a false partition key": Sent(
            _record(by_hotline(cases[3])).replace(b'"specversion"', b'"partitionkey":"WY09","specversion"'),
            home.encode(),
            as_event,
        ),
    }
    [one, other] = [by_hotline(case) for case in place.subjects(2, home)]
    assert place.installation.publish([one], wait=20)["results"][0]["outcome"] == "done"
    by_kafka_python(place.bootstrap, place.topics.inbox, [sent._replace(partition=here) for sent in bad.values()])
    answer = place.installation.publish([other], wait=30)["results"][0]
    assert answer["outcome"] == "done", answer

    messages = [m for m in read_topic(place.bootstrap, place.topics.inbox) if m.partition == here]
    places = {name: [m.offset for m in messages if m.value == sent.value][-1] for name, sent in bad.items()}
    kept = {name: place.letter(f"{here}.{position}") for name, position in places.items()}
    assert {name: letter.reason for name, letter in kept.items()} == {
        name: "misrouted" if name in ("another home's", "a false partition key") else "undecodable" for name in bad
    }
    assert not any(map(place.facts, [*cases, far]))
    assert "Traceback" not in place.installation["worker-1"].said()
    _check_replay(place, tmp_path)


def _record(said: dict[str, Any]) -> bytes:
    """An event as a gateway would have written it."""
    received = admission.receive(json.dumps(said).encode(), "gateway", PARTITIONS)
    assert isinstance(received, tuple), received
    return received[0].body.encode()


def _check_replay(place: Place, folder: Path) -> None:
    """The exported log, replayed by the embedded engine, gives the same facts, answers and letters."""
    exported = folder / "log.jsonl"
    _settle(place)
    place.installation.command("log", "export", "-o", str(exported))
    with engine_on(f"sqlite:///{folder / 'again.db'}", PARTITIONS) as again, exported.open("rb") as lines:
        replay_log(again, lines)
        for sql in (
            "SELECT partition, n, case_id, seq, at, body FROM facts ORDER BY partition, n",
            "SELECT partition, source, id, digest, arrival, outcome, reason, field FROM seen ORDER BY 1, 2, 3",
            "SELECT id, at, reason, field, source, event_id, type, case_id, principal FROM dead_letters "
            "WHERE partition IS NOT NULL ORDER BY id",
        ):
            with place.database.read() as first, again.database.read() as second:
                rows = [tuple(row) for row in first.exec_driver_sql(sql)]
                assert rows == [tuple(row) for row in second.exec_driver_sql(of_texts("sqlite", sql))]
            assert rows


def _settle(place: Place) -> None:
    """Until nothing is left to decide; deadlines of hours do not tick in between."""
    ends = Counter(m.partition for m in read_topic(place.bootstrap, place.topics.inbox))

    def decided() -> bool:
        with place.database.read() as connection:
            stand = incident_queries.read_positions(connection)
        return all(stand[partition] >= end for partition, end in ends.items())

    eventually(decided, "everything is decided")
    time.sleep(0.5)


def test_the_sample_pack_has_the_homes_that_these_tests_use() -> None:
    pack = load_pack("weiyang")
    assert set(HOMES) <= {grid.code for grid in pack.grids}

"""An installation that trusts nobody on its wires: brokers, database and door speak TLS, each user has a password
of its own, and rights as few as its work needs.

Enters: a broker with access lists, a PostgreSQL that takes no plain connection, a file of principals; events at the
door and in an intake topic, some of them forged. Leaves: facts, figures and alerts, and a log that says the same again.
"""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import AuthorizationError

from engine.clock import now_ms
from engine.cluster import clients
from engine.principals import digest_of, new_token
from engine.settings import Settings
from gridpatrol.client import Refused, Server
from lab.chaos.faults import pack_without_quiet_hours
from lab.installation import Installation
from lab.parts import kafka
from lab.parts.certificates import make_certificate
from lab.parts.kafka_jars import Parts
from lab.parts.postgres import secured_server, with_tls
from lab.parts.processes import eventually
from schemas.topics import Topics
from tests.integration.test_door import report
from tests.support.builders import DISTRICT, HOTLINE, MEMBER, STREET, event, subject

ROLES = ("gateway", "worker", "performance", "alerts")
RUNNING = ("gateway-1", "worker-1", "worker-2", "performance-1", "alerts-1")
USERS = (*ROLES, "operator", "hotline")
TOKENS = {name: new_token() for name in ("phones", "office")}
TOPICS = Topics("")
FILE = f"""
[principal.hotline]
actors = ["{HOTLINE}"]
[principal.phones]
actors = ["WY??-*-MEMBER"]
tokens = ["{digest_of(TOKENS["phones"])}"]
[principal.office]
actors = ["{DISTRICT}"]
reads = true
operator = true
tokens = ["{digest_of(TOKENS["office"])}"]
"""


class Place:
    """The installation, and what the tests ask of it."""

    def __init__(self, installation: Installation, broker: kafka.Broker, folder: Path) -> None:
        self.installation, self.broker, self.folder = installation, broker, folder

    def publish(self, who: str, *events: dict[str, Any]) -> list[str]:
        """What becomes of events that somebody with a token publishes at the door."""
        self.installation.token = TOKENS.get(who, who)
        told = self.installation.publish(list(events), wait=25)["results"]
        return [one.get("outcome") or one["reason"] for one in told]

    def asked(self, path: str) -> dict[str, Any]:
        """What the office reads at the door."""
        self.installation["gateway-1"].environment["GRIDPATROL_TOKEN"] = TOKENS["office"]
        status, body = self.installation["gateway-1"].get(path)
        assert status == 200, body
        return dict(json.loads(body))

    def send(self, system: str, said: dict[str, Any]) -> None:
        """Publish as a system does, in its own topic."""
        with closing(KafkaProducer(**self.broker.client(system), acks="all")) as producer:
            producer.send(TOPICS.intake(system), json.dumps(said).encode()).get(20)

    def heard(self, topic: str, **wanted: str) -> list[dict[str, Any]]:
        """What was published with these values."""
        settings = Settings(kafka=self.broker.bootstrap, **common(self.broker), **own(self.folder, "admin"))
        with closing(clients.consumer(settings, "test")) as consumer:
            places = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends, found = consumer.end_offsets(places), list[dict[str, Any]]()
            while any(consumer.position(place) < end for place, end in ends.items()):
                found += [json.loads(one.value) for some in consumer.poll(200).values() for one in some]
        return [one for one in found if wanted.items() <= one.items()]

    def state(self, number: int) -> str:
        """Where an incident stands; empty where there is none."""
        cases = {one["id"]: one["state"] for one in self.asked("/v1/incidents")["incidents"]}
        return str(cases.get(case(number), ""))


def common(broker: kafka.Broker) -> dict[str, Any]:
    """What all users are told of the brokers."""
    return {"kafka_security": "SASL_SSL", "kafka_ca": str(broker.ca)}


def own(folder: Path, user: str) -> dict[str, Any]:
    """What one user is told."""
    return {"kafka_user": user, "kafka_password_file": str(folder / user)}


def case(number: int) -> str:
    return subject("WY01", number)


def seen(number: int) -> dict[str, Any]:
    """A member's report of a new case."""
    return event(
        "report.submitted",
        MEMBER,
        now_ms(),
        case=case(number),
        id=f"seen-{number}",
        category="D3-01",
        source="patrol",
        grid="WY01-01",
    )


def said(place: Place) -> str:
    return "\n".join(role.said()[-1500:] for role in place.installation.roles.values())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, kafka_parts: Parts) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("secured")
    pack_without_quiet_hours(folder / "pack")
    principals = folder / "principals.toml"
    principals.write_text(FILE, encoding="utf-8")
    principals.chmod(0o600)
    door = make_certificate(folder, "door")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        # Whom this process trusts, when it asks the door.
        patch.setenv("SSL_CERT_FILE", str(door.ca))
        broker = stack.enter_context(kafka.running_broker(users={user: new_token() for user in USERS}))
        for user, password in broker.users.items():
            (folder / user).write_text(f"{password}\n", encoding="utf-8")
        password = new_token()
        (folder / "database").write_text(f"{password}\n", encoding="utf-8")
        server = stack.enter_context(secured_server(make_certificate(folder, "db"), password, with_tls()))
        door_of = {"principals": principals, "tls_cert": door.certificate, "tls_key": door.key}
        installation = Installation(
            folder,
            broker.bootstrap,
            stack.enter_context(server.database()),
            partitions=4,
            principals=principals,
            database_password_file=folder / "database",
            pack=folder / "pack",
            tls_ca=door.ca,
            of_role={role: own(folder, role) | (door_of if role == "gateway" else {}) for role in ROLES},
            **common(broker),
            **own(folder, "admin"),
        )
        stack.callback(installation.kill)
        installation.command("db", "upgrade")
        assert "gateway      may WRITE topic gridpatrol.inbox.v1" in installation.command("topic", "create", "--acls")
        installation.start(*RUNNING)
        installation.await_ready()
        yield Place(installation, broker, folder)
        installation.stop()


def test_the_door_speaks_tls_and_asks_for_a_token(place):
    assert place.installation["gateway-1"].address().startswith("https://")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        place.publish(new_token(), report(case(1), now_ms()))
    refused.value.close()
    assert place.state(1) == ""
    unusable = place.installation.command("serve", "--role", "gateway", check=False, tls_cert=place.folder / "admin")
    assert "tls_cert" in unusable and "PEM" in unusable and "Traceback" not in unusable


def test_what_a_phone_and_a_system_tell_comes_out_as_facts_figures_and_alerts(place):
    assert place.publish("phones", seen(2)) == ["done"]
    place.send("hotline", report(case(3), now_ms()))
    eventually(lambda: place.state(3), lambda: f"the hotline's case\n{said(place)}")
    assert place.publish("office", event("incident.urged", DISTRICT, now_ms(), case=case(3), id="urged")) == ["done"]

    def told(topic: str, **wanted: str) -> list[dict[str, Any]]:
        return eventually(lambda: place.heard(topic, **wanted), lambda: f"{wanted} on {topic}\n{said(place)}")

    for number in (2, 3):
        assert told(TOPICS.facts, case=case(number))
    assert told(TOPICS.alerts, case=case(3))
    assert told(TOPICS.performance)
    assert told(TOPICS.anchors, anchor="gridpatrol-anchor/1")
    assert "Nothing was changed of" in place.installation.command("audit", "verify")
    eventually(lambda: place.asked("/v1/notices")["notices"], "the notice at the door")
    figures = eventually(lambda: place.asked("/v1/performance?by=grid")["rows"], "figures at the door")
    assert figures


def test_a_forged_actor_is_refused_at_the_door_and_in_a_topic(place):
    assert place.publish("phones", report(case(5), now_ms())) == ["forbidden"]
    place.send("hotline", seen(4))
    [letter] = eventually(lambda: place.heard(TOPICS.deadletter, event_id="seen-4"), "the dead letter")
    assert (letter["reason"], letter["principal"]) == ("forbidden", "hotline")
    assert place.state(4) == place.state(5) == ""


def test_a_system_cannot_write_where_it_would_not_be_asked(place):
    with closing(KafkaProducer(**place.broker.client("hotline"), acks="all")) as producer:
        for topic in (TOPICS.inbox, TOPICS.facts, TOPICS.intake("phones")):
            with pytest.raises(AuthorizationError):
                producer.send(topic, b"{}").get(20)


def test_an_operator_exports_the_log_and_replayed_it_says_the_same(place, tmp_path):
    exported = tmp_path / "log.jsonl"
    place.installation.command("log", "export", "-o", str(exported), **own(place.folder, "operator"))
    refused = place.installation.command("log", "export", check=False, **own(place.folder, "alerts"))
    assert "'alerts'" in refused and TOPICS.inbox in refused and "Traceback" not in refused
    copy = f"sqlite:///{tmp_path / 'copy.db'}"
    alone = {"kafka": "", "database": copy, "database_password_file": ""}
    place.installation.command("replay", str(exported), **alone)
    here = place.installation.command("facts", "export", **own(place.folder, "operator"))
    assert here and here == place.installation.command("facts", "export", **alone)


def test_commands_ask_the_door_over_tls_with_a_token(place):
    token = {"token": TOKENS["office"]}
    assert place.installation.command("pack", "activate", "weiyang", **token)
    assert "token" in place.installation.command("pack", "activate", "weiyang", check=False)
    unknown = place.installation.command("pack", "activate", "weiyang", check=False, tls_ca=place.broker.ca, **token)
    assert "GRIDPATROL_TLS_CA" in unknown and "Traceback" not in unknown


@pytest.mark.parametrize("role", ROLES)
def test_a_role_with_a_wrong_password_ends_at_once_and_names_the_setting(place, role):
    name = f"{role}-9"
    place.installation.start(name, GRIDPATROL_KAFKA_PASSWORD_FILE=str(place.folder / "database"))
    ended = place.installation[name]
    try:
        eventually(lambda: not ended.running, "it ends", 20)
    finally:
        ended.kill()
    said = ended.said()
    assert f"refuses user '{role}'" in said and "kafka_password_file" in said and "Traceback" not in said, said


def test_the_town_goes_on_when_its_broker_dies_and_comes_back(place):
    figures = len(place.heard(TOPICS.performance))
    place.broker.kill()
    place.broker.start()

    def taken() -> bool:
        try:
            return place.publish("phones", seen(6)) == ["done"]
        except OSError:  # too early
            return False

    eventually(taken, lambda: f"an event is decided\n{said(place)}")
    eventually(lambda: place.heard(TOPICS.facts, case=case(6)), lambda: f"its facts\n{said(place)}")
    eventually(lambda: len(place.heard(TOPICS.performance)) > figures, lambda: f"new figures\n{said(place)}")
    place.send("hotline", report(case(7), now_ms()))
    eventually(lambda: place.state(7), lambda: f"the hotline's case\n{said(place)}")
    assert all(place.installation[name].running for name in RUNNING)


def test_nobody_lacked_a_right_and_nothing_broke(place):
    for role in place.installation.roles.values():
        if role.running:
            assert not [line for line in role.said().splitlines() if "not registered" in line or "uthoriz" in line]
    assert place.installation.command("verify").startswith("Everything")


def test_a_person_is_known_reads_and_is_forgotten_at_every_gateway(place):
    """Given a token at one gateway, it reads the words of a case at another, which audits that; withdrawn, neither
    knows it."""
    place.installation.start("gateway-2")
    place.installation.await_ready("gateway-2")
    first, second = (place.installation[name].address() for name in ("gateway-1", "gateway-2"))
    told = report(case(70), now_ms(), description="dust", reporter_contact="029")
    place.send("hotline", told)
    eventually(lambda: place.state(70), lambda: f"the hotline's case\n{said(place)}")
    office = Server(first, token=TOKENS["office"], ca=str(place.installation.environment["GRIDPATROL_TLS_CA"]))
    given = office.post("/v1/operator/people", json.dumps({"post": STREET}).encode())
    person = Server(second, token=given["token"], ca=str(place.installation.environment["GRIDPATROL_TLS_CA"]))

    def words() -> Any:
        try:
            return person.get(f"/v1/incidents/{case(70)}/words")
        except Refused as refused:
            return refused.status

    eventually(lambda: words() != 401, lambda: f"the person\n{said(place)}")
    read = words()
    assert [word["text"] for step in read["steps"] for word in step["words"]] == ["dust", "029"]
    assert f"post:{STREET}:{STREET}" in place.installation.command("audit", "list", "--act", "words.read", "--json")
    office.post(f"/v1/operator/people/{STREET}/withdrawals")
    eventually(lambda: words() == 401, "forgotten at the other gateway")
